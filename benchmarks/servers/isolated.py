# SPDX-License-Identifier: Apache-2.0
"""An application of ours that misbehaves while it speaks, echoes and relays. Arguments also: `name=value` of ours."""

from __future__ import annotations

import argparse
import asyncio
import threading
import time

from benchmarks.frames import FRAME_S, numbered_frames, tone
from benchmarks.servers import echo
from benchmarks.servers.ours import serve

from audio_connector import AudioConnectorConnection

BLOCK_AFTER_S = 1.0
"""From the last call's opening: all audio has been handed over by then, and most of it is still to be played."""


HOLD_S = 1.0
"""For the call into C: five times the lead."""


class Application:
    """Speaks, echoes or relays, as the path of a call says, and misbehaves once all calls are there.

    Args:
        load: `none`; `sleep`, `spin` or `hold`, which block the loop; `thread`, which spins beside it all the time.
        calls: How many will come.
        speech_s: What each speaking call is given at once.
        block_s: How long the loop is blocked.
    """

    def __init__(self, *, load: str, calls: int, speech_s: float, block_s: float) -> None:
        self._load = load
        self._awaited = calls
        self._speech = b"".join(numbered_frames(round(speech_s / FRAME_S)))
        self._block_s = block_s
        self._relaying: dict[str, asyncio.Task[None]] = {}
        if load == "thread":
            threading.Thread(target=_spin, args=(float("inf"),), daemon=True).start()

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Begin with a call."""
        _, kind, *rate = client.path.split("/")
        if kind == "speak":
            client.set_handler(on_message=lambda _: None)
            await client.send_audio_buffer(self._speech)
        elif kind == "relay":
            self._relaying[client.id] = asyncio.ensure_future(_relay(client, int(rate[0])))
            client.set_handler(
                on_message=lambda _: None, on_disconnect=lambda _: self._relaying.pop(client.id).cancel()
            )
        else:
            await echo.on_connect(client)
        self._awaited -= 1
        if self._awaited == 0 and self._load in {"sleep", "spin", "hold"}:
            asyncio.get_running_loop().call_later(BLOCK_AFTER_S, self._block)

    def _block(self) -> None:
        if self._load == "sleep":
            time.sleep(self._block_s)
        elif self._load == "spin":
            _spin(self._block_s)
        else:
            _hold(HOLD_S)


def _hold(seconds: float) -> None:
    """One call into C that does not let go of the interpreter; its time grows with the bits of the exponent."""
    modulus, bits = (1 << 12000) - 3, 200
    began_s = time.monotonic()
    pow(3, (1 << bits) - 1, modulus)
    took_s = time.monotonic() - began_s
    pow(3, (1 << round(bits * seconds / took_s)) - 1, modulus)


def _spin(seconds: float) -> None:
    """Pure Python, which gives the interpreter away only when it is asked to."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        sum(range(100))


async def _relay(client: AudioConnectorConnection, rate_hz: int) -> None:
    """Write a piece of 20 ms every 20 ms, by an absolute clock."""
    piece = tone(rate_hz, FRAME_S)
    start_s, count = time.monotonic(), 0
    while client.is_active:
        await client.send_audio_buffer(piece, sample_rate=rate_hz)
        count += 1
        await asyncio.sleep(start_s + count * FRAME_S - time.monotonic())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", choices=("none", "sleep", "spin", "hold", "thread"), required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--speech-s", type=float, default=10.0)
    parser.add_argument("--block-s", type=float, default=3.0)
    parser.add_argument("settings", nargs="*")
    options = vars(parser.parse_args())
    settings = options.pop("settings")

    async def main() -> None:
        """Serve until stdin ends."""
        await serve(Application(**options).on_connect, settings)

    asyncio.run(main())
