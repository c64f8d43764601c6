# SPDX-License-Identifier: Apache-2.0
"""A media router in a process of its own, which nothing that the application does can hold up.

Reads one JSON object from stdin: ``address``, ``calls`` (each with ``path``, ``speech_s``, ``tail_s``) and
``expected_s`` of `sawtooth` that a speaking call is to hear. Writes one JSON object to stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from audio_connector.simulator import RouterCall, run_calls

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.serving import sawtooth


async def ping(address: str, latencies_s: list[float]) -> None:
    """Ping without pause, until cancelled."""
    async with connect(f"{address}/ping", compression=None) as caller:
        while True:
            begun = time.monotonic()
            await (await caller.ping())
            latencies_s.append(time.monotonic() - begun)
            await asyncio.sleep(0.02)


async def main(task: dict[str, Any]) -> dict[str, Any]:
    """Run the calls, and pings beside them."""
    expected = sawtooth(round(16000 * task["expected_s"]))
    speech = sawtooth(16000 * 10)
    heard: list[bytearray] = [bytearray() for _ in task["calls"]]
    calls = [
        RouterCall(
            url=task["address"] + call["path"],
            speech=speech[: round(32000 * call["speech_s"])] or None,
            silence="none",
            tail_s=call["tail_s"],
            pause_after_ms=None,
            heard=sink.extend,
        )
        for call, sink in zip(task["calls"], heard, strict=True)
    ]
    latencies_s: list[float] = []
    pinging = asyncio.ensure_future(ping(task["address"], latencies_s))
    reports = await run_calls(calls)
    pinging.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await pinging
    return {
        "pings": len(latencies_s),
        "slowest_ping_s": max(latencies_s),
        "calls": [
            {
                "path": call["path"],
                "sent": report.frames_sent,
                "received": report.frames_received,
                "underruns": report.playout.underruns,
                "own_lateness_ms": report.latest_tick_ms,
                "close_code": report.close_code,
                "is_exact": expected in bytes(sink),
            }
            for call, report, sink in zip(task["calls"], reports, heard, strict=True)
        ],
    }


if __name__ == "__main__":
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
