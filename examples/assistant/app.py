# SPDX-License-Identifier: Apache-2.0
"""The assistant: what it hears becomes a turn, a turn an answer, and an answer speech that can be interrupted.

Work begins before it is certain to be needed: in each pause the caller's words are transcribed, and the first
sentence of the answer is made. If the caller goes on, that is dropped; if the turn is over, half of it is done.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import Field

from assistant.brain import Brain
from assistant.memory import Memory, Said, Turn
from assistant.speaking import Piece, Voice
from audio_connector import AudioConnectorConnection, ConnectionClosed, Speech, UsageError
from audio_connector.engines import Engine, EngineError, Hearing, Recogniser, Synthesiser
from audio_connector.live.demo import Outcome
from audio_connector.simulator import CallReport
from audio_connector.turns import (
    BargeIn,
    Decision,
    Interrupter,
    Silence,
    SpeechEnded,
    SpeechGoesOn,
    SpeechPaused,
    SpeechStarted,
    TurnEvent,
    TurnSettings,
    listen,
)
from audio_connector.validation import FrozenValues

logger = logging.getLogger("assistant")

Seconds = Annotated[float, Field(gt=0, le=3600)]
KEPT_TURNS = 1000
"""Of all calls, for the figures: some hours of talk."""


class Phrases(FrozenValues):
    """What is said often; made before the first call.

    Attributes:
        greeting: At the beginning.
        moment: Where an answer takes long.
        sorry: Where something failed, or nothing was understood.
        still_there: Where the caller is silent.
        goodbye: Before it hangs up.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    greeting: str = "Hello! How can I help you?"
    moment: str = "One moment, please."
    sorry: str = "I am sorry, I did not get that. Could you say it again?"
    still_there: str = "Are you still there?"
    goodbye: str = "Thank you for calling. Goodbye!"


class Manner(FrozenValues):
    """How it talks.

    Attributes:
        phrases: What is said often.
        turns: When the caller has finished.
        barge_in: When the caller interrupts.
        partials: Recognise while the caller speaks, and not in the pause: for recognisers that hear as it is said.
        moment_after_s: An answer that takes longer is announced.
        ask_after_s: Silence after which the caller is asked whether they are there.
        hang_up_after_s: Silence after which the call ends.
        max_messages: So many of a conversation are remembered.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    phrases: Phrases = Phrases()
    turns: TurnSettings = TurnSettings()
    barge_in: BargeIn = BargeIn()
    partials: bool = False
    moment_after_s: Seconds = 2.0
    ask_after_s: Seconds = 15.0
    hang_up_after_s: Seconds = 30.0
    max_messages: Annotated[int, Field(ge=2, le=1000)] = 40


class Shows(Protocol):
    """What is told of each thing that happens: a `LivePage`."""

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - as the page's
        """Show it."""


class Assistant:
    """Serves calls; what they share.

    Args:
        recogniser: Understands the caller.
        synthesiser: Speaks.
        brain: Knows what to say.
        page: Told what happens.
        manner: How it talks.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        synthesiser: Synthesiser,
        brain: Brain,
        *,
        page: Shows,
        manner: Manner | None = None,
    ) -> None:
        self.manner = manner or Manner()
        self.recogniser = recogniser
        self.brain = brain
        self.page = page
        self.voice = Voice(synthesiser, self.manner.phrases.model_dump(), brain.openings)
        self.turns: deque[Turn] = deque(maxlen=KEPT_TURNS)
        self._calls = 0

    @property
    def engines(self) -> Sequence[Engine]:
        """What is loaded before the first call."""
        return self.recogniser, self.brain, self.voice

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Serve a call to its end."""
        self._calls += 1
        await Conversation(self, client, str(self._calls)).run()

    async def close(self) -> None:
        """Nothing is written."""

    def latency_ms(self) -> float | None:
        """The median from the end of the caller's speech to our first sound; None before the first answer."""
        known = [turn.latency_ms for turn in self.turns if turn.latency_ms is not None]
        return statistics.median(known) if known else None

    def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what each turn took, by our clock and by the caller's."""
        lines = [_line(turn) for turn in self.turns]
        ours = self.latency_ms()
        theirs = [turn.latency_ms for report in reports for turn in report.turns]
        if ours is None or not theirs:
            return Outcome(lines, problems=["nothing was answered"])
        heard = statistics.median(theirs)
        lines.append(
            f"p50 latency: {ours:.0f} ms here, {heard:.0f} ms at the caller's ear ({len(theirs)} turns)"
        )
        return Outcome(lines)


def _line(turn: Turn) -> str:
    stages = " + ".join(f"{name} {took_ms:.0f}" for name, took_ms in turn.stages_ms.items())
    total = "no answer" if turn.latency_ms is None else f"{turn.latency_ms:.0f} ms"
    cut = f" [not heard: {turn.unheard}]" if turn.unheard else ""
    return f"turn {turn.number}: {total} = {stages} | {turn.caller!r} -> {turn.heard!r}{cut}"


class Reply:
    """An answer on its way: made ahead, said once ``is_wanted`` is set, and dropped where the caller goes on.

    Attributes:
        said: What was written of it.
        speech: It, while it is said.
        ends_call: Whether we hang up behind it.
    """

    def __init__(self) -> None:
        self.is_wanted = asyncio.Event()
        self.said = Said()
        self.speech: Speech | None = None
        self.task: asyncio.Task[None] | None = None
        self.ends_call = False


class Conversation:
    """One call."""

    def __init__(self, assistant: Assistant, client: AudioConnectorConnection, number: str) -> None:
        self._all = assistant
        self._manner = assistant.manner
        self._client = client
        self._number = number
        self._clock = asyncio.get_running_loop().time
        self._interrupter = Interrupter(client, self._manner.barge_in)
        self._memory = Memory(self._manner.max_messages)
        self._reply: Reply | None = None
        self._made_in: float | None = None
        """The end of speech, in seconds of the audio, that the reply was begun in."""
        self._turn = Turn(0, 0.0)
        self._turns = 0
        self._hearing: Hearing | None = None
        self._reading: asyncio.Task[None] | None = None
        self._silent_s = 0.0

    async def run(self) -> None:
        """Greet, and listen until the call is over."""
        self._say("greeting")
        try:
            async for event in listen(self._client, settings=self._manner.turns):
                await self._take(event)
        finally:
            await self._drop_hearing()
            await self._drop_reply()
            self._state("ended")

    # What the caller does.

    async def _take(self, event: TurnEvent) -> None:
        decision = await self._interrupter.take(event)
        if decision is Decision.INTERRUPT:
            await self._drop_reply()
        if isinstance(event, SpeechStarted):
            await self._on_started(event)
        elif isinstance(event, SpeechGoesOn):
            await self._on_speech(event)
        elif isinstance(event, SpeechPaused):
            if not self._manner.partials and not self._interrupter.is_speaking:
                await self._begin(event)
        elif isinstance(event, SpeechEnded):
            await self._on_ended(event)
        elif isinstance(event, Silence):
            self._on_silence()

    async def _on_started(self, event: SpeechStarted) -> None:
        self._silent_s = 0.0
        if self._reply is not None and self._reply.speech is None:
            await self._drop_reply()  # the caller goes on, so it answers half of what they want
        if self._manner.partials:
            await self._drop_hearing()
            self._hearing = self._all.recogniser.hear(sample_rate=event.sample_rate)
            await self._hearing.__aenter__()
            await self._hearing.write(event.audio)
            self._reading = asyncio.create_task(self._read(self._hearing))
        if not self._interrupter.is_speaking:
            self._state("listening")

    async def _on_speech(self, event: SpeechGoesOn) -> None:
        if self._hearing is not None:
            await self._hearing.write(event.audio)
        reply = self._reply
        if not event.pause_s and reply is not None and not reply.is_wanted.is_set():
            await self._drop_reply()  # it was made in a pause, and the caller goes on

    async def _on_ended(self, event: SpeechEnded) -> None:
        if self._interrupter.is_speaking:  # it was an "mhm", and we go on
            await self._drop_hearing()
            return
        if self._made_in != event.end_s:
            await self._begin(event)
        self._turn.reached["pause"] = self._clock()
        self._state("thinking")
        if self._reply is not None:
            self._reply.is_wanted.set()

    def _on_silence(self) -> None:
        if self._reply is not None or self._interrupter.is_speaking:
            return
        before, self._silent_s = self._silent_s, self._silent_s + self._manner.turns.silence_s
        if self._silent_s >= self._manner.hang_up_after_s:
            self._say("goodbye", ends_call=True)
        elif before < self._manner.ask_after_s <= self._silent_s:
            self._say("still_there")

    # What it is understood as.

    async def _begin(self, event: SpeechPaused | SpeechEnded) -> None:
        """Begin to answer an utterance, which may be over."""
        await self._drop_reply()
        self._made_in = event.end_s
        self._turn = Turn(self._turns + 1, self._clock() - (event.at_s - event.end_s))
        hearing, self._hearing = self._hearing, None
        reading, self._reading = self._reading, None
        recogniser = self._all.recogniser

        async def words() -> str:
            if hearing is None:
                heard = await recogniser.transcribe(event.audio, sample_rate=event.sample_rate)
                return heard.text
            try:
                return (await hearing.finish()).text
            finally:
                await hearing.__aexit__(None, None, None)
                if reading is not None:
                    await _cancelled(reading)

        reply, turn = Reply(), self._turn
        self._start(reply, self._answer(reply, turn, words))

    async def _read(self, hearing: Hearing) -> None:
        """Show what is understood so far, and let it interrupt."""
        try:
            async for partial in hearing.partials():
                self._show_turn(Turn(self._turns + 1, 0.0, caller=partial.text), is_final=False)
                if await self._interrupter.heard(partial.text) is Decision.INTERRUPT:
                    await self._drop_reply()
        except EngineError as error:
            self._trouble(error)

    async def _drop_hearing(self) -> None:
        hearing, self._hearing = self._hearing, None
        reading, self._reading = self._reading, None
        if hearing is not None:
            await hearing.__aexit__(None, None, None)
        if reading is not None:
            await _cancelled(reading)

    # What we say.

    def _say(self, phrase: str, *, ends_call: bool = False) -> None:
        """Say a phrase, which nobody has asked for."""
        reply = Reply()
        reply.ends_call = ends_call
        reply.is_wanted.set()
        self._start(reply, self._speak(reply, Turn(0, 0.0), self._all.voice.phrase(phrase)))

    def _start(self, reply: Reply, doing: Any) -> None:  # noqa: ANN401 - a coroutine
        self._reply = reply
        reply.task = asyncio.create_task(self._carry_out(reply, doing))

    async def _carry_out(self, reply: Reply, doing: Awaitable[None]) -> None:
        try:
            await doing
            if reply.ends_call and reply.speech is not None and not reply.speech.is_interrupted:
                await self._client.close(after_playback=True)
        except EngineError as error:
            self._trouble(error)
            if not reply.said.parts:
                await reply.is_wanted.wait()
                with suppress(EngineError, ConnectionClosed):  # the voice itself failed, then: it was told
                    await self._speak(reply, Turn(0, 0.0), self._all.voice.phrase("sorry"))
        except ConnectionClosed:
            return  # nobody hears us any more
        finally:
            if self._reply is reply:
                self._reply = None
        self._state("listening")

    async def _answer(self, reply: Reply, turn: Turn, words: Callable[[], Awaitable[str]]) -> None:
        text = (await words()).strip()
        turn.reached["text"] = self._clock()
        turn.caller = text
        if text and await self._all.brain.is_goodbye(text):
            reply.ends_call = True
            pieces = self._all.voice.phrase("goodbye")
        elif text or self._memory.has_question:
            messages = self._memory.with_caller(text) if text else self._memory.messages
            pieces = self._all.voice.say(self._noting(turn, self._all.brain.answer(messages)))
        elif self._memory.unheard:  # what interrupted us was nothing that could be understood: go on
            pieces = self._all.voice.say(_only(self._memory.unheard))
        else:
            return
        await self._speak(reply, turn, pieces)

    async def _noting(self, turn: Turn, answer: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """The same sentences; notes when the first one is known."""
        async with aclosing(answer):
            async for sentence in answer:
                turn.reached.setdefault("answer", self._clock())
                yield sentence

    async def _speak(self, reply: Reply, turn: Turn, pieces: AsyncGenerator[Piece, None]) -> None:
        """Say what is made, once it is wanted, and remember what was heard of it."""
        async with aclosing(pieces):
            first = asyncio.ensure_future(anext(pieces, None))
            try:
                await reply.is_wanted.wait()
                if turn.number:
                    self._begin_turn(turn)
                await asyncio.wait({first}, timeout=self._manner.moment_after_s)
                if first.done() and first.result() is None:
                    raise EngineError("the answer has no words; expected a sentence at least")
                async with self._client.speech() as speech:
                    reply.speech = speech
                    self._interrupter.watch(speech)
                    if not first.done():
                        async for piece in self._all.voice.phrase("moment"):
                            await self._write(reply, turn, piece._replace(sentence=""))
                    next_piece = await first
                    while next_piece is not None:
                        await self._write(reply, turn, next_piece)
                        next_piece = await anext(pieces, None)
                await speech.finished()
            finally:
                self._remember(reply, turn)  # first of all: who interrupts cancels this, wherever it is
                await _cancelled(first)

    def _begin_turn(self, turn: Turn) -> None:
        self._turns = turn.number
        self._all.turns.append(turn)
        if turn.caller:
            self._memory.add_caller(turn.caller)
        self._show_turn(turn)

    async def _write(self, reply: Reply, turn: Turn, piece: Piece) -> None:
        if reply.speech is None:
            return
        await reply.speech.write(piece.audio, sample_rate=self._all.voice.sample_rate)
        if "voice" not in turn.reached:
            turn.reached["voice"] = self._clock()
            self._state("speaking")
        reply.said.add(piece.sentence, self._all.voice.duration_ms(piece.audio))

    def _remember(self, reply: Reply, turn: Turn) -> None:
        speech = reply.speech
        if speech is None:
            return
        was_heard = speech.is_over and not speech.is_interrupted
        heard, unheard = self._memory.add_ours(reply.said, None if was_heard else speech.played_ms)
        if turn.number:
            turn.heard, turn.unheard = heard, unheard
            logger.info("call %s, %s", self._number, _line(turn))
            self._show_turn(turn)
        else:
            self._all.page.show("line", call=self._number, heard=heard, unheard=unheard)

    async def _drop_reply(self) -> None:
        """Give up what is being made or said, and remember what was heard of it."""
        reply, self._reply = self._reply, None
        if reply is not None and reply.task is not None and reply.task is not asyncio.current_task():
            await _cancelled(reply.task)

    # What is shown.

    def _state(self, state: str) -> None:
        self._all.page.show("state", key=self._number, call=self._number, state=state)

    def _show_turn(self, turn: Turn, *, is_final: bool = True) -> None:
        self._all.page.show(
            "turn",
            key=f"{self._number}.{turn.number}",
            call=self._number,
            number=turn.number,
            caller=turn.caller,
            is_final=is_final,
            heard=turn.heard,
            unheard=turn.unheard,
            stages_ms=turn.stages_ms,
            p50_ms=self._all.latency_ms(),
        )

    def _trouble(self, error: EngineError) -> None:
        logger.error("call %s: %s", self._number, error)
        self._all.page.show("trouble", call=self._number, text=str(error))


async def _only(text: str) -> AsyncGenerator[str, None]:
    yield text


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel it, and wait for that; what it fails with then was told, or nobody needs it."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
