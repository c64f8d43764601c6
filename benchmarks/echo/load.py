# SPDX-License-Identifier: Apache-2.0
"""The load generator: N calls, a 640-byte message per call every 20 ms, spread evenly, by an absolute clock.

A process of its own, on a core of its own. It prints `connected` when every call is open, starts to send when
it reads a line, and ends with one line of JSON, a `LoadReport`. Per frame it only stores two times;
everything else is computed after the load.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import uvloop
from benchmarks.echo.control import pin_to
from benchmarks.echo.playout import PlayoutReport, play_out
from benchmarks.echo.ticker import Ticker
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

FRAME_S = 0.02
# The first message of a call, with the blank that routers put before it.
FIRST_MESSAGE = b' {"content-type":"audio/l16;rate=16000","event":"websocket:connected"}'
_DIALS_AT_ONCE = 25
_DRAIN_S = 0.5
_DRAIN_SECONDS_MORE = 4

_now = time.perf_counter


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What the load generator saw.

    Attributes:
        calls: Concurrent connections.
        sent: Frames sent, all calls.
        echoed: Frames that came back, all calls.
        echoed_bytes: Their payload bytes.
        fewest_echoed: Frames that came back on the call with the fewest.
        worst_gap_ms: Longest time between two echoes on one call; 20 is perfect.
        round_trip_p50_ms: Median time from a frame to its echo; None where frames were lost.
        round_trip_p99_ms: The same at 99 %.
        round_trip_max_ms: The same at worst.
        generator_late_ms: By how much the generator itself sent late at worst: above 5 or so, it lacked CPU.
        generator_cpu_s: CPU time of the generator.
        playout: What a router's playout buffers made of the echoes.
    """

    calls: int
    sent: int
    echoed: int
    echoed_bytes: int
    fewest_echoed: int
    worst_gap_ms: float
    round_trip_p50_ms: float | None
    round_trip_p99_ms: float | None
    round_trip_max_ms: float | None
    generator_late_ms: float
    generator_cpu_s: float
    playout: PlayoutReport


class Call(WSListener):
    """One call: when frames were sent and when their echoes came."""

    def __init__(self) -> None:
        self.transport: WSTransport | None = None
        self.sent_at_s = array("d")
        self.echoed_at_s = array("d")
        self.echoed_bytes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say what a router says first."""
        self.transport = transport
        transport.send(WSMsgType.TEXT, FIRST_MESSAGE)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Note an echo."""
        if frame.msg_type == WSMsgType.BINARY:
            self.echoed_at_s.append(_now())
            self.echoed_bytes += frame.payload_size

    def send(self, payload: bytes) -> None:
        """Send one frame."""
        if self.transport is not None:
            self.sent_at_s.append(_now())
            self.transport.send(WSMsgType.BINARY, payload)

    async def hang_up(self) -> None:
        """Close in the way of a well-behaved peer."""
        if self.transport is not None:
            self.transport.send_close(WSCloseCode.OK)
            self.transport.disconnect()
            await self.transport.wait_disconnected()


class Sender:
    """Sends frame n, counted through all calls, at `start_s + n * 20 ms / calls` on call n modulo calls."""

    def __init__(self, calls: Sequence[Call], *, seconds: float, tick_us: int) -> None:
        self._calls = calls
        self._tick_us = tick_us
        self._total = len(calls) * round(seconds / FRAME_S)
        self._step_s = FRAME_S / len(calls)
        self._payload = bytes(range(256)) * 2 + bytes(range(128))
        self._sent = 0
        self._done = asyncio.Event()
        self._start_s = 0.0

    async def run(self) -> None:
        """Send everything."""
        self._start_s = _now() + 0.05
        ticker = Ticker(max(self._tick_us, round(self._step_s * 1e6)), self._send_due)
        await self._done.wait()
        ticker.stop()

    def due_s(self, call_index: int, frame: int) -> float:
        """When a frame of a call should have been sent."""
        return self._start_s + (frame * len(self._calls) + call_index) * self._step_s

    def _send_due(self) -> None:
        due = min(self._total, int((_now() - self._start_s) / self._step_s) + 1)
        calls, payload = self._calls, self._payload
        for number in range(self._sent, due):
            calls[number % len(calls)].send(payload)
        self._sent = max(self._sent, due)
        if self._sent == self._total:
            self._done.set()


async def _dial(url: str, count: int) -> list[Call]:
    slots = asyncio.Semaphore(_DIALS_AT_ONCE)

    async def dial() -> Call:
        async with slots:
            _, call = await ws_connect(Call, url)
            if not isinstance(call, Call):
                raise TypeError(f"got {call!r}, expected a Call")
            return call

    return list(await asyncio.gather(*(dial() for _ in range(count))))


async def _drain(calls: Sequence[Call]) -> None:
    """Wait half a second, and up to four more while echoes are missing."""
    for wait_s in (_DRAIN_S, *(1.0,) * _DRAIN_SECONDS_MORE):
        await asyncio.sleep(wait_s)
        if all(len(call.echoed_at_s) >= len(call.sent_at_s) for call in calls):
            return


def _report(calls: Sequence[Call], sender: Sender, *, cpu_s: float, jitter_buffer_ms: float) -> LoadReport:
    sent = sum(len(call.sent_at_s) for call in calls)
    echoed = sum(len(call.echoed_at_s) for call in calls)
    round_trips_s = sorted(
        back_s - out_s
        for call in calls
        for out_s, back_s in zip(call.sent_at_s, call.echoed_at_s, strict=False)
    )
    # With a lost frame, the n-th echo no longer answers the n-th frame.
    whole = echoed == sent and echoed > 0
    late_s = [
        [at_s - sender.due_s(index, frame) for frame, at_s in enumerate(call.sent_at_s)]
        for index, call in enumerate(calls)
    ]
    return LoadReport(
        calls=len(calls),
        sent=sent,
        echoed=echoed,
        echoed_bytes=sum(call.echoed_bytes for call in calls),
        fewest_echoed=min(len(call.echoed_at_s) for call in calls),
        worst_gap_ms=1000 * max((_longest_gap_s(call.echoed_at_s) for call in calls), default=0.0),
        round_trip_p50_ms=1000 * round_trips_s[len(round_trips_s) // 2] if whole else None,
        round_trip_p99_ms=1000 * round_trips_s[len(round_trips_s) * 99 // 100] if whole else None,
        round_trip_max_ms=1000 * round_trips_s[-1] if whole else None,
        generator_late_ms=1000 * max(max(per_call, default=0.0) for per_call in late_s),
        generator_cpu_s=cpu_s,
        playout=play_out(
            [call.echoed_at_s for call in calls],
            late_s,
            frame_s=FRAME_S,
            jitter_buffer_s=jitter_buffer_ms / 1000,
        ),
    )


def _longest_gap_s(times_s: Sequence[float]) -> float:
    return max((later - earlier for earlier, later in itertools.pairwise(times_s)), default=0.0)


async def _main(url: str, *, connections: int, seconds: float, tick_us: int, jitter_buffer_ms: float) -> None:
    calls = await _dial(url, connections)
    print("connected", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    # A collection would stop all calls for milliseconds, and nothing here makes cycles.
    gc.collect()
    gc.disable()
    sender = Sender(calls, seconds=seconds, tick_us=tick_us)
    cpu_before_s = time.process_time()
    await sender.run()
    await _drain(calls)
    cpu_s = time.process_time() - cpu_before_s
    print(
        json.dumps(asdict(_report(calls, sender, cpu_s=cpu_s, jitter_buffer_ms=jitter_buffer_ms))), flush=True
    )
    await asyncio.gather(*(call.hang_up() for call in calls))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--tick-us", type=int, default=200)
    parser.add_argument("--jitter-buffer-ms", type=float, default=20.0)
    parser.add_argument("--core", type=int)
    options = parser.parse_args()
    pin_to(options.core)
    uvloop.run(
        _main(
            options.url,
            connections=options.connections,
            seconds=options.seconds,
            tick_us=options.tick_us,
            jitter_buffer_ms=options.jitter_buffer_ms,
        )
    )
