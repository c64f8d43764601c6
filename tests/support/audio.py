# SPDX-License-Identifier: Apache-2.0
"""Audio whose every sample can be told apart, and audio that somebody spoke."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

from audio_connector.audio.resample import resample
from audio_connector.audio.wav import read_wav


def counting_pcm(size_bytes: int, *, start: int = 1) -> bytes:
    """PCM whose samples count up from ``start`` and are never zero, so that padding can be told from it."""
    samples = size_bytes // 2
    return struct.pack(f"<{samples}H", *((start + k) % 65535 + 1 for k in range(samples)))


@functools.cache
def real_speech(rate_hz: int = 16000) -> bytes:
    """Three seconds of somebody reading, at a rate of the router's."""
    with_path = files("audio_connector") / "samples" / "he-was-not.wav"
    pcm, own_hz = read_wav(str(with_path))
    return resample(pcm, own_hz, rate_hz)


def cut(pcm: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """Pieces of these sizes, over and over, until nothing is left."""
    at = turn = 0
    while at < len(pcm):
        size = sizes[turn % len(sizes)]
        yield pcm[at : at + size]
        at += size
        turn += 1


def padded(pcm: bytes, frame_bytes: int) -> bytes:
    """What whole frames carry of it."""
    return pcm + bytes(-len(pcm) % frame_bytes)


def frames_of(pcm: bytes, frame_bytes: int) -> list[bytes]:
    """The frames that carry it, the last one padded."""
    whole = padded(pcm, frame_bytes)
    return [whole[at : at + frame_bytes] for at in range(0, len(whole), frame_bytes)]


def numbers_of(frames: Iterable[bytes]) -> list[int]:
    """The first sample of each frame of `numbered`."""
    return [int.from_bytes(frame[:2], "little") for frame in frames]


def numbered(number: int, frame_bytes: int) -> bytes:
    """A frame that says its number in every sample."""
    return number.to_bytes(2, "little") * (frame_bytes // 2)
