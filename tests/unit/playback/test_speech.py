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
    assert NOTHING_PLAYED.queued_ms_at(1e9) == 0.0


def test_a_position_moves_with_the_clock_alone_and_stops_at_what_was_sent() -> None:
    progress = Progress(heard_before=5, anchor_s=100.0, run_start=2, run_sent=3)
    positions_ms = [progress.played_ms(100.0 + k * 0.02) for k in range(-1, 8)]
    assert positions_ms == [100.0] * 4 + [120.0, 140.0, 160.0, 160.0, 160.0]
    assert progress.in_flight_ms(100.06) == 40.0
    assert progress.in_flight_ms(200.0) == 0.0


def test_what_comes_by_itself_is_sent_a_lead_before_it_is_heard() -> None:
    progress = Progress(anchor_s=100.0, run_sent=11, queued_ms=100.0, run_coming=4, lead_s=0.2)
    assert [progress.queued_ms_at(100.0 + k * 0.02) for k in (0, 1, 2, 4, 5, 100)] == [
        100,
        80,
        60,
        20,
        20,
        20,
    ]
    assert [progress.in_flight_ms(100.0 + k * 0.02) for k in (0, 1, 4, 5, 14, 15)] == [
        220,
        220,
        220,
        200,
        20,
        0,
    ]
    assert progress.played_ms(200.0) == 300.0


def test_what_does_not_come_by_itself_stays_queued() -> None:
    progress = Progress(anchor_s=100.0, run_sent=11, queued_ms=100.0, lead_s=0.2)
    assert progress.queued_ms_at(200.0) == 100.0
    assert progress.played_ms(200.0) == 220.0


def test_a_longer_lead_than_was_sent_with_takes_nothing_back() -> None:
    progress = Progress(anchor_s=100.0, run_sent=50, queued_ms=100.0, run_coming=5, lead_s=0.04)
    assert progress.queued_ms_at(100.0) == 100.0
    assert progress.in_flight_ms(100.0) == 1000.0


def test_what_was_reported_as_heard_is_not_taken_back_by_a_corrected_clock() -> None:
    progress = Progress(anchor_s=100.0, run_start=3, run_sent=10, run_floor=7)
    assert progress.played_ms(100.0) == 80.0
    assert progress.played_ms(100.2) == 140.0


@given(anchor_s=st.floats(0.0, 1e6), frames=st.integers(0, 10**6))
def test_the_rounding_of_floats_loses_no_frame(anchor_s: float, frames: int) -> None:
    assert frames_until(anchor_s + frames * 0.02, anchor_s) == frames
    assert frames_until(anchor_s + frames * 0.02 - 0.001, anchor_s) == frames - 1


@given(
    sizes=st.lists(st.integers(1, 30_000).map(lambda samples: 2 * samples), min_size=1, max_size=4),
    has_open_one_in_the_middle=st.booleans(),
    before_s=st.floats(0.0, 4.0),
    after_s=st.lists(st.floats(0.0, 2.0), max_size=6),
)
def test_what_was_published_stays_true_until_something_is_asked(
    sizes: list[int], has_open_one_in_the_middle: bool, before_s: float, after_s: list[float]
) -> None:
    player = Player()
    for lane, size_bytes in enumerate(sizes, start=1):
        player.begin(lane)
        player.write(lane, counting_pcm(size_bytes))
        if not has_open_one_in_the_middle or lane != 2:
            player.end(lane)
    player.run_for(before_s)
    schedule = player.schedule
    total = schedule.progress()
    head = {u.lane: schedule.progress_of(u) for u in schedule.utterances()}
    is_only_whole_frames = all(size % 640 == 0 for size in sizes)
    for seconds in after_s:
        player.run_for(seconds)
        ended_ms = sum(outcome.played_ms for outcome in player.ends().values())
        live_ms = {u.lane: schedule.progress_of(u).played_ms(player.now) for u in schedule.utterances()}
        assert sum(live_ms.values()) + ended_ms == player.played_ms
        # An open utterance's remainder is padded and sent as well, which nobody could foretell.
        assert player.played_ms - 20.0 <= total.played_ms(player.now) <= player.played_ms
        if is_only_whole_frames or not has_open_one_in_the_middle:
            assert total.played_ms(player.now) == player.played_ms
            assert total.queued_ms_at(player.now) == pytest.approx(schedule.queued_ms)
        for lane, progress in head.items():
            outcome = player.ends().get(lane)
            now_ms = live_ms[lane] if outcome is None else outcome.played_ms
            assert progress.played_ms(player.now) <= now_ms


def test_what_waits_behind_an_open_speech_is_not_foretold() -> None:
    player = Player()
    player.begin(1)
    player.write(1, numbered(1, 640) * 20)
    player.write_plain(numbered(2, 640) * 1000)
    progress = player.schedule.progress()
    player.run_for(60.0)
    assert progress.played_ms(player.now) == player.played_ms == 400.0
    assert progress.queued_ms_at(player.now) == player.schedule.queued_ms == 20_000.0


def test_what_is_held_is_not_foretold() -> None:
    player = Player()
    player.write_plain(numbered(1, 640) * 100)
    player.hold()
    for progress in (
        player.schedule.progress(),
        player.schedule.progress_of(player.schedule.utterances()[0]),
    ):
        assert progress.played_ms(player.now + 60.0) == 220.0


def test_queued_is_what_was_not_sent() -> None:
    player = Player(lead_s=0.2)
    player.say(1, numbered(1, 640) * 100)
    player.begin(2)
    player.write(2, numbered(1, 640) + bytes(320))
    first, second = (player.schedule.progress_of(u) for u in player.schedule.utterances())
    assert (first.queued_ms, second.queued_ms) == (1780.0, 30.0)
    assert player.schedule.progress().queued_ms == player.schedule.queued_ms == 1810.0
    assert second.queued_ms_at(player.now + 60.0) == 30.0, "it is not its turn"


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_durations_do_not_depend_on_the_rate(rate_hz: int) -> None:
    player = Player(rate_hz)
    player.say(1, bytes(player.frame_bytes * 50))
    player.run_for(0.5)
    assert player.played_ms == 500.0
    assert player.schedule.queued_ms == 1000.0 - 36 * 20.0
