# SPDX-License-Identifier: Apache-2.0
"""The figures of a report: one table that the terminal, JSON, the page and the gate all read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, TypeAlias

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.report import CallReport

InSum: TypeAlias = Literal["total", "worst"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure of a call.

    Attributes:
        name: Its name, unit included where it has one; the key in JSON and in ``--fail-on``.
        label: What a person is shown.
        unit: "ms", "s", "bytes", "share" of 1, or "" for a count.
        text: What it is, in a sentence.
        take: Takes it from a report; None where the call has none.
        in_sum: What the figure of many calls is: their total, or that of the worst of them.
        absent: What a person is shown where there is none, of the calls that have none.
        is_fault: Whether anything but 0 is a fault.
        fault: What it is called among the problems of many calls, where `CallReport.problems` has a line for it.
    """

    name: str
    label: str
    unit: str
    text: str
    take: Callable[[CallReport], float | None]
    in_sum: InSum = "total"
    absent: Callable[[Sequence[CallReport]], str] = lambda reports: "none"
    is_fault: bool = False
    fault: str = ""

    def of(self, report: CallReport) -> float | None:
        """The figure of a call, rounded, so that JSON, text and gate agree; None where the call has none."""
        return self._rounded(self.take(report))

    def of_all(self, reports: Iterable[CallReport]) -> float | None:
        """The figure of many calls; None where none of them has one."""
        values = [value for report in reports if (value := self.take(report)) is not None]
        if not values:
            return None
        return self._rounded(sum(values) if self.in_sum == "total" else max(values))

    def shown(self, value: float | None, reports: Sequence[CallReport] = ()) -> str:
        """A value of this figure as a person reads it, with its unit.

        Args:
            value: What `of` or `of_all` said.
            reports: Of which calls, for what there is to say where none has it.
        """
        return self.absent(reports) if value is None else _UNITS[self.unit](value)

    def _rounded(self, value: float | None) -> float | None:
        return value if value is None or isinstance(value, int) else round(value, _DIGITS[self.unit])


def _shown_count(value: float) -> str:
    return f"{value:,.0f}"


def _shown_s(value: float) -> str:
    return f"{value:,.1f} s"


def _shown_ms(value: float) -> str:
    if abs(value) >= _LONG_MS:
        return _shown_s(value / 1000)
    is_whole = abs(value - round(value)) < 1e-6  # noqa: PLR2004 - below is the rounding of floats
    digits = 0 if abs(value) >= _SHORT_MS or is_whole else 1
    return f"{value:,.{digits}f} ms"


def _shown_bytes(value: float) -> str:
    for size, unit in ((1_000_000, "MB"), (1_000, "kB")):
        if value >= 10 * size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:,.0f} bytes"


def _shown_share(value: float) -> str:
    return f"{100 * value:.1f} %"


_SHORT_MS, _LONG_MS = 100, 10_000
_DIGITS: Final[Mapping[str, int]] = {"": 0, "s": 3, "ms": 2, "bytes": 0, "share": 3}
"""Digits after the point that say something: one sample at 24 kHz lasts 0.04 ms."""
_UNITS: Final[Mapping[str, Callable[[float], str]]] = {
    "": _shown_count,
    "s": _shown_s,
    "ms": _shown_ms,
    "bytes": _shown_bytes,
    "share": _shown_share,
}


def _greatest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


_ALL: Final[Sequence[Metric]] = (
    Metric("duration_s", "call", "s", "from the connection to its end", lambda r: r.duration_s, "worst"),
    Metric(
        "audio_sent_ms",
        "audio sent",
        "ms",
        "audio that the router sent, silence included",
        lambda r: float(r.frames_sent * FRAME_MS),
    ),
    Metric(
        "audio_received_ms",
        "audio received",
        "ms",
        "whole frames of audio that the server sent",
        lambda r: float(r.frames_received * FRAME_MS),
    ),
    Metric(
        "first_audio_delay_ms",
        "first answer after",
        "ms",
        "from the first frame of speech sent to the first sound received",
        lambda r: r.first_audio_delay_ms,
        "worst",
        absent=lambda reports: "spoke first" if any(r.spoke_first for r in reports) else "none came",
    ),
    Metric(
        "turn_latency_ms",
        "slowest answer",
        "ms",
        "from the end of the participant's speech to the first sound of the answer, the slowest",
        lambda r: _greatest(turn.latency_ms for turn in r.turns),
        "worst",
        absent=lambda reports: "no answer",
    ),
    Metric(
        "turn_latency_p50_ms",
        "answer, median",
        "ms",
        "the same, of the answer in the middle",
        lambda r: median(turn.latency_ms for turn in r.turns) if r.turns else None,
        "worst",
        absent=lambda reports: "no answer",
    ),
    Metric("turns", "answers", "", "times that the bot answered", lambda r: len(r.turns)),
    Metric(
        "barge_in_ms",
        "clear to silence",
        "ms",
        "from a clear's arrival to silence in the session, the slowest",
        lambda r: _greatest(barge_in.latency_ms for barge_in in r.barge_ins),
        "worst",
        absent=lambda reports: "not seen",
    ),
    Metric(
        "speech_to_silence_ms",
        "speech to silence",
        "ms",
        "from the participant's first word over the bot to silence, the slowest",
        lambda r: _greatest(barge_in.speech_to_silence_ms for barge_in in r.barge_ins),
        "worst",
    ),
    Metric(
        "barge_ins",
        "barge-ins",
        "",
        "times that the bot was spoken over or cleared",
        lambda r: len(r.barge_ins),
    ),
    Metric(
        "stale_ms",
        "stale audio",
        "ms",
        "audio of what was cleared that came after the clear",
        lambda r: r.stale_ms,
    ),
    Metric(
        "underruns",
        "underruns",
        "",
        "holes in the middle of speech",
        lambda r: r.playout.underruns,
        is_fault=True,
        fault="underruns (gaps shorter than a pause)",
    ),
    Metric(
        "underrun_ms",
        "underruns, in sum",
        "ms",
        "how long those holes were",
        lambda r: r.playout.underrun_ms,
        is_fault=True,
    ),
    Metric(
        "overflow_ms",
        "overflows",
        "ms",
        "audio dropped because the router's buffer was full",
        lambda r: r.overflow_ms,
        is_fault=True,
        fault="audio dropped because the playout buffer was full",
    ),
    Metric(
        "unreadable_audio",
        "unreadable audio",
        "",
        "messages of audio that are binary in a call whose audio is JSON, or the other way round",
        lambda r: r.bad_audio_messages + r.json_audio_texts,
        is_fault=True,
        fault="messages of audio in a form that is not this call's",
    ),
    Metric(
        "wrong_sizes",
        "wrong sizes",
        "",
        "messages that were not exactly one frame",
        lambda r: r.playout.wrong_size_messages,
        is_fault=True,
        fault="messages of a wrong size",
    ),
    Metric(
        "wrong_size_bytes",
        "lost by wrong sizes",
        "bytes",
        "audio lost because of a message's size",
        lambda r: r.playout.wrong_size_lost_bytes,
        is_fault=True,
    ),
    Metric(
        "deepest_ms",
        "deepest buffer",
        "ms",
        "the most audio that waited in the router",
        lambda r: r.playout.deepest_ms,
        "worst",
    ),
    Metric(
        "jitter_ms", "jitter", "ms", "mean deviation from a frame per 20 ms", lambda r: r.jitter_ms, "worst"
    ),
    Metric(
        "jitter_peak_ms", "jitter, greatest", "ms", "the greatest of it", lambda r: r.jitter_peak_ms, "worst"
    ),
    Metric(
        "frames_dropped",
        "frames not sent",
        "",
        "frames not sent because the server did not read",
        lambda r: r.frames_dropped,
        is_fault=True,
        fault="frames not sent because the server did not read",
    ),
    Metric(
        "word_errors",
        "word errors",
        "share",
        "wrong words of the bot per word of the reference that it is compared with",
        lambda r: r.word_errors,
        "worst",
        absent=lambda reports: "no reference",
    ),
    Metric(
        "missed",
        "missed words",
        "",
        "words that a step waited for in vain",
        lambda r: len(r.missed),
        is_fault=True,
    ),
    Metric("clears", "clear commands", "", "clear commands received", lambda r: r.clears),
    Metric("notifies", "notify commands", "", "notify commands received", lambda r: r.notifies),
    Metric(
        "reconnects", "reconnects", "", "times that the connection was made again", lambda r: r.reconnects
    ),
    Metric("bytes_sent", "bytes sent", "bytes", "payload of all messages sent", lambda r: r.bytes_sent),
    Metric(
        "bytes_received",
        "bytes received",
        "bytes",
        "payload of all messages received",
        lambda r: r.bytes_received,
    ),
    Metric(
        "problems",
        "problems",
        "",
        "what a listener would have noticed, and what broke, in kinds",
        lambda r: len(r.problems),
        is_fault=True,
    ),
    Metric(
        "own_lateness_ms",
        "simulator's own lateness",
        "ms",
        "how late the simulator itself was; near 20 and above the machine was overloaded",
        lambda r: r.latest_tick_ms,
        "worst",
    ),
)

METRICS: Final = {metric.name: metric for metric in _ALL}
"""Every figure by its name, in the order in which a person is shown them."""


def figures(report: CallReport) -> dict[str, float | None]:
    """Every figure of one call."""
    return {name: metric.of(report) for name, metric in METRICS.items()}


def figures_in_sum(reports: Sequence[CallReport]) -> dict[str, float | None]:
    """Every figure of many calls together."""
    return {name: metric.of_all(reports) for name, metric in METRICS.items()}
