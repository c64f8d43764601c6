# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.playground.microphone import MOST_MS, PRIME_FRAMES, Microphone


def frame(number: int) -> bytes:
    return bytes([number]) * 4


def test_some_frames_are_gathered_before_speech_begins() -> None:
    microphone = Microphone(4)
    for number in range(PRIME_FRAMES - 1):
        assert microphone.push(frame(number), 0) == ()
    assert microphone.push(frame(9), 0) == (*map(frame, range(PRIME_FRAMES - 1)), frame(9))


def test_while_there_is_speech_in_hand_each_frame_goes_on_at_once() -> None:
    microphone = Microphone(4)
    assert microphone.push(frame(1), 20) == (frame(1),)


def test_what_is_too_much_is_dropped_and_counted() -> None:
    microphone = Microphone(4)
    assert microphone.push(frame(1), MOST_MS + 20) == ()
    assert microphone.dropped_frames == 1


@given(st.lists(st.integers(0, 11), max_size=40))
def test_whole_frames_come_out_however_the_speech_was_cut(pieces: list[int]) -> None:
    speech = bytes(range(256)) * 2
    microphone, at, said = Microphone(4), 0, b""
    for size in pieces:
        said += b"".join(microphone.push(speech[at : at + size], 20))
        at += size
    assert said == speech[: at // 4 * 4]
    assert microphone.dropped_frames == 0
