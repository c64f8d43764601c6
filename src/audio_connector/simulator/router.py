# SPDX-License-Identifier: Apache-2.0
"""The simulated media router: dials servers and runs calls on them."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol

from audio_connector.audio.wav import FilePath, WavWriter
from audio_connector.errors import DialError
from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.driver import TickDriver
from audio_connector.simulator.network import Network
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Lines, SpeechLibrary
from audio_connector.simulator.trace import TraceEvent
from audio_connector.wire import picows
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.transport import Receiver, Transport, WireLimits

OnStart = Callable[[LiveCall], None]
"""Told of each call when its connection was made."""

OnEvent = Callable[[TraceEvent], None]
"""Told of everything that happens in a call, as it happens."""


_LIMITS = WireLimits(receive_buffer_bytes=16384)
"""The kernel's own choice holds a minute of audio, so that a router that reads slowly would not be felt."""


class Dial(Protocol):
    """How a connection is made; `wire.picows.dial` has this form."""

    async def __call__(
        self,
        url: str,
        receiver: Receiver,
        *,
        headers: Sequence[tuple[str, str]],
        ssl_context: ssl.SSLContext | None,
        timeout_s: float,
        limits: WireLimits | None,
    ) -> Transport:
        """Open a WebSocket, or raise DialError."""
        ...


class Router:
    """Plays the Vonage media router on the running loop.

    ::

        async with Router() as router:
            report = await router.run(RouterCall(url="ws://127.0.0.1:8765", speech="hello.wav"))

    Args:
        dial: How connections are made; a real socket by default.
        clock: Seconds of a monotonic clock; that of a loop in virtual time where its calls are to live in it.
    """

    def __init__(self, *, dial: Dial = picows.dial, clock: Callable[[], float] = time.monotonic) -> None:
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

    async def run(
        self, call: RouterCall, *, on_start: OnStart | None = None, on_event: OnEvent | None = None
    ) -> CallReport:
        """Make one call, from the dialling to the end of the connection, or of the last one where it reconnects.

        Args:
            call: What to do.
            on_start: Told of the live call when the connection was made, to look at it or to steer it.
            on_event: Told of everything that happens in the call.

        Returns:
            What the call saw.

        Raises:
            DialError: The server cannot be reached, or does not speak WebSocket there.
            AudioFileError: The speech cannot be read, or a recording cannot be written.
            AudioDataError: The speech is bytes with half a sample at the end.
        """
        lines = self.prepare(call)
        legs = _Legs(self._loop)
        with ExitStack() as files:
            live = LiveCall(
                call,
                lines,
                clock=self._clock,
                heard=_sink(call.heard, call.rate_hz, files, legs.fail),
                spoken=_sink(call.spoken, call.rate_hz, files, legs.fail),
                on_begin=lambda at: self._driver.add(live.tick, at),
                on_end=legs.end,
                on_event=on_event or _nothing,
            )
            try:
                await self._connect(live)
                if on_start is not None:
                    on_start(live)
                await legs.ended()
                while live.redial_after_s is not None:
                    await asyncio.sleep(live.redial_after_s)
                    await self._connect_again(live)
                    await legs.ended()
            finally:
                live.abort()
            return live.report()

    async def _connect(self, live: LiveCall) -> None:
        call = live.call
        network = Network(
            live,
            clock=self._clock,
            add=self._driver.add,
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
                on_fault=lambda fault: live.note("server", "bad audio", str(fault)),
            )
        await self._dial(
            call.url,
            receiver,
            headers=call.upgrade_headers(),
            ssl_context=call.ssl_context,
            timeout_s=call.dial_timeout_s,
            limits=_LIMITS,
        )

    async def _connect_again(self, live: LiveCall) -> None:
        try:
            await self._connect(live)
        except DialError as error:
            live.fail_redial(f"the connection could not be made again: {error}")


class _Legs:
    """The ends of a call's connections, one after the other, and the first failure of a recording."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ended: asyncio.Future[None] = loop.create_future()

    def end(self) -> None:
        """A connection is over."""
        if not self._ended.done():
            self._ended.set_result(None)

    def fail(self, error: Exception) -> None:
        """The call cannot go on; the first reason counts."""
        if not self._ended.done():
            self._ended.set_exception(error)

    async def ended(self) -> None:
        """Wait for the next end, and raise the failure where there was one."""
        await self._ended
        self._ended = self._loop.create_future()


async def run_calls(
    calls: Sequence[RouterCall],
    *,
    ramp_s: float = 0.0,
    on_start: OnStart | None = None,
    dial: Dial = picows.dial,
    clock: Callable[[], float] = time.monotonic,
) -> list[CallReport]:
    """Run many calls at once.

    Args:
        calls: What each call does.
        ramp_s: Spread the beginnings evenly over this many seconds.
        on_start: Told of each live call when its connection was made.
        dial: How connections are made; a real socket by default.
        clock: As `Router`.

    Returns:
        One report per call, in the order given; `CallReport.error` says where a server could not be reached.

    Raises:
        AudioFileError: The speech of a call cannot be read, or a recording cannot be written.
        AudioDataError: The speech of a call is bytes with half a sample at the end.
    """
    async with Router(dial=dial, clock=clock) as router:
        for call in calls:
            router.prepare(call)

        async def run_one(number: int, call: RouterCall) -> CallReport:
            await asyncio.sleep(ramp_s * number / len(calls) + call.dial_after_s)
            try:
                return await router.run(call, on_start=on_start)
            except DialError as error:
                return CallReport(
                    url=call.url,
                    name=call.name,
                    profile=call.router.name,
                    session_id=call.session_id,
                    connection_id=call.connection_id,
                    rate_hz=call.rate_hz,
                    error=str(error),
                )

        tasks = [asyncio.ensure_future(run_one(number, call)) for number, call in enumerate(calls)]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            # One call's failure, or a cancellation from outside, ends the others as well.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _sink(
    target: FilePath | Sink | None, rate_hz: int, files: ExitStack, fail: Callable[[Exception], None]
) -> Sink | None:
    """Open a recording; a full disk or a failing function ends its call, not the clock of all calls."""
    if target is None:
        return None
    write = target if callable(target) else files.enter_context(WavWriter(os.fspath(target), rate_hz)).write

    def guarded(pcm: bytes) -> None:
        try:
            write(pcm)
        except Exception as error:  # noqa: BLE001 - whatever it was, Router.run raises it
            fail(error)

    return guarded


def _nothing(event: TraceEvent) -> None:
    """Nobody wants to know."""
