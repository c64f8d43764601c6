# SPDX-License-Identifier: Apache-2.0
"""The counts of an I/O side: those of its calls, read when somebody asks, and those that were made on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from operator import add
from typing import Any

from audio_connector.audio.format import FRAME_MS
from audio_connector.call import tells
from audio_connector.call.machine import Call
from audio_connector.port.meters import Meters, Snapshot
from audio_connector.server.link import Link
from audio_connector.server.load import MIB, resident_mb
from audio_connector.server.log_output import lines_lost
from audio_connector.wire.identity import identity_of, session_of
from audio_connector.wire.quoting import without_secrets
from audio_connector.wire.refusals import STATUS_OF_LIMIT
from audio_connector.wire.transport import Headers

KNOWN_CODES = frozenset(range(1000, 1016))
"""Close codes with a meaning of their own (RFC 6455 7.4.1); a peer may send any of 3,000 more."""

MAX_TEXT = 200
"""Characters of what a peer calls itself: who looks at a thousand calls gets no more of each."""


class IoMeters:
    """Those of one I/O side, on its loop.

    Args:
        links: Its live calls.
        refusals: How many connections were refused, by `wire.refusals.Refusal.name`.
        overruns: How many calls a bound of time or size has ended, by its name.
        clock: Seconds of its monotonic clock.
    """

    def __init__(
        self,
        links: Mapping[int, Link],
        refusals: Callable[[], Mapping[str, int]],
        overruns: Mapping[str, int],
        clock: Callable[[], float],
    ) -> None:
        self.meters = Meters()
        self._links = links
        self._refusals, self._overruns = refusals, overruns
        self._clock = clock

    def note_lag(self, late_s: float) -> None:
        """A timer of the loop was so late."""
        self.meters.observe("loop_lag_seconds", late_s, "sockets")

    def open(self) -> None:
        """A call was opened."""
        self.meters.add("calls_opened")
        self.meters.add("upgrades", 1.0, "101")

    def resume(self) -> None:
        """A router has dialled again."""
        self.meters.add("calls_resumed")
        self.meters.add("upgrades", 1.0, "101")

    def end(self, call: Call, duration_s: float) -> None:
        """A call is over."""
        meters, figures, how = self.meters, call.figures(is_told=False), call.end
        code = how.code if how is not None else None
        label = "none" if code is None else str(code) if code in KNOWN_CODES else "other"
        meters.add("calls_ended", 1.0, how.closed_by if how is not None else "server", label)
        meters.observe("call_seconds", duration_s)
        for name, amount in zip(_OF_CALLS, _counts_of(call, figures), strict=True):
            meters.add(name, amount)
        meters.observe("queued_peak_seconds", call.format.duration_ms(figures.queued_peak_bytes) / 1000)
        meters.observe("intake_age_peak_seconds", figures.intake.age_peak_ms / 1000)

    def snapshot(self, process: str) -> Snapshot:
        """All of it, as of now; some ten microseconds a call."""
        rows = Meters()
        rows.fold(self.meters.snapshot())
        for name, count in self._refusals().items():
            rows.add("upgrades", float(count), STATUS_OF_LIMIT.get(name, name))
            if name in STATUS_OF_LIMIT:
                rows.add("limits_hit", float(count), name)
        for name, count in self._overruns.items():
            rows.add("limits_hit", float(count), name)
        queued_max = delay_max = queued = 0.0
        counts = [0.0] * len(_OF_CALLS)
        now = self._clock()
        for link in self._links.values():
            figures = link.call.figures(is_told=False)
            counts = list(map(add, counts, _counts_of(link.call, figures)))
            queued_s = figures.progress.queued_ms_at(now) / 1000
            queued += queued_s
            queued_max = max(queued_max, queued_s)
            delay_max = max(delay_max, queued_s + figures.progress.in_flight_ms(now) / 1000)
        for name, amount in zip(_OF_CALLS, counts, strict=True):
            rows.add(name, amount)
        made = {
            "calls": float(len(self._links)),
            "queued_seconds": queued,
            "queued_seconds_max": queued_max,
            "delay_seconds_max": delay_max,
        }
        return [
            *rows.snapshot(),
            *((name, (), value) for name, value in made.items()),
            *of_this_process(process),
        ]


def calls_of(links: Iterable[Link], now: float) -> list[dict[str, Any]]:
    """The live calls as plain values, for who looks at them; what a peer wrote is cut, and else as it came."""
    return [_row_of(link, now) for link in links]


def of_this_process(name: str) -> Snapshot:
    """Its memory, its CPU time, and what was lost of its log."""
    return [
        ("process_resident_bytes", (name,), resident_mb() * MIB),
        ("process_cpu_seconds", (name,), time.process_time()),
        ("log_lines_lost", (name,), float(lines_lost())),
    ]


def port_rows(direction: str, batches: int, messages: int) -> Snapshot:
    """How much has crossed between the two sides."""
    return [
        ("port_batches", (direction,), float(batches)),
        ("port_messages", (direction,), float(messages)),
    ]


_OF_CALLS = (
    "audio_received_seconds",
    "audio_received_messages",
    "text_received_messages",
    "audio_sent_seconds",
    "audio_sent_messages",
    "text_sent_messages",
    "underruns",
    "underrun_seconds",
    "skipped_seconds",
    "unsent_seconds",
    "stalls",
    "dropped_seconds",
    "dropped_messages",
    "overflows",
    "unwanted_messages",
    "odd_messages",
    "unreadable_messages",
    "calls_moved",
)
"""What a call counts itself, in the order of `_counts_of`."""


def _counts_of(call: Call, figures: tells.Figures) -> tuple[float, ...]:
    """In one go: it is asked of all calls at once, on the loop of their sockets."""
    intake, ms = figures.intake, call.format.duration_ms
    return (
        ms(intake.audio_bytes) / 1000,
        intake.audio_messages,
        intake.text_messages,
        figures.audio_messages_sent * FRAME_MS / 1000,
        figures.audio_messages_sent,
        figures.text_messages_sent,
        figures.underruns,
        figures.underrun_ms / 1000,
        figures.skipped_ms / 1000,
        figures.unsent_ms / 1000,
        figures.stalls,
        ms(intake.dropped_bytes) / 1000,
        intake.dropped_messages,
        intake.overflow_episodes,
        intake.unwanted_messages,
        figures.odd_messages,
        figures.unreadable_messages,
        call.takeovers,
    )


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:MAX_TEXT]


def _row_of(link: Link, now: float) -> dict[str, Any]:
    call, ms, upgrade = link.call, link.call.format.duration_ms, link.call.upgrade
    headers = Headers() if upgrade is None else upgrade.headers
    figures = call.figures(is_told=False)
    return {
        "number": link.id,
        "worker": getattr(link.owner, "number", None),
        "state": call.state.name.lower(),
        "remote": None if upgrade is None else upgrade.remote_address[0],
        "path": None if upgrade is None else without_secrets(upgrade.path)[:MAX_TEXT],
        "id": _cut(headers.get("connectionid") or identity_of("connection", headers, call.first_message)),
        "session": None if upgrade is None else _cut(session_of(upgrade, call.first_message)),
        "rate_hz": call.format.rate_hz,
        "age_s": now - link.opened_at,
        "is_active": figures.is_active,
        "received_s": ms(figures.intake.audio_bytes) / 1000,
        "sent_s": figures.audio_messages_sent * FRAME_MS / 1000,
        "queued_ms": figures.progress.queued_ms_at(now),
        "in_flight_ms": figures.progress.in_flight_ms(now),
        "played_ms": figures.progress.played_ms(now),
        "underruns": figures.underruns,
        "dropped_ms": ms(figures.intake.dropped_bytes),
        "age_peak_ms": figures.intake.age_peak_ms,
        "round_trip_ms": figures.round_trip_ms,
    }
