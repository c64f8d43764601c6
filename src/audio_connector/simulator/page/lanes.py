# SPDX-License-Identifier: Apache-2.0
"""The rows of a picture; see `axis` for what stands where in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from audio_connector.simulator.page.axis import Place
from audio_connector.simulator.page.outline import HALF, HEIGHT, Drawn
from audio_connector.simulator.page.shapes import Row, titled
from audio_connector.simulator.page.text import at, milliseconds
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Trace, TraceEvent, Turn

OVERFLOW: Final = "overflow"
"""The name of the event that is drawn across what was heard and what waited, as underruns are."""

FAULTS: Final = ("underrun", OVERFLOW, "wrong size", "bad audio", "drop", "handler error", "abnormal close")
"""The events whose marks are red."""

_LINES_OF_MARK: Final = 6
_NAME: Final = 28
_WORDS: Final = 24
_SHORT_DETAIL: Final = 8
_LONG_BAR: Final = 0.03

_Thing = tuple[float, float, str]


def wave(row: Row, drawn: Drawn, kind: str, empty: str) -> str:
    """A waveform."""
    return row.line(row.middle, "zero") + (row.path(drawn, kind, 2 * HALF) if drawn.d else row.empty(empty))


def depth(row: Row, drawn: Drawn, empty: str) -> str:
    """How much waited."""
    return row.line(row.bottom, "zero") + (row.path(drawn, "depth", HEIGHT) if drawn.d else row.empty(empty))


def answers(row: Row, turns: Sequence[Turn]) -> str:
    """A bar from each end of speech to the first sound of the answer."""
    groups = row.together(turns, lambda turn: turn.speech_end_s)
    slowest = [max(group, key=lambda turn: turn.latency_ms) for group in groups]
    things = [(turn.speech_end_s, turn.reply_at_s, milliseconds(turn.latency_ms)) for turn in slowest]
    parts = [
        _answer(row, thing, place, len(group))
        for thing, place, group in zip(things, row.places(things), groups, strict=True)
    ]
    return "".join(parts) or row.empty("no answer")


def _answer(row: Row, thing: _Thing, place: Place, count: int) -> str:
    begin_s, end_s, text = thing
    told = [f"{at(begin_s)} · answered after {text}"]
    if count > 1:
        told.append(f"the slowest of {count} answers here")
    return titled(
        "answer",
        end_s,
        told,
        row.bar(begin_s, end_s, "bar", 6),
        row.tick(begin_s, "end", 10),
        row.tick(end_s, "end", 10),
        row.label(thing, place),
    )


def barge_ins(row: Row, across: Row, found: Sequence[BargeIn]) -> str:
    """A bar from the first word to the clear, and one from the clear to silence.

    Args:
        row: The row.
        across: The rows that a barge-in touches: what was spoken, and what was heard.
        found: The barge-ins.
    """
    groups = row.together(found, lambda barge_in: span_of(barge_in)[0])
    longest = [max(group, key=lambda barge_in: span_of(barge_in)[1]) for group in groups]
    things = [(*span_of(barge_in), latencies(barge_in)) for barge_in in longest]
    parts = [
        _barge_in(row, across, barge_in, (thing, place), len(group))
        for barge_in, thing, place, group in zip(longest, things, row.places(things), groups, strict=True)
    ]
    return "".join(parts) or row.empty("no barge-in")


def _barge_in(row: Row, across: Row, barge_in: BargeIn, where: tuple[_Thing, Place], count: int) -> str:
    begin_s, end_s, _ = where[0]
    clear_s = barge_in.clear_at_s
    told = [told_barge_in(barge_in)]
    if count > 1:
        told.append(f"the longest of {count} barge-ins here")
    shapes = [across.bar(begin_s, end_s, "band")]
    shapes.append(row.bar(begin_s, end_s if clear_s is None else clear_s, "speech", 8))
    if clear_s is not None:
        shapes += [across.tick(clear_s, "across"), row.bar(clear_s, end_s, "silence", 8)]
    shapes += [row.tick(begin_s if clear_s is None else clear_s, "end", 14), row.label(*where)]
    return titled("barge-in", begin_s if clear_s is None else clear_s, told, *shapes)


def lines(row: Row, said: Sequence[TranscriptLine], kind: str) -> str:
    """What one side said: a bar for each line, with its first words where there is room."""
    groups = row.together(said, lambda line: line.at_s)
    # A label begins with its bar, and has the room to the next one.
    things = [(group[0].at_s, group[0].at_s, _first_words(group)) for group in groups]
    parts = []
    for group, thing, place in zip(groups, things, row.places(things), strict=True):
        told = [f"{at(line.at_s)} · {line.who}: {line.text}" for line in group[:_LINES_OF_MARK]]
        bar = row.bar(group[0].at_s, max(line.end_s for line in group), "bar", 16)
        parts.append(titled(f"line {kind}", group[0].at_s, told, bar, row.label(thing, place)))
    return "".join(parts)


def _first_words(group: Sequence[TranscriptLine]) -> str:
    text = " / ".join(line.text for line in group)
    return text if len(text) <= _WORDS else f"{text[:_WORDS].rstrip()}…"


def losses(row: Row, across: Row, trace: Trace) -> str:
    """Underruns and overflows, across what was heard and what waited, with their lengths at the top of the row."""
    holes = [TraceEvent(hole.at_s, "server", "underrun", for_s=hole.for_s) for hole in trace.holes]
    overflows = [event for event in trace.events if event.name == OVERFLOW]
    groups = row.together([*holes, *overflows], lambda event: event.at_s)
    things = [
        (group[0].at_s, max(event.at_s + event.for_s for event in group), _loss_name(group))
        for group in groups
    ]
    parts = []
    for group, thing, place in zip(groups, things, row.places(things), strict=True):
        shapes = [
            across.bar(event.at_s, event.at_s + event.for_s, "band") for event in group[:_LINES_OF_MARK]
        ]
        shapes += [across.tick(group[0].at_s, "across"), row.label(thing, place, row.top + 9)]
        parts.append(titled("fault", group[0].at_s, _told(group), *shapes))
    return "".join(parts)


def _loss_name(group: Sequence[TraceEvent]) -> str:
    first = group[0]
    sum_ms = sum(1000 * event.for_s for event in group)
    count = f"{len(group)} times " if len(group) > 1 else ""
    return f"{count}{first.name} {milliseconds(sum_ms) if sum_ms else ''}".strip()


def marks(row: Row, events: Sequence[TraceEvent], source: str) -> str:
    """What one side did."""
    groups = row.together(events, lambda event: event.at_s)
    lasting = [max(group, key=lambda event: event.at_s + event.for_s) for group in groups]
    things = [_marked(row, group, last) for group, last in zip(groups, lasting, strict=True)]
    parts = []
    for group, last, thing, place in zip(groups, lasting, things, row.places(things), strict=True):
        shapes = [row.bar(last.at_s, last.at_s + last.for_s, "lasts", 5)] if last.for_s > 0 else []
        kind = "fault" if any(event.name in FAULTS for event in group) else source
        parts.append(
            titled(
                f"mark {kind}", thing[0], _told(group), *shapes, row.dot(thing[0]), row.label(thing, place)
            )
        )
    return row.line(row.middle, "lane") + "".join(parts) if parts else row.empty("nothing")


def _marked(row: Row, group: Sequence[TraceEvent], last: TraceEvent) -> _Thing:
    """Where a mark begins and ends; a label stands behind a short bar, and on a long one."""
    begin_s, end_s = group[0].at_s, last.at_s + last.for_s
    is_long = end_s - begin_s > _LONG_BAR * row.axis.duration_s
    return begin_s, begin_s if is_long else end_s, _name(group)


def span_of(barge_in: BargeIn) -> tuple[float, float]:
    """From its first known time to its last; where none is known, the beginning of the call."""
    times = (barge_in.speech_at_s, barge_in.clear_at_s, barge_in.silent_at_s)
    known = [at_s for at_s in times if at_s is not None]
    return (min(known), max(known)) if known else (0.0, 0.0)


def latencies(barge_in: BargeIn) -> str:
    """A barge-in's milliseconds: ``500 + 40 ms``, to the clear and from it to silence."""
    if barge_in.clear_at_s is None:
        to_silence_ms = barge_in.speech_to_silence_ms
        return "no clear" if to_silence_ms is None else f"{milliseconds(to_silence_ms)}, no clear"
    to_clear = ""
    if barge_in.speech_at_s is not None:
        to_clear = f"{1000 * (barge_in.clear_at_s - barge_in.speech_at_s):,.0f} + "
    latency_ms = barge_in.latency_ms
    return f"{to_clear}never silent" if latency_ms is None else f"{to_clear}{milliseconds(latency_ms)}"


def told_barge_in(barge_in: BargeIn) -> str:
    """A barge-in in a line: its times, and its milliseconds."""
    times = (
        ("speech", barge_in.speech_at_s),
        ("clear", barge_in.clear_at_s),
        ("silent", barge_in.silent_at_s),
    )
    parts = [f"{name} at {at(at_s)}" for name, at_s in times if at_s is not None]
    return " · ".join([*parts, latencies(barge_in)])


def told_event(event: TraceEvent) -> str:
    """An event in a line; as it came, not escaped."""
    detail = f" · {event.detail}" if event.detail else ""
    lasted = f" · lasted {milliseconds(1000 * event.for_s)}" if event.for_s else ""
    return f"{at(event.at_s)} · {event.source}: {event.name}{detail}{lasted}"


def _told(group: Sequence[TraceEvent]) -> list[str]:
    lines = [told_event(event) for event in group[:_LINES_OF_MARK]]
    rest = len(group) - len(lines)
    return [*lines, f"… and {rest} more"] if rest else lines


def _name(group: Sequence[TraceEvent]) -> str:
    first = group[0]
    # A key that was pressed, or a number, is worth its room.
    detail = f" {first.detail}" if 0 < len(first.detail) <= _SHORT_DETAIL else ""
    more = f" +{len(group) - 1}" if len(group) > 1 else ""
    return f"{first.name[:_NAME]}{detail}{more}"
