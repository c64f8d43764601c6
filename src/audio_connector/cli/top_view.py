# SPDX-License-Identifier: Apache-2.0
"""What ``audio-connector top`` shows: figures of the whole, and a line for each call, as wide as there is room.

What a peer wrote is escaped: a terminal does what some bytes say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from audio_connector.port.meters import LAG_S, Found, Labels
from audio_connector.port.meters import Sample as Value
from audio_connector.wire.quoting import printable

SORTS: Mapping[str, str] = {
    "age": "age_s",
    "in": "received_s",
    "out": "sent_s",
    "queue": "queued_ms",
    "delay": "delay_ms",
    "underruns": "underruns",
    "dropped": "dropped_ms",
    "round-trip": "round_trip_ms",
}
"""What calls are put in order by, most first, and where it is found."""

_ID_COLUMNS, _REMOTE_COLUMNS = 12, 15
_MORE_COLUMNS = 24  # of an IPv6 address, where there is room
_OTHER_LINES = 5  # two of figures, an empty one, the head, and that there are more
_SECONDS_FROM_MS = 10_000
_MOST_LAG_S = LAG_S[-2]
_MINUTE_S, _HOUR_S = 60, 3600
_NOT_REFUSED = ("101", "probe")
_STYLES = {"lost": "red", "held": "yellow", "closing": "dim", "muted": "dim"}


class Sample(NamedTuple):
    """What a server has told, and when."""

    at: float
    version: str
    found: Found


class _Column(NamedTuple):
    title: str
    width: int
    text: Callable[[dict[str, Any]], str | Text]
    is_number: bool = True


def _number(call: dict[str, Any], key: str) -> float:
    value = call.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _peers(value: object, width: int) -> str:
    """A text of a peer; of a long one the end, by which numbers that are made in a row differ."""
    text = "-" if value is None else printable(str(value))
    return text if len(text) <= width else f"…{text[1 - width :]}"


def _id_of(call: dict[str, Any]) -> str:
    return _peers(call.get("id") or f"{int(_number(call, 'number')):012x}", _ID_COLUMNS)


def _state(call: dict[str, Any]) -> Text:
    state = printable(str(call.get("state")), 9)
    if state == "open" and not call.get("is_active", True):
        state = "muted"
    return Text(state, style=_STYLES.get(state, ""))


def _ms(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda call: "-" if call.get(key) is None else duration_of(_number(call, key))


def _fault(text: str, is_one: bool) -> Text:
    return Text(text, style="yellow" if is_one else "dim")


_COLUMNS = {
    "id": _Column("id", _ID_COLUMNS, _id_of, is_number=False),
    "remote": _Column(
        "remote",
        _REMOTE_COLUMNS,
        lambda call: _peers(call.get("remote"), _REMOTE_COLUMNS + _MORE_COLUMNS),
        is_number=False,
    ),
    "session": _Column("session", 12, lambda call: _peers(call.get("session"), 12), is_number=False),
    "worker": _Column("worker", 6, lambda call: _peers(call.get("worker"), 6)),
    "rate": _Column("rate", 6, lambda call: f"{_number(call, 'rate_hz') / 1000:g} kHz"),
    "age": _Column("age", 7, lambda call: clock_of(_number(call, "age_s"))),
    "state": _Column("state", 9, _state, is_number=False),
    "in": _Column("in", 7, lambda call: clock_of(_number(call, "received_s"))),
    "out": _Column("out", 7, lambda call: clock_of(_number(call, "sent_s"))),
    "queue": _Column("queue", 7, _ms("queued_ms")),
    "delay": _Column("delay", 7, _ms("delay_ms")),
    "underruns": _Column(
        "underruns",
        9,
        lambda call: _fault(f"{_number(call, 'underruns'):.0f}", bool(_number(call, "underruns"))),
    ),
    "dropped": _Column(
        "dropped",
        7,
        lambda call: _fault(duration_of(_number(call, "dropped_ms")), bool(_number(call, "dropped_ms"))),
    ),
    "round trip": _Column("round trip", 10, _ms("round_trip_ms")),
}
"""In their order."""

_MOST_WANTED = (
    "id", "age", "state", "queue", "delay", "underruns", "dropped", "remote", "rate", "worker", "round trip", "in",
    "out", "session",
)  # fmt: skip
"""Where there is not room for all."""


def view(
    before: Sample,
    now: Sample,
    url: str,
    *,
    sort: str = "age",
    width: int = 80,
    height: int | None = None,
    trouble: str = "",
) -> RenderableType:
    """Return a picture.

    Args:
        before: What was told a while ago.
        now: What was told last.
        url: By whom.
        sort: One of `SORTS`.
        width: Columns that there are.
        height: Lines that there are; None for as many as it takes.
        trouble: Why nothing newer was told.
    """
    calls = sorted(map(_with_delay, now.found.calls), key=lambda call: -_number(call, SORTS[sort]))
    room = len(calls) if height is None else max(1, height - _OTHER_LINES - bool(trouble))
    shown = calls[:room]
    lines: list[RenderableType] = [_headline(figures_of(before, now), width), _totals(now, url, width)]
    if trouble:
        lines.append(Text(f"no answer {printable(trouble)}", style="red", no_wrap=True, overflow="ellipsis"))
    lines += [Text(), _table(shown, width)]
    if len(calls) > len(shown):
        lines.append(Text(f"and {len(calls) - len(shown)} more calls", style="dim"))
    elif not calls:
        lines.append(Text("no call is open", style="dim"))
    return Group(*lines)


def figures_of(before: Sample, now: Sample) -> dict[str, float | None]:
    """The whole in a few figures; those of CPU and lag of the time between the two, None where nothing is known."""
    rows, old = _by_key(now.found), _by_key(before.found)
    passed_s = now.at - before.at
    cpu_s = 0.0
    for key, value in rows.items():
        if key[0] == "process_cpu_seconds" and key in old:
            cpu_s += _value(value) - _value(old[key])
    return {
        "calls": _sum(rows, "calls"),
        "parked": _sum(rows, "calls_parked"),
        "ready": _sum(rows, "ready"),
        "io_processes": _sum(rows, "io_processes"),
        "workers": _sum(rows, "workers"),
        "lag_sockets_s": _lag_s(rows, old, "sockets"),
        "lag_application_s": _lag_s(rows, old, "application"),
        "waiting_s": _sum(rows, "port_lag_seconds_max"),
        "cpu_percent": 100 * cpu_s / passed_s if passed_s > 0 else None,
        "memory_bytes": _sum(rows, "process_resident_bytes"),
        "opened": _sum(rows, "calls_opened"),
        "refused": sum(
            _value(value)
            for (name, labels), value in rows.items()
            if name == "upgrades" and labels[0] not in _NOT_REFUSED
        ),
        "underruns": _sum(rows, "underruns"),
        "dropped_s": _sum(rows, "dropped_seconds"),
        "errors": _sum(rows, "errors"),
    }


def duration_of(ms: float) -> str:
    """In at most seven characters, up to a day."""
    return f"{ms:.0f} ms" if ms < _SECONDS_FROM_MS else f"{ms / 1000:.0f} s"


def clock_of(seconds: float) -> str:
    """Minutes and seconds, with hours before them where there are any."""
    whole = int(seconds)
    minutes = f"{whole // _MINUTE_S % _MINUTE_S:02d}:{whole % _MINUTE_S:02d}"
    return f"{whole // _HOUR_S}:{minutes}" if whole >= _HOUR_S else minutes


def _with_delay(call: dict[str, Any]) -> dict[str, Any]:
    return {**call, "delay_ms": _number(call, "queued_ms") + _number(call, "in_flight_ms")}


def _headline(figures: Mapping[str, float | None], width: int) -> Text:
    def told(key: str, per: float = 1.0) -> str:
        value = figures[key]
        return "-" if value is None else f"{value / per:.0f}"

    is_ready = figures["ready"] == figures["io_processes"] and bool(figures["workers"])
    parts = [
        Text(f"calls {told('calls')}", style="bold"),
        Text(f"parked {told('parked')}", style="yellow") if figures["parked"] else Text(),
        Text(f"ready {told('ready')}/{told('io_processes')}", style="green" if is_ready else "red"),
        Text(f"workers {told('workers')}"),
        Text(f"lag {_at_most(figures['lag_sockets_s'])}"),
        Text(f"cpu {told('cpu_percent')} %"),
        Text(f"mem {told('memory_bytes', 1 << 20)} MiB"),
    ]
    if figures["lag_application_s"] is not None:
        parts.insert(5, Text(f"app {_at_most(figures['lag_application_s'])}"))
    return _fitting([part for part in parts if part], width)


def _fitting(parts: list[Text], width: int) -> Text:
    """One line; closer together, and then without the last parts, where there is little room."""
    line = Text("   ").join(parts)
    while line.cell_len > width and parts:
        line = Text("  ").join(parts)
        parts = parts[:-1]
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _totals(now: Sample, url: str, width: int) -> Text:
    figures = figures_of(now, now)
    text = (
        f"so far: opened {figures['opened']:.0f}, refused {figures['refused']:.0f}, "
        f"underruns {figures['underruns']:.0f}, dropped {figures['dropped_s']:.1f} s, errors {figures['errors']:.0f}"
    )
    source = f"   {printable(url)} {printable(now.version, 20)}"
    line = Text(text, no_wrap=True, overflow="ellipsis")
    return line.append(source, style="dim") if len(text) + len(source) <= width else line


def _at_most(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds > _MOST_LAG_S:
        return f"over {_MOST_LAG_S:g} s"
    return f"≤{duration_of(1000 * seconds)}"


def _table(calls: list[dict[str, Any]], width: int) -> Table:
    names = _names_for(width)
    left = width + 1 - sum(_COLUMNS[name].width + 1 for name in names)
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="reverse")
    for name in names:
        column = _COLUMNS[name]
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            width=column.width + (min(left, _MORE_COLUMNS) if name == "remote" else 0),
            no_wrap=True,
            overflow="ellipsis",
        )
    for call in calls:
        cells = (_COLUMNS[name].text(call) for name in names)
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in cells))
    return table


def _names_for(width: int) -> list[str]:
    left, chosen = width + 1, {"id"}
    for name in _MOST_WANTED:
        left -= _COLUMNS[name].width + 1
        if left < 0:
            break
        chosen.add(name)
    return [name for name in _COLUMNS if name in chosen]


_Rows = Mapping[tuple[str, Labels], Value]


def _by_key(found: Found) -> _Rows:
    return {(name, labels): value for name, labels, value in found.snapshot}


def _value(value: Value) -> float:
    return sum(value[:-1]) if isinstance(value, list) else value


def _sum(rows: _Rows, wanted: str) -> float:
    return sum(_value(value) for (name, _), value in rows.items() if name == wanted)


def _lag_s(rows: _Rows, old: _Rows, side: str) -> float | None:
    """The bound that every timer since then has kept, or the last one; None where there was none."""
    key = "loop_lag_seconds", (side,)
    now, before = rows.get(key), old.get(key)
    if not isinstance(now, list):
        return None
    counts = now[:-1]
    if isinstance(before, list):
        counts = [count - was for count, was in zip(counts, before[:-1], strict=True)]
    bounds = (*LAG_S, LAG_S[-1])
    return max((bound for bound, count in zip(bounds, counts, strict=True) if count > 0), default=None)
