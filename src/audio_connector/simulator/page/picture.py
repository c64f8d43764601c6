# SPDX-License-Identifier: Apache-2.0
"""One call over time as SVG: both waveforms, the router's buffer, answers, barge-ins and events on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, get_args

from audio_connector.simulator.page import lanes
from audio_connector.simulator.page.axis import LEVELS_PX, TimeAxis, nice_top
from audio_connector.simulator.page.outline import depth_path, peak_of, wave_path
from audio_connector.simulator.page.shapes import ROW_PX, Row
from audio_connector.simulator.page.text import attribute
from audio_connector.simulator.summary import counted
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Source, Trace, Turn

GUTTER_PX: Final = 86
"""Room for the names of the rows, left of them; `page.css` has the same number."""

_WAVE_PX: Final = 84
_DEPTH_PX: Final = 72
_GAP_PX: Final = 10
_TICKS_PX: Final = 44
_LEAST_TOP: Final = 0.05
"""A waveform's axis ends at 5 % of full scale at least: below is noise, which should look like it."""
_LEAST_DEPTH_MS: Final = 100
_SECONDS_FROM_MS: Final = 1000


@dataclass(slots=True)
class _Drawing:
    """The two halves of a picture: the names at the left, and what they name."""

    names: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)

    def name(self, text: str, y: float, kind: str = "") -> None:
        """Write beside a row."""
        self.names.append(f'<text class="{kind}" x="{GUTTER_PX - 8}" y="{y + 4:g}">{text}</text>')


class Course(Protocol):
    """What is drawn of a call beside its trace: a report has it, and a recording."""

    @property
    def duration_s(self) -> float: ...  # noqa: D102 - as in `CallReport`, like those that follow
    @property
    def turns(self) -> Sequence[Turn]: ...  # noqa: D102
    @property
    def barge_ins(self) -> Sequence[BargeIn]: ...  # noqa: D102
    @property
    def transcript(self) -> Sequence[TranscriptLine]: ...  # noqa: D102


def draw_call(report: Course, trace: Trace, *, label: str, columns: int, is_recorded: bool = False) -> str:
    """Draw a call.

    Args:
        report: The call.
        trace: Its course over time.
        label: What the call is called.
        columns: Most columns of a waveform; about the pixels that the picture is wide.
        is_recorded: It was recorded at the server, where nobody sees the router's buffer, nor the participant.
    """
    axis = TimeAxis(_duration_s(report, trace))
    drawing = _Drawing()
    heard = _draw_sides(drawing, axis, report, trace, columns)
    if is_recorded:
        drawing.rows.append(lanes.losses(heard, heard, trace))
        y = heard.bottom + _GAP_PX
    else:
        y = _draw_depth(drawing, heard, trace, columns) + _GAP_PX
    for source in get_args(Source)[is_recorded:]:
        row = Row(axis, y)
        drawing.rows.append(
            lanes.marks(row, [event for event in trace.events if event.source == source], source)
        )
        drawing.name(source, row.middle)
        y = row.bottom
    height = f'height="{y + _TICKS_PX:g}"'
    ticks = _ticks(axis, y, "beginning of the recording" if is_recorded else "connection")
    return (
        f'<div class="picture"><svg class="names" width="{GUTTER_PX}" {height} aria-hidden="true">'
        f'{"".join(drawing.names)}</svg><div class="scroll"><div class="time">'
        f'<svg class="rows" width="100%" {height} role="img" data-duration="{axis.duration_s:.3f}" '
        f'aria-label="{attribute(_described(label, axis, report, trace, is_recorded=is_recorded))}">'
        f"{ticks}{''.join(drawing.rows)}</svg></div></div></div>"
    )


def _draw_sides(drawing: _Drawing, axis: TimeAxis, report: Course, trace: Trace, columns: int) -> Row:
    """Both waveforms, and between them what the one has to do with the other; returns the row of the second."""
    # One scale for both: a bot that is too quiet has to look quiet.
    top = min(1.0, nice_top(100 * max(peak_of(trace.spoken), peak_of(trace.heard)), 100 * _LEAST_TOP) / 100)
    spoken = Row(axis, 6, _WAVE_PX)
    said = [line for line in report.transcript if line.who == "participant"]
    understood = [line for line in report.transcript if line.who == "bot"]
    words_px = ROW_PX if report.transcript else 0.0
    turns = Row(axis, spoken.bottom + words_px + _GAP_PX / 2)
    barge_ins = Row(axis, turns.bottom)
    heard = Row(axis, barge_ins.bottom + words_px + _GAP_PX / 2, _WAVE_PX)
    across = Row(axis, spoken.top, heard.bottom - spoken.top)
    drawing.rows += [
        lanes.barge_ins(barge_ins, across, report.barge_ins),
        lanes.wave(spoken, wave_path(trace.spoken, top=top, columns=columns), "spoken", "nothing was said"),
        lanes.answers(turns, report.turns),
        lanes.wave(heard, wave_path(trace.heard, top=top, columns=columns), "heard", "the bot said nothing"),
        lanes.lines(Row(axis, spoken.bottom), said, "spoken"),
        lanes.lines(Row(axis, barge_ins.bottom + _GAP_PX / 2), understood, "heard"),
    ]
    for row, name in ((spoken, "spoken"), (heard, "heard")):
        drawing.name(name, row.middle, name)
        drawing.name(f"{100 * top:g} %", row.top + 4, "tick")
        drawing.name(f"\N{MINUS SIGN}{100 * top:g} %", row.bottom - 4, "tick")
    drawing.name("answers", turns.middle)
    drawing.name("barge-ins", barge_ins.middle)
    return heard


def _draw_depth(drawing: _Drawing, heard: Row, trace: Trace, columns: int) -> float:
    """The router's buffer, and underruns and overflows; returns the bottom."""
    row = Row(heard.axis, heard.bottom + 2 * _GAP_PX, _DEPTH_PX)
    across = Row(heard.axis, heard.top, row.bottom - heard.top)
    top = nice_top(max(trace.depth_ms.values, default=0.0), _LEAST_DEPTH_MS)
    drawn = depth_path(trace.depth_ms, top=top, columns=columns)
    drawing.rows += [
        row.line(row.top, "edge"),
        lanes.depth(row, drawn, "nothing waited in the router"),
        lanes.losses(row, across, trace),
    ]
    drawing.name("buffer", row.middle, "depth")
    drawing.name(f"{top / 1000:g} s" if top >= _SECONDS_FROM_MS else f"{top:g} ms", row.top + 2, "tick")
    drawing.name("0", row.bottom - 2, "tick")
    return row.bottom


def _ticks(axis: TimeAxis, bottom: float, origin: str) -> str:
    """The ticks of every level; the style sheet shows those of one."""
    parts = [f'<line class="axis" x2="100%" y1="{bottom + 4:g}" y2="{bottom + 4:g}"/>']
    for level in range(len(LEVELS_PX)):
        lines, texts = [], []
        for at_s, text in axis.ticks(level):
            x = axis.x(at_s)
            lines.append(f'<line x1="{x}" x2="{x}" y2="{bottom + 8:g}"/>')
            texts.append(f'<text x="{x}" y="{bottom + 22:g}">{text}</text>')
        parts.append(f'<g class="ticks t{level}">{"".join(lines)}{"".join(texts)}</g>')
    parts.append(f'<text class="caption" y="{bottom + 38:g}">{axis.unit} since the {origin}</text>')
    return "".join(parts)


def _duration_s(report: Course, trace: Trace) -> float:
    """The end of the last thing that is drawn, and never 0."""
    last_event_s = max((event.at_s for event in trace.events), default=0.0)
    # The last bin of a recording may end after the call; that is no reason for a longer axis.
    sides = [(len(side.peaks) - 1) * side.bin_s for side in (trace.spoken, trace.heard)]
    return max(report.duration_s, last_event_s, *sides, 0.02)


def _described(label: str, axis: TimeAxis, report: Course, trace: Trace, *, is_recorded: bool) -> str:
    buffer = "" if is_recorded else "the router's buffer, "
    return (
        f"{label} over {axis.duration_s:.1f} seconds: what was spoken, what was heard, {buffer}"
        f"{counted(len(report.turns), 'answer')}, {counted(len(report.barge_ins), 'barge-in')}, "
        f"{counted(len(trace.events), 'event')}; tables follow"
    )
