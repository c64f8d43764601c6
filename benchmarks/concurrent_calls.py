# SPDX-License-Identifier: Apache-2.0
"""Many calls at once echo through our server, and a router's playout buffer listens to each of them.

Every call sends a frame per 20 ms and gets it back. Its playout starts one frame after the first echo and
takes a frame per 20 ms from then on; a tick that finds nothing is an underrun. The margin is how long a frame
waited for its tick: 20 ms is perfect, 0 is an underrun.

(Not called `concurrent.py`: next to other scripts that name would hide the standard library's package.)
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.echo.processes import BenchmarkError, Measurement, ServerKind, measure

_EXAMPLES = """\
examples:
  python -m benchmarks.concurrent_calls
  python -m benchmarks.concurrent_calls --calls 400 --seconds 60 --json calls.json
  python -m benchmarks.concurrent_calls --server bare     what this machine does to a bare picows echo

exit status: 0 no underrun and nothing lost, 1 otherwise, 2 it could not be measured
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load and return the exit status."""
    options = _parser().parse_args(arguments)
    kind = ServerKind(
        "ours", "audio-connector", "benchmarks.echo.server_ours", ("--app-loop", options.app_loop)
    )
    if options.server == "bare":
        kind = ServerKind("bare", "bare picows", "benchmarks.echo.server_picows")
    print(f"{kind.title}: {options.calls} calls, {options.seconds:g} s ...", flush=True)
    try:
        one = asyncio.run(
            measure(
                kind,
                connections=options.calls,
                seconds=options.seconds,
                jitter_buffer_ms=options.jitter_buffer_ms,
            )
        )
    except BenchmarkError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2
    print("\n" + _table(one))
    failures = _failures(one)
    if options.json is not None:
        options.json.write_text(json.dumps({**asdict(one), "failures": failures}, indent=2) + "\n")
    for failure in failures:
        print(f"\nFAILED: {failure}")
    if not failures:
        print(
            f"\nok: no underrun, nothing lost, least margin {one.load['playout']['least_margin_ms']:.1f} ms"
        )
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.concurrent_calls",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--calls", type=int, default=300, help="concurrent calls (default 300)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio per call (20)")
    parser.add_argument(
        "--jitter-buffer-ms", type=float, default=20.0, help="from a call's first echo to its first tick (20)"
    )
    parser.add_argument("--server", choices=("ours", "bare"), default="ours")
    parser.add_argument("--app-loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the measurement there")
    return parser


def _failures(one: Measurement) -> list[str]:
    playout = one.load["playout"]
    failures = []
    if one.lost:
        failures.append(f"{one.lost} of {one.load['sent']} frames were not echoed")
    if playout["underruns"]:
        blame = playout["underruns_generator_on_time"]
        failures.append(
            f"{playout['underruns']} underruns on {playout['calls_with_underruns']} calls; "
            f"{blame} would remain if the load generator had always been on time"
        )
    return failures


def _table(one: Measurement) -> str:
    load, playout = one.load, one.load["playout"]
    rows = [
        ("frames echoed/sent", f"{load['echoed']}/{load['sent']}"),
        ("underruns", f"{playout['underruns']} on {playout['calls_with_underruns']} calls"),
        ("least margin", f"{playout['least_margin_ms']:.1f} ms"),
        ("least margin, generator on time", f"{playout['least_margin_generator_on_time_ms']:.1f} ms"),
        ("margin of the nearest 1 % of frames", f"{playout['margin_p1_ms']:.1f} ms"),
        ("median margin", f"{playout['margin_p50_ms']:.1f} ms"),
        ("longest gap between echoes", f"{load['worst_gap_ms']:.1f} ms"),
        ("load generator late by at most", f"{load['generator_late_ms']:.1f} ms"),
        ("server CPU", f"{one.server_cpu_s:.2f} s, {one.us_per_frame:.1f} us/frame"),
        ("load generator CPU", f"{load['generator_cpu_s']:.2f} s"),
    ]
    if one.foreign_share is not None:
        rows.append(("other processes took", f"{one.foreign_share:.0%} of a core; above a few, repeat this"))
    if load["round_trip_p50_ms"] is not None:
        trip = "/".join(f"{load[f'round_trip_{name}_ms']:.2f}" for name in ("p50", "p99", "max"))
        rows.append(("round trip p50/p99/max", f"{trip} ms"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


if __name__ == "__main__":
    sys.exit(main())
