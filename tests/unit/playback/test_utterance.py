# SPDX-License-Identifier: Apache-2.0
"""One utterance by itself: its frames, its remainder, and its end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, frames_of, real_speech

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError
from audio_connector.playback.utterance import NEVER, Mark, Utterance, Writer

AT_16 = AudioFormat(16000)
CHUNKS = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


def utterance(audio_format: AudioFormat | None = AT_16) -> Utterance:
    return Utterance(5, audio_format)


def settled(early: Utterance, audio_format: AudioFormat) -> Utterance:
    for pcm, rate_hz in early.settle(audio_format):
        early.write(pcm, rate_hz)
    return early


@given(sizes=CHUNKS, rate_hz=st.sampled_from([None, 8000, 16000, 22050, 24000]))
def test_what_is_queued_is_counted_as_it_comes(sizes: list[int], rate_hz: int | None) -> None:
    said, queued_bytes = utterance(), 0
    for chunk in cut(real_speech(16000)[:20_000], sizes):
        queued_bytes += said.write(chunk, rate_hz)
        assert said.queued_bytes == queued_bytes
    queued_bytes += said.drain() if not said.frames else 0
    assert said.queued_bytes == queued_bytes
    said.complete()
    assert said.queued_bytes == len(said.frames) * 640


@given(sizes=CHUNKS, rate_hz=st.sampled_from([None, 8000, 22050, 24000]))
def test_the_frames_depend_neither_on_the_cut_nor_on_when_the_format_is_known(
    sizes: list[int], rate_hz: int | None
) -> None:
    speech = real_speech(16000)[:20_000]
    early, now = utterance(None), utterance()
    for chunk in cut(speech, sizes):
        early.write(chunk, rate_hz)
        now.write(chunk, rate_hz)
    assert early.queued_bytes == len(speech)
    settled(early, AT_16)
    assert early.frames == now.frames
    for each in (early, now):
        assert each.complete() is None
        assert list(each.frames) == frames_of(resample(speech, rate_hz or 16000, 16000), 640)


@given(sizes=CHUNKS, drain_after=st.sets(st.integers(0, 19), max_size=5))
def test_a_drain_loses_nothing_of_what_follows(sizes: list[int], drain_after: set[int]) -> None:
    pcm = counting_pcm(40_000)
    said = utterance()
    heard: list[bytes] = []
    for turn, chunk in enumerate(cut(pcm, sizes)):
        said.write(chunk, None)
        if turn in drain_after:
            heard += said.frames
            said.frames.clear()
            said.drain()
            assert said.remainder_bytes == 0
    said.complete()
    heard += said.frames
    content = b"".join(heard)
    samples = [content[at : at + 2] for at in range(0, len(content), 2)]
    assert b"".join(sample for sample in samples if sample != b"\0\0") == pcm
    assert {len(frame) for frame in heard} == {640}


def test_a_drain_of_what_a_resampler_holds_pads_only_what_is_no_whole_frame() -> None:
    speech = real_speech(16000)[20_000:21_920]  # two frames at 24 kHz
    said = utterance()
    said.write(speech, 24000)
    assert len(said.frames) == 1
    said.frames.clear()
    assert said.drain() > 0
    assert list(said.frames) == [resample(speech, 24000, 16000)[640:]]
    said.frames.clear()
    assert said.drain() == 0
    assert not said.frames


def test_the_end_pads_with_silence() -> None:
    said = utterance()
    said.write(counting_pcm(700), None)
    assert said.complete() is None
    assert list(said.frames) == frames_of(counting_pcm(700), 640)
    assert said.is_complete
    assert not said.has_remainder


@pytest.mark.parametrize("rate_hz", [None, 24000])
def test_half_a_sample_at_the_end_is_named_and_the_rest_played(rate_hz: int | None) -> None:
    said, even = utterance(), utterance()
    said.write(counting_pcm(700) + b"\1", rate_hz)
    even.write(counting_pcm(700), rate_hz)
    assert isinstance(said.complete(), AudioDataError)
    assert even.complete() is None
    assert said.frames == even.frames


def test_what_cannot_complete_a_sample_is_refused_and_changes_nothing() -> None:
    said = utterance()
    said.write(b"\1", None)
    with pytest.raises(AudioDataError, match="half a sample"):
        said.write(bytes(640), 8000)
    said.write(b"\1", None)
    said.complete()
    assert list(said.frames) == frames_of(b"\1\1", 640)


# The router's rate.


def test_early_audio_with_a_label_is_converted_and_other_audio_is_not() -> None:
    early = utterance(None)
    early.write(counting_pcm(640), None)
    early.write(real_speech(16000)[:6400], 16000)
    settled(early, AudioFormat(8000))
    early.complete()
    converted = resample(real_speech(16000)[:6400], 16000, 8000)
    assert b"".join(early.frames)[: 640 + len(converted)] == counting_pcm(640) + converted


@pytest.mark.parametrize("rate_hz", [8000, 24000])
@given(size_bytes=st.integers(0, 3000))
def test_audio_without_a_label_is_framed_anew_and_goes_on(rate_hz: int, size_bytes: int) -> None:
    said = utterance()
    said.write(counting_pcm(6000)[:size_bytes], None)
    assert said.settle(AudioFormat(rate_hz)) == []
    said.write(counting_pcm(6000)[size_bytes:], None)
    said.complete()
    assert list(said.frames) == frames_of(counting_pcm(6000), AudioFormat(rate_hz).frame_bytes)


def test_a_complete_utterance_stays_whole_frames_in_another_format() -> None:
    said = utterance()
    said.write(counting_pcm(1300), None)
    said.complete()
    said.settle(AudioFormat(24000))
    assert list(said.frames) == frames_of(b"".join(frames_of(counting_pcm(1300), 640)), 960)


# How far it is.


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
    said.run_sent = 1
    assert said.target == 3


def test_marks_of_what_was_sent_stay_and_others_wait_for_all_that_is_there() -> None:
    said = utterance()
    said.run_sent = 4
    said.write(bytes(1280), None)
    said.marks.extend([(3, Mark(1)), (5, Mark(2)), (NEVER, Mark(3))])
    said.settle(AudioFormat(8000))
    said.aim_marks()
    assert [target for target, _ in said.marks] == [3, 8, 8]


def test_what_is_heard_is_counted_over_runs() -> None:
    said = utterance()
    said.run_start, said.run_sent = 10, 5
    assert [said.heard(run_heard) for run_heard in (0, 10, 12, 15, 99)] == [0, 0, 2, 5, 5]
    said.start_run()
    assert (said.sent, said.heard(0)) == (5, 5)
    assert said.said_ms(5) == 100.0
    said.starved_at = 1.0
    said.rest()
    assert (said.said_ms(said.sent), said.rested_ms) == (0.0, 100.0)
    assert said.starved_at is None


def test_what_was_not_heard_is_what_was_sent_and_waits_and_is_held() -> None:
    said = utterance()
    said.write(real_speech(16000)[:9600], 24000)
    said.frames.popleft()
    said.run_sent = 1
    assert said.unheard_ms(0, AT_16) == 200.0
    assert said.unheard_ms(1, AT_16) == 180.0


def test_whoever_is_forgotten_waits_nowhere() -> None:
    said = utterance()
    said.line.extend([Writer(1), Mark(2), Writer(3)])
    said.marks.extend([(1, Mark(2)), (2, Mark(4))])
    said.end_marks += [Mark(2), Mark(5)]
    said.forget(2)
    assert [entry.token for entry in said.line] == [1, 3]
    assert [mark.token for _, mark in said.marks] == [4]
    assert [mark.token for mark in said.end_marks] == [5]
