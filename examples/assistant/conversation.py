# SPDX-License-Identifier: Apache-2.0
"""One call: what is heard becomes a turn, a turn an answer, and an answer speech that can be interrupted.

Work begins before it is certain to be needed: in each pause the caller's words are transcribed, and the first
sentence of the answer is made. If the caller goes on, that is dropped; if the turn is over, half of it is done.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from assistant.brain import Brain
from assistant.listening import Listening, cancelled
from assistant.manner import Manner
from assistant.memory import Memory, Said, Turn, median_ms
from assistant.speaking import Piece, Voice
from audio_connector import AudioConnectorConnection, ConnectionClosed, Speech, VideoError
from audio_connector.engines import EngineError, Recogniser
from audio_connector.engines.base.deadline import within
from audio_connector.live.troubles import told
from audio_connector.turns import (
    Decision,
    Interrupter,
    Silence,
    SpeechEnded,
    SpeechGoesOn,
    SpeechPaused,
    SpeechStarted,
    TurnEvent,
    listen,
)

logger = logging.getLogger("assistant")

KEPT_TURNS = 1000
"""Of all calls, for the figures: some hours of talk."""

ANSWER_S = 30.0
"""For the next sound of an answer; an engine in a network may never give it, and the caller waits."""


class Shows(Protocol):
    """What is told of each thing that happens: a `LivePage`."""

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - as the page's
        """Show it."""


@dataclass(frozen=True)
class Parts:
    """What all calls share.

    Attributes:
        recogniser: Understands the caller.
        brain: Knows what to say.
        voice: Says it.
        manner: How it talks.
        page: Told what happens.
        language: Of the caller, where the recogniser is to be told.
        turns: Those of all calls.
    """

    recogniser: Recogniser
    brain: Brain
    voice: Voice
    manner: Manner
    page: Shows
    language: str | None = None
    turns: deque[Turn] = field(default_factory=lambda: deque(maxlen=KEPT_TURNS))


class Reply:
    """Something to say on its way: made ahead, said once ``is_wanted`` is set, and dropped where the caller goes on.

    Attributes:
        words: What it answers, once that is understood; None where nobody has asked.
        is_known: Whether they are understood, and something is to be said to them.
        is_told: Whether these words are remembered, and shown as a turn.
        said: What was written of it.
        speech: It, while it is said.
        has_failed: Whether it says that there is no answer, since something failed.
        ends_call: Whether we hang up behind it.
    """

    def __init__(self, words: asyncio.Task[str | None] | None = None) -> None:
        self.words = words
        self.is_wanted = asyncio.Event()
        self.is_known = self.is_told = False
        self.said = Said()
        self.speech: Speech | None = None
        self.task: asyncio.Task[None] | None = None
        self.has_failed = self.ends_call = False


class Conversation:
    """One call.

    Args:
        parts: What it is made with.
        client: The call.
        number: Of it, for the page and the log.
    """

    def __init__(self, parts: Parts, client: AudioConnectorConnection, number: str) -> None:
        self._all = parts
        self._manner = parts.manner
        self._client = client
        self._number = number
        self._clock = asyncio.get_running_loop().time
        self._interrupter = Interrupter(client, self._manner.barge_in)
        self._memory = Memory(self._manner.max_messages)
        self._listening = Listening(
            parts.recogniser,
            language=parts.language,
            partials=self._manner.partials,
            partial=self._on_partial,
            trouble=self._trouble,
        )
        self._reply: Reply | None = None
        self._unanswered: list[asyncio.Task[str | None]] = []
        """Words of turns that were over, and whose reply was dropped before they were understood."""
        self._made_in: float | None = None
        """The end of speech, in seconds of the audio, that the reply was begun in."""
        self._turn = Turn(0, 0.0)
        self._turns = 0
        self._failures = 0
        """Turns in a row that failed."""
        self._silent_s = 0.0

    async def run(self) -> None:
        """Greet, and listen until the call is over."""
        self._say("greeting")
        try:
            async for event in listen(self._client, settings=self._manner.turns):
                await self._take(event)
        finally:
            await self._listening.drop()
            await self._drop_reply()
            for words in self._unanswered:
                await cancelled(words)
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
        await self._listening.begin(event)
        if not self._interrupter.is_speaking:
            self._state("listening")

    async def _on_speech(self, event: SpeechGoesOn) -> None:
        await self._listening.go_on(event)
        reply = self._reply
        if not event.pause_s and reply is not None and not reply.is_wanted.is_set():
            await self._drop_reply()  # it was made in a pause, and the caller goes on

    async def _on_partial(self, text: str) -> None:
        self._show_turn(Turn(self._turns + 1, 0.0, caller=text), is_final=False)
        if await self._interrupter.heard(text) is Decision.INTERRUPT:
            await self._drop_reply()

    async def _on_ended(self, event: SpeechEnded) -> None:
        if self._interrupter.is_speaking:
            await self._on_ended_over_us(event)
        elif self._made_in != event.end_s:
            await self._begin(event)
        reply = self._reply
        if reply is None or self._made_in != event.end_s:
            return
        self._turn.reached["pause"] = self._clock()
        self._state("thinking")
        reply.is_wanted.set()
        self._begin_turn(reply, self._turn)

    async def _on_ended_over_us(self, event: SpeechEnded) -> None:
        """It was an "mhm", and we go on; unless it takes words to interrupt, and these are enough."""
        if not self._manner.barge_in.min_words:
            await self._listening.drop()
            return
        words = self._listening.understand(event)
        try:
            await asyncio.wait({words})
        except asyncio.CancelledError:  # the call is given up
            await cancelled(words)
            raise
        if await self._interrupter.heard(words.result() or "") is Decision.INTERRUPT:
            await self._begin(event, words)

    def _on_silence(self) -> None:
        if self._reply is not None or self._interrupter.is_speaking:
            return
        before, self._silent_s = self._silent_s, self._silent_s + self._manner.turns.silence_s
        if self._silent_s >= self._manner.hang_up_after_s:
            self._say("goodbye", ends_call=True)
        elif before < self._manner.ask_after_s <= self._silent_s:
            self._say("still_there")

    # What we say.

    async def _begin(
        self, event: SpeechPaused | SpeechEnded, words: asyncio.Task[str | None] | None = None
    ) -> None:
        """Begin to answer an utterance, which may be over."""
        await self._drop_reply()
        self._made_in = event.end_s
        self._turn = turn = Turn(self._turns + 1, self._clock() - (event.at_s - event.end_s))
        reply = Reply(self._listening.understand(event) if words is None else words)
        self._start(reply, lambda: self._answer(reply, turn))

    def _say(self, phrase: str, *, ends_call: bool = False) -> None:
        """Say a phrase, which nobody has asked for."""
        reply = Reply()
        reply.ends_call = ends_call
        reply.is_wanted.set()
        self._start(reply, lambda: self._speak(reply, Turn(0, 0.0), self._all.voice.phrase(phrase)))

    def _start(self, reply: Reply, work: Callable[[], Awaitable[None]]) -> None:
        self._reply = reply
        reply.task = asyncio.create_task(self._carry_out(reply, work))

    async def _carry_out(self, reply: Reply, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
            if reply.ends_call and reply.speech is not None and not reply.speech.is_interrupted:
                await self._client.close(after_playback=True)
        except ConnectionClosed:
            return  # nobody hears us any more
        except Exception as error:  # noqa: BLE001 - it is told; of a brain of one's own too
            self._trouble(error)
            reply.said = Said()
            await reply.is_wanted.wait()
            with suppress(Exception):  # the voice itself failed, then, which may be one's own: it was told
                if not reply.ends_call:
                    sorry = self._sorry(reply)
                    self._failures += 1
                    await self._speak(reply, Turn(0, 0.0), sorry)
            if reply.ends_call:
                with suppress(VideoError):
                    await self._client.close(after_playback=True)
        finally:
            if self._reply is reply:
                self._reply = None
        self._state("listening")

    async def _answer(self, reply: Reply, turn: Turn) -> None:
        await self._speak(reply, turn, self._answering(reply, turn))

    async def _answering(self, reply: Reply, turn: Turn) -> AsyncGenerator[Piece, None]:
        """Understand what was said, and iterate over the audio of what is said to it; none where that is nothing."""
        texts = [await _waited_for(words) for words in [*self._unanswered, reply.words] if words is not None]
        turn.reached["text"] = self._clock()
        turn.caller = text = " ".join(filter(None, texts))
        if text != "" and await within(ANSWER_S, self._all.brain.is_goodbye(text)):
            reply.ends_call = True
            pieces = self._all.voice.phrase("goodbye")
        elif text or self._memory.has_question:
            messages = self._memory.with_caller(text) if text else self._memory.messages
            pieces = self._all.voice.say(self._noting(turn, self._all.brain.answer(messages)))
        elif None in texts:
            pieces = self._sorry(reply)
        elif self._memory.unheard:  # what interrupted us was nothing that could be understood: go on
            pieces = self._all.voice.say(_only(self._memory.unheard))
        elif reply.speech is not None:  # somebody was told to wait for a moment
            pieces = self._all.voice.phrase("sorry")
        else:
            return
        reply.is_known = True
        self._begin_turn(reply, turn)
        async with aclosing(pieces):
            async for piece in pieces:
                yield piece

    def _sorry(self, reply: Reply) -> AsyncGenerator[Piece, None]:
        """What is said where something failed; once too often, that we cannot help, and then we hang up."""
        reply.has_failed = True
        if self._failures + 1 < self._manner.give_up_after:
            return self._all.voice.phrase("sorry")
        reply.ends_call = True
        return self._all.voice.phrase("cannot_help")

    async def _noting(self, turn: Turn, answer: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """The same sentences; notes when the first one is known."""
        async with aclosing(answer):
            async for sentence in answer:
                turn.reached.setdefault("answer", self._clock())
                yield sentence

    async def _speak(self, reply: Reply, turn: Turn, pieces: AsyncGenerator[Piece, None]) -> None:
        """Say what is made, once it is wanted, and remember what was heard of it."""
        async with aclosing(pieces):
            coming = asyncio.ensure_future(anext(pieces, None))
            try:
                await reply.is_wanted.wait()
                await asyncio.wait({coming}, timeout=self._manner.moment_after_s)
                if coming.done() and coming.result() is None:
                    if turn.number and not reply.is_known:
                        return
                    raise EngineError("the answer has no words; expected a sentence at least")
                async with self._client.speech() as speech:
                    reply.speech = speech
                    self._interrupter.watch(speech)
                    if not coming.done():
                        async for piece in self._all.voice.phrase("moment"):
                            await self._write(reply, turn, piece._replace(sentence=""))
                    while (made := await within(ANSWER_S, coming)) is not None:
                        await self._write(reply, turn, made)
                        coming = asyncio.ensure_future(anext(pieces, None))
                await speech.finished()
            finally:
                self._remember(reply, turn)  # first of all: who interrupts cancels this, wherever it is
                await cancelled(coming)

    def _begin_turn(self, reply: Reply, turn: Turn) -> None:
        """Tell what the caller has said, once that is known, and is all of it."""
        if not reply.is_known or not reply.is_wanted.is_set():
            return
        reply.is_told = True
        self._unanswered.clear()
        self._turns = turn.number
        self._failures += reply.has_failed
        self._all.turns.append(turn)
        if turn.caller:
            self._memory.add_caller(turn.caller)
        self._show_turn(turn)

    async def _write(self, reply: Reply, turn: Turn, piece: Piece) -> None:
        if reply.speech is None:
            return
        await reply.speech.write(piece.audio, sample_rate=self._all.voice.sample_rate)
        if not reply.said.parts:
            self._state("speaking")
        if piece.sentence:
            turn.reached.setdefault("voice", self._clock())
        if piece.sentence and turn.number and not reply.has_failed:
            self._failures = 0
        reply.said.add(piece.sentence, self._all.voice.duration_ms(piece.audio))

    def _remember(self, reply: Reply, turn: Turn) -> None:
        speech = reply.speech
        if speech is None or (turn.number and not reply.is_told):
            return
        was_heard = speech.is_over and not speech.is_interrupted
        heard, unheard = self._memory.add_ours(reply.said, None if was_heard else speech.played_ms)
        if turn.number:
            turn.heard, turn.unheard = heard, unheard
            logger.info("call %s, %s", self._number, turn)
            self._show_turn(turn)
        else:
            self._all.page.show("line", call=self._number, heard=heard, unheard=unheard)

    async def _drop_reply(self) -> None:
        """Give up what is being made or said; what was heard, of both sides, is remembered."""
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if reply.task is not None and reply.task is not asyncio.current_task():
            await cancelled(reply.task)
        if reply.words is not None and not reply.is_told:
            if reply.is_wanted.is_set():
                self._unanswered.append(reply.words)
            else:
                await cancelled(reply.words)

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
            p50_ms=median_ms(self._all.turns),
        )

    def _trouble(self, error: Exception) -> None:
        text = told(error)
        logger.error(
            "call %s: %s", self._number, text, exc_info=None if isinstance(error, VideoError) else error
        )
        self._all.page.show("trouble", call=self._number, text=text)


async def _only(text: str) -> AsyncGenerator[str, None]:
    yield text


async def _waited_for(words: asyncio.Task[str | None]) -> str | None:
    await asyncio.wait({words})  # which who awaits may be cancelled in, and the words are not
    return words.result()
