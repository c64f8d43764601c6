# SPDX-License-Identifier: Apache-2.0
"""What the rows of a picture are made of: lines, bars, labels and paths at times of the call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from audio_connector.simulator.page.axis import Labelled, Place, TimeAxis, place_labels
from audio_connector.simulator.page.outline import Drawn
from audio_connector.simulator.page.text import attribute

ROW_PX: Final = 22

MARKS: Final = 240
"""Most things of a kind in a row: a mark is 8 px wide, and closer ones would cover each other."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Row:
    """A row at its place in the picture.

    Attributes:
        axis: The time axis of the picture.
        top: Where it begins, in pixels.
        height: How high it is, in pixels.
    """

    axis: TimeAxis
    top: float
    height: float = ROW_PX

    @property
    def middle(self) -> float:
        """Its middle, in pixels."""
        return self.top + self.height / 2

    @property
    def bottom(self) -> float:
        """Its lower end, in pixels."""
        return self.top + self.height

    def path(self, drawn: Drawn, kind: str, units: int) -> str:
        """A path, stretched to its seconds and to the row's height."""
        return (
            f'<svg y="{self.top:g}" width="{self.axis.stretch(drawn.seconds)}" height="{self.height:g}" '
            f'viewBox="0 0 {drawn.units} {units}" preserveAspectRatio="none">'
            f'<path class="{kind}" d="{drawn.d}"/></svg>'
        )

    def line(self, y: float, kind: str) -> str:
        """A line across the picture."""
        return f'<line class="{kind}" x2="100%" y1="{y:g}" y2="{y:g}"/>'

    def empty(self, text: str) -> str:
        """Says that there is nothing."""
        return f'<text class="empty" x="50%" y="{self.middle + 4:g}">{text}</text>'

    def bar(self, begin_s: float, end_s: float, kind: str, height: float | None = None) -> str:
        """A bar in the middle of the row, as high as the row where no height is given."""
        high = self.height if height is None else height
        x, width = self.axis.x(begin_s), self.axis.width(begin_s, end_s)
        return (
            f'<rect class="{kind}" x="{x}" width="{width}" y="{self.middle - high / 2:g}" height="{high:g}"/>'
        )

    def tick(self, at_s: float, kind: str, height: float | None = None) -> str:
        """A line of a pixel or two, so that what is too short to be seen is seen."""
        x, half = self.axis.x(at_s), (self.height if height is None else height) / 2
        return f'<line class="{kind}" x1="{x}" x2="{x}" y1="{self.middle - half:g}" y2="{self.middle + half:g}"/>'

    def dot(self, at_s: float) -> str:
        """A round mark."""
        return f'<circle cx="{self.axis.x(at_s)}" cy="{self.middle:g}" r="3.5"/>'

    def places(self, things: Sequence[tuple[float, float, str]]) -> list[Place]:
        """Where the labels of things stand that begin, end and are called so."""
        duration_s = self.axis.duration_s
        return place_labels(
            [Labelled(begin / duration_s, end / duration_s, text) for begin, end, text in things]
        )

    def label(self, thing: tuple[float, float, str], place: Place, y: float | None = None) -> str:
        """The label of a thing, where it ever has room."""
        begin_s, end_s, text = thing
        if place.level is None or not text:
            return ""
        after = place.side == "after"
        where = f'x="{self.axis.x(end_s if after else begin_s)}" dx="{8 if after else -8}"'
        anchor = "" if after else ' text-anchor="end"'
        return (
            f'<text class="label l{place.level}" {where} y="{self.middle + 4 if y is None else y:g}"{anchor}>'
            f"{attribute(text)}</text>"
        )

    def together(self, things: Sequence[_T], at_s: Callable[[_T], float]) -> list[list[_T]]:
        """Groups of things, ordered by their time, that stand so close that they would cover each other."""
        groups: list[list[_T]] = []
        least_s = self.axis.duration_s / MARKS
        for thing in sorted(things, key=at_s):
            if groups and at_s(thing) - at_s(groups[-1][0]) < least_s:
                groups[-1].append(thing)
            else:
                groups.append([thing])
        return groups


def titled(kind: str, at_s: float, lines: Sequence[str], *shapes: str) -> str:
    """Shapes that belong together, with what is told of them when one points at them.

    Args:
        kind: Their class.
        at_s: The time that they stand for; the script reads it.
        lines: What is told; texts of a peer may be in it.
        shapes: The shapes.
    """
    title = "\n".join(attribute(line) for line in lines)
    return f'<g class="{kind}" data-t="{at_s:.3f}"><title>{title}</title>{"".join(shapes)}</g>'
