# SPDX-License-Identifier: Apache-2.0
"""The simulated media router: dials servers and runs calls on them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from types import TracebackType
from typing import TypeVar

from audio_connector.audio.wav import FilePath, WavWriter
from audio_connector.errors import AudioFileError, DialError
from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.driver import Tick, TickDriver
from audio_connector.simulator.network import Add, Network
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Lines, SpeechLibrary
from audio_connector.simulator.talk.party import Party
from audio_connector.simulator.talk.ports import Talk
from audio_connector.simulator.talk.speaker import Speaker
from audio_connector.simulator.trace import TraceEvent
from audio_connector.wire import picows
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.network import Dial, DialOptions
from audio_connector.wire.transport import Receiver, WireLimits

T = TypeVar("T")

OnStart = Callable[[LiveCall], None]
"""Told of each call when its connection was made."""

OnEvent = Callable[[TraceEvent], None]
"""Told of everything that happens in a call, as it happens."""

OnText = Callable[[str], None]
"""Told of each text that a server sends, but for audio in JSON, when the router reads it."""

_LIMITS = WireLimits(receive_buffer_bytes=16384)
"""The kernel's own choice holds a minute of audio, so that a router that reads slowly would not be felt."""


class Router:
    """Plays the Vonage media router on the running loop.

        async with Router() as router:
            report = await router.run(RouterCall(url="ws://127.0.0.1:8765", speech="hello.wav"))

    Args:
        dial: How connections are made; a real socket by default.
        clock: Seconds of a monotonic clock; that of a loop in virtual time where its calls are to live in it.
        talk: What speaks texts and understands the bot, for calls that need it.
    """

    def __init__(
        self,
        *,
        dial: Dial = picows.dial,
        clock: Callable[[], float] = time.monotonic,
        talk: Talk | None = None,
    ) -> None:
        self._talk = talk or Talk()
        self._speaker = Speaker(self._talk)
        self._dial = dial
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._driver = TickDriver(self._loop, clock=clock)
        self._library = SpeechLibrary()

    async def __aenter__(self) -> Router:
        """Return the router."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock of every call."""
        self._driver.stop()

    def prepare(self, call: RouterCall) -> Lines:
        """Read and resample what a call says, so that `run` does not have to; the router keeps it.

        Raises:
            AudioFileError: The speech cannot be read as 16-bit WAV.
            AudioDataError: The speech is bytes with half a sample at the end.
            UsageError: There is no packaged sentence of that name.
        """
        return self._library.lines_of(call)

    async def speak(self, call: RouterCall) -> None:
        """Let the texts be spoken that a call says, so that `run` does not have to; those of a persona too.

        Raises:
            UsageError: There are no voices.
            Exception: Whatever the voice raises.
        """
        for text in call.texts:
            self._library.keep(text, *await self._speaker.spoken(text))
        for text in call.persona.texts if call.persona is not None else ():
            await self._speaker.spoken(text)

    async def run(
        self,
        call: RouterCall,
        *,
        on_start: OnStart | None = None,
        on_event: OnEvent | None = None,
        on_text: OnText | None = None,
    ) -> CallReport:
        """Make one call, from the dialling to the end of the connection, or of the last one where it reconnects.

        Args:
            call: What to do.
            on_start: Told of the live call when the connection was made, to look at it or to steer it.
            on_event: Told of everything that happens in the call.
            on_text: Told of each text of the server, but for audio in JSON.

        Returns:
            What the call saw.

        Raises:
            DialError: The server cannot be reached, or does not speak WebSocket there.
            AudioFileError: The speech cannot be read, or a recording cannot be written.
            AudioDataError: The speech is bytes with half a sample at the end.
            UsageError: The call needs a voice, a recogniser or a chat model, and there is none.
            Exception: Whatever an engine raised, or ``on_start``, ``on_event``, ``on_text``, or ``heard`` or
                ``spoken`` of the call. It ends this call, and no other one.
        """
        await self.speak(call)
        lines = self.prepare(call)
        course = _Course()
        party = Party(call, self._talk, self._speaker, on_failure=course.fail)

        def add(tick: Tick, at: float) -> None:
            self._driver.add(tick, at, course.fail)

        with ExitStack() as files:
            live = LiveCall(
                call,
                lines,
                clock=self._clock,
                heard=course.guarded(_sink(call.heard, call.rate_hz, files)),
                spoken=course.guarded(_sink(call.spoken, call.rate_hz, files)),
                on_begin=lambda at: add(live.tick, at),
                on_end=course.go_on,
                on_event=course.guarded(on_event),
                on_text=course.guarded(on_text),
                ear=party.ear,
            )
            try:
                await self._connect(live, add)
                party.begin(live)
                if on_start is not None:
                    on_start(live)
                await course.next_end()
                while live.redial_after_s is not None:
                    await course.next_end(live.redial_after_s)
                    if live.redial_after_s is not None:
                        await self._connect_again(live, add)
                    if live.is_open:
                        await course.next_end()
                live.abort()
                return await party.finish(live)
            finally:
                course.is_over = True
                live.abort()
                await party.abandon()

    async def _connect(self, live: LiveCall, add: Add) -> None:
        call = live.call
        network = Network(
            live,
            clock=self._clock,
            add=add,
            jitter_ms=call.impairments.jitter_ms,
            read_interval_ms=live.router.read_interval_ms,
            seed=call.impairments.seed,
        )
        receiver: Receiver = network
        if call.audio_transport.transport == "json":
            receiver = JsonAudio(
                network,
                call.audio_transport,
                role="router",
                on_fault=lambda fault: live.on_bad_audio(str(fault)),
            )
        await self._dial(
            call.url,
            receiver,
            DialOptions(
                headers=call.upgrade_headers(),
                target=call.target,
                ssl_context=call.ssl_context,
                timeout_s=call.dial_timeout_s,
                limits=_LIMITS,
            ),
        )

    async def _connect_again(self, live: LiveCall, add: Add) -> None:
        try:
            await self._connect(live, add)
        except DialError as error:
            live.fail_redial(f"the connection could not be made again: {error}")


class _Course:
    """How a call goes: the ends of its connections, one after the other, and the first failure of what it calls.

    A callback that fails ends its own call; it must not stop the clock of all calls, or a socket's callback.
    """

    def __init__(self) -> None:
        self.is_over = False
        """Set at the end: nothing is called any more."""
        self._failure: Exception | None = None
        self._has_gone_on = asyncio.Event()

    def go_on(self) -> None:
        """A connection is over, or none is to follow."""
        self._has_gone_on.set()

    def fail(self, error: Exception) -> None:
        """The call cannot go on; the first reason counts."""
        self._failure = self._failure or error
        self.go_on()

    def guarded(self, callback: Callable[[T], None] | None) -> Callable[[T], None] | None:
        """Call back, and if that fails, never again."""
        if callback is None:
            return None

        def guarded(value: T) -> None:
            if self.is_over or self._failure is not None:
                return
            try:
                callback(value)
            except Exception as error:  # noqa: BLE001 - whatever it was, Router.run raises it
                self.fail(error)

        return guarded

    async def next_end(self, timeout_s: float | None = None) -> None:
        """Wait for the next end, or for a time; raise the failure where there was one."""
        with suppress(asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(self._has_gone_on.wait(), timeout_s)
        self._has_gone_on.clear()
        if self._failure is not None:
            raise self._failure


async def run_calls(
    calls: Sequence[RouterCall],
    *,
    ramp_s: float = 0.0,
    on_start: OnStart | None = None,
    dial: Dial = picows.dial,
    clock: Callable[[], float] = time.monotonic,
    talk: Talk | None = None,
) -> list[CallReport]:
    """Run many calls at once.

    Args:
        calls: What each call does.
        ramp_s: Spread the beginnings evenly over this many seconds.
        on_start: Told of each live call when its connection was made.
        dial: How connections are made; a real socket by default.
        clock: As `Router`.
        talk: As `Router`.

    Returns:
        One report per call, in the order given; `CallReport.error` says where a server could not be reached.

    Raises:
        AudioFileError: The speech of a call cannot be read, or a recording cannot be written.
        AudioDataError: The speech of a call is bytes with half a sample at the end.
    """
    async with Router(dial=dial, clock=clock, talk=talk) as router:
        for call in calls:
            await router.speak(call)
            router.prepare(call)

        async def run_one(number: int, call: RouterCall) -> CallReport:
            await asyncio.sleep(ramp_s * number / len(calls) + call.dial_after_s)
            try:
                return await router.run(call, on_start=on_start)
            except DialError as error:
                return replace(CallReport.of(call), error=str(error))

        tasks = [asyncio.ensure_future(run_one(number, call)) for number, call in enumerate(calls)]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # One call's failure, or a cancellation from outside, ends the others as well.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _sink(target: FilePath | Sink | None, rate_hz: int, files: ExitStack) -> Sink | None:
    """Open a recording, where it is a path."""
    if target is None or callable(target):
        return target
    path = os.fspath(target)
    with _disk(path):
        writer = WavWriter(path, rate_hz)

    def write(pcm: bytes) -> None:
        with _disk(path):
            writer.write(pcm)

    def close() -> None:
        with _disk(path):
            writer.close()

    files.callback(close)
    return write


@contextmanager
def _disk(path: str | bytes) -> Iterator[None]:
    """What the disk refuses of a recording is said with its name."""
    try:
        yield
    except OSError as error:
        raise AudioFileError(
            f"cannot write {path!r}: {error.strerror or error}; expected a disk with room for it; make some, or "
            "record elsewhere"
        ) from error
