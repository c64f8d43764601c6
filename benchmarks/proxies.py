# SPDX-License-Identifier: Apache-2.0
"""What a call costs at a proxy: CPU of nginx, HAProxy and Caddy with the files of deploy/, TLS in front.

Run it as ``PYTHONPATH=tests python benchmarks/proxies.py`` after `make deploy`. 40 calls echo 50 frames a second
for 10 s, with server and client on whatever cores there are. CPU is user and system time of all processes of the
proxy, so that a busy machine disturbs it less than it would a delay.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from support.processes import children_of
from support.proxies import PROXIES, Proxy, proxying
from support.workers import BOT, guests, supervised

CALLS = 40
FRAMES = 500
FRAMES_PER_S = 50
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Iterable[int]) -> float:
    """User and system time of these processes so far."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(words[11]) + int(words[12]) for words in stats) / TICKS_PER_S


async def measure(proxy: Proxy) -> float:
    """Seconds of CPU for one frame there and back."""
    async with guests(proxy.address, *["/echo"] * CALLS, ssl=proxy.client, proxy=None) as calls:
        pids = [proxy.process.pid, *children_of(proxy.process.pid)]
        before_s = cpu_s(pids)
        await asyncio.gather(*(call.talk(FRAMES) for call in calls))
        await asyncio.sleep(1.0)  # what is still on its way
        return (cpu_s(pids) - before_s) / sum(len(call.frames) for call in calls)


async def main() -> None:
    """Measure all three, one after another, in front of the same server."""
    print("| proxy | a frame there and back | a call, of a core |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as of_bot, supervised(Path(of_bot), workers=1, bot=BOT) as served:
        for name in PROXIES:
            with (
                tempfile.TemporaryDirectory() as of_proxy,
                proxying(name, Path(of_proxy), served.address) as proxy,
            ):
                frame_s = await measure(proxy)
            print(f"| {name} | {frame_s * 1e6:.0f} us | {frame_s * FRAMES_PER_S:.2%} |")


if __name__ == "__main__":
    asyncio.run(main())
