# SPDX-License-Identifier: Apache-2.0
"""Marks: reached when all that was written before has been heard, and reached on every path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered
from support.player import Player, about

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.playback.speech import Interrupted, Played

FRAME = numbered(7, 640)


def test_a_mark_of_nothing_is_reached_at_once() -> None:
    player = Player()
    player.mark("a")
    assert player.marks() == {"a": (player.start, Played(0.0))}


def test_a_mark_behind_what_was_heard_is_reached_at_once() -> None:
    player = Player()
    player.say(1, FRAME * 10)
    player.run_for(5.0)
    player.mark("a")
    assert player.marks()["a"][0] == player.start + 5.0


@given(sizes=st.lists(st.integers(1, 30_000).map(lambda samples: 2 * samples), min_size=1, max_size=6))
def test_a_mark_is_reached_when_the_last_frame_before_it_ends(sizes: list[int]) -> None:
    player = Player()
    expected_frames = []
    total = 0
    for utterance_id, size_bytes in enumerate(sizes):
        player.say(utterance_id, counting_pcm(size_bytes))
        player.mark(utterance_id)
        total += -(-size_bytes // 640)
        expected_frames.append(total)
    player.run_out()
    assert [at for at, _ in player.marks().values()] == [
        about(player.start + frames * 0.02) for frames in expected_frames
    ]
    assert list(player.marks()) == list(range(len(sizes)))


def test_marks_of_one_position_keep_their_order() -> None:
    player = Player()
    player.say(1, FRAME)
    for token in ("b", "a", "c"):
        player.mark(token)
    player.run_out()
    assert list(player.marks()) == ["b", "a", "c"]


def test_a_mark_counts_a_remainder_that_will_be_padded() -> None:
    player = Player()
    player.write(0, FRAME * 2 + b"\1\1")
    player.mark("a")
    player.run_out()
    assert player.marks()["a"][0] == about(player.sent[-1].at + 0.04)
    assert len(player.sent) == 3


def test_a_mark_waits_out_an_underrun() -> None:
    player = Player()
    player.schedule.begin(1)
    player.write(1, FRAME * 10)
    player.mark("a")
    player.run_for(1.0)
    player.write(1, FRAME * 10)
    player.mark("b")
    player.run_out()
    assert player.marks()["a"][0] == about(player.start + 0.2)
    assert player.marks()["b"][0] == about(player.start + 1.2)


@given(after_s=st.floats(0.0, 3.0))
def test_a_flush_answers_every_mark(after_s: float) -> None:
    player = Player()
    player.say(1, FRAME * 50)
    player.mark("early")
    player.say(2, FRAME * 50)
    player.mark("late")
    player.run_for(after_s)
    early_was_reached = "early" in player.marks()
    assert early_was_reached == (after_s >= 1.0 - 1e-7)
    flushed = player.flush(2)
    cut = Interrupted(flushed.played_ms, flushed.discarded_ms)
    if not early_was_reached:
        assert player.marks()["early"] == (player.now, cut)
    if after_s < 1.9:
        assert player.marks()["late"] == (player.now, cut)
    assert set(player.marks()) == {"early", "late"}
    player.say(3, FRAME * 200)
    player.run_out()
    assert set(player.marks()) == {"early", "late"}, "and each once"


def test_a_mark_set_while_held_is_reached_after_the_release() -> None:
    player = Player()
    player.schedule.hold()
    player.say(1, FRAME * 10)
    player.mark("a")
    player.run_for(3.0)
    assert player.marks() == {}
    player.schedule.release()
    player.advance()
    player.run_out()
    assert player.marks()["a"][0] == about(player.start + 3.2)


@pytest.mark.parametrize("rate_hz", [8000, 24000])
@given(size_bytes=st.integers(1, 3000).map(lambda samples: 2 * samples), is_ended=st.booleans())
def test_a_mark_is_reached_where_the_format_changed_meanwhile(
    rate_hz: int, size_bytes: int, is_ended: bool
) -> None:
    player = Player()
    player.schedule.hold()
    player.write(1, counting_pcm(size_bytes))
    if is_ended:
        player.end(1)
    player.mark("a")
    player.schedule.change_format(AudioFormat(rate_hz), lambda pcm: resample(pcm, 16000, rate_hz))
    player.schedule.release()
    player.advance()
    player.run_out()
    assert list(player.marks()) == ["a"]
