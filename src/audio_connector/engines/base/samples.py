# SPDX-License-Identifier: Apache-2.0
"""Audio as services take and give it: WAV in memory, and PCM cut anywhere. No clock and no I/O."""

from __future__ import annotations

import io
import wave
from typing import Final

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.sniff import refuse_file
from audio_connector.errors import AudioDataError

HEAD_BYTES: Final = 1500
"""So much is looked at before any is given on: 31 ms at 24 kHz, which a service sends at once. With less, MP3 without
a tag passes for PCM."""


class WholeSamples:
    """Joins the pieces of a response, which may end in the middle of a sample, and refuses what is no PCM."""

    def __init__(self) -> None:
        self._held = b""
        self._is_checked = False

    def push(self, chunk: bytes) -> bytes:
        """Take a piece; returns whole samples, possibly none.

        Raises:
            AudioDataError: It is a file, or text.
        """
        self._held += chunk
        return b"" if not self._is_checked and len(self._held) < HEAD_BYTES else self._take()

    def finish(self) -> bytes:
        """Nothing follows; returns what is left.

        Raises:
            AudioDataError: As in `push`; or half a sample is left.
        """
        rest = self._take()
        if self._held:
            raise AudioDataError(
                "got an odd number of bytes in all; expected 16-bit PCM; ask for pcm, not for mu-law"
            )
        return rest

    def _take(self) -> bytes:
        if not self._is_checked:
            refuse_file(self._held)
            self._is_checked = True
        whole_bytes = len(self._held) - len(self._held) % SAMPLE_BYTES
        whole, self._held = self._held[:whole_bytes], self._held[whole_bytes:]
        return whole


def wav_of(pcm: bytes, rate_hz: int) -> bytes:
    """The samples as a WAV file.

    Args:
        pcm: Whole mono 16-bit samples.
        rate_hz: Samples per second of them.

    Raises:
        AudioDataError: An odd number of bytes.
        AudioFormatError: The rate is out of range.
    """
    check_rate_hz(rate_hz)
    check_whole(pcm)
    with io.BytesIO() as file:
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(SAMPLE_BYTES)
            writer.setframerate(rate_hz)
            writer.writeframes(pcm)
        return file.getvalue()


def check_whole(pcm: bytes) -> None:
    """Refuse half a sample.

    Raises:
        AudioDataError: An odd number of bytes.
    """
    if len(pcm) % SAMPLE_BYTES:
        raise AudioDataError(
            f"got {len(pcm)} bytes; expected whole 16-bit samples; keep the odd byte for the next piece"
        )
