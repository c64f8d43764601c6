# SPDX-License-Identifier: Apache-2.0
"""The plot of a call as SVG: the mood over time, each utterance a mark, how moved the speaker was below it.

No package draws it: it is a hundred lines of text, and it opens in every browser.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from sentiment.mood import Label, Utterance

WIDTH, HEIGHT = 1000, 390
LEFT, RIGHT, TOP = 90, 20, 40
MOOD_HEIGHT, GAP, AROUSAL_HEIGHT = 220, 40, 60
COLOURS: Final[dict[Label, str]] = {
    "angry": "#b3261e",
    "unhappy": "#d0743c",
    "neutral": "#7a8290",
    "content": "#4c9a6a",
    "delighted": "#1b7f4b",
}
TICKS: Final = (5, 10, 30, 60, 300, 600, 1800, 3600)
MAX_TICKS: Final = 12
SHORTEST_S: Final = 10.0
SHOWN_CHARS: Final = 120


def plot(utterances: Sequence[Utterance], *, title: str) -> str:
    """Return an SVG document.

    Args:
        utterances: In the order of time.
        title: What stands above it.
    """
    until_s = max([SHORTEST_S, *(each.end_s for each in utterances)])
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="24" font-size="16" fill="#1a1d23">{escape(title)}</text>',
            *_frame(until_s),
            *_curve(utterances, until_s),
            *_marks(utterances, until_s),
            "</svg>\n",
        ]
    )


def _x(at_s: float, until_s: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * at_s / until_s, 1)


def _y(mood: float) -> float:
    return round(TOP + MOOD_HEIGHT * (1 - mood) / 2, 1)


def _frame(until_s: float) -> Iterator[str]:
    """Axes and their words."""
    bottom = TOP + MOOD_HEIGHT + GAP + AROUSAL_HEIGHT
    small = 'font-size="12" fill="#626a78"'
    for mood, word in ((1, "good"), (0, "neutral"), (-1, "bad")):
        y = _y(mood)
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dfe3e9"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" {small}>{word}</text>'
    y = TOP + MOOD_HEIGHT + GAP + AROUSAL_HEIGHT / 2
    yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#dfe3e9"/>'
    yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end" {small}>moved</text>'
    step_s = next((tick for tick in TICKS if until_s / tick <= MAX_TICKS), TICKS[-1])
    for number in range(int(until_s / step_s) + 1):
        x, at_s = _x(number * step_s, until_s), number * step_s
        clock = f"{at_s // 60}:{at_s % 60:02}"
        yield f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" stroke="#f0f2f5"/>'
        yield f'<text x="{x}" y="{bottom + 18}" text-anchor="middle" {small}>{clock}</text>'


def _curve(utterances: Sequence[Utterance], until_s: float) -> Iterator[str]:
    if utterances:
        points = [f"{_x(0, until_s)},{_y(0)}"]
        points += [f"{_x(each.end_s, until_s)},{_y(each.curve)}" for each in utterances]
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="#3949ab" stroke-width="2"/>'


def _marks(utterances: Sequence[Utterance], until_s: float) -> Iterator[str]:
    """A mark for each utterance, which tells its words where the pointer is on it."""
    middle = TOP + MOOD_HEIGHT + GAP + AROUSAL_HEIGHT / 2
    for each in utterances:
        left, right, colour = _x(each.start_s, until_s), _x(each.end_s, until_s), COLOURS[each.label]
        width = round(max(2.0, right - left), 1)
        words = each.text if len(each.text) <= SHOWN_CHARS else each.text[:SHOWN_CHARS] + "…"
        height = round(abs(each.arousal) * AROUSAL_HEIGHT / 2, 1)
        top = middle - height if each.arousal > 0 else middle
        yield (
            f'<g fill="{colour}"><title>{escape(f"{each.label}: {words}")}</title>'
            f'<rect x="{left}" y="{_y(each.mood) - 4}" width="{width}" height="8" rx="4"/>'
            f'<rect x="{left}" y="{top}" width="{width}" height="{height}" opacity="0.6"/></g>'
        )
