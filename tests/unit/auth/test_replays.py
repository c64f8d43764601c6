# SPDX-License-Identifier: Apache-2.0
"""What was used is remembered until it expires, and no more than there is room for."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.auth.replays import KEPT_S, Replays
from audio_connector.auth.tokens import BadToken


def test_a_full_store_lets_nobody_in_and_forgets_nothing() -> None:
    replays = Replays(most=2)
    replays.use("a", 10.0, 0.0)
    replays.use("b", 20.0, 0.0)
    with pytest.raises(BadToken) as caught:
        replays.use("c", 30.0, 9.0)
    assert (caught.value.kind, caught.value.status) == ("replay store full", 503)
    with pytest.raises(BadToken, match="used before"):
        replays.use("a", 10.0, 9.0)
    replays.use("c", 30.0 + KEPT_S, 10.0 + KEPT_S)
    assert len(replays) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 50), st.floats(0, 50)), max_size=40),
    st.integers(1, 4),
)
def test_none_is_used_twice_in_its_time(uses: list[tuple[str, float, float]], most: int) -> None:
    """Each is an id, how long ago the one before was, and how long it is good."""
    replays, now, ends = Replays(most=most), 1000.0, dict[str, float]()
    for token_id, later_s, good_s in uses:
        now += later_s
        is_used = now < ends.get(token_id, -KEPT_S) + KEPT_S
        is_full = sum(now < end + KEPT_S for end in ends.values()) >= most
        with pytest.raises(BadToken) if is_used or is_full else nullcontext():
            replays.use(token_id, now + good_s, now)
        if not (is_used or is_full):
            ends[token_id] = now + good_s
        assert len(replays) <= most
