# SPDX-License-Identifier: Apache-2.0
"""What may be written next of an utterance: judged before it is handed over, so that a refusal changes nothing.

Rules:

1. An utterance does not begin with a file or a text, however it is cut, and no long piece of it does: whoever writes
   so much at a time may write a whole file.
2. Half a sample is completed only by bytes of the same rate; anything else would come out as noise behind it.
3. An utterance ends with a whole sample.
"""

from __future__ import annotations

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import AudioInput, to_pcm16
from audio_connector.errors import AudioDataError

LONG_BYTES = 1000
"""Longer than a frame."""

SNIFFED_BYTES = 4096


class Admission:
    """Judges what is written of one utterance after another.

    Attributes:
        has_half: Whether the latest byte is half a sample.
        goes_on: Whether the beginning of an utterance was judged, and whole samples of any rate may follow.
        utterance: Its number.
    """

    __slots__ = ("_half_hz", "_head", "goes_on", "has_half", "utterance")

    def __init__(self) -> None:
        self.utterance = 0
        self.has_half = self.goes_on = False
        self._half_hz: int | None = None
        self._head = b""

    def restart(self) -> None:
        """What is written from now on begins an utterance."""
        self.utterance += 1
        self.has_half = False
        self.judge_anew()

    def judge_anew(self) -> None:
        """A pause: what follows may be another answer, and no audio."""
        self.goes_on, self._head = False, b""

    def check(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool) -> bytes:
        """Refuse what is no audio, or cannot follow what was written.

        Args:
            audio: As in `to_pcm16`; any number of bytes.
            rate_hz: Its samples per second, 4,000 to 192,000; None for the rate of the connection.
            is_end: The utterance ends with it.

        Returns:
            The audio as bytes.

        Raises:
            AudioDataError: It is none, or half a sample would be left at the end.
            AudioFormatError: The rate is out of range.
        """
        if rate_hz is not None:
            check_rate_hz(rate_hz)
        pcm = to_pcm16(audio)
        is_long = len(pcm) > LONG_BYTES
        if is_long or len(self._head) < SNIFFED_BYTES:
            from audio_connector.audio.sniff import refuse_file  # noqa: PLC0415 - its patterns take 5 ms to compile

            if len(self._head) < SNIFFED_BYTES:
                refuse_file((self._head + pcm)[:SNIFFED_BYTES])
            if is_long and self._head:
                refuse_file(pcm[:SNIFFED_BYTES])
        if self.has_half and pcm:
            self._check_completes_half(audio, rate_hz)
        if is_end and (len(pcm) + self.has_half) % SAMPLE_BYTES:
            raise AudioDataError(
                f"an odd number of bytes over the whole utterance ({len(pcm)} in this call): 16-bit samples have two "
                "each. Nothing of this call was played; look for what cuts the audio in the middle of a sample"
            )
        return pcm

    def note(self, pcm: bytes, rate_hz: int | None, *, is_end: bool) -> None:
        """It was checked, and is written."""
        if is_end:
            self.restart()
            return
        self.has_half = bool((len(pcm) + self.has_half) % SAMPLE_BYTES)
        if len(self._head) < SNIFFED_BYTES:
            self._head += pcm[: SNIFFED_BYTES - len(self._head)]
        self.goes_on = not self.has_half and len(self._head) >= SNIFFED_BYTES
        self._half_hz = rate_hz

    def forget_last_byte(self) -> None:
        """The last byte of what was noted was not written after all."""
        self.has_half = not self.has_half
        self.goes_on = False  # until the next write that is judged

    def _check_completes_half(self, audio: AudioInput, rate_hz: int | None) -> None:
        if rate_hz == self._half_hz and isinstance(audio, bytes | bytearray | memoryview):
            return
        raise AudioDataError(
            f"got {'a numpy array' if rate_hz == self._half_hz else f'audio {_of_rate(rate_hz)}'} while half a "
            f"sample {_of_rate(self._half_hz)} waits for its other byte; expected that byte first; write it, or "
            "write whole samples only"
        )


def _of_rate(rate_hz: int | None) -> str:
    return "of the router's rate" if rate_hz is None else f"at {rate_hz} Hz"
