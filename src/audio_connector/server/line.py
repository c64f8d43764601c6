# SPDX-License-Identifier: Apache-2.0
"""The application's end of the way to one connection's I/O side: what it asks, what it waits for, what it was told.

Usable from any thread and any loop. Nothing here takes a lock: what crosses is a message, and who waits is found by a
number. So a finalizer, a cancelled task or a closed loop can leave at any moment.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import math
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.call.asks import (
    Ask,
    BeginSpeech,
    Close,
    EndSpeech,
    Leave,
    Released,
    ResumeSpeech,
    SendText,
    StandInTextLine,
)
from audio_connector.call.tells import Figures, Taped
from audio_connector.call.texts import MAX_WAITING_CHARS
from audio_connector.intake.faults import CommonFaults
from audio_connector.intake.log_fields import fields_of
from audio_connector.playback.speech import NOTHING_PLAYED, Interrupted, Played, Progress
from audio_connector.port.meters import Meters
from audio_connector.server.tracing import CallTrace
from audio_connector.wire.closing import closed_error
from audio_connector.wire.messages import Connected, Disconnected

OVER = None
"""The answer to everything that is asked of a connection that has ended."""

_inside: contextvars.ContextVar[tuple[object, ...]] = contextvars.ContextVar("inside", default=())
"""The marks of the speeches in whose blocks this is. What is started there inherits them, asyncio.wait_for() too."""


class Speaker(NamedTuple):
    """Who began a speech; the task is not kept by it, since a speech may be given up."""

    loop: asyncio.AbstractEventLoop
    task: weakref.ref[asyncio.Task[object]] | None
    mark: object


class Line:
    """Shared by all that the application holds of one connection; ``report`` hands an error to on_error."""

    def __init__(
        self,
        link_id: int,
        post: Callable[[tuple[int, Ask]], None],
        *,
        max_buffer_s: float,
        report: Callable[[Exception], None],
        owes_work: Callable[[], bool],
        clock: Callable[[], float],
        takeovers: int = 0,
        meters: Meters | None = None,
        writes_in_place: bool = False,
    ) -> None:
        self.meters = meters or Meters()
        self.common_faults: CommonFaults | None = None
        """Those of all calls."""
        self.trace: CallTrace | None = None
        """Where calls are traced."""
        self.link_id = link_id
        self.fields = fields_of(str(link_id))
        """Of a record of the log about it; its ids, once the application has it."""
        self.send = post
        """Takes an ask together with ``link_id``; `post` for what is not the path of a frame."""
        self.report = report
        self.owes_work = owes_work
        self.clock = clock
        self._max_buffer_s = max_buffer_s
        self._settling: set[int] = set()  # the tokens of who waits for the format
        self._take_format(AudioFormat(), None)
        self._is_settled = False
        self.figures = Figures()
        self.is_open = True
        """False from our own wish to close, or the end of the connection, on."""
        self.closed: Disconnected | None = None
        self.is_released = False  # it goes on, in another application
        self.handed_bytes = 0
        """Audio handed to the I/O side so far."""
        self.numbers = itertools.count(1 + (takeovers << 32))
        """Of tokens and of speeches; others than those of the application that had the call before."""
        self.speeches: dict[int, Callable[[Played | Interrupted], None]] = {}
        """What is called when one of them was heard to its end, or was cut."""
        self.open_speeches: dict[int, Speaker] = {}
        """Those that were begun and not ended, the oldest first."""
        self.paused: dict[int, asyncio.AbstractEventLoop] = {}
        """The speeches that are to wait until somebody has them go on, and the loop in which that was asked."""
        self.opened_at = clock()
        """When it was told that there is a call, in the thread of the I/O side: nothing keeps that waiting."""
        self.ended_at: float | None = None
        self.handed_at = -math.inf
        """When the application got the call."""
        self.recorders: dict[int, Callable[[Taped | None], None]] = {}
        """What takes what is taped for them, in any thread, without blocking; None once nothing more comes."""
        self._writes_in_place = writes_in_place
        self.watch: Callable[[Figures], None] | None = None
        """Who wants to see figures as they come, likewise."""
        self._handed_chars = self._waiting_texts = 0
        self._best_played_ms = 0.0
        self._waits: dict[int, asyncio.Future[Any]] = {}
        self._answered: dict[int, asyncio.Future[Any]] = {}
        """Those who have been answered and have not gone on yet."""

    # What the application does.

    async def give_way(self) -> None:
        """Let the loop run where it owes somebody work: nobody keeps it by asking and asking."""
        if self.owes_work():
            await asyncio.sleep(0)

    @property
    def played_ms(self) -> float:
        """Milliseconds heard since the connection began, by the router's clock; never goes back."""
        self._best_played_ms = max(self._best_played_ms, self.figures.progress.played_ms(self.clock()))
        return self._best_played_ms

    def post(self, ask: Ask) -> None:
        """Ask something that nobody waits for."""
        self.send((self.link_id, ask))

    async def ask(self, make: Callable[[int], Ask]) -> Any:  # noqa: ANN401 - as various as what is asked
        """Ask something and wait for the answer; `OVER` where the connection ends first."""
        token = next(self.numbers)
        return await self.follow_up(token, make(token))

    async def follow_up(self, token: int, ask: Ask) -> Any:  # noqa: ANN401
        """The same under a number that has been used before. Who is cancelled meanwhile waits no more."""
        future = asyncio.get_running_loop().create_future()
        self._waits[token] = future
        self.forget_closed()
        if self.closed is not None:
            del self._waits[token]
            return OVER
        self.send((self.link_id, ask))
        try:
            return await future
        except BaseException:
            self.leave(token)
            raise
        finally:
            self._answered.pop(token, None)

    def leave(self, token: int) -> None:
        """Have the I/O side answer this number no more."""
        self._waits.pop(token, None)
        self.post(Leave(token))

    async def send_text(self, text: str) -> bool:
        """Hand over a text as soon as there is room; False where the connection ended before."""
        token = None
        waiting_chars = self._handed_chars - self.figures.texts_taken + len(text)
        if self._waiting_texts or waiting_chars > MAX_WAITING_CHARS:
            token = next(self.numbers)
            self._waiting_texts += 1
            try:
                if await self.follow_up(token, StandInTextLine(token)) is OVER:
                    return False
            finally:
                self._waiting_texts -= 1
        self._handed_chars += len(text)
        self.post(SendText(text, token))
        return True

    async def wait_closed(self, timeout_s: float) -> None:
        """Wait for the end of the connection, for so long."""
        token = next(self.numbers)
        future = self._waits[token] = asyncio.get_running_loop().create_future()
        try:
            if self.closed is None:
                await asyncio.wait((future,), timeout=timeout_s)
        finally:
            self._waits.pop(token, None)

    async def wait_settled(self) -> None:
        """Wait until the format is known, or has to be thought to be what it is; or until the end."""
        token = next(self.numbers)
        future = self._waits[token] = asyncio.get_running_loop().create_future()
        self._settling.add(token)
        try:
            if not self._is_settled and self.closed is None:
                await future
        finally:
            self._settling.discard(token)
            self._waits.pop(token, None)
            self._answered.pop(token, None)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; nothing can be sent afterwards."""
        self.is_open = False
        self.post(Close(code, reason))

    def check_open(self, what: str) -> None:
        """Refuse what needs an open connection; ``what`` was asked, for the error."""
        if not self.is_open:
            self.refuse(what)

    def refuse(self, what: str) -> NoReturn:
        """Raise ConnectionClosed."""
        raise closed_error(what, self.closed)

    # What it is told: of its format on the loop of the server, the rest in any thread.

    def take(self, figures: Figures) -> None:
        """How the call is now. Once it is over here that is not looked at: another application may have it."""
        if self.closed is not None:
            return
        self.figures = figures
        self.forget_closed()
        watch = self.watch  # once: the application's thread may end the line meanwhile
        if watch is not None:
            watch(figures)
        if self.trace is not None:
            self.trace.follow(figures)

    def settle(self, audio_format: AudioFormat, first_message: Connected | None) -> None:
        """The format is known, or is thought to be this one."""
        self._take_format(audio_format, first_message)
        self._is_settled = True
        while self._settling:
            self.answer(self._settling.pop(), True)

    def _take_format(self, audio_format: AudioFormat, first_message: Connected | None) -> None:
        self.format, self.first_message = audio_format, first_message
        self.max_queued_bytes = self._max_buffer_s * audio_format.bytes_per_second
        """While more is queued, writers wait."""

    def answer(self, token: int, value: object) -> None:
        """Answer whoever waits under this number."""
        if (future := self._waits.pop(token, None)) is not None:
            self._answered[token] = future  # first, since another thread may go on at once
            if not resolve(future, value):
                self.forget_closed()

    def forget_closed(self) -> None:
        """A task whose loop is closed never goes on: nobody takes what it was granted, or ends its speech."""
        for number, speaker in list(self.open_speeches.items()):
            if speaker.loop.is_closed():
                self.end_speech(number)
        for number, loop in list(self.paused.items()):
            if loop.is_closed():
                self.paused.pop(number, None)
                self.post(ResumeSpeech(number))
        for token, future in list(self._answered.items()):
            if future.get_loop().is_closed():
                self._answered.pop(token, None)
                self.leave(token)

    def begin_speech(self, number: int, on_end: Callable[[Played | Interrupted], None]) -> None:
        """The current task says something."""
        self.speeches[number] = on_end
        task, mark = asyncio.current_task(), object()
        reference = None if task is None else weakref.ref(task)
        self.open_speeches[number] = Speaker(asyncio.get_running_loop(), reference, mark)
        _inside.set((*_inside.get(), mark))
        if self.trace is not None:
            self.trace.begin_speech(number)
        self.post(BeginSpeech(number))
        if self.closed is not None:  # meanwhile, in another thread, and those that were there have been told
            self.finish(number, Interrupted(0.0, 0.0))

    def speaks(self, number: int) -> bool:
        """Whether the current task has begun this speech, which is open."""
        speaker = self.open_speeches.get(number)
        return speaker is not None and speaker.task is not None and speaker.task() is asyncio.current_task()

    def speech_before(self, number: int) -> int | None:
        """The open one of the current task that is heard before this one: nobody but this task can end it."""
        for before in list(self.speeches):
            if before == number:
                return None
            if self.speaks(before):
                return before
        return None

    def speech_around(self) -> int | None:
        """The oldest open one in whose block this is: what is behind it is not heard while that block waits."""
        marks = _inside.get()
        return next((n for n, speaker in list(self.open_speeches.items()) if speaker.mark in marks), None)

    def end_speech(self, number: int) -> None:
        """What was said of it so far is played; nothing more comes."""
        if (speaker := self.open_speeches.pop(number, None)) is not None:
            _inside.set(tuple(mark for mark in _inside.get() if mark is not speaker.mark))
            self.post(EndSpeech(number))

    def finish(self, lane: int, outcome: Played | Interrupted) -> None:
        """A speech is over."""
        self.paused.pop(lane, None)
        if (tell := self.speeches.pop(lane, None)) is not None:
            self.meters.add("speeches", 1.0, "played" if isinstance(outcome, Played) else "interrupted")
            tell(outcome)
            if self.trace is not None:
                self.trace.finish_speech(lane, outcome)

    def record(self, token: int, take: Callable[[Taped | None], None]) -> None:
        """Have a tape's tells go there."""
        self.recorders[token] = take
        if self.closed is not None and self.recorders.pop(token, None) is not None:  # meanwhile
            take(None)

    def write_file(self, job: Callable[[], None]) -> None:
        """Have what writes to disk done off every loop; in virtual time, which cannot wait for a thread, at once."""
        from audio_connector.recording.writer import WRITER, do  # noqa: PLC0415 - only who records needs it

        if self._writes_in_place:
            do(job)
        else:
            WRITER.submit(job)

    def taped(self, tell: Taped) -> None:
        """A recorder is told something."""
        take = self.recorders.get(tell.token)
        if take is not None:
            if tell.is_last and tell.is_complete:
                self.recorders.pop(tell.token, None)
            take(tell)

    def release(self, how: Disconnected) -> None:
        """Another application takes the call: nothing more is asked, and whoever still waits is told so."""
        if self.closed is None:
            self.is_released = True
            self.end(how)
            self.post(Released())

    def end(self, how: Disconnected) -> None:
        """The connection is over: whoever still waits is told so."""
        if self.closed is not None:
            return
        self.closed, self.is_open, self.ended_at = how, False, self.clock()
        self.watch = None
        self._stand_still(self.ended_at)
        for token in list(self.recorders):
            if (take := self.recorders.pop(token, None)) is not None:
                take(None)
        for token in list(self._waits):
            if (future := self._waits.pop(token, None)) is not None:
                resolve(future, OVER)

    def _stand_still(self, now: float) -> None:
        """Nothing more is heard, also where the I/O side is gone and has not said so: then as far as it was known.

        What was queued there was not sent; where another application has the call, it is no loss.
        """
        figures, progress = self.figures, self.figures.progress
        of_speeches = dict(figures.speeches)
        for lane in list(self.speeches):
            said = of_speeches.get(lane, NOTHING_PLAYED)
            unheard_ms = 0.0 if self.is_released else said.in_flight_ms(now) + said.queued_ms_at(now)
            self.finish(lane, Interrupted(said.played_ms(now), unheard_ms))
        self.figures = figures._replace(
            progress=Progress(heard_before=round(progress.played_ms(now) / FRAME_MS)),
            speeches=(),
            unsent_ms=figures.unsent_ms + (0.0 if self.is_released else progress.queued_ms_at(now)),
        )


def resolve(future: asyncio.Future[Any], value: object) -> bool:
    """Answer a future of any loop, from any thread; False where that loop is closed."""
    loop = future.get_loop()
    if loop is asyncio._get_running_loop():
        _set(future, value)
        return True
    try:
        loop.call_soon_threadsafe(_set, future, value)
    except RuntimeError:
        return False
    return True


def _set(future: asyncio.Future[Any], value: object) -> None:
    if not future.done():
        future.set_result(value)
