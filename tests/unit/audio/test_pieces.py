# SPDX-License-Identifier: Apache-2.0
"""Incoming audio comes out in the pieces that were asked for, whatever the messages were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered

from audio_connector.audio.pieces import Pieces


@given(st.lists(st.integers(0, 900)), st.sampled_from([1.0, 20.0, 30.0]))
def test_nothing_is_lost_and_every_piece_but_the_last_is_as_long_as_was_asked(
    samples: list[int], chunk_ms: float
) -> None:
    pieces = Pieces(chunk_ms=chunk_ms, rate_hz=None)
    messages = [numbered(at, 2 * count) for at, count in enumerate(samples)]
    ready = [piece for message in messages for piece in pieces.push(message, 8000)]
    assert {len(piece) for piece in ready} <= {round(16 * chunk_ms)}
    rest = pieces.finish()
    assert len(rest) <= 1
    assert b"".join([*ready, *rest]) == b"".join(messages)


@given(st.lists(st.integers(0, 2000)), st.sampled_from([8000, 16000, 24000]), st.booleans())
def test_where_nothing_is_asked_every_piece_is_a_frame(
    samples: list[int], rate_hz: int, is_resampled: bool
) -> None:
    pieces = Pieces(chunk_ms=None, rate_hz=16000 if is_resampled else None)
    messages = [numbered(at, 2 * count) for at, count in enumerate(samples)]
    ready = [piece for message in messages for piece in pieces.push(message, rate_hz)] + pieces.finish()
    assert {len(piece) for piece in ready} <= {(16000 if is_resampled else rate_hz) // 25}
    if not is_resampled:
        sent, got = b"".join(messages), b"".join(ready)
        assert got[: len(sent)] == sent
        assert not any(got[len(sent) :])
        assert len(got) - len(sent) < rate_hz // 25


def test_a_frame_is_handed_on_without_a_copy() -> None:
    pieces = Pieces(chunk_ms=None, rate_hz=None)
    frame = numbered(3, 640)
    [piece] = pieces.push(frame, 16000)
    assert piece is frame
    assert pieces.push(frame[:7], 16000) == pieces.push(b"\1", 16000) == []
    assert pieces.finish() == [frame[:6] + bytes(634)]


def test_what_is_left_goes_ahead_of_a_change_of_rate() -> None:
    pieces = Pieces(chunk_ms=20, rate_hz=None)
    assert [len(piece) for piece in pieces.push(bytes(700), 16000)] == [640]
    assert pieces.rate_hz == 16000
    assert [len(piece) for piece in pieces.push(bytes(320), 8000)] == [60, 320]
    assert pieces.rate_hz == 8000
    frames = Pieces(chunk_ms=None, rate_hz=None)
    assert [len(piece) for piece in frames.push(bytes(700), 16000)] == [640]
    assert [len(piece) for piece in frames.push(bytes(320), 8000)] == [640, 320]


@pytest.mark.parametrize("source_hz", [8000, 24000])
def test_at_another_rate_frames_come_out_and_all_of_the_audio(source_hz: int) -> None:
    pieces = Pieces(chunk_ms=None, rate_hz=16000)
    ready = [piece for _ in range(50) for piece in pieces.push(bytes(source_hz // 25), source_hz)]
    assert {len(piece) for piece in ready} == {640}
    assert sum(map(len, ready + pieces.finish())) == 32000
