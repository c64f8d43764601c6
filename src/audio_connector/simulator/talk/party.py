# SPDX-License-Identifier: Apache-2.0
"""What talks and understands in one call, from its beginning to its report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from audio_connector.errors import UsageError
from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.talk.conversation import Conversation
from audio_connector.simulator.talk.ear import Ear
from audio_connector.simulator.talk.expect import not_judged
from audio_connector.simulator.talk.meaning import Meaning
from audio_connector.simulator.talk.persona import Persona
from audio_connector.simulator.talk.ports import Talk
from audio_connector.simulator.talk.replies import Replies
from audio_connector.simulator.talk.speaker import Speaker
from audio_connector.simulator.talk.transcript import said_by
from audio_connector.simulator.talk.verdict import judge_call
from audio_connector.simulator.talk.words import word_errors

GRACE_S: Final = 30.0
"""After `Persona.max_s`: the last sentence may be said to its end."""


class Party:
    """One call that talks.

    Args:
        call: What is planned.
        talk: The engines.
        speaker: Gives the audio of texts.
        on_failure: Told where an engine fails; the call ends then.

    Raises:
        UsageError: The call needs an engine that there is not.
    """

    def __init__(
        self, call: RouterCall, talk: Talk, speaker: Speaker, *, on_failure: Callable[[Exception], None]
    ) -> None:
        self._call = call
        self._talk = talk
        self._speaker = speaker
        self._on_failure = on_failure
        self._conversation: Conversation | None = None
        self._task: asyncio.Task[None] | None = None
        self._meaning = Meaning(talk.embedder)
        self.ear: Ear | None = None
        if not call.needs_words:
            return
        if talk.recogniser is None:
            raise UsageError(
                "this call needs the bot's words (hear, expect, a persona or a transcript), and nothing recognises "
                "them; expected a router with Talk(recogniser=...)"
            )
        persona = call.persona
        language = (persona.language if persona is not None else None) or talk.language
        self.ear = Ear(talk.recogniser, rate_hz=call.rate_hz, language=language, on_failure=on_failure)
        if persona is not None and persona.model is not None and talk.answerer is None:
            raise UsageError(
                f"the persona {persona.name!r} is played by a chat model, and there is none; expected a router with "
                "Talk(answerer=...)"
            )

    def begin(self, live: LiveCall) -> None:
        """The connection is made."""
        persona = self._call.persona
        if persona is None or self.ear is None:
            return
        answerer = self._talk.answerer if persona.model is not None else None
        self._conversation = Conversation(
            persona,
            live,
            ear=self.ear,
            speaker=self._speaker,
            replies=Replies(persona, self._meaning, answerer),
            seed=self._call.impairments.seed,
        )
        self._task = asyncio.ensure_future(self._play(persona, self._conversation))

    async def finish(self, live: LiveCall) -> CallReport:
        """The call is over: understand the rest, and judge.

        Raises:
            Exception: Whatever an engine raised.
        """
        await self._end_conversation()
        if self.ear is not None:
            await self.ear.finish()
        if self._conversation is not None:
            await self._conversation.conclude()
        live.conclude()
        report, expect = live.report(), self._call.expect
        reference = expect.word_errors.reference if expect.word_errors is not None else None
        report = replace(
            report,
            expected=expect.texts,
            unmet=expect.failures(
                report.transcript,
                unheard_s=report.unheard_s,
                may_be_silent=report.allow_silence and not report.has_sound,
            ),
            word_errors=None
            if reference is None
            else word_errors(reference, said_by("bot", report.transcript)),
        )
        return await self._judged(report)

    async def abandon(self) -> None:
        """The call failed, or is not wanted any more."""
        await self._end_conversation()
        if self.ear is not None:
            await self.ear.abandon()

    async def _end_conversation(self) -> None:
        if self._task is not None:
            self._task.cancel()  # it may think about an answer that nobody will hear
            await asyncio.gather(self._task, return_exceptions=True)

    async def _play(self, persona: Persona, conversation: Conversation) -> None:
        try:
            # A voice or a chat model that never comes back must not keep the call open.
            await asyncio.wait_for(conversation.run(), persona.max_s + GRACE_S)
        except (TimeoutError, asyncio.TimeoutError):  # not the same before Python 3.11
            conversation.give_up("time")
        except Exception as error:  # noqa: BLE001 - whatever it was, Router.run raises it
            self._on_failure(error)

    async def _judged(self, report: CallReport) -> CallReport:
        persona, conversation = self._call.persona, self._conversation
        if persona is None or conversation is None:
            return report
        is_ended = conversation.ended == "bot" and report.hung_up  # by a step
        outcome = await judge_call(
            persona,
            report.transcript,
            ended="time" if is_ended else conversation.ended,
            turns=conversation.turns,
            meaning=self._meaning,
            answerer=self._talk.answerer,
        )
        if persona.judge is not None and report.unheard_s:
            outcome = replace(outcome, reached=False, why=(not_judged(report.unheard_s), *outcome.why))
        if outcome.reached:
            return replace(report, outcome=outcome)
        failed = tuple(f"the goal was not reached: {why}" for why in outcome.why)
        return replace(report, outcome=outcome, unmet=(*report.unmet, *failed))
