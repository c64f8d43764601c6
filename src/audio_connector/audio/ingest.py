# SPDX-License-Identifier: Apache-2.0
"""The first stage of an utterance: what the application writes becomes samples at the connection's rate.

Rules:

1. A write that is refused changes nothing.
2. The result does not depend on how raw bytes were cut into writes, odd places included.
3. A half sample is completed only by bytes of the same stream: an array, or audio of another rate, would come
   out as noise behind it, and is refused. It waits across a `PcmIngest.drain`.
4. A drain takes nothing from what follows: neither a sample nor the resampler's memory.
"""

from __future__ import annotations

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import AudioInput, is_array, to_pcm16
from audio_connector.audio.resample import Resampler
from audio_connector.errors import AudioDataError


class PcmIngest:
    """Collects the audio of one utterance.

    Args:
        rate_hz: Samples per second of what comes out: the connection's rate.

    Raises:
        AudioFormatError: ``rate_hz`` is out of range.
    """

    __slots__ = ("_half", "_half_hz", "_is_clean", "_rate_hz", "_resampler")

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = check_rate_hz(rate_hz)
        self._half = b""
        self._half_hz = self._rate_hz
        self._resampler: Resampler | None = None
        self._is_clean = True

    @property
    def rate_hz(self) -> int:
        """Samples per second of what comes out."""
        return self._rate_hz

    @property
    def held(self) -> bool:
        """Whether something is still in here: a half sample, or audio in the resampler."""
        return bool(self._half) or self.held_bytes > 0

    @property
    def is_clean(self) -> bool:
        """Whether whole samples at ``rate_hz`` come back as they are: no half sample, no resampler in use."""
        return self._is_clean

    @property
    def has_half(self) -> bool:
        """Whether half a sample waits for its other byte."""
        return bool(self._half)

    @property
    def held_bytes(self) -> int:
        """Bytes at ``rate_hz`` that `drain` would return; half a sample is not counted."""
        return 0 if self._resampler is None else self._resampler.held_bytes

    def write(self, audio: AudioInput, *, sample_rate: int | None = None) -> bytes:
        """Take a piece of the utterance and return what is ready of it.

        Args:
            audio: As in `to_pcm16`. Bytes may end in half a sample: the next write completes it.
            sample_rate: Samples per second of ``audio``, 4,000 to 192,000; None for the connection's rate.
                Where it differs from the write before, what the resampler still holds comes out first.

        Returns:
            Whole samples at ``rate_hz``, possibly none. Even-sized ``bytes`` of the connection's rate come
            back as they are where nothing is held.

        Raises:
            AudioDataError: As in `to_pcm16`; or half a sample waits and ``audio`` cannot complete it.
            AudioFormatError: ``sample_rate`` is out of range.
        """
        is_own_rate = sample_rate is None or (type(sample_rate) is int and sample_rate == self._rate_hz)
        if is_own_rate and self._is_clean and type(audio) is bytes and not len(audio) & 1:
            return audio
        in_hz = self._rate_hz if sample_rate is None else check_rate_hz(sample_rate)
        pcm = to_pcm16(audio)
        if not pcm:
            return pcm
        if self._half:
            self._check_completes_half(audio, in_hz)
            pcm = self._half + pcm
        whole_bytes = len(pcm) - len(pcm) % SAMPLE_BYTES
        out = self._convert(pcm[:whole_bytes], in_hz) if whole_bytes else b""
        self._half = pcm[whole_bytes:]
        self._half_hz = in_hz
        self._is_clean = not self._half and self._resampler is None
        return out

    def drain(self) -> bytes:
        """Return what the resampler holds, and go on: for when there is no time to wait for the next write.

        Returns:
            Whole samples at ``rate_hz``, up to the end of what was written; nothing the second time. Half a sample
            stays, and what is written next goes on at exactly the next sample.
        """
        return b"" if self._resampler is None else self._resampler.drain()

    def finish(self) -> bytes:
        """End the utterance.

        Returns:
            What the resampler still held, at ``rate_hz``; possibly nothing. Afterwards this is as new.

        Raises:
            AudioDataError: Half a sample is left; nothing was changed, so that its other byte can still come.
        """
        if self._half:
            raise AudioDataError(
                "got an odd number of bytes over the whole utterance; expected whole 16-bit samples; "
                "write the missing byte, or look for what cuts the audio or mixes a header into it"
            )
        tail = b"" if self._resampler is None else self._resampler.finish()
        self.reset()
        return tail

    def change_rate(self, rate_hz: int) -> bytes:
        """Convert to another rate from here on; half a sample that waits still waits.

        Args:
            rate_hz: Samples per second of what comes out, 4,000 to 192,000.

        Returns:
            What the resampler still held, at the rate before.

        Raises:
            AudioFormatError: ``rate_hz`` is out of range; nothing was changed.
        """
        check_rate_hz(rate_hz)
        tail = b"" if self._resampler is None else self._resampler.finish()
        self._resampler = None
        if self._half_hz == self._rate_hz:
            self._half_hz = rate_hz
        self._rate_hz = rate_hz
        self._is_clean = not self._half
        return tail

    def reset(self) -> None:
        """Forget the utterance: drop what is held."""
        self._half = b""
        self._half_hz = self._rate_hz
        self._resampler = None
        self._is_clean = True

    def _check_completes_half(self, audio: AudioInput, in_hz: int) -> None:
        if in_hz != self._half_hz:
            raise AudioDataError(
                f"got audio at {in_hz} Hz while half a sample at {self._half_hz} Hz waits for its other "
                "byte; expected that byte first; write it, or write whole samples before the rate changes"
            )
        if is_array(audio):
            raise AudioDataError(
                "got a numpy array while half a sample waits for its other byte; expected bytes that "
                "complete it; write that byte first, or write whole samples only"
            )

    def _convert(self, pcm: bytes, in_hz: int) -> bytes:
        resampler = self._resampler
        if resampler is not None and resampler.in_hz == in_hz:
            return resampler.push(pcm)
        tail = b"" if resampler is None else resampler.finish()
        if in_hz == self._rate_hz:
            self._resampler = None
            return tail + pcm
        self._resampler = Resampler(in_hz, self._rate_hz)
        return tail + self._resampler.push(pcm)
