# SPDX-License-Identifier: Apache-2.0
"""Where things stand in a picture whose width nobody knows yet.

Positions are percentages, so that a picture stretches while its texts keep their size. What fits at which width
is decided here for a few widths, the *levels*; the style sheet shows the ticks and the labels of the level that the
picture has room for (container queries), so that texts never overlap and no script is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from unicodedata import east_asian_width

LEVELS_PX: Final = (220, 440, 660, 880, 1320, 2640)
"""From which width on a level is shown; the first one at any width. `page.css` has the same numbers."""

_TICK_PX: Final = 62
_CHARACTER_PX: Final = 6.4
_WIDE_PX: Final = 11.5
_GAP_PX: Final = 8
_STEPS_S: Final = (
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000,
)  # fmt: skip
_ROUND: Final = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """Seconds of a call as percentages of the picture's width."""

    duration_s: float

    def x(self, at_s: float) -> str:
        """A position; what lies outside of the call is at its edge."""
        return percent(min(max(at_s / self.duration_s, 0.0), 1.0))

    def width(self, begin_s: float, end_s: float) -> str:
        """The distance of two positions."""
        share = (min(end_s, self.duration_s) - max(begin_s, 0.0)) / self.duration_s
        return percent(max(share, 0.0))

    def stretch(self, seconds: float) -> str:
        """The width of something that begins with the call; the last bin of a recording may end after the call."""
        return percent(seconds / self.duration_s)

    def step_s(self, level: int) -> float:
        """The distance of two ticks at a level."""
        least_s = self.duration_s * _TICK_PX / LEVELS_PX[level]
        return next((step_s for step_s in _STEPS_S if step_s >= least_s), _STEPS_S[-1])

    def ticks(self, level: int) -> list[tuple[float, str]]:
        """The ticks of a level: time and text."""
        step_s = self.step_s(level)
        count = int(self.duration_s / step_s + 1e-9)
        digits = 2 if step_s < 0.1 else 1 if step_s < 1 else 0  # noqa: PLR2004 - the steps' own digits
        return [
            (number * step_s, tick_text(number * step_s, digits, self.duration_s))
            for number in range(count + 1)
        ]

    @property
    def unit(self) -> str:
        """What the texts of the ticks are, beside their numbers."""
        if self.duration_s >= _HOUR_S:
            return "hours:minutes:seconds"
        return "minutes:seconds" if self.duration_s > 2 * _MINUTE_S else "seconds"


def tick_text(at_s: float, digits: int, duration_s: float) -> str:
    """A tick's text: ``5 s``, ``0.5 s``, ``2:30``, ``1:02:30``; one form for all ticks of an axis."""
    if duration_s <= 2 * _MINUTE_S:
        return f"{at_s:.{digits}f} s"
    minutes, seconds = divmod(at_s, _MINUTE_S)
    width = digits + 3 if digits else 2
    if duration_s < _HOUR_S:
        return f"{minutes:.0f}:{seconds:0{width}.{digits}f}"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:.0f}:{minutes:02.0f}:{seconds:0{width}.{digits}f}"


def percent(share: float) -> str:
    """A share of 1 as a percentage; a thousandth of it is a hundredth of a pixel."""
    return f"{100 * share:.3f}".rstrip("0").rstrip(".") + "%"


def nice_top(greatest: float, least: float) -> float:
    """A round number for the top of an axis: one digit, or 15 or 25, and zeros; at or above both."""
    wanted = max(greatest, least)
    power = 1.0
    while power * 10 <= wanted:
        power *= 10
    return next(power * factor for factor in _ROUND if power * factor >= wanted)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Something in a row: from where to where, in shares of the width, and its text."""

    begin: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label stands, and from which level on there is room for it; None for never."""

    level: int | None
    side: Literal["after", "before"] = "after"


def place_labels(row: Sequence[Labelled]) -> list[Place]:
    """Find for each label of a row, ordered by its beginning, the level from which on it has room.

    A label stands between its own thing and the next one, so that labels can neither cover each other nor a thing;
    the last one may stand before its thing instead.
    """
    places = []
    for index, thing in enumerate(row):
        following = row[index + 1].begin if index + 1 < len(row) else 1.0
        place = Place(_level_with_room(following - thing.end, _width_px(thing.text)))
        if index + 1 == len(row):
            before = _before(row, thing)
            if place.level is None or (before.level is not None and before.level < place.level):
                place = before
        places.append(place)
    return places


def _before(row: Sequence[Labelled], thing: Labelled) -> Place:
    taken_px, previous_end = 0.0, 0.0
    if len(row) > 1:
        previous = row[-2]
        taken_px, previous_end = _width_px(previous.text), previous.end
    return Place(_level_with_room(thing.begin - previous_end, _width_px(thing.text) + taken_px), "before")


def _level_with_room(share: float, wanted_px: float) -> int | None:
    return next((level for level, width in enumerate(LEVELS_PX) if share * width >= wanted_px), None)


def _width_px(text: str) -> float:
    wide = sum(east_asian_width(char) in "WF" for char in text)
    return 2 * _GAP_PX + (len(text) - wide) * _CHARACTER_PX + wide * _WIDE_PX
