# SPDX-License-Identifier: Apache-2.0
"""What the I/O side tells the schedule: the router's clock, its format, and when it may not send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered, numbers_of, real_speech
from support.player import Player, about

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.playback.speech import Flushed

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
    heard = 0
    for after_s, frames_off in corrections:
        player.run_for(after_s)
        heard = max(heard, player.schedule.progress().heard_frames(player.now))
        player.schedule.heard_at(heard + frames_off, player.now)
        player.advance()
    in_flight_ms = player.schedule.in_flight_ms(player.now)
    assert 0 <= in_flight_ms <= len(player.sent) * 20.0
    if player.ends():
        return
    flushed = player.flush(1)
    assert flushed.played_ms >= heard * 20.0
    assert flushed.played_ms + flushed.discarded_ms == 6000.0


@given(
    corrections=st.lists(st.tuples(st.floats(0.0, 0.5), st.integers(-60, 60)), max_size=20),
)
def test_corrections_lose_no_frame_and_everything_ends(corrections: list[tuple[float, int]]) -> None:
    player = Player()
    player.say(1, b"".join(numbered(1 + k, 640) for k in range(200)))
    player.mark("end")
    for after_s, frame_index in corrections:
        player.run_for(after_s)
        player.schedule.heard_at(50 + frame_index, player.now)
        player.advance()
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 201))
    assert player.ends()[1].played_ms == 4000.0
    assert "end" in player.marks()


def test_a_router_that_is_slow_is_sent_its_frames_later() -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    player.schedule.heard_at(40, player.now)
    # It is 200 ms behind what was thought, so it holds that much more.
    assert player.schedule.next_deadline() == about(player.now + 0.2 + 0.02)
    assert player.played_ms == 800.0
    assert player.schedule.in_flight_ms(player.now) == 220.0, "of 61, 50 were reported as heard"
    player.run_out()
    assert player.ends()[1].played_ms == 2000.0


def test_a_router_that_is_fast_is_sent_its_frames_sooner() -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    before = len(player.sent)
    player.schedule.heard_at(55, player.now)
    assert player.played_ms == 1100.0
    assert len(player.advance()) == 5
    assert len(player.sent) == before + 5


@pytest.mark.parametrize("frame_index", [-1, 0, 62, 1000])
def test_a_correction_that_cannot_be_is_ignored(frame_index: int) -> None:
    player = Player(lead_s=0.2)
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    assert len(player.sent) == 61
    player.schedule.heard_at(frame_index, player.now)
    assert player.played_ms == 1000.0


def test_a_correction_of_what_was_cut_is_ignored() -> None:
    player = Player()
    player.say(1, FRAME * 100)
    player.run_for(1.0)
    index = player.schedule.frames_sent_total
    player.flush(1)
    player.schedule.heard_at(index, player.now)
    assert player.played_ms == 1000.0
    player.say(2, FRAME * 100)
    player.run_for(0.5)
    player.schedule.heard_at(30, player.now)
    assert player.played_ms == 1500.0


# Its format.


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_what_was_queued_under_another_format_is_converted(rate_hz: int) -> None:
    speech = real_speech(16000)
    player = Player()
    player.schedule.hold()
    player.write(0, speech[:50_002])
    player.say(1, speech[50_002:60_000])
    player.schedule.change_format(AudioFormat(rate_hz), lambda pcm: resample(pcm, 16000, rate_hz))
    assert player.schedule.queued_ms == pytest.approx(60_000 / 32, abs=21)
    player.schedule.release()
    player.end(0)
    player.run_out()
    expected = resample(speech[:50_002], 16000, rate_hz)
    assert {len(frame) for frame in player.frames} == {player.frame_bytes}
    assert b"".join(player.frames)[: len(expected)] == expected
    assert player.schedule.queued_bytes == 0


def test_a_changed_format_converts_nothing_where_nothing_waits() -> None:
    player = Player()
    player.schedule.change_format(AudioFormat(8000), lambda pcm: pytest.fail("nothing to convert"))
    player.say(1, counting_pcm(320))
    assert player.frames == [counting_pcm(320)]


def test_what_was_taken_is_what_was_accepted_less_what_waits_in_any_format() -> None:
    player = Player()
    player.schedule.hold()
    player.write(0, FRAME * 50)
    assert player.schedule.progress().taken_bytes == 0
    player.schedule.change_format(AudioFormat(24000), lambda pcm: resample(pcm, 16000, 24000))
    player.schedule.release()
    player.advance()
    player.run_out()
    assert player.schedule.progress().taken_bytes == player.schedule.accepted_bytes


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
        player.schedule.hold()
        sent = len(player.sent)
        player.run_for(held_s)
        assert len(player.sent) == sent
        player.schedule.release()
        player.advance()
    player.run_out()
    assert numbers_of(player.frames) == list(range(1, 101))
    assert player.heard == 100
    assert player.ends()[1].played_ms == 2000.0


@pytest.mark.parametrize(("held_s", "underruns"), [(0.15, 0), (0.5, 1), (5.0, 1)])
@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_hold_that_lasts_longer_than_the_lead_is_an_underrun(
    held_s: float, underruns: int, is_implicit: bool
) -> None:
    player = Player(lead_s=0.2)
    player.schedule.begin(1, is_implicit=is_implicit)
    player.write(1, FRAME * 200)
    player.run_for(1.0)
    player.schedule.hold()
    player.run_for(held_s)
    player.schedule.release()
    player.advance()
    assert player.schedule.underruns == underruns


def test_while_held_there_is_no_short_way_either() -> None:
    player = Player(prime_s=0.1)
    player.write(0, FRAME * 5)
    player.schedule.hold()
    assert not player.schedule.pass_through(0, FRAME, player.now)
    player.schedule.release()
    assert player.schedule.pass_through(0, FRAME, player.now)


def test_a_hold_from_the_beginning_is_no_underrun_and_needs_no_prime() -> None:
    player = Player(prime_s=0.1)
    player.schedule.hold()
    player.write(0, FRAME)
    player.run_for(0.25)
    player.schedule.release()
    assert len(player.advance()) == 1
    assert player.schedule.underruns == 0


def test_a_flush_leaves_a_hold_in_place() -> None:
    player = Player()
    player.schedule.hold()
    player.flush(1)
    player.say(2, FRAME * 3)
    player.run_for(1.0)
    assert player.sent == []
    assert player.schedule.in_flight_ms(player.now) == 0.0
    assert player.flush(2) == Flushed(0.0, 60.0)
