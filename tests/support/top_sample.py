# SPDX-License-Identifier: Apache-2.0
"""Calls as the documentation shows them in `audio-connector top`."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from audio_connector.cli.top_view import Sample, view
from audio_connector.port.meters import Found, Meters

WIDTH = 80


def call(name: str, age_s: float, **more: Any) -> dict[str, Any]:
    """One that is well, but for what is said."""
    well = {"remote": "203.0.113.7", "state": "open", "rate_hz": 16000, "is_active": True, "queued_ms": 0.0}
    return {
        "id": name,
        "age_s": age_s,
        **well,
        "in_flight_ms": 120.0,
        "underruns": 0,
        "dropped_ms": 0.0,
        **more,
    }


CALLS = (
    call("b7f30a61", 4211.0, queued_ms=340.0),
    call("3c9d17e2", 1265.0, in_flight_ms=0.0, is_active=False),
    call("e01144bd", 732.0, queued_ms=12_480.0, remote="198.51.100.23"),
    call("77aa90c4", 310.0, underruns=3),
    call("5d2f8e19", 96.0, dropped_ms=1840.0, remote="198.51.100.23"),
    call("09be6f57", 41.0, state="lost", in_flight_ms=0.0),
)


def picture() -> list[str]:
    """The lines."""
    meters = Meters()
    meters.observe("loop_lag_seconds", 0.002, "sockets")
    counted: dict[str, float] = {
        "calls": len(CALLS),
        "calls_opened": 1204.0,
        "ready": 2.0,
        "io_processes": 2.0,
        "workers": 4.0,
        "underruns": 11.0,
        "dropped_seconds": 4.2,
        "calls_parked": 0.0,
    }
    rows = [(name, (), value) for name, value in counted.items()]
    cpu = ("process_cpu_seconds", ("io-0",))
    more = [
        ("upgrades", ("429",), 3.0),
        ("errors", ("ValueError",), 2.0),
        ("process_resident_bytes", ("io-0",), 312.0 * 2**20),
    ]
    before = Sample(0.0, "0.1.0", Found([(*cpu, 7.0)], CALLS))
    now = Sample(1.0, "0.1.0", Found([*rows, *more, *meters.snapshot(), (*cpu, 7.38)], CALLS))
    console = Console(width=WIDTH, color_system=None)
    with console.capture() as capture:
        console.print(view(before, now, "http://127.0.0.1:9090", width=WIDTH))
    return [line.rstrip() for line in capture.get().splitlines()]
