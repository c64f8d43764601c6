# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from audio_connector.simulator.activity import Level
from audio_connector.simulator.voice import Voice

A, B, C = b"a" * 640, b"b" * 640, b"c" * 640


def all_of(voice: Voice) -> bytes:
    """The first letters of what it says until it has nothing to say."""
    said = b""
    while (frame := voice.next()) is not None:
        said += frame[:1]
    return said


@pytest.mark.parametrize(("ticks", "said"), [(None, b"ab"), (0, b""), (1, b"a"), (5, b"ababa")])
def test_a_speech_is_said_once_or_repeated_or_cut(ticks: int | None, said: bytes) -> None:
    voice = Voice((A, B), ticks=ticks)
    assert voice.waiting_frames == len(said)
    assert all_of(voice) == said
    assert voice.waiting_frames == 0


def test_somebody_with_nothing_to_say_is_silent_however_long() -> None:
    assert Voice(ticks=100).next() is None
    assert Voice(ticks=100).waiting_frames == 0


def test_what_is_put_in_is_said_behind_everything_else() -> None:
    voice = Voice((A, B))
    assert voice.next() == A
    voice.put_in([C])
    voice.put_in(iter([A, A]))
    assert voice.waiting_frames == 4
    assert all_of(voice) == b"bcaa"


def test_who_is_stopped_says_nothing_more_until_something_is_put_in() -> None:
    voice = Voice((A, B), ticks=1000)
    voice.put_in([C])
    voice.next()
    voice.stop()
    assert (voice.next(), voice.waiting_frames) == (None, 0)
    voice.put_in([B])
    assert all_of(voice) == b"b"


def test_the_level_is_that_of_the_frame_that_was_said() -> None:
    loud, silent = b"\x00\x10" * 320, bytes(640)
    voice = Voice((loud, silent), ticks=3)
    voice.put_in([b"\x01\x00" * 320])
    said = []
    while voice.next() is not None:
        said.append(voice.level)
    assert said == [Level.LOUD, Level.NOTHING, Level.LOUD, Level.QUIET]
    assert voice.level is Level.NOTHING
