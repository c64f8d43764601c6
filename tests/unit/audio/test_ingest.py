# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.resample import Resampler, resample
from audio_connector.errors import AudioDataError, AudioFormatError

sample_rates = st.sampled_from([None, 8000, 16000, 24000, 44100])
byte_chunks = st.lists(st.binary(max_size=60), max_size=20)


def noise(samples: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).integers(-32768, 32768, samples).astype("<i2").tobytes()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(byte_chunks)
def test_odd_bytes_are_carried_and_nothing_is_lost(chunks: list[bytes]) -> None:
    ingest = PcmIngest(16000)
    fed = out = b""
    for chunk in chunks:
        piece = ingest.write(chunk)
        fed += chunk
        out += piece
        assert len(piece) % 2 == 0
        assert out == fed[: len(fed) // 2 * 2]
        assert ingest.held is bool(len(fed) % 2)
    if len(fed) % 2:
        with pytest.raises(AudioDataError, match="odd number of bytes over the whole utterance"):
            ingest.finish()
        out += ingest.write(b"\0")
        fed += b"\0"
    assert out + ingest.finish() == fed


@settings(deadline=None)
@given(sample_rates, st.integers(0, 1500), st.lists(st.integers(0, 3000), max_size=8))
def test_the_result_does_not_depend_on_the_chunks(
    sample_rate: int | None, samples: int, places: list[int]
) -> None:
    pcm = noise(samples)
    ingest = PcmIngest(16000)
    out = b"".join([ingest.write(chunk, sample_rate=sample_rate) for chunk in cut(pcm, places)])
    assert out + ingest.finish() == resample(pcm, sample_rate or 16000, 16000)
    assert not ingest.held


@pytest.mark.parametrize("sample_rate", [None, 24000])
def test_byte_by_byte(sample_rate: int | None) -> None:
    pcm = noise(400)
    ingest = PcmIngest(16000)
    out = b"".join([ingest.write(pcm[i : i + 1], sample_rate=sample_rate) for i in range(len(pcm))])
    assert out + ingest.finish() == resample(pcm, sample_rate or 16000, 16000)


@pytest.mark.parametrize("sample_rate", [None, 16000])
def test_the_common_write_is_handed_through_without_a_copy(sample_rate: int | None) -> None:
    pcm = noise(320)
    ingest = PcmIngest(16000)
    assert ingest.write(pcm, sample_rate=sample_rate) is pcm
    assert ingest.rate_hz == 16000
    assert not ingest.held


def test_a_change_of_rate_brings_out_the_old_tail_first() -> None:
    ingest = PcmIngest(16000)
    out = ingest.write(noise(2400), sample_rate=24000)
    out += ingest.write(noise(800, seed=2), sample_rate=8000)
    out += ingest.write(noise(320, seed=3))
    expected = resample(noise(2400), 24000, 16000) + resample(noise(800, seed=2), 8000, 16000)
    assert out == expected + noise(320, seed=3)
    assert not ingest.held
    assert ingest.finish() == b""


def test_the_tail_comes_with_finish() -> None:
    ingest = PcmIngest(16000)
    out = ingest.write(noise(480), sample_rate=24000)
    assert ingest.held
    tail = ingest.finish()
    assert tail
    assert out + tail == resample(noise(480), 24000, 16000)
    assert not ingest.held
    assert ingest.write(b"ab") == b"ab"


def test_a_half_sample_of_another_rate_waits_with_the_old_resampler_untouched() -> None:
    ingest = PcmIngest(16000)
    out = ingest.write(noise(2400), sample_rate=24000)
    data = noise(800, seed=2)
    out += ingest.write(data[:1], sample_rate=8000)
    out += ingest.write(data[1:], sample_rate=8000)
    out += ingest.finish()
    assert out == resample(noise(2400), 24000, 16000) + resample(data, 8000, 16000)


def test_arrays_and_buffers_are_taken() -> None:
    ingest = PcmIngest(16000)
    samples = np.array([1, 2, 3], np.int16)
    expected = samples.astype("<i2").tobytes()
    assert ingest.write(samples) == expected
    assert ingest.write(bytearray(expected)) == expected
    assert ingest.write(memoryview(expected)) == expected
    assert ingest.write(samples / 32768) == expected
    assert not ingest.held


def test_an_empty_write_changes_nothing_whatever_its_rate() -> None:
    ingest = PcmIngest(16000)
    ingest.write(b"\x01")
    assert ingest.write(b"", sample_rate=24000) == b""
    assert ingest.write(np.zeros(0, np.int16)) == b""
    assert ingest.write(b"\x02") == b"\x01\x02"


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"audio": "text"}, AudioDataError, "type str"),
    ({"audio": np.zeros(3, np.int32)}, AudioDataError, "dtype int32"),
    ({"audio": np.array([np.nan])}, AudioDataError, "got nan"),
    ({"audio": b"ab", "sample_rate": 1}, AudioFormatError, "sample rate 1;"),
    ({"audio": b"ab", "sample_rate": "16000"}, AudioFormatError, "sample rate '16000'"),
    ({"audio": b"ab", "sample_rate": 16000.0}, AudioFormatError, "sample rate 16000.0"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
@pytest.mark.parametrize("before", [b"", noise(300), noise(300)[:-1]], ids=["new", "even", "odd"])
@pytest.mark.parametrize("sample_rate", [16000, 24000])
def test_a_refused_write_changes_nothing(
    arguments: dict[str, Any], error: type[Exception], message: str, before: bytes, sample_rate: int
) -> None:
    ingest, reference = PcmIngest(16000), PcmIngest(16000)
    for one in (ingest, reference):
        one.write(before, sample_rate=sample_rate)
    held = ingest.held
    with pytest.raises(error, match=message):
        ingest.write(**arguments)
    assert ingest.held is held
    rest = noise(301, seed=2)[len(before) % 2 :]
    expected = reference.write(rest, sample_rate=sample_rate) + reference.finish()
    assert ingest.write(rest, sample_rate=sample_rate) + ingest.finish() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"audio": b"\x02", "sample_rate": 24000}, "half a sample at 16000 Hz"),
        ({"audio": np.ones(2, np.int16)}, "numpy array while half a sample waits"),
    ],
)
def test_only_the_same_stream_completes_a_half_sample(arguments: dict[str, Any], message: str) -> None:
    ingest = PcmIngest(16000)
    ingest.write(b"\x01")
    with pytest.raises(AudioDataError, match=message):
        ingest.write(**arguments)
    assert ingest.write(b"\x02") == b"\x01\x02"


def test_a_refused_finish_changes_nothing() -> None:
    ingest = PcmIngest(16000)
    pcm = noise(480)
    out = ingest.write(pcm[:-1], sample_rate=24000)
    for _ in range(2):
        with pytest.raises(AudioDataError, match="odd number of bytes"):
            ingest.finish()
    assert ingest.held
    out += ingest.write(pcm[-1:], sample_rate=24000)
    assert out + ingest.finish() == resample(pcm, 24000, 16000)


def test_reset_forgets_everything() -> None:
    ingest = PcmIngest(16000)
    ingest.write(noise(400) + b"\x01", sample_rate=24000)
    ingest.reset()
    assert not ingest.held
    assert ingest.finish() == b""
    assert ingest.write(b"ab") == b"ab"


def test_the_own_rate_is_checked() -> None:
    with pytest.raises(AudioFormatError, match="sample rate 0;"):
        PcmIngest(0)


@settings(deadline=None)
@given(
    sample_rates, st.integers(0, 1500), st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=8)
)
def test_a_drain_takes_nothing_from_what_follows(
    sample_rate: int | None, samples: int, places: list[tuple[int, bool]]
) -> None:
    pcm = noise(samples)
    places = sorted((place % (len(pcm) + 1), is_drained) for place, is_drained in places)
    ingest, resampler = PcmIngest(16000), Resampler(sample_rate or 16000, 16000)
    at = fed = 0
    for place, is_drained in [*places, (len(pcm), False)]:
        out = ingest.write(pcm[at:place], sample_rate=sample_rate)
        at = place
        assert out == resampler.push(pcm[fed : at // 2 * 2])
        fed = at // 2 * 2
        assert ingest.has_half is bool(at % 2)
        assert ingest.held_bytes == resampler.held_bytes
        assert ingest.held is (ingest.has_half or ingest.held_bytes > 0)
        if is_drained:
            assert ingest.drain() == resampler.drain()
            assert (ingest.held_bytes, ingest.drain()) == (0, b"")
            assert ingest.has_half is bool(at % 2)
    assert ingest.finish() == resampler.finish()


def test_a_drained_resampler_ends_without_a_word_where_the_rate_changes() -> None:
    ingest = PcmIngest(16000)
    out = ingest.write(noise(2400), sample_rate=24000) + ingest.drain()
    assert out == resample(noise(2400), 24000, 16000)
    pcm = noise(320)
    assert ingest.write(pcm) == pcm
    assert ingest.write(pcm) is pcm


def test_a_change_of_rate_keeps_the_half_sample() -> None:
    ingest = PcmIngest(16000)
    out = ingest.write(noise(480) + b"\x01", sample_rate=24000)
    assert out + ingest.change_rate(8000) == resample(noise(480), 24000, 16000)
    assert (ingest.rate_hz, ingest.has_half, ingest.held_bytes) == (8000, True, 0)
    out = ingest.write(b"\x02" + noise(480), sample_rate=24000)
    assert out + ingest.finish() == resample(b"\x01\x02" + noise(480), 24000, 8000)


def test_it_is_clean_where_audio_of_its_rate_comes_back_as_it_is() -> None:
    ingest = PcmIngest(16000)
    assert ingest.is_clean
    ingest.write(b"\1")
    assert not ingest.is_clean, "half a sample waits"
    ingest.write(b"\1")
    assert ingest.is_clean
    ingest.write(bytes(960), sample_rate=24000)
    ingest.drain()
    assert not ingest.is_clean, "the resampler is in use, though it holds nothing"
    ingest.write(bytes(2))
    assert ingest.is_clean
