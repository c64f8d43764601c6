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
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Frames, SpeechLibrary
from audio_connector.wire import picows
from audio_connector.wire.transport import Receiver, Transport

OnStart = Callable[[LiveCall], None]
"""Told of each call when its connection was made."""


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
    """

    def __init__(self, *, dial: Dial = picows.dial) -> None:
        self._dial = dial
        self._loop = asyncio.get_running_loop()
        self._driver = TickDriver(self._loop, clock=time.monotonic)
        self._library = SpeechLibrary()

    async def __aenter__(self) -> Router:
        """Return the router."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the clock of every call."""
        self._driver.stop()

    def prepare(self, call: RouterCall) -> Frames:
        """Read and resample what a call says, so that `run` does not have to; the router keeps it.

        Raises:
            AudioFileError: The speech cannot be read as 16-bit WAV.
            AudioDataError: The speech is bytes with half a sample at the end.
        """
        return self._library.frames_of(call)

    async def run(self, call: RouterCall, *, on_start: OnStart | None = None) -> CallReport:
        """Make one call, from the dialling to the end of the connection.

        Args:
            call: What to do.
            on_start: Told of the live call when the connection was made, to look at it or to steer it.

        Returns:
            What the call saw.

        Raises:
            DialError: The server cannot be reached, or does not speak WebSocket there.
            AudioFileError: The speech cannot be read, or a recording cannot be written.
            AudioDataError: The speech is bytes with half a sample at the end.
        """
        frames = self.prepare(call)
        ended: asyncio.Future[None] = self._loop.create_future()

        def begin(at: float) -> None:
            self._driver.add(live.tick, at)

        def end(error: Exception | None = None) -> None:
            if ended.done():  # the first reason counts, and a cancelled call wants none
                return
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        with ExitStack() as files:
            live = LiveCall(
                call,
                frames,
                clock=time.monotonic,
                heard=_sink(call.heard, call.rate_hz, files, end),
                spoken=_sink(call.spoken, call.rate_hz, files, end),
                on_begin=begin,
                on_end=end,
            )
            try:
                await self._dial(
                    call.url,
                    live,
                    headers=call.upgrade_headers(),
                    ssl_context=call.ssl_context,
                    timeout_s=call.dial_timeout_s,
                )
                if on_start is not None:
                    on_start(live)
                await ended
            finally:
                live.abort()
            return live.report()


async def run_calls(
    calls: Sequence[RouterCall],
    *,
    ramp_s: float = 0.0,
    on_start: OnStart | None = None,
    dial: Dial = picows.dial,
) -> list[CallReport]:
    """Run many calls at once.

    Args:
        calls: What each call does.
        ramp_s: Spread the beginnings evenly over this many seconds.
        on_start: Told of each live call when its connection was made.
        dial: How connections are made; a real socket by default.

    Returns:
        One report per call, in the order given; `CallReport.error` says where a server could not be reached.

    Raises:
        AudioFileError: The speech of a call cannot be read, or a recording cannot be written.
        AudioDataError: The speech of a call is bytes with half a sample at the end.
    """
    async with Router(dial=dial) as router:
        for call in calls:
            router.prepare(call)

        async def run_one(number: int, call: RouterCall) -> CallReport:
            await asyncio.sleep(ramp_s * number / len(calls))
            try:
                return await router.run(call, on_start=on_start)
            except DialError as error:
                return CallReport(
                    url=call.url, connection_id=call.connection_id, rate_hz=call.rate_hz, error=str(error)
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
