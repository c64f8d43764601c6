# SPDX-License-Identifier: Apache-2.0
"""What is counted of a server: the definitions, the counts of one process, and their sum over several. No I/O.

A count is made where something happens a few times a second at most; what happens with every frame is counted by the
call itself, and read from there when somebody asks. So measuring costs the path of a frame nothing.
"""

from __future__ import annotations

import bisect
import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

MAX_SERIES = 100
"""Of one metric: more kinds share the last one, "other", so that nobody can make more of them than memory holds."""

OTHER = "other"

LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
"""The lead is 0.2 s: what is beyond it is heard."""

ROUND_TRIP_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)

WAIT_S = (0.02, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a frame to the default bounds of what waits, 10 s on the way in and 30 s on the way out."""

DURATION_S = (1.0, 10.0, 60.0, 300.0, 1200.0, 3600.0, 4 * 3600.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One of them.

    Attributes:
        kind: "counter", "gauge" (the sum over processes), "max" (their greatest), "min" (their least, and nothing
            where none has it) or "histogram".
        about: What it is, in a line.
        labels: The names of its labels.
        buckets: Of a histogram: the upper bounds, without infinity.
    """

    kind: Literal["counter", "gauge", "max", "min", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(about: str, *labels: str) -> Metric:
    return Metric("counter", about, labels)


def _gauge(about: str, *labels: str) -> Metric:
    return Metric("gauge", about, labels)


def _max(about: str, *labels: str) -> Metric:
    return Metric("max", about, labels)


def _min(about: str) -> Metric:
    return Metric("min", about)


def _histogram(buckets: tuple[float, ...], about: str, *labels: str) -> Metric:
    return Metric("histogram", about, labels, buckets)


METRICS: dict[str, Metric] = {
    "calls": _gauge("Calls that are open."),
    "calls_opened": _counter("Calls that were opened."),
    "calls_ended": _counter(
        "Calls that have ended, by who ended them and the close code.", "closed_by", "code"
    ),
    "calls_resumed": _counter("Times that a router dialled again for a call that goes on."),
    "calls_moved": _counter("Times that a worker took the call of another one."),
    "calls_parked": _gauge("Calls that wait for a worker."),
    "call_seconds": _histogram(DURATION_S, "How long calls were, in seconds."),
    "upgrades": _counter(
        "Connections by what came of them: 101, the status of a refusal with its kind, timeout, tls, crowded, probe.",
        "outcome",
    ),
    "audio_received_seconds": _counter("Audio of the routers, in seconds."),
    "audio_received_messages": _counter("Audio of the routers, in messages."),
    "text_received_messages": _counter("Texts of the routers."),
    "audio_sent_seconds": _counter("Audio sent to the routers, in seconds."),
    "audio_sent_messages": _counter("Audio sent to the routers, in frames."),
    "text_sent_messages": _counter("Texts sent to the routers."),
    "underruns": _counter("Gaps in the middle of an utterance: the application was too slow."),
    "underrun_seconds": _counter("Their duration, in seconds."),
    "skipped_seconds": _counter("Audio left out to keep the delay below Playback.max_delay_ms, in seconds."),
    "unsent_seconds": _counter("Audio that waited to be sent when its call ended, in seconds."),
    "stalls": _counter("Times that a router did not read."),
    "dropped_seconds": _counter("Audio dropped because the application was slow, in seconds."),
    "dropped_messages": _counter("The same in messages."),
    "overflows": _counter("Times that this dropping began."),
    "unwanted_messages": _counter("Messages that nobody had asked for."),
    "odd_messages": _counter("Messages of audio that were not exactly one frame."),
    "unreadable_messages": _counter("Texts that should have been audio in JSON and were not."),
    "queued_seconds": _gauge("Audio that waits to be sent, of all calls, in seconds."),
    "queued_seconds_max": _max("The same of the call with most."),
    "delay_seconds_max": _max(
        "What is written now is heard so much later, of the call with most, in seconds."
    ),
    "queued_peak_seconds": _histogram(
        WAIT_S, "Most audio that waited to be sent in a call, at its end, in seconds."
    ),
    "intake_age_peak_seconds": _histogram(
        WAIT_S, "Longest that a message waited for the application in a call, at its end, in seconds."
    ),
    "round_trip_seconds": _histogram(ROUND_TRIP_S, "From a ping to its answer, in seconds."),
    "barge_in_seconds": _histogram(
        LAG_S, "From the application's flush to its answer, when the router has been told, in seconds."
    ),
    "speeches": _counter("Speeches by how they ended: played or interrupted.", "outcome"),
    "loop_lag_seconds": _histogram(LAG_S, "How late a timer was on an event loop, in seconds.", "side"),
    "loop_blocked_seconds": _counter(
        "Time that the application's event loop was blocked for 0.5 s or more (gc: 0.2 s), by cause.", "cause"
    ),
    "port_batches": _counter("Batches of messages between the sockets and the application.", "direction"),
    "port_messages": _counter("Messages in them.", "direction"),
    "port_waiting_messages": _gauge("Messages that the application has not taken."),
    "port_lag_seconds_max": _max("How long the oldest of them has waited, in seconds."),
    "errors": _counter("Errors told to on_error or the log, by their class.", "kind"),
    "limits_hit": _counter(
        "Times that a setting of Limits or Timeouts refused or ended a call, by its name.", "limit"
    ),
    "workers": _gauge("Application processes that take calls."),
    "ready": _gauge("Processes with sockets that take calls."),
    "io_processes": _gauge("Processes with sockets."),
    "certificate_expires_timestamp_seconds": _min(
        "When the certificate of Tls ends, in seconds since 1970; not there without one."
    ),
    "process_resident_bytes": _gauge("Memory in use, by process.", "process"),
    "process_cpu_seconds": _counter("CPU time, by process.", "process"),
    "log_lines_lost": _counter("Lines of the log that nobody took, by process.", "process"),
}
"""By name, without the prefix of the library, and without what Prometheus appends."""

Labels = tuple[str, ...]
Sample = float | list[float]
"""Of a histogram: the count of each bucket, that beyond the last included, and the sum of all values."""

Snapshot = list[tuple[str, Labels, Sample]]
"""Counts at one time, as plain values: name, labels, sample."""


class Meters:
    """The counts of one process, or of one side of it; from any thread.

    An application has several: a speech ends in that of the I/O side, and flushes come from any loop.
    """

    def __init__(self) -> None:
        # Else a thread that was held up amid a count would write an old one, and a counter that drops is read as a
        # restart. The same thread may come again amid one, by a finalizer.
        self._lock = threading.RLock()
        self._samples: dict[tuple[str, Labels], Sample] = {}
        self._series: dict[str, int] = {}

    def add(self, name: str, amount: float = 1.0, *labels: str) -> None:
        """Count up."""
        with self._lock:
            key = self._key(name, labels)
            value = self._samples.get(key, 0.0)
            assert not isinstance(value, list)
            self._samples[key] = value + amount

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Note one value of a histogram."""
        buckets = METRICS[name].buckets
        with self._lock:
            key = self._key(name, labels)
            counts = self._samples.get(key)
            if not isinstance(counts, list):
                counts = self._samples[key] = [0.0] * (len(buckets) + 2)
            counts[bisect.bisect_left(buckets, value)] += 1
            counts[-1] += value

    def snapshot(self) -> Snapshot:
        """Those of now."""
        with self._lock:
            return [
                (name, labels, list(sample) if isinstance(sample, list) else sample)
                for (name, labels), sample in list(self._samples.items())
            ]

    def fold(self, snapshot: Snapshot) -> None:
        """Take over the counts of what has ended; what it was at the time (gauges), or as a process, ends with it."""
        for name, labels, sample in snapshot:
            metric = METRICS[name]
            if metric.kind in ("counter", "histogram") and "process" not in metric.labels:
                key = self._key(name, labels)
                before = self._samples.get(key)
                whole = sample if before is None else _plus(name, before, sample)
                self._samples[key] = list(whole) if isinstance(whole, list) else whole

    def _key(self, name: str, labels: Labels) -> tuple[str, Labels]:
        key = name, labels
        if key not in self._samples and labels:
            count = self._series.get(name, 0)
            if count >= MAX_SERIES:
                return name, (OTHER,) * len(labels)
            self._series[name] = count + 1
        return key


class Found(NamedTuple):
    """What one process or several tell of themselves; crosses as JSON.

    Attributes:
        snapshot: What they have counted.
        calls: Their live calls as plain values, where those were asked for.
    """

    snapshot: Snapshot
    calls: Sequence[dict[str, Any]] = ()

    def as_json(self) -> str:
        """For another process."""
        return json.dumps(self)


def read_found(text: str) -> Found | None:
    """Read what another process has found; None where that is none."""
    try:
        return found_of(json.loads(text))
    except ValueError:
        return None


def found_of(value: Any) -> Found | None:  # noqa: ANN401 - what another process has said
    """The same of plain values; what this version does not know is left out."""
    match value:
        case [[*rows], [*calls]]:
            known = [row for row in map(_row_of, rows) if row]
            return Found(known, [call for call in calls if isinstance(call, dict)])
    return None


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """The sum over several processes."""
    samples: dict[tuple[str, Labels], Sample] = {}
    for snapshot in snapshots:
        for name, labels, sample in snapshot:
            before = samples.get((name, labels))
            samples[name, labels] = sample if before is None else _plus(name, before, sample)
    return [(name, labels, sample) for (name, labels), sample in samples.items()]


def _plus(name: str, one: Sample, other: Sample) -> Sample:
    if isinstance(one, list) and isinstance(other, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    assert not isinstance(one, list)
    assert not isinstance(other, list)
    kind = METRICS[name].kind
    return max(one, other) if kind == "max" else min(one, other) if kind == "min" else one + other


def _row_of(row: Any) -> tuple[str, Labels, Sample] | None:  # noqa: ANN401 - what another process has said
    match row:
        case [str(name), [*labels], sample] if (metric := METRICS.get(name)) and len(labels) == len(
            metric.labels
        ):
            numbers = sample if isinstance(sample, list) else [sample]
            wanted = len(metric.buckets) + 2 if metric.buckets else 1
            is_known = isinstance(sample, list) == bool(metric.buckets) and len(numbers) == wanted
            if is_known and all(isinstance(number, float | int) for number in numbers):
                return name, tuple(map(str, labels)), sample
    return None
