# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out: bit for bit, in order, in whole frames, however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, frames_of, numbered, numbers_of, padded, real_speech
from support.player import Player

from audio_connector.errors import AudioDataError

RATES_HZ = st.sampled_from([8000, 16000, 24000])
CHUNKS = st.lists(st.integers(1, 5000), min_size=1, max_size=20)


@given(rate_hz=RATES_HZ, sizes=CHUNKS)
def test_real_speech_in_chunks_of_any_size_arrives_bit_for_bit(rate_hz: int, sizes: list[int]) -> None:
    speech = real_speech(rate_hz)
    player = Player(rate_hz)
    player.begin(1)
    for chunk in cut(speech, sizes):
        player.write(1, chunk)
    player.end(1)
    player.run_out()
    assert {len(frame) for frame in player.frames} == {{8000: 320, 16000: 640, 24000: 960}[rate_hz]}
    assert b"".join(player.frames) == padded(speech, player.frame_bytes)


@given(first=CHUNKS, second=CHUNKS, size_bytes=st.integers(1, 20_000).map(lambda samples: 2 * samples))
def test_the_frames_do_not_depend_on_the_cut(first: list[int], second: list[int], size_bytes: int) -> None:
    pcm = counting_pcm(size_bytes)
    results = []
    for sizes in (first, second):
        player = Player()
        player.begin(1)
        for chunk in cut(pcm, sizes):
            player.write(1, chunk)
        player.end(1)
        player.run_out()
        results.append(player.frames)
    assert results[0] == results[1] == frames_of(pcm, 640)


@given(sizes=CHUNKS, size_bytes=st.integers(1, 20_000).map(lambda samples: 2 * samples))
def test_nobody_needs_to_end_plain_writes(sizes: list[int], size_bytes: int) -> None:
    pcm = counting_pcm(size_bytes)
    player = Player()
    for chunk in cut(pcm, sizes):
        player.write_plain(chunk)
    player.run_out()
    assert player.frames == frames_of(pcm, 640)


@pytest.mark.parametrize("lane", [0, 1])
def test_half_a_sample_waits_for_its_other_half_however_late_it_comes(lane: int) -> None:
    pcm = counting_pcm(1280)
    player = Player(pause_s=1000.0)
    if lane:
        player.begin(lane)
    player.write(lane, pcm[:641])
    player.run_for(60.0)
    player.write(lane, pcm[641:])
    player.run_for(60.0)
    assert player.frames == frames_of(pcm, 640)


@pytest.mark.parametrize("lane", [0, 1])
def test_a_remainder_is_heard_before_the_router_runs_dry_and_what_follows_goes_on_behind_it(
    lane: int,
) -> None:
    pcm = counting_pcm(1642)
    player = Player(pause_s=1000.0)
    if lane:
        player.begin(lane)
    player.write(lane, pcm[:1001])
    player.run_for(60.0)
    assert player.frames == frames_of(pcm[:1000], 640)
    player.write(lane, pcm[1001:])
    player.run_for(60.0)
    assert player.frames[2:] == frames_of(pcm[1000:], 640)


def test_utterances_play_in_the_order_in_which_they_began() -> None:
    player = Player()
    for lane in (1, 2, 3):
        player.begin(lane)
    player.write(3, numbered(3, 640))
    player.write(2, numbered(2, 640))
    player.end(3)
    player.end(2)
    player.run_for(5.0)
    assert player.frames == [], "the first one is still open"
    player.write(1, numbered(1, 640))
    player.end(1)
    player.run_out()
    assert numbers_of(player.frames) == [1, 2, 3]
    assert list(player.ends()) == [1, 2, 3]


def test_utterances_follow_each_other_without_a_gap_and_each_is_padded() -> None:
    player = Player()
    texts = [counting_pcm(1000, start=100 * k) for k in range(1, 6)]
    for lane, pcm in enumerate(texts, start=1):
        player.say(lane, pcm)
    player.run_out()
    assert player.frames == [frame for pcm in texts for frame in frames_of(pcm, 640)]
    assert player.schedule.underruns == 0
    assert player.sent[-1].at == player.start, "ten frames are less than the lead"
    assert [outcome.played_ms for outcome in player.ends().values()] == [40.0] * 5


def test_an_empty_speech_is_played_at_once_but_in_its_turn() -> None:
    player = Player()
    player.begin(1)
    player.begin(2)
    player.end(2)
    assert player.ends() == {}
    player.end(1)
    assert {lane: outcome.played_ms for lane, outcome in player.ends().items()} == {1: 0.0, 2: 0.0}


@pytest.mark.parametrize("is_playing", [True, False])
@pytest.mark.parametrize("is_end", [True, False])
def test_nothing_is_taken_after_the_end(is_playing: bool, is_end: bool) -> None:
    player = Player()
    if not is_playing:
        player.hold()
    player.begin(1)
    player.write(1, numbered(1, 640) * 100, is_end=is_end)
    if not is_end:
        player.end(1)
    player.write(1, numbered(2, 640) + b"\2\0")
    player.release()
    player.run_out()
    assert numbers_of(player.frames) == [1] * 100
    assert player.queue.refused_bytes == 642
    assert player.schedule.queued_bytes == 0
    assert player.ends()[1].played_ms == 2000.0


def test_an_echo_in_real_time_is_sent_at_once_frame_by_frame() -> None:
    player = Player(prime_s=0.1)
    for number in range(1, 101):
        player.write_plain(numbered(number, 640))
        assert len(player.sent) == (number if number >= 5 else 0)
        player.run_for(0.02)
    assert numbers_of(player.frames) == list(range(1, 101))


# Faults of the application.


def test_half_a_sample_at_the_end_is_reported_and_all_before_it_is_heard() -> None:
    player = Player()
    player.write_plain(counting_pcm(700) + b"\1")
    player.begin(1)
    player.write(1, counting_pcm(640))
    player.end(1)
    player.run_out()
    assert player.frames == [*frames_of(counting_pcm(700), 640), counting_pcm(640)]
    assert [type(error) for error in player.errors()] == [AudioDataError]


def test_audio_of_another_rate_that_cannot_complete_a_sample_is_refused_as_a_whole() -> None:
    player = Player()
    player.write_plain(counting_pcm(1280)[:641])
    player.write_plain(counting_pcm(400), 8000)
    player.write_plain(counting_pcm(1280)[641:])
    player.run_out()
    assert len(player.frames) == 2
    assert player.queue.refused_bytes == 400
    assert [type(error) for error in player.errors()] == [AudioDataError]


@pytest.mark.parametrize("sizes", [[640], [320], [641]])
def test_a_change_of_rate_does_not_depend_on_the_cut_not_even_behind_a_drain(sizes: list[int]) -> None:
    speech = real_speech(16000)
    player, whole = Player(), Player()
    for each, own_sizes in ((player, sizes), (whole, [1280])):
        each.begin(1)
        each.write(1, speech[20_000:26_000], 24000)
        each.run_for(5.0)
        for chunk in cut(speech[26_000:27_280], own_sizes):
            each.write(1, chunk)
        each.write(1, speech[30_000:36_000], 24000)
        each.end(1)
        each.run_out()
    assert player.frames == whole.frames
