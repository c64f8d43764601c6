# SPDX-License-Identifier: Apache-2.0
"""What a page has shown is kept in order, each key once, within a bound; and who comes again gets what was missed."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector import UsageError
from audio_connector.live.history import History

events = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, "1", "2"])), max_size=40)


@given(events, st.integers(1, 10), st.integers(0, 45))
def test_who_comes_has_what_is_kept_of_what_came_later_in_order(
    coming: list[tuple[str, str | None]], most: int, seen: int
) -> None:
    history = History(most)
    model: list[tuple[int, str, str | None]] = []
    for number, (kind, key) in enumerate(coming, start=1):
        assert history.add(kind, key, 0.0, {}).number == number
        model = [one for one in model if key is None or one[1:] != (kind, key)]
        model = [*model, (number, kind, key)][-most:]
    got = [(shown.number, json.loads(shown.text)) for shown in history.since(seen)]
    assert [(number, one["kind"], one["key"]) for number, one in got] == [
        one for one in model if one[0] > seen
    ]
    assert len(history) == len(model) <= most


def test_what_is_no_json_is_refused_and_nothing_is_kept_of_it() -> None:
    history = History(10)
    for data in ({"value": object()}, {"value": math.nan}):
        with pytest.raises(UsageError, match="expected str, int, finite float"):
            history.add("thing", None, 0.0, data)
    assert len(history) == history.latest == 0


def test_what_has_left_is_counted() -> None:
    history = History(2)
    for _ in range(5):
        history.add("thing", None, 0.0, {})
    assert (len(history), history.dropped) == (2, 3)
