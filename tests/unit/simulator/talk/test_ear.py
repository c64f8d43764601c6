# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

import pytest
from support.talking import Reader, frames_of, spelled

from audio_connector.errors import DeadlineError
from audio_connector.simulator.talk.ear import MAX_WAITING, Ear
from audio_connector.testing import in_virtual_time

FRAME_S = 0.02


def hear(ear: Ear, text: str, at_s: float) -> float:
    """The bot says this from a time on, and is silent for a second; returns the end."""
    for number, frame in enumerate(frames_of(text)):
        ear.played(frame, at_s + number * FRAME_S)
    end_s = at_s + len(text) * FRAME_S + 1.0
    ear.look(end_s)
    return end_s


@in_virtual_time
async def test_it_is_known_up_to_where_everything_is_understood() -> None:
    ear = Ear(Reader(takes_s=2.0), rate_hz=16000)
    ear.look(1.0)
    assert (ear.settled_s, ear.open_since_s, ear.is_behind) == (1.0, None, False)
    ear.played(spelled("x"), 1.5)
    ear.look(1.6)
    assert (ear.settled_s, ear.open_since_s) == (1.5, 1.5)
    hear(ear, "hello", 1.52)
    assert (ear.settled_s, ear.open_since_s, ear.is_behind) == (1.5, None, True)
    end_s = hear(ear, "there", 4.0)
    await asyncio.sleep(2.5)
    assert ear.settled_s == 4.0
    assert ear.text_since(0.0) == "xhello"
    await ear.finish()
    assert ear.settled_s == end_s
    assert ear.text_since(0.0) == "xhello there"
    assert ear.text_since(1.6) == "xhello there"  # which went on after it
    assert ear.text_since(1.7) == "there"


@in_virtual_time
async def test_a_recogniser_that_is_far_too_slow_is_not_waited_for() -> None:
    ear = Ear(Reader(takes_s=100.0), rate_hz=16000)
    at_s = 0.0
    for _ in range(MAX_WAITING + 5):
        at_s = hear(ear, "abcde", at_s)
    assert ear.unheard_s == pytest.approx(5 * 0.1)
    await ear.abandon()
    assert ear.lines == []


@in_virtual_time
async def test_after_a_failure_nothing_more_is_recognised() -> None:
    failures: list[Exception] = []
    ear = Ear(Reader(fails_on="bad"), rate_hz=16000, on_failure=failures.append)
    hear(ear, "a bad one", 0.0)
    await asyncio.sleep(1)
    hear(ear, "a good one", 3.0)
    with pytest.raises(RuntimeError, match="broke"):
        await ear.finish()
    assert [str(error) for error in failures] == ["the recogniser broke"]
    assert ear.lines == []
    assert ear.unheard_s == pytest.approx(0.2)


@in_virtual_time
async def test_words_that_came_of_noise_leave_no_text() -> None:
    ear = Ear(Reader(), rate_hz=16000)
    hear(ear, "     ", 0.0)
    await ear.finish()
    assert ear.text_since(0.0) == ""


@in_virtual_time
async def test_a_recogniser_that_never_comes_back_is_told() -> None:
    ear = Ear(Reader(takes_s=5000.0), rate_hz=16000)
    hear(ear, "hello", 0.0)
    with pytest.raises(
        DeadlineError, match=r"took more than 120 s for 0\.1 s of speech; take a smaller model"
    ):
        await ear.finish()
