# SPDX-License-Identifier: Apache-2.0
"""Incoming audio as somebody wants to read it: in pieces of one length, at one rate.

Rules:

1. Every piece is whole samples and as long as was asked, but the last one, and the last one before a change of rate.
   Where no length was asked for, pieces are frames, and those two are filled up with silence: who takes frames, such
   as a voice activity detector, raises on anything else.
2. Half a sample at the end of a message is left out: the message was cut off, and the half would shift all that
   follows, or raise where it is read.
"""

from __future__ import annotations

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES, AudioFormat
from audio_connector.audio.framing import Framer
from audio_connector.audio.ingest import PcmIngest


class Pieces:
    """Cuts and converts 16-bit mono PCM.

    Args:
        chunk_ms: Length of the pieces in milliseconds; None for frames of exactly 20 ms, whatever the messages are.
        rate_hz: Samples per second of the pieces, 4,000 to 192,000; None keeps that of the audio.
    """

    __slots__ = ("_chunk_ms", "_framer", "_ingest", "_rate_hz", "_source_hz")

    def __init__(self, *, chunk_ms: float | None, rate_hz: int | None) -> None:
        self._chunk_ms = chunk_ms
        self._rate_hz = rate_hz
        self._source_hz = 0
        self._ingest = PcmIngest(rate_hz or AudioFormat().rate_hz)
        self._framer: Framer | None = None

    @property
    def rate_hz(self) -> int:
        """Samples per second of the latest pieces."""
        return self._ingest.rate_hz

    def push(self, pcm: bytes, source_hz: int) -> list[bytes]:
        """Take a message of audio, and its rate; returns the pieces that are ready."""
        rest = self._start(source_hz) if source_hz != self._source_hz else []
        whole = pcm[:-1] if len(pcm) % SAMPLE_BYTES else pcm
        return rest + self._cut(self._ingest.write(whole, sample_rate=source_hz))

    def finish(self) -> list[bytes]:
        """Nothing follows; returns what is left: a frame, or a piece as short as it is."""
        return self._cut(self._ingest.finish()) + self._take_rest()

    def _start(self, source_hz: int) -> list[bytes]:
        """Set up for a rate; returns what is left of the one before where the size of the pieces changes."""
        self._source_hz = source_hz
        rate_hz = self._rate_hz or source_hz
        if self._ingest.rate_hz != rate_hz:
            self._ingest = PcmIngest(rate_hz)
        piece_bytes = SAMPLE_BYTES * max(1, round(rate_hz * (self._chunk_ms or FRAME_MS) / 1000))
        if self._framer is not None and self._framer.frame_bytes == piece_bytes:
            return []
        rest = self._take_rest()
        self._framer = Framer(piece_bytes)
        return rest

    def _cut(self, pcm: bytes) -> list[bytes]:
        return self._framer.push(pcm) if self._framer is not None else []

    def _take_rest(self) -> list[bytes]:
        if self._framer is None:
            return []
        rest = self._framer.finish() if self._chunk_ms is None else self._framer.take_rest()
        return [rest] if rest else []
