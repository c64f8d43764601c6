# SPDX-License-Identifier: Apache-2.0
"""What is heard of plain writes is found in the figures of a call, whenever these are told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered
from support.call import VirtualCall

from audio_connector.call.tells import Figures
from audio_connector.playback.speech import FRAME_S, Progress
from audio_connector.server.plain_talk import PlainTalk, Talk

PAUSE_S = 0.4
FRAME = numbered(7, 640)


def figures(heard_before: int, anchor_s: float | None, *, sent: int = 0, speech: int = 0) -> Figures:
    said = ((3, Progress(run_sent=speech)),) if speech else ()
    return Figures(progress=Progress(heard_before, anchor_s, run_sent=sent), speeches=said)


def near(began_at: float, ended_at: float) -> list[object]:
    return [pytest.approx((began_at, ended_at))]


def test_a_run_is_told_once_the_pause_is_over() -> None:
    talk = PlainTalk(PAUSE_S)
    assert list(talk.follow(figures(0, 10.0, sent=50), 10.1)) == []
    assert list(talk.follow(figures(50, None), 11.1)) == []
    assert list(talk.follow(figures(50, None), 11.5)) == near(10.0, 11.0)
    assert list(talk.follow(figures(50, None), 12.0)) == []
    assert list(talk.finish()) == []


def test_runs_that_follow_soon_are_one_and_later_ones_are_two() -> None:
    talk = PlainTalk(PAUSE_S)
    list(talk.follow(figures(0, 10.0), 10.0))
    assert list(talk.follow(figures(50, 11.2), 11.3)) == [], "an underrun of 0.2 s"
    assert list(talk.follow(figures(100, 15.0), 15.0)) == near(10.0, 12.2)
    assert list(talk.follow(figures(110, None), 15.3)) == []
    assert list(talk.finish()) == near(15.0, 15.2)


def test_a_speech_is_none() -> None:
    talk = PlainTalk(PAUSE_S)
    list(talk.follow(figures(0, 10.0, sent=50, speech=50), 10.1))
    assert list(talk.follow(figures(50, None), 12.0)) == []
    list(talk.follow(figures(50, 20.0), 20.1))
    assert list(talk.follow(figures(60, None), 21.0)) == near(20.0, 20.2), "the next one is"


def test_a_clock_that_the_router_corrects_ends_nothing() -> None:
    talk = PlainTalk(PAUSE_S)
    list(talk.follow(figures(0, 10.0), 10.1))
    assert list(talk.follow(figures(0, 10.06), 10.5)) == []
    assert list(talk.follow(figures(50, None), 12.0)) == near(10.0, 11.0)


@given(
    steps=st.lists(st.tuples(st.integers(6, 100), st.integers(0, 40).map(lambda n: n * 0.1)), max_size=8),
    every_ms=st.integers(1, 5).map(lambda n: n * 20),
)
def test_of_a_real_call_all_that_is_heard_is_found(steps: list[tuple[int, float]], every_ms: int) -> None:
    call, talk = VirtualCall(playback={"pause_ms": 400}), PlainTalk(PAUSE_S)
    talks: list[Talk] = []

    def follow(seconds: float) -> None:
        for _ in range(max(1, round(seconds * 1000 / every_ms))):
            call.run_for(every_ms / 1000)
            talks.extend(talk.follow(call.link.call.figures(), call.clock.now))

    for frames, pause_s in steps:
        call.write(FRAME * frames)
        follow(frames * FRAME_S + 0.2 + pause_s)
    follow(1.0)
    call.flush()
    talks.extend(talk.follow(call.link.call.figures(), call.clock.now))
    talks.extend(talk.finish())
    heard_s = sum(end - begin for begin, end in talks)
    written_s = sum(frames for frames, _ in steps) * FRAME_S
    gaps_s = PAUSE_S * len(steps)
    assert written_s - 0.021 * len(steps) <= heard_s <= written_s + gaps_s
    assert all(begin < end for begin, end in talks)
    assert all(a[1] + PAUSE_S - 1e-6 <= b[0] for a, b in itertools.pairwise(talks))
