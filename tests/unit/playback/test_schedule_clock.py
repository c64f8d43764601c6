# SPDX-License-Identifier: Apache-2.0
"""What the I/O side tells the schedule: the router's clock, its format, and when it may not send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, frames_of, numbered, numbers_of, real_speech
from support.player import Player, about

from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError
from audio_connector.playback.speech import PLAIN, Flushed, Played

FRAME = numbered(7, 640)


# The router's clock.


@given(
    corrections=st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(-60, 60)), max_size=20),
    lead_s=st.sampled_from([0.2, 1.0]),
)
def test_corrections_never_take_back_what_was_heard(
    corrections: list[tuple[float, int]], lead_s: float
) -> None:
    player = Player(lead_s=lead_s)
    player.say(1, FRAME * 300)
    heard_ms = 0.0
    for after_s, frames_off in corrections:
        player.run_for(after_s)
        assert player.played_ms >= heard_ms
        heard_ms = player.played_ms
        player.schedule.clock.correct(player.now, int(heard_ms / 20) + frames_off)
        player.advance()
        assert player.played_ms >= heard_ms
        heard_ms = player.played_ms
    in_flight_ms = player.schedule.in_flight_ms(player.now)
    assert 0 <= in_flight_ms <= len(player.sent) * 20.0
    if player.ends():
        return
    flushed = player.flush()
    assert flushed.played_ms >= heard_ms
    assert flushed.played_ms + flushed.discarded_ms == 6000.0


@given(
    corrections=st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(-60, 60)), max_size=20),
)
def test_corrections_lose_no_frame_and_everything_ends(corrections: list[tuple[float, int]]) -> None:
    player = Player()
    player.say(1, b"".join(numbered(1 + k, 640) for k in range(200)))
    player.wait(99)
    for after_s, frame_index in corrections:
        player.run_for(after_s)
        player.schedule.clock.correct(player.now, 50 + frame_index)
        player.advance()
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 201))
    assert player.ends()[1].played_ms == 4000.0
    assert player.waits()[99][1] == Played(4000.0)


def test_a_router_that_is_slow_is_sent_its_frames_later() -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    player.schedule.clock.correct(player.now, 40)
    # It is 200 ms behind what was thought, so it holds that much more.
    assert player.queue.next_deadline() == about(player.now + 0.2 + 0.02)
    assert player.played_ms == 1000.0, "50 frames were reported as heard, and none is taken back"
    assert player.schedule.in_flight_ms(player.now) == 220.0
    player.run_out()
    assert player.ends()[1].played_ms == 2000.0


def test_a_router_that_is_fast_is_sent_its_frames_sooner() -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    before = len(player.sent)
    player.schedule.clock.correct(player.now, 55)
    assert player.played_ms == 1100.0
    assert len(player.advance()) == 5
    assert len(player.sent) == before + 5


@pytest.mark.parametrize("frame_index", [-1, 0, 62, 1000])
def test_a_correction_that_cannot_be_is_ignored(frame_index: int) -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    assert len(player.sent) == 61
    player.schedule.clock.correct(player.now, frame_index)
    assert player.played_ms == 1000.0


def test_a_correction_of_what_was_cut_is_ignored() -> None:
    player = Player()
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    index = player.schedule.clock.sent_in_all
    player.flush()
    player.schedule.clock.correct(player.now, index)
    assert player.played_ms == 1000.0
    player.say(2, FRAME * 100)
    player.run_for(0.5)
    player.schedule.clock.correct(player.now, 30)
    assert player.played_ms == 1500.0


# Its format.


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
def test_audio_that_came_before_the_format_is_kept_as_it_came(rate_hz: int) -> None:
    unlabelled, labelled = real_speech(rate_hz)[:20_001], real_speech(16000)[:20_000]
    player = Player(None)
    player.write_plain(unlabelled[:7])
    player.say(1, labelled, 16000)
    player.write_plain(unlabelled[:20_000])
    player.run_for(5.0)
    assert player.frames == []
    assert player.schedule.queued_bytes == 40_007
    player.settle(rate_hz)
    player.run_out()
    frame_bytes = player.frame_bytes
    assert player.frames == [
        *frames_of(unlabelled[:6], frame_bytes),
        *frames_of(resample(labelled, 16000, rate_hz), frame_bytes),
        *frames_of(unlabelled[:20_000], frame_bytes),
    ]
    assert [type(error) for error in player.errors()] == [AudioDataError], "of the half sample"


def test_what_was_wrong_with_early_audio_is_refused_once_it_is_tried() -> None:
    player = Player(None)
    player.write_plain(counting_pcm(640) + b"\1")
    player.write_plain(counting_pcm(400), 8000)
    assert player.queue.refused_bytes == 0
    player.settle(16000)
    player.run_out()
    assert [type(error) for error in player.errors()] == [AudioDataError]
    assert player.queue.refused_bytes == 400
    assert player.frames == [counting_pcm(640)]


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_labelled_audio_is_converted_where_the_format_changes(rate_hz: int) -> None:
    speech = real_speech(16000)
    player = Player()
    player.hold()
    player.write_plain(speech[:50_002], 16000)
    player.say(1, speech[50_002:60_000], 16000)
    player.settle(rate_hz)
    player.run_out()
    assert {len(frame) for frame in player.frames} == {player.frame_bytes}
    expected = resample(speech[:50_002], 16000, rate_hz)
    # The remainder was padded when the speech sealed it.
    assert b"".join(player.frames)[: len(expected) - 200] == expected[:-200]
    assert len(player.sent) * 20 == pytest.approx(60_000 / 32, abs=60)
    assert player.schedule.queued_bytes == 0


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_audio_without_a_label_was_of_the_right_rate_all_along(rate_hz: int) -> None:
    player = Player()
    player.hold()
    player.write_plain(counting_pcm(6402)[:6401])
    player.settle(rate_hz)
    player.write_plain(counting_pcm(6402)[6401:])
    player.run_out()
    assert player.frames == frames_of(counting_pcm(6402), player.frame_bytes)


@pytest.mark.parametrize("rate_hz", [None, 8000, 24000])
@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("label_hz", [None, 16000])
@given(size_bytes=st.integers(2, 6000))
def test_a_wait_is_answered_where_the_format_changed_meanwhile(
    rate_hz: int | None, is_ended: bool, label_hz: int | None, size_bytes: int
) -> None:
    player = Player(rate_hz)
    player.hold()
    player.write(PLAIN, counting_pcm(6000)[:size_bytes], label_hz, is_end=is_ended)
    player.wait(99)
    player.settle(16000)
    player.run_out()
    assert player.waits()[99][1] == Played(len(player.sent) * 20.0)
    assert not player.schedule.has_marks


# When it may not send.


@given(
    holds=st.lists(st.tuples(st.floats(0.0, 0.6), st.floats(0.0, 0.6)), max_size=8),
    lead_s=st.sampled_from([0.04, 0.2]),
)
def test_while_held_nothing_leaves_and_afterwards_everything_does(
    holds: list[tuple[float, float]], lead_s: float
) -> None:
    player = Player(lead_s=lead_s)
    player.say(1, b"".join(numbered(1 + k, 640) for k in range(100)))
    for before_s, held_s in holds:
        player.run_for(before_s)
        player.hold()
        sent = len(player.sent)
        player.run_for(held_s)
        assert len(player.sent) == sent
        player.release()
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 101))
    assert player.heard == 100
    assert player.ends()[1].played_ms == 2000.0


@pytest.mark.parametrize(("held_s", "underruns"), [(0.15, 0), (0.5, 1), (5.0, 1)])
@pytest.mark.parametrize("lane", [0, 1])
def test_a_hold_that_lasts_longer_than_the_lead_is_an_underrun(
    held_s: float, underruns: int, lane: int
) -> None:
    player = Player(lead_s=0.2)
    if lane:
        player.begin(lane)
    player.write(lane, FRAME * 200)
    player.run_for(1.0)
    player.hold()
    player.run_for(held_s)
    player.release()
    assert player.schedule.underruns == underruns


def test_a_hold_from_the_beginning_is_no_underrun_and_needs_no_prime() -> None:
    player = Player(prime_s=0.1)
    player.hold()
    player.write_plain(FRAME)
    player.run_for(0.25)
    player.release()
    assert len(player.sent) == 1
    assert player.schedule.underruns == 0


def test_a_flush_leaves_a_hold_in_place() -> None:
    player = Player()
    player.hold()
    player.flush()
    player.say(2, FRAME * 3)
    player.run_for(1.0)
    assert player.sent == []
    assert player.schedule.in_flight_ms(player.now) == 0.0
    assert player.flush() == Flushed(0.0, 60.0)
