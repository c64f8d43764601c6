# SPDX-License-Identifier: Apache-2.0
"""Draws where the time of each turn goes, from what the assistant's demo prints: a bar a turn, a colour a stage.

    PYTHONPATH=examples python -m assistant --demo 2>&1 | tee demo.txt
    python tools/latency_picture.py demo.txt docs/assets/assistant-latency.svg --wanted-ms 1200

What counts are lines such as ``turn 2: 812 ms = pause 500 + text 30 + answer 12 + voice 270 | …``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 760
LEFT: Final = 12
RIGHT: Final = 64
"""Room for the sum behind the longest bar."""

BAR: Final = 20
GAP: Final = 8
TOP: Final = 58
AXIS: Final = 40
MAX_TURNS: Final = 12
TICKS_MS: Final = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
MAX_TICKS: Final = 9

# Told apart by lightness as well as by hue, on white and on black, and for who sees no red or green.
COLOURS: Final = ("#8a94a6", "#2f6fdb", "#e0902a", "#1f9e89", "#b0579e", "#7a6a4f")

_STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1d2433 }
.quiet { fill: #5b6577 } .line { stroke: #d5dae3 } .wanted { stroke: #c0392b; stroke-dasharray: 4 3 }
.middle { stroke: #1d2433 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6e9f0 } .quiet { fill: #a5aebf } .line { stroke: #3a4253 } .wanted { stroke: #ff8a7a }
  .middle { stroke: #e6e9f0 }
}
"""

Turn = Mapping[str, float]

_TURN: Final = re.compile(r"\bturn \d+: \d+ ms = (.+?) \|")


def read_turns(printed: str) -> list[Turn]:
    """Return the milliseconds of the stages of each turn that was answered, as a demo prints them."""
    found = [dict(stage.rsplit(" ", 1) for stage in line.split(" + ")) for line in _TURN.findall(printed)]
    return [{name: float(value) for name, value in turn.items()} for turn in found]


def draw(turns: Sequence[Turn], *, wanted_ms: float | None = None) -> str:
    """Return the picture as SVG, its colours those of the reader's scheme.

    Args:
        turns: Of each the milliseconds of its stages, in their order; the quickest `MAX_TURNS` are drawn.
        wanted_ms: A line that the turns should not pass.

    Raises:
        ValueError: There is no turn, or a stage has no length.
    """
    if not turns or any(value < 0 for turn in turns for value in turn.values()):
        raise ValueError(f"got {turns!r}; expected turns with the milliseconds of their stages")
    stages = list(dict.fromkeys(stage for turn in turns for stage in turn))
    colours = {stage: COLOURS[at % len(COLOURS)] for at, stage in enumerate(stages)}
    shown = sorted(turns, key=lambda turn: sum(turn.values()))[:MAX_TURNS]
    middle_ms = median(sum(turn.values()) for turn in turns)
    longest_ms = max([TICKS_MS[0], *(sum(turn.values()) for turn in shown), wanted_ms or 0])
    per_ms = (WIDTH - LEFT - RIGHT) / longest_ms
    bottom = TOP + len(shown) * (BAR + GAP)
    parts = [*_legend(turns, colours), *_axis(longest_ms, per_ms, bottom)]
    for row, turn in enumerate(shown):
        parts += _bar(turn, colours, per_ms, TOP + row * (BAR + GAP))
    parts += _upright(
        middle_ms, per_ms, bottom, "middle", TOP - 15, f"half of them within {middle_ms:.0f} ms"
    )
    if wanted_ms is not None:
        parts += _upright(wanted_ms, per_ms, bottom, "wanted", bottom + 34, f"wanted: {wanted_ms:.0f} ms")
    height = bottom + AXIS
    title = f"Latency of {len(turns)} turns by stage, half of them within {middle_ms:.0f} ms"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _legend(turns: Sequence[Turn], colours: Mapping[str, str]) -> list[str]:
    parts, x = [], float(LEFT)
    for stage, colour in colours.items():
        label = f"{stage} {median(turn.get(stage, 0) for turn in turns):.0f}"
        parts.append(f'<rect x="{x:.1f}" y="6" width="12" height="12" rx="2" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17:.1f}" y="17">{escape(label)}</text>')
        x += 17 + 7.2 * len(label) + 18  # the mean width of a letter at 13 px, and a gap
    return parts


def _axis(longest_ms: float, per_ms: float, bottom: int) -> list[str]:
    tick_ms = next((each for each in TICKS_MS if longest_ms / each <= MAX_TICKS), TICKS_MS[-1])
    parts = []
    for at_ms in range(0, int(longest_ms) + 1, tick_ms):
        x = LEFT + at_ms * per_ms
        parts.append(f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{at_ms}</text>')
    label = "ms from the end of speech to the first sound of the answer; above, the median of each stage"
    return [*parts, f'<text class="quiet" x="{LEFT}" y="{bottom + 34}">{label}</text>']


def _bar(turn: Turn, colours: Mapping[str, str], per_ms: float, y: int) -> list[str]:
    parts, x = [], float(LEFT)
    for stage, value in turn.items():
        width = value * per_ms
        told = f"<title>{escape(stage)}: {value:.0f} ms</title>"
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colours[stage]}">{told}</rect>'
        )
        x += width
    return [*parts, f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(turn.values()):.0f}</text>']


def _upright(at_ms: float, per_ms: float, bottom: int, kind: str, text_y: int, label: str) -> list[str]:
    x = LEFT + at_ms * per_ms
    anchor = "end" if x > WIDTH / 2 else "start"
    return [
        f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{bottom}"/>',
        f'<text x="{x:.1f}" y="{text_y}" text-anchor="{anchor}">{escape(label)}</text>',
    ]


def main() -> None:
    """Read the arguments, and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("printed", type=Path, help="what the demo has printed")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    parser.add_argument("--wanted-ms", type=float, help="a line that the turns should not pass")
    told = parser.parse_args()
    turns = read_turns(told.printed.read_text(encoding="utf-8"))
    told.picture.write_text(draw(turns, wanted_ms=told.wanted_ms), encoding="utf-8")


if __name__ == "__main__":
    main()
