# SPDX-License-Identifier: Apache-2.0
"""Plays a persona in a call: listens, answers, interrupts, loses patience, hangs up.

What it says depends on what was understood and on the seed, never on how fast this machine is: it waits until all
that the bot said is understood, and its times are those of the call.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final

from audio_connector.audio.resample import resample
from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.script import SayText
from audio_connector.simulator.speech import cut_to_frames
from audio_connector.simulator.talk.ear import Ear
from audio_connector.simulator.talk.persona import Persona
from audio_connector.simulator.talk.replies import Replies, Reply
from audio_connector.simulator.talk.speaker import Speaker

LOOK_S: Final = 0.04
"""How often it looks whether the bot has ended: two frames, less than anybody's reaction."""


class Conversation:
    """One persona in one call.

    Args:
        persona: Who it is.
        live: The call.
        ear: Understands the bot.
        speaker: Gives the persona's audio.
        replies: Knows what to answer.
        seed: Of its interruptions.
    """

    def __init__(
        self, persona: Persona, live: LiveCall, *, ear: Ear, speaker: Speaker, replies: Replies, seed: int
    ) -> None:
        self._persona = persona
        self._live = live
        self._ear = ear
        self._speaker = speaker
        self._replies = replies
        self._random = random.Random(f"{seed} {persona.name}")
        self._since_s = 0.0
        """What the bot has said by then is answered, or was interrupted."""
        self._quiet_since_s = 0.0
        self._interruptions = 0
        self.turns = 0
        """How often it spoke."""
        self.ended = "bot"
        """As `Outcome.ended`."""

    async def run(self) -> None:
        """Talk until the goal is reached, or given up; then hang up."""
        if self._persona.opening is not None:
            await self._say(self._persona.opening)
        while not self._is_leaving:
            text, is_interrupting = await self._listen()
            if not self._is_on:
                return
            if not text and not is_interrupting:
                await self._leave("patience" if self._live.now_s < self._persona.max_s else "time")
            elif self.turns >= self._persona.max_turns:
                if not await self._ends_by_rule(text):
                    await self._leave("turns")
            else:
                reply = self._interruption() if is_interrupting else await self._replies.reply_to(text)
                await self._do(reply, is_interrupting)
        self._live.hang_up()

    async def conclude(self) -> None:
        """The call is over and all is understood: what the bot said last may be what a rule ends the call on."""
        if self.ended == "bot":
            await self._ends_by_rule(self._ear.text_since(self._since_s))

    def give_up(self, why: str) -> None:
        """Hang up at once, without a word."""
        self.ended = why
        self._live.hang_up()

    async def _ends_by_rule(self, text: str) -> bool:
        """Whether a rule ends the call on what the bot said; nothing more is answered."""
        reply = await self._replies.by_rule(text) if text else None
        if reply is not None and reply.ends:
            self.ended = reply.ends
        return self._is_leaving

    @property
    def _is_leaving(self) -> bool:
        return self.ended != "bot"

    @property
    def _is_on(self) -> bool:
        return self._live.is_open or self._live.redial_after_s is not None

    async def _listen(self) -> tuple[str, bool]:
        """Wait for the bot's answer; or until it is time to interrupt it, or patience or the time is over.

        Returns:
            What the bot said, empty where it said nothing in time; and whether it is to be interrupted.
        """
        persona, ear = self._persona, self._ear
        interrupts = persona.interrupts
        is_interrupting = interrupts is not None and self._random.random() < interrupts.probability
        while self._is_on:
            now_s = self._live.now_s
            if ear.open_since_s is None and not ear.is_behind:
                text = ear.text_since(self._since_s)
                quiet_since_s = max(self._quiet_since_s, ear.sound_until_s)
                if text and now_s - ear.sound_until_s >= persona.pause_s:
                    self._since_s = ear.lines[-1].end_s
                    return text, False
                if now_s - quiet_since_s >= persona.patience_s:
                    return "", False
            elif is_interrupting and interrupts is not None and self._speaks_for(now_s) >= interrupts.after_s:
                return "", True
            if now_s >= persona.max_s:
                return "", False
            await asyncio.sleep(LOOK_S)
        return "", False

    def _speaks_for(self, now_s: float) -> float:
        """How long the bot has been saying something since the persona spoke last."""
        began_s = self._ear.open_since_s
        return 0.0 if began_s is None else now_s - max(began_s, self._since_s)

    def _interruption(self) -> Reply:
        interrupts = self._persona.interrupts
        phrases = interrupts.say if interrupts is not None else ()
        self._interruptions += 1
        return Reply(phrases[(self._interruptions - 1) % len(phrases)])

    async def _do(self, reply: Reply, is_interrupting: bool) -> None:
        self.ended = reply.ends or self.ended  # first: the bot may hang up while that is said
        if reply.text:
            await self._say(reply.text, is_interrupting=is_interrupting)
        elif not reply.ends:
            self._quiet_since_s = self._live.now_s  # keys alone are an answer too
            self.turns += 1
        for key in reply.press:
            self._live.press(key)

    async def _leave(self, why: str) -> None:
        self.ended = why
        if self._persona.goodbye is not None:
            await self._say(self._persona.goodbye)

    async def _say(self, text: str, *, is_interrupting: bool = False) -> None:
        """Say something, and wait until it was said."""
        persona, live = self._persona, self._live
        said = SayText(text=text, voice=persona.voice, language=persona.language)
        pcm, rate_hz = await self._speaker.spoken(said)
        pcm = await asyncio.to_thread(resample, pcm, rate_hz, live.call.rate_hz)
        if not self._is_on:
            return
        self._replies.note_said(text)
        self.turns += 1
        live.say_line(said, cut_to_frames(pcm, live.call.audio_format))
        while self._is_on and live.unsaid_ms:  # noqa: ASYNC110 - the call's clock moves it on, and tells nobody
            await asyncio.sleep(live.unsaid_ms / 1000)
        self._quiet_since_s = live.now_s
        if is_interrupting:
            self._since_s = live.now_s  # what the bot goes on to say until it notices is no answer
