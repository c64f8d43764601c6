# SPDX-License-Identifier: Apache-2.0
"""What was written, as frames: the remainder, the resampler, the rate that comes late, and the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import counting_pcm, cut, frames_of, real_speech

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.frames import PcmFrames
from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError

AT_16 = AudioFormat(16000)
CHUNKS = st.lists(st.integers(1, 3000), min_size=1, max_size=20)


def frames(audio_format: AudioFormat | None = AT_16) -> PcmFrames:
    return PcmFrames(audio_format)


def settled(early: PcmFrames, audio_format: AudioFormat) -> PcmFrames:
    for pcm, rate_hz in early.settle(audio_format):
        early.write(pcm, rate_hz)
    return early


@given(sizes=CHUNKS, rate_hz=st.sampled_from([None, 8000, 16000, 22050, 24000]))
def test_what_is_queued_is_name_it_comes(sizes: list[int], rate_hz: int | None) -> None:
    said, queued_bytes = frames(), 0
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
    early, now = frames(None), frames()
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
    said = frames()
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
    said = frames()
    said.write(speech, 24000)
    assert len(said.frames) == 1
    said.frames.clear()
    assert said.drain() > 0
    assert list(said.frames) == [resample(speech, 24000, 16000)[640:]]
    said.frames.clear()
    assert said.drain() == 0
    assert not said.frames


def test_the_end_pads_with_silence() -> None:
    said = frames()
    said.write(counting_pcm(700), None)
    assert said.complete() is None
    assert list(said.frames) == frames_of(counting_pcm(700), 640)
    assert said.is_complete
    assert not said.has_remainder


@pytest.mark.parametrize("rate_hz", [None, 24000])
def test_half_a_sample_at_the_end_is_named_and_the_rest_played(rate_hz: int | None) -> None:
    said, even = frames(), frames()
    said.write(counting_pcm(700) + b"\1", rate_hz)
    even.write(counting_pcm(700), rate_hz)
    assert isinstance(said.complete(), AudioDataError)
    assert even.complete() is None
    assert said.frames == even.frames


def test_what_cannot_complete_a_sample_is_refused_and_changes_nothing() -> None:
    said = frames()
    said.write(b"\1", None)
    with pytest.raises(AudioDataError, match="half a sample"):
        said.write(bytes(640), 8000)
    said.write(b"\1", None)
    said.complete()
    assert list(said.frames) == frames_of(b"\1\1", 640)


# The router's rate.


def test_early_audio_with_a_label_is_converted_and_other_audio_is_not() -> None:
    early = frames(None)
    early.write(counting_pcm(640), None)
    early.write(real_speech(16000)[:6400], 16000)
    settled(early, AudioFormat(8000))
    early.complete()
    converted = resample(real_speech(16000)[:6400], 16000, 8000)
    assert b"".join(early.frames)[: 640 + len(converted)] == counting_pcm(640) + converted


@pytest.mark.parametrize("rate_hz", [8000, 24000])
@given(size_bytes=st.integers(0, 3000))
def test_audio_without_a_label_is_framed_anew_and_goes_on(rate_hz: int, size_bytes: int) -> None:
    said = frames()
    said.write(counting_pcm(6000)[:size_bytes], None)
    assert said.settle(AudioFormat(rate_hz)) == []
    said.write(counting_pcm(6000)[size_bytes:], None)
    said.complete()
    assert list(said.frames) == frames_of(counting_pcm(6000), AudioFormat(rate_hz).frame_bytes)


def test_a_complete_utterance_stays_whole_frames_in_another_format() -> None:
    said = frames()
    said.write(counting_pcm(1300), None)
    said.complete()
    said.settle(AudioFormat(24000))
    assert list(said.frames) == frames_of(b"".join(frames_of(counting_pcm(1300), 640)), 960)


@given(sizes=CHUNKS)
def test_labelled_audio_is_framed_anew_in_order(sizes: list[int]) -> None:
    speech = real_speech(16000)[:20_000]
    said = frames()
    for chunk in cut(speech, sizes):
        said.write(chunk, 24000)
    said.settle(AudioFormat(8000))
    said.complete()
    once = resample(resample(speech, 24000, 16000), 16000, 8000)
    assert list(said.frames) == frames_of(once, 320)


def test_all_that_waits_is_counted_in_frames() -> None:
    said = frames()
    said.write(bytes(1281), None)
    assert said.frames_in_all == 2, "half a sample is nothing that can be heard"
    said.write(bytes(1), None)
    assert said.frames_in_all == 3
    assert said.remainder_bytes == 2
