# SPDX-License-Identifier: Apache-2.0
"""How late are frames? The measurement behind the default of ``Playback.lead_ms``.

Every call is spoken to without a pause, in one process with the application. Each frame has a due time; what
counts is how long after it the frame arrives at the other side. The lead has to be longer than the worst of it,
or the router runs dry. The application is idle, then spins in pure Python, then sleeps in its handler.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from typing import Literal

import uvloop

from audio_connector import AudioConnectorConnection, AudioConnectorServerConfig, Video
from audio_connector.wire.picows import dial
from audio_connector.wire.transport import Closed, Transport, Upgrade

EXAMPLES = """examples:
  python benchmarks/lead.py                  the table that docs/design/playback.md quotes
  python benchmarks/lead.py --calls 40 300   other numbers of calls

exit status: 0 measured, 1 a call was not measured"""

FRAME_S = 0.02
LEAD_S = 0.2
FIRST_MESSAGE = '{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}'
Load = Literal["idle", "spinning", "sleeping"]
LOADS: tuple[Load, ...] = ("idle", "spinning", "sleeping")


class Listener:
    """One call's other side: notes when each frame arrives, and says as much as it hears."""

    def __init__(self) -> None:
        self.transport: Transport | None = None
        self.arrivals: list[float] = []

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Begin as the router does."""
        self.transport = transport
        transport.send_text(FIRST_MESSAGE)

    def on_audio(self, payload: bytes) -> None:
        """Note a frame."""
        self.arrivals.append(time.monotonic())

    def on_text(self, text: str) -> None:
        """Nothing to do."""

    def on_pong(self, payload: bytes) -> None:
        """Nothing to do."""

    def on_writable(self, writable: bool) -> None:
        """Nothing to do."""

    def on_closed(self, closed: Closed) -> None:
        """Nothing to do."""
        self.transport = None

    def lateness_ms(self) -> list[float]:
        """How late each frame was that the lead did not cover from the start."""
        if not self.arrivals:
            return []
        start = self.arrivals[0]
        at_once = round(LEAD_S / FRAME_S) + 1
        return [
            (at - (start + k * FRAME_S - LEAD_S)) * 1000 for k, at in enumerate(self.arrivals) if k > at_once
        ]


async def serve(load: Load, seconds: float) -> None:
    """Speak to every call for the whole time, with the application under a load."""
    speech = bytes(int((seconds + 3) * 32000))

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=lambda _: None)
        await client.send_audio_buffer(speech)

    handle = await Video().start_audio_connector_server(
        AudioConnectorServerConfig(host="127.0.0.1", port=0, on_connect=on_connect)
    )
    print(handle.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        _block(load, 1.0)
        await asyncio.sleep(0.05)
    await handle.stop()


def _block(load: Load, seconds: float) -> None:
    if load == "sleeping":
        time.sleep(seconds)
    elif load == "spinning":
        _spin(seconds)


def _spin(seconds: float) -> None:
    until = time.monotonic() + seconds
    count = 0
    while time.monotonic() < until:
        for _ in range(1000):
            count += 1


async def measure(load: Load, calls: int, seconds: float) -> list[float]:
    """Return the lateness of every frame of every call, in ms."""
    command = [sys.executable, __file__, "--serve", load, "--seconds", str(seconds)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    server = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    assert server.stdout is not None
    assert server.stdin is not None
    port = int(await server.stdout.readline())
    listeners = [Listener() for _ in range(calls)]
    for listener in listeners:
        await dial(f"ws://127.0.0.1:{port}/", listener)
    server.stdin.write(b"go\n")
    start, ticks = time.monotonic(), 0
    while time.monotonic() < start + seconds:
        for listener in listeners:
            if listener.transport is not None:
                listener.transport.send_audio(bytes(640))
        ticks += 1
        await asyncio.sleep(max(0.0, start + ticks * FRAME_S - time.monotonic()))
    server.stdin.close()
    await server.wait()
    return [late for listener in listeners for late in listener.lateness_ms()]


def _row(load: Load, calls: int, late: list[float]) -> str:
    late.sort()
    at = [late[int(len(late) * share)] for share in (0.5, 0.99, 0.999)]
    return f"{calls:6d}  {load:10s}  {at[0]:8.1f}  {at[1]:8.1f}  {at[2]:8.1f}  {late[-1]:8.1f}"


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--calls", type=int, nargs="+", default=[1, 40, 200], help="how many calls (1 40 200)"
    )
    parser.add_argument("--seconds", type=float, default=8.0, help="per row (8)")
    parser.add_argument("--serve", choices=LOADS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.serve, arguments.seconds))
        return 0
    print("ms that frames were late, application and I/O in one process")
    print(" calls  application     p50       p99     p99.9     worst")
    for calls in arguments.calls:
        for load in LOADS:
            late = uvloop.run(measure(load, calls, arguments.seconds))
            if not late:
                print(f"{calls} calls, {load}: nothing arrived")
                return 1
            print(_row(load, calls, late), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
