# SPDX-License-Identifier: Apache-2.0
"""What goes in comes out: bit for bit, in order, in whole frames, however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, frames_of, numbered, numbers_of, padded, real_speech
from support.player import Player

RATES_HZ = st.sampled_from([8000, 16000, 24000])
CHUNKS = st.lists(st.integers(1, 2500).map(lambda samples: 2 * samples), min_size=1, max_size=20)


@given(rate_hz=RATES_HZ, sizes=CHUNKS)
def test_real_speech_in_chunks_of_any_size_arrives_bit_for_bit(rate_hz: int, sizes: list[int]) -> None:
    speech = real_speech(rate_hz)
    player = Player(rate_hz)
    player.schedule.begin(1)
    for chunk in cut(speech, sizes):
        player.write(1, chunk)
    player.end(1)
    player.run_out()
    assert {len(frame) for frame in player.frames} == {{8000: 320, 16000: 640, 24000: 960}[rate_hz]}
    assert b"".join(player.frames) == padded(speech, player.frame_bytes)


@given(
    first=CHUNKS,
    second=CHUNKS,
    gaps_s=st.lists(st.floats(0.0, 0.6), min_size=1, max_size=5),
    size_bytes=st.integers(1, 20_000).map(lambda samples: 2 * samples),
)
def test_the_frames_depend_neither_on_the_cut_nor_on_the_gaps(
    first: list[int], second: list[int], gaps_s: list[float], size_bytes: int
) -> None:
    pcm = counting_pcm(size_bytes)
    results = []
    for sizes, gaps in ((first, gaps_s), (second, [0.0])):
        player = Player()
        player.schedule.begin(1)
        for turn, chunk in enumerate(cut(pcm, sizes)):
            player.write(1, chunk)
            player.run_for(gaps[turn % len(gaps)])
        player.end(1)
        player.run_out()
        results.append(player.frames)
    assert results[0] == results[1] == frames_of(pcm, 640)


@given(sizes=CHUNKS, size_bytes=st.integers(1, 20_000).map(lambda samples: 2 * samples))
def test_nobody_needs_to_end_an_implicit_utterance(sizes: list[int], size_bytes: int) -> None:
    pcm = counting_pcm(size_bytes)
    player = Player()
    for chunk in cut(pcm, sizes):
        player.write(0, chunk)
    player.run_out()
    assert player.frames == frames_of(pcm, 640)
    assert player.schedule.padded_bytes == -len(pcm) % 640


def test_a_remainder_joins_the_next_chunk_however_late_it_comes() -> None:
    pcm = counting_pcm(1280)
    player = Player()
    player.schedule.begin(1)
    player.write(1, pcm[:1000])
    player.run_for(60.0)
    player.write(1, pcm[1000:])
    player.end(1)
    player.run_out()
    assert player.frames == frames_of(pcm, 640)


def test_utterances_play_in_the_order_in_which_they_began() -> None:
    player = Player()
    for utterance_id in (1, 2, 3):
        player.schedule.begin(utterance_id)
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
    for utterance_id, pcm in enumerate(texts):
        player.say(utterance_id, pcm)
    player.run_out()
    assert player.frames == [frame for pcm in texts for frame in frames_of(pcm, 640)]
    assert player.schedule.underruns == 0
    assert player.sent[-1].at == player.start, "ten frames are less than the lead"
    assert [outcome.played_ms for outcome in player.ends().values()] == [40.0] * 5


def test_an_empty_utterance_is_played_at_once_but_in_its_turn() -> None:
    player = Player()
    player.schedule.begin(1)
    player.schedule.begin(2)
    player.end(2)
    assert player.ends() == {}
    player.end(1)
    assert {utterance: outcome.played_ms for utterance, outcome in player.ends().items()} == {1: 0.0, 2: 0.0}


@pytest.mark.parametrize("is_playing", [True, False])
def test_nothing_is_taken_after_the_end(is_playing: bool) -> None:
    player = Player()
    if not is_playing:
        player.schedule.hold()
    player.say(1, numbered(1, 640) * 100)
    player.write(1, numbered(2, 640) + b"\2\0")
    player.schedule.release()
    player.run_out()
    assert numbers_of(player.frames) == [1] * 100
    assert player.schedule.discarded_bytes == 642
    assert player.schedule.queued_bytes == 0


@given(
    frames=st.lists(
        st.tuples(st.floats(0.0, 0.045), st.sampled_from([640, 640, 640, 320, 1000])), max_size=60
    ),
    lead_s=st.sampled_from([0.04, 0.1, 0.2]),
    pause_s=st.floats(0.0, 0.3),
)
def test_the_short_way_does_what_the_long_one_does(
    frames: list[tuple[float, int]], lead_s: float, pause_s: float
) -> None:
    long, short = Player(lead_s=lead_s), Player(lead_s=lead_s)
    for turn, (gap_s, size_bytes) in enumerate(frames):
        pcm = counting_pcm(size_bytes, start=1000 * turn)
        long.run_for(gap_s)
        short.run_for(gap_s)
        long.write(5, pcm)
        if short.schedule.pass_through(5, pcm, short.now):
            short.record(pcm)
        else:
            short.write(5, pcm)
        assert short.sent == long.sent
        assert short.schedule.progress() == long.schedule.progress()
        assert short.schedule.next_deadline() == long.schedule.next_deadline()
    long.run_for(pause_s)
    short.run_for(pause_s)
    assert short.flush(5) == long.flush(5)
    assert short.sent == long.sent
    assert short.events == long.events


def test_the_short_way_is_taken_by_an_echo() -> None:
    player = Player(prime_s=0.1)
    taken = 0
    for number in range(1, 101):
        if player.schedule.pass_through(5, numbered(number, 640), player.now):
            player.record(numbered(number, 640))
            taken += 1
        else:
            player.write(5, numbered(number, 640))
        player.run_for(0.02)
    assert numbers_of(player.frames) == list(range(1, 101))
    assert taken == 95, "all but those that filled the prime"
