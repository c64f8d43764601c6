# SPDX-License-Identifier: Apache-2.0
"""The application's handle of one utterance."""

from __future__ import annotations

import asyncio
from types import TracebackType

from audio_connector.audio.pcm import AudioInput
from audio_connector.call.asks import PauseSpeech, ResumeSpeech, WaitPlayed
from audio_connector.errors import AudioDataError, SpeechInterrupted, UsageError
from audio_connector.playback.speech import NOTHING_PLAYED, Interrupted, Played, Progress
from audio_connector.server.lane import WAITS_FOR_ITSELF, Lane
from audio_connector.server.line import Line, resolve

OVER = "this speech is over, its async with block was left; say more with another client.speech()"
NOT_BEGUN = "begin the speech with: async with client.speech() as ..."


MAX_SPEECHES = 100
"""So many may wait to be heard to their end, however short they are; who begins one more waits for them. Not in the
block of another speech, which would wait for itself."""


class Speech:
    """One utterance, written piece by piece. Made by `AudioConnectorConnection.speech`.

    Leaving the ``async with`` block ends the utterance; its audio plays on. A flush, or the end of the connection,
    interrupts it: `write` raises `SpeechInterrupted`, which the block swallows, so the loop that feeds it just stops.
    `pause` holds it, and `resume` has it go on.
    """

    def __init__(self, line: Line, plain: Lane) -> None:
        self._line = line
        self._plain = plain
        self._number = next(line.numbers)
        self._lane = Lane(line, self._number)
        self._is_begun = self._is_ended = False
        self._outcome: Played | Interrupted | None = None
        self._waiting: set[asyncio.Future[Played | Interrupted]] = set()
        self._best_ms = 0.0
        self._holds: set[object] = set()
        """Of the calls of `pause` since it went on last, those that were not cancelled."""

    async def __aenter__(self) -> Speech:
        if self._is_begun:
            raise UsageError("a speech can be begun once; ask for another one with client.speech()")
        line = self._line
        if not line.is_open:
            await line.give_way()
            line.refuse("begin a speech")
        self._is_begun = True
        while len(line.speeches) >= MAX_SPEECHES and line.speech_around() is None:
            await line.ask(lambda token: WaitPlayed(token, to_end=True))
            line.check_open("begin a speech")
        self._plain.admission.restart()
        line.begin_speech(self._number, self._finish)
        try:
            await line.give_way()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)  # the block is not entered
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        self._is_ended = True
        self._line.end_speech(self._number)
        if isinstance(error, SpeechInterrupted) and self.is_interrupted:
            return True
        if error is None and self._lane.admission.has_half and not self.is_interrupted:
            raise AudioDataError(
                "an odd number of bytes over the whole utterance: 16-bit samples have two each. All but the last "
                "byte is played; look for what cuts the audio in the middle of a sample"
            )
        return False

    async def write(self, audio: AudioInput, *, sample_rate: int | None = None) -> None:
        """Say more.

        Args:
            audio: As `AudioConnectorConnection.send_audio_buffer` takes it; any length.
            sample_rate: Its rate in Hz, where it differs from the connection's.

        Raises:
            SpeechInterrupted: The utterance was flushed, or the connection ended.
            AudioDataError: The audio is not what is taken; nothing of it was said.
            UsageError: The utterance was ended before, or not begun with ``async with``; or there is no room for more
                behind an earlier speech of this task, which would have to end first.
        """
        if self._outcome is not None:
            await self._line.give_way()
            if self.is_interrupted:
                raise self._interruption()
        if not self._is_begun:
            raise UsageError(NOT_BEGUN)
        if self._is_ended:
            raise UsageError(OVER)
        lane = self._lane
        if lane.write_now(audio, sample_rate, is_end=False):
            if self._line.owes_work():
                await asyncio.sleep(0)
        elif not await lane.write(audio, sample_rate):
            raise self._interruption()

    async def pause(self) -> float:
        """Hold it where it is heard, until `resume`: for a barge-in that may turn out to be none.

        The router is told to drop what it has (PROTOCOL 3.3); what of that was not heard is kept, and said when the
        speech goes on. Meanwhile nothing that comes behind it is heard either; `write` takes what there is room for,
        and what waits for it to be heard goes on waiting. A speech whose turn has not come is held when it comes. A
        flush cuts it as ever, and so does the end of the connection. Where it is over already, nothing happens. A
        call of this that is cancelled has paused nothing.

        At a router that ignores clear what it has is heard, up to ``Playback.lead_ms``, and once more afterwards:
        nothing says for sure whether it obeys. With ``Playback(clear_commands=())`` it is heard once.

        Returns:
            Milliseconds of it that were heard, right within one frame.

        Raises:
            UsageError: It was not begun with ``async with``.
        """
        if not self._is_begun:
            raise UsageError(NOT_BEGUN)
        line = self._line
        if not self.is_paused:
            self._holds = set()
        holds, hold = self._holds, object()
        holds.add(hold)
        line.paused[self._number] = asyncio.get_running_loop()
        try:
            heard_ms = await line.ask(lambda token: PauseSpeech(self._number, token))
        except BaseException:
            holds.remove(hold)
            if not holds and holds is self._holds:
                self._go_on()
            raise
        if heard_ms is None:
            line.paused.pop(self._number, None)
        else:
            self._best_ms = max(self._best_ms, heard_ms)
        return self.played_ms

    async def resume(self) -> None:
        """Go on from what was heard; where it is not paused, nothing happens.

        Raises:
            UsageError: It was not begun with ``async with``.
        """
        if not self._is_begun:
            raise UsageError(NOT_BEGUN)
        if self.is_paused:
            self._go_on()
        await self._line.give_way()

    @property
    def is_paused(self) -> bool:
        """True from `pause` on until `resume`, or until it is over."""
        return self._outcome is None and self._number in self._line.paused

    def _go_on(self) -> None:
        self._holds = set()
        self._line.paused.pop(self._number, None)
        self._line.post(ResumeSpeech(self._number))

    async def finished(self) -> Played | Interrupted:
        """Wait until the utterance was heard to its end, or was cut; also when the connection ends.

        Raises:
            UsageError: It was not begun with ``async with``, or it is asked for in that block, or in that of an
                earlier speech: it would wait for the end of the block that it stands in.
        """
        if not self._is_begun:
            raise UsageError(NOT_BEGUN)
        if not self._is_ended and self._outcome is None and self._line.speaks(self._number):
            raise UsageError(
                "finished() inside the async with block of its speech would wait for ever; call it behind the block, "
                "or await client.wait_until_played() to hear what was written so far"
            )
        if self._outcome is None and self._line.speech_before(self._number) is not None:
            raise UsageError(WAITS_FOR_ITSELF)
        future: asyncio.Future[Played | Interrupted] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            return self._outcome if self._outcome is not None else await future
        finally:
            self._waiting.discard(future)

    @property
    def played_ms(self) -> float:
        """Milliseconds of it that were heard, by the router's clock; never goes back."""
        outcome = self._outcome
        now_ms = self._progress().played_ms(self._line.clock()) if outcome is None else outcome.played_ms
        self._best_ms = max(self._best_ms, now_ms)
        return self._best_ms

    @property
    def queued_ms(self) -> float:
        """Milliseconds of it that wait to be sent."""
        return 0.0 if self._outcome is not None else self._progress().queued_ms_at(self._line.clock())

    @property
    def is_interrupted(self) -> bool:
        """True from the flush, or the end of the connection, on that cut it."""
        return isinstance(self._outcome, Interrupted)

    @property
    def is_over(self) -> bool:
        """True once it was heard to its end, or cut."""
        return self._outcome is not None

    def _finish(self, outcome: Played | Interrupted) -> None:
        self._outcome = outcome
        for future in list(self._waiting):
            resolve(future, outcome)

    def _progress(self) -> Progress:
        return dict(self._line.figures.speeches).get(self._number, NOTHING_PLAYED)

    def _interruption(self) -> SpeechInterrupted:
        discarded_ms = self._outcome.discarded_ms if isinstance(self._outcome, Interrupted) else 0.0
        text = f"the speech was interrupted after {self.played_ms:.0f} ms; start a new one to go on talking"
        return SpeechInterrupted(text, played_ms=self.played_ms, discarded_ms=discarded_ms)
