# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import array
import contextlib
import sys
import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.audio import real_speech

from audio_connector.audio.pcm import AudioInput, is_array, mix_down, to_pcm16
from audio_connector.errors import AudioDataError

int16_arrays = hnp.arrays(np.int16, st.integers(0, 50))
stereo_arrays = hnp.arrays(np.int16, st.tuples(st.integers(0, 20), st.integers(1, 8)))


def test_bytes_come_back_without_a_copy_whatever_their_length() -> None:
    for audio in (b"", b"\x01", bytes(640)):
        assert to_pcm16(audio) is audio


@given(st.binary(max_size=100))
def test_other_buffers_are_copied(data: bytes) -> None:
    owner = bytearray(data)
    from_owner, from_view = to_pcm16(owner), to_pcm16(memoryview(owner))
    owner[:] = bytes(len(owner))
    assert type(from_owner) is type(from_view) is bytes
    assert from_owner == from_view == data


def test_a_memoryview_counts_as_its_raw_bytes_whatever_its_format() -> None:
    samples = array.array("h", [1, -2, 300])
    assert to_pcm16(memoryview(samples)) == samples.tobytes()


@pytest.mark.parametrize(
    "view", [memoryview(b"abcdefgh")[::2], memoryview(b"abcdefgh")[::-1], np.ones((3, 2)).T.data]
)
def test_a_memoryview_with_gaps_is_refused(view: memoryview) -> None:
    with pytest.raises(AudioDataError, match="with gaps"):
        to_pcm16(view)


def test_a_released_memoryview_is_refused() -> None:
    view = memoryview(b"abcd")
    view.release()
    with pytest.raises(AudioDataError, match="released memoryview"):
        to_pcm16(view)


@given(int16_arrays)
def test_int16_is_written_little_endian_whatever_the_byte_order(samples: npt.NDArray[np.int16]) -> None:
    expected = b"".join(int(sample).to_bytes(2, "little", signed=True) for sample in samples)
    assert to_pcm16(samples) == expected
    assert to_pcm16(samples.astype(">i2")) == expected
    assert to_pcm16(samples.reshape(-1, 1)) == expected


def test_a_strided_array_is_read_in_its_own_order() -> None:
    samples = np.arange(10, dtype=np.int16)
    assert to_pcm16(samples[::-3]) == np.array([9, 6, 3, 0], "<i2").tobytes()


@given(stereo_arrays)
def test_channels_are_mixed_by_their_rounded_mean(samples: npt.NDArray[np.int16]) -> None:
    mono = np.frombuffer(to_pcm16(samples), "<i2")
    assert len(mono) == len(samples)
    exact = samples.astype(np.float64).mean(axis=1)
    assert np.all(np.abs(mono - exact) <= 0.5)
    assert mix_down(samples.astype("<i2").tobytes(), samples.shape[1]) == mono.tobytes()


def test_the_loudest_mix_does_not_overflow() -> None:
    for extreme in (-32768, 32767):
        loud = np.full((3, 32), extreme, np.int16)
        assert to_pcm16(loud) == np.full(3, extreme, "<i2").tobytes()


@given(int16_arrays, st.sampled_from([np.float32, np.float64]))
def test_a_round_trip_through_floats_is_exact(
    samples: npt.NDArray[np.int16], dtype: type[np.float32]
) -> None:
    assert to_pcm16((samples / 32768).astype(dtype)) == samples.astype("<i2").tobytes()


def test_floats_are_scaled_rounded_and_clipped() -> None:
    floats = np.array([0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -2.0, 0.6 / 32768, -0.6 / 32768], np.float32)
    expected = np.array([0, 16384, -16384, 32767, -32768, 32767, -32768, 1, -1], "<i2")
    assert to_pcm16(floats) == expected.tobytes()
    assert to_pcm16(floats.astype(">f4")) == expected.tobytes()


def test_float_channels_are_mixed_before_clipping() -> None:
    floats = np.array([[2.0, -1.0], [4.0, 4.0], [0.25, 0.75]], np.float32)
    assert to_pcm16(floats) == np.array([16384, 32767, 16384], "<i2").tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_that_went_astray_is_clipped(dtype: type[np.float32]) -> None:
    floats = np.zeros(480, dtype)
    floats[7] = 20
    assert to_pcm16(floats) == bytes(14) + b"\xff\x7f" + bytes(944)


@pytest.mark.parametrize("gain", [1.0, 2.0, 4.0])
def test_overshoot_is_clipped(gain: float) -> None:
    sine = np.sin(np.arange(480) / 5)
    out = np.frombuffer(to_pcm16(sine * gain), "<i2")
    assert np.array_equal(out, np.clip(np.rint(sine * gain * 32768), -32768, 32767))


def real_pieces() -> list[npt.NDArray[np.int16]]:
    speech = np.frombuffer(real_speech(), "<i2")
    return [speech[at : at + 320] for at in range(0, len(speech), 320)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_in_the_range_of_int16_are_refused_from_the_first_sound_on(dtype: type[np.float32]) -> None:
    for piece in real_pieces():
        assert to_pcm16((piece / 32768).astype(dtype)) == piece.tobytes()
        with pytest.raises(AudioDataError, match=r"^got floats as large as .* divide them by 32768 [^\n]*$"):
            to_pcm16(piece.astype(dtype))


@pytest.mark.parametrize("floats", [np.full((3, 2), np.finfo(np.float64).max), np.array([5.0, -5.0])])
def test_the_largest_floats_are_refused_without_a_warning(floats: npt.NDArray[np.float64]) -> None:
    with pytest.raises(AudioDataError, match="got floats as large as"):
        to_pcm16(floats)


@given(hnp.arrays(np.float32, st.integers(0, 30), elements=st.floats(width=32)))
def test_any_floats_become_samples_or_an_error(floats: npt.NDArray[np.float32]) -> None:
    if not np.isfinite(floats).all():
        with pytest.raises(AudioDataError, match="expected finite floats"):
            to_pcm16(floats)
    elif np.abs(floats).max(initial=0) <= 4:
        assert len(to_pcm16(floats)) == 2 * len(floats)
    else:
        with contextlib.suppress(AudioDataError):  # as far as they are too large on average
            assert len(to_pcm16(floats)) == 2 * len(floats)


def test_arrays_are_told_without_importing_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_array(np.zeros(3))
    assert not is_array(b"abc")
    monkeypatch.delitem(sys.modules, "numpy")
    assert not is_array(b"abc")


@pytest.mark.parametrize(
    ("floats", "message"),
    [
        (np.array([0.0, 0.1, np.nan, np.inf]), "got nan at index 2;"),
        (np.array([[0.0, 0.1], [0.2, -np.inf]], np.float32), r"got -inf at index \(1, 1\);"),
        (np.append(np.zeros(100_000), np.nan), "got nan at index 100000;"),
        (np.append(np.zeros((100_000, 2)), [[0.0, np.inf]], axis=0), r"got inf at index \(100000, 1\);"),
    ],
)
def test_what_is_not_finite_is_refused_with_its_place(floats: AudioInput, message: str) -> None:
    with pytest.raises(AudioDataError, match=message):
        to_pcm16(floats)


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "int32", "int64", "float16", "complex64", "bool", "<U4", "O"]
)
def test_another_dtype_is_refused_and_named(dtype: str) -> None:
    with pytest.raises(AudioDataError, match="expected int16, or float32"):
        to_pcm16(np.zeros(4, dtype))


@pytest.mark.parametrize("shape", [(), (1, 960), (2, 960), (4, 0), (1, 4, 2)])
def test_another_shape_is_refused_and_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioDataError, match=r"\(samples, channels\)") as caught:
        to_pcm16(np.zeros(shape, np.int16))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize(
    ("audio", "hint"),
    [
        ("UklGRg==", "base64"),
        ([0, 1, 2], "numpy.asarray"),
        ((0, 1, 2), "numpy.asarray"),
        (array.array("h", [1]), "memoryview"),
        (None, "leave the call out"),
        (640, "convert it"),
    ],
)
def test_another_type_is_refused_with_a_way_out(audio: AudioInput, hint: str) -> None:
    with pytest.raises(AudioDataError, match=hint) as caught:
        to_pcm16(audio)
    assert type(audio).__name__ in str(caught.value)


def test_one_channel_is_not_touched_by_mix_down() -> None:
    pcm = bytes(6)
    assert mix_down(pcm, 1) is pcm


@pytest.mark.parametrize(("size_bytes", "channels"), [(6, 2), (5, 2), (8, 0), (66, 33)])
def test_mix_down_wants_whole_groups(size_bytes: int, channels: int) -> None:
    with pytest.raises(AudioDataError, match="whole sample groups"):
        mix_down(bytes(size_bytes), channels)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_what_is_long_is_the_same_as_its_pieces(channels: int, dtype: Any) -> None:
    loud = np.random.default_rng(7).uniform(-1.2, 1.2, (100_003, channels))
    samples = loud.astype(dtype) if dtype is np.float32 else (loud * 27_000).astype(dtype)
    whole = samples if channels > 1 else samples[:, 0]
    assert to_pcm16(whole) == b"".join(to_pcm16(whole[at : at + 777]) for at in range(0, len(whole), 777))


@pytest.mark.parametrize(
    "minutes", [np.zeros(16_000 * 600, np.float32), np.zeros((16_000 * 600, 2), np.int16)]
)
def test_ten_minutes_need_little_more_than_their_samples(
    minutes: npt.NDArray[np.float32] | npt.NDArray[np.int16],
) -> None:
    tracemalloc.start()
    try:
        pcm = to_pcm16(minutes)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 2 * len(pcm) + (1 << 20)
