# SPDX-License-Identifier: Apache-2.0
"""Sends a frame per call every 20 ms, the calls spread evenly over the 20 ms, by an absolute clock."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

from benchmarks.frames import FRAME_S, numbered_frames
from benchmarks.load.caller import Caller, now_s
from benchmarks.load.ticker import Ticker

TICK_US = 200
"""Frames that are due within this are sent together. Larger steps make servers look cheaper, since one wake-up
then serves several calls, which independent calls do not grant."""

_LEAD_IN_S = 0.05
_DRAIN_S = 0.5
_DRAIN_LIMIT_S = 10.0


class Sender:
    """Sends frame n, counted through all calls, at `start_s + n * 20 ms / calls` on call n modulo calls."""

    def __init__(self, calls: Sequence[Caller], *, seconds: float) -> None:
        self._calls = calls
        self._frames = numbered_frames(round(seconds / FRAME_S))
        self._total = len(calls) * len(self._frames)
        self._step_s = FRAME_S / len(calls)
        self._sent = 0
        self._done = asyncio.Event()
        self.start_s = now_s() + _LEAD_IN_S
        # A collection would stop all calls for milliseconds, and nothing here makes cycles.
        gc.collect()
        gc.disable()
        self._ticker = Ticker(max(TICK_US, round(self._step_s * 1e6)), self._send_due)

    async def until(self, seconds: float) -> None:
        """Wait until so long after the first frame."""
        await asyncio.sleep(self.start_s + seconds - now_s())

    async def sent(self) -> None:
        """Wait until everything is sent."""
        await self._done.wait()
        self._ticker.stop()

    def cut_short(self) -> None:
        """Send no more than was sent."""
        self._total = self._sent
        self._done.set()

    async def drained(self) -> None:
        """Wait half a second, and longer while frames are missing."""
        give_up_at_s = now_s() + _DRAIN_LIMIT_S
        while now_s() < give_up_at_s:
            await asyncio.sleep(_DRAIN_S)
            if all(len(call.arrived_at_s) >= len(call.sent_at_s) for call in self._calls):
                return

    def lateness_s(self, index: int) -> list[float]:
        """How late the frames of a call were sent, which no server is to blame for."""
        return [
            at_s - self.start_s - (frame * len(self._calls) + index) * self._step_s
            for frame, at_s in enumerate(self._calls[index].sent_at_s)
        ]

    def _send_due(self) -> None:
        due = min(self._total, int((now_s() - self.start_s) / self._step_s) + 1)
        calls, frames = self._calls, self._frames
        for number in range(self._sent, due):
            frame, call = divmod(number, len(calls))
            calls[call].send(frames[frame])
        self._sent = max(self._sent, due)
        if self._sent == self._total:
            self._done.set()
