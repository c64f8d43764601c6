# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.framing import Framer
from audio_connector.errors import UsageError

frame_sizes = st.integers(1, 40)
chunk_lists = st.lists(st.binary(max_size=130), max_size=30)


def push_all(framer: Framer, chunks: Iterable[bytes]) -> list[bytes]:
    return [frame for chunk in chunks for frame in framer.push(chunk)]


@given(frame_sizes, chunk_lists)
def test_no_byte_is_lost_and_every_frame_is_exact(frame_bytes: int, chunks: list[bytes]) -> None:
    framer = Framer(frame_bytes)
    fed = out = b""
    for chunk in chunks:
        frames = framer.push(chunk)
        fed += chunk
        out += b"".join(frames)
        assert all(len(frame) == frame_bytes for frame in frames)
        assert len(out) + framer.pending_bytes == len(fed)
        assert framer.pending_bytes < frame_bytes
    assert fed.startswith(out)
    last = framer.finish()
    if len(fed) == len(out):
        assert last is None
    else:
        assert last == fed[len(out) :].ljust(frame_bytes, b"\0")
    assert framer.pending_bytes == 0


@given(frame_sizes, chunk_lists)
def test_frames_do_not_depend_on_the_chunks(frame_bytes: int, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    as_given, at_once, byte_by_byte = Framer(frame_bytes), Framer(frame_bytes), Framer(frame_bytes)
    frames = push_all(as_given, chunks)
    assert frames == at_once.push(whole)
    assert frames == push_all(byte_by_byte, (whole[i : i + 1] for i in range(len(whole))))
    assert as_given.finish() == at_once.finish() == byte_by_byte.finish()


@given(frame_sizes, st.binary(max_size=100), st.binary(max_size=100))
def test_clear_drops_what_is_pending_and_nothing_else(frame_bytes: int, old: bytes, new: bytes) -> None:
    framer = Framer(frame_bytes)
    framer.push(old)
    assert framer.clear() == len(old) % frame_bytes
    assert framer.pending_bytes == 0
    assert framer.clear() == 0
    assert framer.push(new) == Framer(frame_bytes).push(new)


@given(frame_sizes, st.binary(max_size=100))
def test_the_rest_can_be_taken_as_it_is(frame_bytes: int, old: bytes) -> None:
    framer = Framer(frame_bytes)
    assert b"".join([*framer.push(old), framer.take_rest()]) == old
    assert framer.take_rest() == b""


def test_one_whole_frame_is_handed_through_without_a_copy() -> None:
    frame = bytes(640)
    assert Framer(640).push(frame)[0] is frame


def test_finish_pads_with_silence_once() -> None:
    framer = Framer(4)
    assert framer.push(b"\x01") == []
    assert framer.finish() == b"\x01\0\0\0"
    assert framer.finish() is None
    assert framer.push(b"\x02\x03\x04\x05") == [b"\x02\x03\x04\x05"]


def test_nothing_in_nothing_out() -> None:
    framer = Framer(640)
    assert framer.push(b"") == []
    assert framer.finish() is None
    assert framer.frame_bytes == 640


@pytest.mark.parametrize("frame_bytes", [0, -640, 640.0, True, None])
def test_a_frame_has_a_size(frame_bytes: object) -> None:
    with pytest.raises(UsageError, match="positive int"):
        Framer(frame_bytes)  # type: ignore[arg-type] # the check is for callers without type checker
