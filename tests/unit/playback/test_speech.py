# SPDX-License-Identifier: Apache-2.0
"""Progress as a value: whoever holds it works out the played position from a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered
from support.player import Player

from audio_connector.playback.speech import NOTHING_PLAYED, Progress, frames_until


def test_nothing_played_is_nothing_at_any_time() -> None:
    assert NOTHING_PLAYED.played_ms(1e9) == NOTHING_PLAYED.in_flight_ms(1e9) == 0.0


def test_a_position_moves_with_the_clock_alone_and_stops_at_what_was_sent() -> None:
    progress = Progress(heard_before=5, anchor_s=100.0, run_start=2, run_sent=3, queued_ms=0.0)
    assert [progress.played_ms(100.0 + k * 0.02) for k in range(-1, 8)] == [100.0] * 4 + [
        120,
        140,
        160,
        160,
        160,
    ]
    assert progress.in_flight_ms(100.06) == 40.0
    assert progress.in_flight_ms(200.0) == 0.0


@given(anchor_s=st.floats(0.0, 1e6), frames=st.integers(0, 10**6))
def test_the_rounding_of_floats_loses_no_frame(anchor_s: float, frames: int) -> None:
    assert frames_until(anchor_s + frames * 0.02, anchor_s) == frames
    assert frames_until(anchor_s + frames * 0.02 - 0.001, anchor_s) == frames - 1


@given(
    sizes=st.lists(st.integers(1, 30_000).map(lambda samples: 2 * samples), min_size=1, max_size=4),
    after_s=st.lists(st.floats(0.0, 2.0), max_size=6),
    look_s=st.floats(0.0, 0.2),
)
def test_what_was_published_stays_true_until_something_is_sent(
    sizes: list[int], after_s: list[float], look_s: float
) -> None:
    player = Player()
    for utterance_id, size_bytes in enumerate(sizes):
        player.say(utterance_id, counting_pcm(size_bytes))
    for seconds in after_s:
        player.run_for(seconds)
        schedule = player.schedule
        published = {u.id: schedule.progress_of(u) for u in schedule.utterances()}
        total = schedule.progress()
        player.run_for(look_s)
        over_ms = sum(outcome.played_ms for outcome in player.ends().values())
        live_ms = {u.id: schedule.progress_of(u).played_ms(player.now) for u in schedule.utterances()}
        assert sum(live_ms.values()) + over_ms == schedule.progress().played_ms(player.now)
        assert total.played_ms(player.now) <= schedule.progress().played_ms(player.now)
        for utterance_id, progress in published.items():
            ended = player.ends().get(utterance_id)
            now_ms = live_ms[utterance_id] if ended is None else ended.played_ms
            # The lead is longer than the look: what will be heard in that time was sent before.
            assert progress.played_ms(player.now) == now_ms


def test_queued_is_what_was_not_sent() -> None:
    player = Player(lead_s=0.2)
    player.say(1, numbered(1, 640) * 100)
    player.schedule.begin(2)
    player.write(2, numbered(1, 640) + bytes(320))
    first, second = (player.schedule.progress_of(u) for u in player.schedule.utterances())
    assert (first.queued_ms, second.queued_ms) == (1780.0, 30.0)
    assert player.schedule.progress().queued_ms == player.schedule.queued_ms == 1810.0


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_durations_do_not_depend_on_the_rate(rate_hz: int) -> None:
    player = Player(rate_hz)
    player.say(1, bytes(player.frame_bytes * 50))
    player.run_for(0.5)
    assert player.played_ms == 500.0
    assert player.schedule.queued_ms == 1000.0 - 36 * 20.0
