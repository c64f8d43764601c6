# SPDX-License-Identifier: Apache-2.0
"""One utterance by itself: how far it is, and who waits for it."""

from __future__ import annotations

from support.audio import real_speech

from audio_connector.audio.format import AudioFormat
from audio_connector.playback.utterance import NEVER, Mark, Utterance, Writer

AT_16 = AudioFormat(16000)


def utterance(audio_format: AudioFormat | None = AT_16) -> Utterance:
    return Utterance(5, audio_format)


def settled(early: Utterance, audio_format: AudioFormat) -> Utterance:
    for pcm, rate_hz in early.settle(audio_format):
        early.write(pcm, rate_hz)
    return early


def test_a_target_counts_all_that_was_written() -> None:
    said = utterance(None)
    assert said.target == NEVER
    settled(said, AT_16)
    assert said.target == 0
    said.write(bytes(1281), None)
    assert said.target == 2, "half a sample is nothing that can be heard"
    said.write(bytes(1), None)
    assert said.target == 3
    said.frames.popleft()
    said.sent = 1
    assert said.target == 3


def test_marks_of_what_was_sent_stay_and_others_wait_for_all_that_is_there() -> None:
    said = utterance()
    said.sent = 4
    said.write(bytes(1280), None)
    said.marks.extend([(3, Mark(1)), (5, Mark(2)), (NEVER, Mark(3))])
    said.settle(AudioFormat(8000))
    said.aim_marks()
    assert [target for target, _ in said.marks] == [3, 8, 8]


def test_what_is_heard_is_counted_among_all_that_is_sent() -> None:
    said = utterance()
    said.first, said.sent = 10, 5
    assert [said.heard(in_all) for in_all in (0, 10, 12, 15, 99)] == [0, 0, 2, 5, 5]
    assert said.end == 15
    assert said.said_ms(5) == 100.0
    said.starved_at = 1.0
    said.rest()
    assert (said.said_ms(said.sent), said.rested_ms) == (0.0, 100.0)
    assert said.starved_at is None


def test_what_was_not_heard_is_what_was_sent_and_waits_and_is_held() -> None:
    said = utterance()
    said.write(real_speech(16000)[:9600], 24000)
    said.frames.popleft()
    said.sent = 1
    assert said.unheard_ms(0, AT_16) == 200.0
    assert said.unheard_ms(1, AT_16) == 180.0


def test_whoever_is_forgotten_waits_nowhere() -> None:
    said = utterance()
    said.line.extend([Writer(1, said), Mark(2), Writer(3, said)])
    said.marks.extend([(1, Mark(2)), (2, Mark(4))])
    said.end_marks += [Mark(2), Mark(5)]
    said.forget(2)
    assert [entry.token for entry in said.line] == [1, 3]
    assert [mark.token for _, mark in said.marks] == [4]
    assert [mark.token for mark in said.end_marks] == [5]
