# SPDX-License-Identifier: Apache-2.0
"""Waits: answered when all that was asked for before has been heard, and answered on every path."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered
from support.player import Player, about

from audio_connector.audio.format import AudioFormat
from audio_connector.playback.speech import PLAIN, Interrupted, Played

FRAME = numbered(7, 640)


def test_a_wait_for_nothing_is_answered_at_once() -> None:
    player = Player()
    player.wait(1)
    assert player.waits() == {1: (player.start, Played(0.0))}


def test_a_wait_behind_what_was_heard_is_answered_at_once_and_says_what_it_was() -> None:
    player = Player()
    player.say(5, FRAME * 10)
    player.run_for(5.0)
    player.wait(1)
    player.write_plain(FRAME * 5)
    player.run_for(5.0)
    player.wait(2)
    assert player.waits() == {1: (player.start + 5.0, Played(200.0)), 2: (player.start + 10.0, Played(100.0))}


@given(sizes=st.lists(st.integers(1, 30_000).map(lambda samples: 2 * samples), min_size=1, max_size=6))
def test_a_wait_is_answered_when_the_last_frame_before_it_ends(sizes: list[int]) -> None:
    player = Player()
    expected_frames = []
    total = 0
    for lane, size_bytes in enumerate(sizes, start=1):
        player.say(lane, counting_pcm(size_bytes))
        player.wait(lane)
        total += -(-size_bytes // 640)
        expected_frames.append(total)
    player.run_out()
    assert [at for at, _ in player.waits().values()] == [
        about(player.start + frames * 0.02) for frames in expected_frames
    ]
    assert list(player.waits()) == list(range(1, len(sizes) + 1))
    assert [outcome.played_ms for _, outcome in player.waits().values()] == [
        20.0 * n for n in expected_frames
    ]


def test_plain_writes_that_were_given_up_are_gone_at_once_and_whoever_waits_for_them_is_answered() -> None:
    player = Player(max_bytes=640)
    player.begin(5)
    player.write(5, FRAME * 2)
    for token in range(100, 200):
        player.stand(PLAIN, token, is_end=True)
        player.wait(token + 100)
        player.leave(token)
    assert len(player.schedule.utterances()) == 1
    assert player.waits() == {}
    player.end(5)
    player.run_out()
    end = (about(player.start + 0.04), Played(40.0))
    assert player.waits() == dict.fromkeys(range(200, 300), end)


def test_waits_of_one_position_keep_their_order() -> None:
    player = Player()
    player.say(5, FRAME)
    for token in (2, 1, 3):
        player.wait(token)
    player.run_out()
    assert list(player.waits()) == [2, 1, 3]


@pytest.mark.parametrize("lane", [PLAIN, 5])
def test_a_wait_counts_a_remainder_that_will_be_padded(lane: int) -> None:
    player = Player()
    if lane:
        player.begin(lane)
    player.write(lane, FRAME * 2 + b"\1\1")
    player.wait(1)
    player.run_out()
    assert player.waits()[1] == (about(player.start + 0.1 + 0.06), Played(60.0))
    assert len(player.sent) == 3


def test_a_wait_counts_what_the_resampler_holds() -> None:
    player = Player()
    player.begin(5)
    player.write(5, counting_pcm(960), 24000)
    player.wait(1)
    player.run_out()
    assert player.waits()[1][1] == Played(20.0)


def test_a_wait_lasts_through_an_underrun() -> None:
    player = Player()
    player.begin(5)
    player.write(5, FRAME * 10)
    player.wait(1)
    player.run_for(1.0)
    player.write(5, FRAME * 10)
    player.wait(2)
    player.run_out()
    assert player.waits() == {
        1: (about(player.start + 0.2), Played(200.0)),
        2: (about(player.start + 1.2), Played(400.0)),
    }


@pytest.mark.parametrize("size_bytes", [0, 100, 640])
def test_a_wait_within_an_open_speech_of_any_length_is_answered(size_bytes: int) -> None:
    player = Player()
    player.begin(5)
    player.write(5, FRAME[:size_bytes])
    player.wait(1)
    player.run_for(1.0)
    assert player.waits()[1][1] == Played(20.0 if size_bytes else 0.0)


def test_a_wait_lasts_until_a_speech_that_was_ended_before_is_over() -> None:
    player = Player()
    player.begin(5)
    player.write(5, FRAME * 5)
    player.begin(6)
    player.write(6, FRAME * 5)
    player.end(6)
    player.wait(1)
    player.run_for(10.0)
    assert player.waits() == {}, "the first one is still open"
    player.end(5)
    player.run_out()
    assert player.waits()[1] == (about(player.start + 10.1), Played(200.0))


def test_a_wait_lasts_until_whoever_stood_in_line_has_been_heard() -> None:
    player = Player(max_bytes=640)
    player.write_plain(FRAME * 30)
    player.stand(PLAIN, 1)
    player.wait(2)
    player.stand(PLAIN, 3)
    player.run_for(0.5)
    player.write_granted(1, FRAME * 10)
    assert player.answers(3) == []
    player.run_for(0.2)
    assert player.answers(3) == [True]
    player.write_granted(3, FRAME * 10)
    player.run_out()
    assert player.waits()[2] == (about(player.start + 0.8), Played(800.0))
    assert len(player.sent) == 50


@given(after_s=st.floats(0.0, 3.0))
def test_a_flush_answers_every_wait(after_s: float) -> None:
    player = Player()
    player.say(5, FRAME * 50)
    player.wait(1)
    player.say(6, FRAME * 50)
    player.wait(2)
    player.run_for(after_s)
    early_was_answered = 1 in player.waits()
    assert early_was_answered == (after_s >= 1.0 - 1e-7)
    flushed = player.flush()
    cut = Interrupted(flushed.played_ms, flushed.discarded_ms)
    if not early_was_answered:
        assert player.waits()[1] == (player.now, cut)
    if after_s < 1.9:
        assert player.waits()[2] == (player.now, cut)
    assert set(player.waits()) == {1, 2}
    player.say(7, FRAME * 200)
    player.run_out()
    assert set(player.waits()) == {1, 2}, "and each once"


def test_a_wait_asked_while_held_is_answered_after_the_release() -> None:
    player = Player()
    player.hold()
    player.say(5, FRAME * 10)
    player.wait(1)
    player.run_for(3.0)
    assert player.waits() == {}
    player.release()
    player.run_out()
    assert player.waits()[1][0] == about(player.start + 3.2)


def test_whoever_waits_no_more_is_not_answered() -> None:
    player = Player()
    player.write_plain(FRAME * 10)
    player.wait(1)
    player.begin(5)
    player.write(5, FRAME * 10)
    player.wait(2)
    player.leave(1)
    player.leave(1)
    player.run_out()
    assert list(player.waits()) == [2]


def test_a_wait_before_the_format_is_known_keeps_nobody_out() -> None:
    player = Player(None)
    player.write_plain(FRAME)
    player.stand(PLAIN, 1)
    player.wait(2)
    player.stand(PLAIN, 3)
    player.leave(1)
    player.settle(16000)
    assert player.answers(3) == [True]


def test_whoever_waits_no_more_before_the_format_is_known_keeps_nobody_out() -> None:
    player = Player(None)
    player.write_plain(FRAME)
    player.wait(2)
    player.stand(PLAIN, 3)
    player.leave(2)
    assert player.answers(3) == [True]


def test_who_waits_inside_a_speech_does_not_wait_for_what_it_keeps_back() -> None:
    player = Player()
    player.say(5, FRAME * 10)
    player.begin(6)
    player.write(6, FRAME * 10)
    player.write_plain(FRAME * 50)
    player.wait(1, inside=6)
    player.wait(2)
    player.run_for(5.0)
    assert player.waits() == {1: (about(player.start + 0.4), Played(400.0))}
    player.end(6)
    player.wait(3, inside=6)  # over meanwhile: as any other
    player.run_out()
    assert player.waits()[2][1] == Played(1400.0)
    assert player.waits()[3][1] == Played(1000.0)


@pytest.mark.parametrize("kind", ["a speech", "plain"])
def test_twenty_thousand_of_nothing_before_the_format_hold_nobody_up(kind: str) -> None:
    player = Player(None)
    for number in range(1, 20_001):
        if kind == "plain":
            player.queue.write(PLAIN, b"", None, player.now, is_end=True)
        else:
            player.queue.begin(number, player.now)
            player.queue.end(number, player.now)
    begun = time.process_time()
    player.queue.settle(AudioFormat(16000), player.now)
    assert time.process_time() - begun < 5, "each looked at all the others"
    assert not player.schedule.waiting
