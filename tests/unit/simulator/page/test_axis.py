# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
from importlib.resources import files
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.simulator.page.axis import (
    LEVELS_PX,
    Labelled,
    Place,
    TimeAxis,
    nice_top,
    place_labels,
    tick_text,
)


def test_positions_are_shares_of_the_call() -> None:
    axis = TimeAxis(24.0)
    assert [axis.x(at_s) for at_s in (0.0, 6.0, 13.5, 24.0)] == ["0%", "25%", "56.25%", "100%"]
    assert (axis.x(-1.0), axis.x(30.0)) == ("0%", "100%")
    assert axis.width(6.0, 12.0) == "25%"
    assert axis.width(18.0, 30.0) == "25%"
    assert axis.width(5.0, 4.0) == "0%"
    assert axis.stretch(24.02) == "100.083%"


@given(st.floats(0.02, 6 * 3600.0), st.sampled_from(range(len(LEVELS_PX))))
def test_ticks_have_room_for_their_texts_and_are_neither_none_nor_many(duration_s: float, level: int) -> None:
    axis = TimeAxis(duration_s)
    ticks = axis.ticks(level)
    width_px = LEVELS_PX[level]
    assert ticks[0][0] == 0
    assert ticks[-1][0] <= duration_s * (1 + 1e-6)
    assert len(ticks) <= width_px / 62 + 1
    for (here_s, here), (there_s, there) in pairwise(ticks):
        distance_px = (there_s - here_s) / duration_s * width_px
        assert distance_px >= 6.4 * (len(here) + len(there)) / 2 + 4
        assert here != there


@pytest.mark.parametrize(
    ("at_s", "digits", "duration_s", "text"),
    [
        (5.0, 0, 24.0, "5 s"),
        (0.25, 2, 1.0, "0.25 s"),
        (90.0, 0, 120.0, "90 s"),
        (90.0, 0, 121.0, "1:30"),
        (3725.0, 0, 4000.0, "1:02:05"),
        (0.0, 0, 4000.0, "0:00:00"),
    ],
)
def test_a_tick_is_written_with_its_unit(at_s: float, digits: int, duration_s: float, text: str) -> None:
    assert tick_text(at_s, digits, duration_s) == text


def test_the_unit_of_the_axis_is_that_of_its_ticks() -> None:
    assert [TimeAxis(s).unit for s in (24.0, 600.0, 7200.0)] == [
        "seconds",
        "minutes:seconds",
        "hours:minutes:seconds",
    ]


@given(st.floats(0, 1e6), st.floats(1, 1e3))
def test_the_top_of_an_axis_holds_the_greatest_value_and_wastes_less_than_half(
    greatest: float, least: float
) -> None:
    top = nice_top(greatest, least)
    assert top >= max(greatest, least)
    assert top <= 1.51 * max(greatest, least)
    assert (
        f"{top:g}".rstrip("0") in {"1", "15", "1.5", "2", "25", "2.5", "3", "4", "5", "6", "8"} or top >= 1e6
    )


# Rows as a call makes them: things one after the other, with room between them or not.
shares = st.lists(st.floats(0, 1), min_size=2, max_size=24, unique=True).map(sorted)


@given(shares, st.lists(st.integers(1, 30), min_size=12, max_size=12))
def test_labels_cover_neither_each_other_nor_a_thing_at_any_level(
    edges: list[float], lengths: list[int]
) -> None:
    row = [
        Labelled(begin, end, "x" * length)
        for (begin, end), length in zip(zip(edges[::2], edges[1::2], strict=False), lengths, strict=False)
    ]
    places = place_labels(row)
    assert len(places) == len(row)
    for level, width_px in enumerate(LEVELS_PX):
        taken: list[tuple[float, float]] = [(thing.begin * width_px, thing.end * width_px) for thing in row]
        for thing, place in zip(row, places, strict=True):
            if place.level is None or place.level > level:
                continue
            length_px = 6.4 * len(thing.text)
            after_px, before_px = thing.end * width_px + 8, thing.begin * width_px - 8 - length_px
            begin_px = after_px if place.side == "after" else before_px
            taken.append((begin_px, begin_px + length_px))
        taken.sort()
        assert taken[0][0] >= -1e-6
        assert all(here[1] <= there[0] + 1e-6 for here, there in pairwise(taken))


def test_the_last_label_stands_where_it_has_room_first() -> None:
    assert place_labels([Labelled(0.9, 0.9, "disconnected")]) == [Place(0, "before")]
    assert place_labels([Labelled(0.1, 0.1, "connected")]) == [Place(0, "after")]
    assert place_labels([]) == []
    crowd = [Labelled(n / 1000, n / 1000, "say") for n in range(1000)]
    assert {place.level for place in place_labels(crowd)[:-1]} == {None}


def test_wide_characters_need_more_room() -> None:
    narrow, wide = Labelled(0.5, 0.5, "x" * 13), Labelled(0.5, 0.5, "漢" * 13)
    assert place_labels([narrow, Labelled(0.99, 0.99, "")])[0].level == 0
    assert place_labels([wide, Labelled(0.99, 0.99, "")])[0].level == 1


def test_the_style_sheet_has_the_levels() -> None:
    css = (files("audio_connector.simulator.page") / "page.css").read_text()
    assert [int(px) for px in re.findall(r"@container time \(min-width: (\d+)px\)", css)] == list(
        LEVELS_PX[1:]
    )
