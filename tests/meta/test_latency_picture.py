# SPDX-License-Identifier: Apache-2.0
"""The picture of where the time of each turn goes: to scale, with every stage, whatever the figures are."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latency_picture import BAR, LEFT, MAX_TICKS, MAX_TURNS, WIDTH, draw, read_turns

TURNS = [{"pause": 500.0, "text": 100.0, "first <audio>": 200.0}, {"pause": 500.0, "text": 0.0}]
SVG = "{http://www.w3.org/2000/svg}"


def bars(picture: str) -> list[tuple[float, float]]:
    """Where each stage of a bar begins, and how wide it is."""
    found = [
        rect for rect in ET.fromstring(picture).iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None
    ]
    return [(float(rect.get("x", 0)), float(rect.get("width", 0))) for rect in found]


def test_turns_are_read_from_what_the_demo_prints() -> None:
    printed = """page: http://localhost:8080/
turn 1: 812 ms = pause 500 + text 30 + answer 12 + voice 270 | 'When | now?' -> 'From nine to six.'
turn 2: no answer = pause 500 | '' -> ''
turn 3: 600 ms = pause 500 + first sound 100 | 'a' -> 'b' [not heard: c]
p50 latency: 706 ms here
"""
    assert read_turns(printed) == [
        {"pause": 500, "text": 30, "answer": 12, "voice": 270},
        {"pause": 500, "first sound": 100},
    ]


def test_bars_are_to_scale_and_follow_each_other() -> None:
    (first, _), (second, _), (third, x), (_, y), (_, z) = bars(draw(TURNS))
    assert first == second - bars(draw(TURNS))[0][1] == third == LEFT  # the quicker turn is above
    assert x / y / 5 == pytest.approx(1, abs=0.01)
    assert z == pytest.approx(2 * y, abs=0.2)


def test_it_tells_the_middle_and_what_is_wanted() -> None:
    picture = draw(TURNS, wanted_ms=1200)
    assert "half of them within 650 ms" in picture
    assert "wanted: 1200 ms" in picture
    assert "first &lt;audio&gt;" in picture
    assert "prefers-color-scheme: dark" in picture


def test_without_turns_there_is_nothing_to_draw() -> None:
    for turns in ([], [{"pause": -1.0}]):
        with pytest.raises(ValueError, match="expected turns"):
            draw(turns)


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 20_000), min_size=1), min_size=1, max_size=20
    ),
    st.none() | st.floats(100, 3000),
)
def test_any_figures_fit_into_the_picture(turns: list[dict[str, float]], wanted_ms: float | None) -> None:
    picture = draw(turns, wanted_ms=wanted_ms)
    assert all(x + width <= WIDTH for x, width in bars(picture))
    assert len(set(re.findall(rf'y="(\d+)" width="[\d.]+" height="{BAR}"', picture))) <= MAX_TURNS
    assert picture.count('class="quiet"') <= MAX_TICKS + 3
