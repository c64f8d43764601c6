# SPDX-License-Identifier: Apache-2.0
"""Opens calls one after another: connect, get the 101, send the first text, close."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from benchmarks.common.usage import Watch
from benchmarks.load.caller import dial, load_arguments, report

_WARM_UP = 50
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class OpeningReport:
    """What opening calls costs.

    Attributes:
        cpu_ms: CPU of the server per call, its end included.
        opens_per_s: Calls opened in a second.
        foreign_share: See `Window`.
        lost: None can be lost.
    """

    cpu_ms: float
    opens_per_s: float
    foreign_share: float
    lost: int = 0

    def brief(self) -> str:
        """Say the most in a line."""
        return f"{self.cpu_ms:.2f} ms CPU/open, {self.opens_per_s:.0f} opens/s"


async def load(address: str, pid: int, *, opens: int) -> OpeningReport:
    """Open and close so many calls."""
    await _open(address, _WARM_UP)
    await asyncio.sleep(_SETTLE_S)
    watch = Watch(pid)
    await _open(address, opens)
    elapsed_s = watch.window().elapsed_s
    await asyncio.sleep(_SETTLE_S)  # for what is left to do about the last of them
    window = watch.window()
    return OpeningReport(1000 * window.server_cpu_s / opens, opens / elapsed_s, window.foreign_share)


async def _open(address: str, count: int) -> None:
    for _ in range(count):
        await (await dial(address)).hang_up()


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    parser.add_argument("--opens", type=int, required=True)
    report(load, parser.parse_args())
