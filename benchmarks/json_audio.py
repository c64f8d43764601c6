# SPDX-License-Identifier: Apache-2.0
"""Measures what a frame costs in binary and in JSON, in microseconds of CPU.

Run ``python -m benchmarks.json_audio``. "In" is from the router to the server, "out" the other way. Columns:

* adapter: what the server's side does between the socket and the connection, which in binary is one call.
* socket: the same with both ends of a real WebSocket on loopback in this process. The peer sends messages that were
  written before, or takes what comes without a look. So the cost of the peer's end is in it, alike for both.
* bytes: of the message, without the WebSocket's own 4 to 8.

Rounds of binary and JSON take turns, and medians are printed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import uvloop

from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.memory import UPGRADE, MemoryTransport
from audio_connector.wire.picows import dial, listen
from audio_connector.wire.transport import Closed, Receiver, Transport, Upgrade, WireLimits

FRAME = bytes(range(1, 129)) * 5
TEXT = json.dumps({"audio": base64.b64encode(FRAME).decode()}, separators=(",", ":"))
BURST = 20
"""Frames sent in one go: few enough to fit the write buffer."""


class Sink:
    """Takes what comes, and counts it."""

    def __init__(self) -> None:
        self.transport: Transport
        self.count = 0
        self.on_count: Callable[[], None] = lambda: None
        self.wanted = 0

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Keep the transport."""
        self.transport = transport

    def on_audio(self, payload: bytes) -> None:
        """Count a binary message."""
        self.count += 1
        if self.count == self.wanted:
            self.on_count()

    def on_text(self, text: str) -> None:
        """Count a text message."""
        self.count += 1
        if self.count == self.wanted:
            self.on_count()

    def on_pong(self, payload: bytes) -> None:
        """Never comes."""

    def on_writable(self, writable: bool) -> None:
        """A burst fits."""

    def on_closed(self, closed: Closed) -> None:
        """The end of a measurement."""


class Nowhere(MemoryTransport):
    """A transport that drops what it is given."""

    def send_audio(self, frame: bytes) -> None:
        """Drop it."""

    def send_text(self, text: str) -> None:
        """Drop it."""


@dataclass
class Costs:
    """Of one kind of transport: microseconds per frame, a value per round."""

    adapter_in_us: list[float] = field(default_factory=list)
    adapter_out_us: list[float] = field(default_factory=list)
    socket_in_us: list[float] = field(default_factory=list)
    socket_out_us: list[float] = field(default_factory=list)


def wrapped(sink: Sink, *, is_json: bool) -> Receiver:
    """What the socket of a server calls."""
    if not is_json:
        return sink
    transport = AudioTransport(transport="json")
    return JsonAudio(sink, transport, role="server", on_fault=lambda error: None)


def time_adapter(costs: Costs, frames: int, *, is_json: bool) -> None:
    """Measure both directions without a socket."""
    sink = Sink()
    receiver = wrapped(sink, is_json=is_json)
    receiver.on_open(Nowhere(sink, call_later=lambda delay_s, callback: None), UPGRADE)
    on_message: Callable[[], None] = (
        (lambda: receiver.on_text(TEXT)) if is_json else (lambda: receiver.on_audio(FRAME))
    )
    send_audio = sink.transport.send_audio
    begun = time.process_time()
    for _ in range(frames):
        on_message()
    between = time.process_time()
    for _ in range(frames):
        send_audio(FRAME)
    ended = time.process_time()
    costs.adapter_in_us.append((between - begun) / frames * 1e6)
    costs.adapter_out_us.append((ended - between) / frames * 1e6)


async def time_socket(costs: Costs, frames: int, *, is_json: bool) -> None:
    """Measure both directions of a real WebSocket."""
    server, router = Sink(), Sink()
    listening = await listen(
        lambda _: wrapped(server, is_json=is_json),
        host="127.0.0.1",
        port=0,
        ssl_context=None,
        limits=WireLimits(),
        handshake_timeout_s=5.0,
    )
    try:
        await dial(f"ws://127.0.0.1:{listening.address[1]}/", router)
        say: Callable[[], None] = (
            (lambda: router.transport.send_text(TEXT))
            if is_json
            else (lambda: router.transport.send_audio(FRAME))
        )
        costs.socket_in_us.append(await _per_frame_us(say, server, frames))
        costs.socket_out_us.append(
            await _per_frame_us(lambda: server.transport.send_audio(FRAME), router, frames)
        )
    finally:
        listening.stop()
        router.transport.abort()
        await asyncio.sleep(0.01)


async def _per_frame_us(send: Callable[[], None], receiver: Sink, frames: int) -> float:
    arrived = asyncio.Event()
    receiver.on_count = arrived.set
    begun = time.process_time()
    for _ in range(frames // BURST):
        arrived.clear()
        receiver.wanted = receiver.count + BURST
        for _ in range(BURST):
            send()
        await asyncio.wait_for(arrived.wait(), 5.0)
    return (time.process_time() - begun) / frames * 1e6


async def measure(rounds: int, frames: int) -> dict[str, Costs]:
    """Measure both kinds in turns."""
    costs = {"binary": Costs(), "json": Costs()}
    for _ in range(rounds):
        for name, each in costs.items():
            time_adapter(each, frames, is_json=name == "json")
            await time_socket(each, frames, is_json=name == "json")
    return costs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=20_000, help="of each direction and round")
    options = parser.parse_args()
    loop = uvloop.new_event_loop()
    try:
        costs = loop.run_until_complete(measure(options.rounds, options.frames))
    finally:
        loop.close()
    print(f"microseconds of CPU per frame of {len(FRAME)} bytes, medians of {options.rounds} rounds")
    print(f"{'':8}{'adapter in':>12}{'adapter out':>13}{'socket in':>12}{'socket out':>12}{'bytes':>8}")
    for name, each in costs.items():
        size_bytes = len(TEXT) if name == "json" else len(FRAME)
        print(
            f"{name:8}{statistics.median(each.adapter_in_us):12.2f}{statistics.median(each.adapter_out_us):13.2f}"
            f"{statistics.median(each.socket_in_us):12.2f}{statistics.median(each.socket_out_us):12.2f}"
            f"{size_bytes:8}"
        )


if __name__ == "__main__":
    main()
