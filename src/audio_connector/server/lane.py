# SPDX-License-Identifier: Apache-2.0
"""The application's end of one lane of audio, that of plain writes or of a speech: checked, handed over, waited for.

Nothing is decided here but what needs no knowledge of the queue: whether it is audio, and whether there surely is
room. Whoever is not sure of that stands in line on the I/O side, which knows.
"""

from __future__ import annotations

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import AudioInput, to_pcm16
from audio_connector.call.asks import StandInLine, Write, WriteGranted
from audio_connector.errors import AudioDataError
from audio_connector.playback.speech import PLAIN
from audio_connector.server.line import Line

PIECE_BYTES = 64_000
"""What is handed over at once: 2 s at 16 kHz, so that an hour in one call neither fills the queue nor holds up the
I/O side."""

LONG_BYTES = 1000
"""Longer than a frame: whoever writes so much at a time may write a whole file."""

SNIFFED_BYTES = 4096


class Lane:
    """Where one utterance after another is written.

    Args:
        line: The way to the I/O side.
        number: `PLAIN`, or that of a speech.
        max_buffer_s: What may be queued before writers wait.
    """

    __slots__ = (
        "_half_hz",
        "_is_begun",
        "_line",
        "_max_buffer_s",
        "_number",
        "_restarts",
        "_waiting",
        "has_half",
    )

    def __init__(self, line: Line, number: int, *, max_buffer_s: float) -> None:
        self._line = line
        self._number = number
        self._max_buffer_s = max_buffer_s
        self._waiting = 0
        self._restarts = 0
        self._is_begun = False
        self._half_hz: int | None = None
        self.has_half = False
        """The latest byte is half a sample."""

    def restart(self) -> None:
        """What is written from now on begins an utterance."""
        self._restarts += 1
        self._is_begun = self.has_half = False

    def check(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool) -> bytes:
        """Refuse what is no audio, or cannot follow what was written.

        Returns:
            The audio as bytes.

        Raises:
            AudioDataError: It is none, or half a sample would be left at the end.
            AudioFormatError: The rate is out of range.
        """
        if rate_hz is not None:
            check_rate_hz(rate_hz)
        pcm = to_pcm16(audio)
        if not self._is_begun or len(pcm) > LONG_BYTES:
            from audio_connector.audio.sniff import refuse_file  # noqa: PLC0415 - its patterns take 5 ms to compile

            refuse_file(pcm[:SNIFFED_BYTES])
        if self.has_half and pcm:
            self._check_completes_half(audio, rate_hz)
        if is_end and (len(pcm) + self.has_half) % SAMPLE_BYTES:
            raise AudioDataError(
                f"an odd number of bytes over the whole utterance ({len(pcm)} in this call): 16-bit samples have two "
                "each. Nothing of this call was played; look for what cuts the audio in the middle of a sample"
            )
        return pcm

    def write_now(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool) -> bool:
        """Hand over what surely has room; the path of every outgoing frame.

        Returns:
            False where it has not: then `write` it.

        Raises:
            AudioDataError, AudioFormatError: As `check`; nothing was handed over.
        """
        line = self._line
        figures = line.figures
        queued_bytes = figures.queued_bytes + line.handed_bytes - figures.accepted_bytes
        if self._waiting or queued_bytes > self._max_buffer_s * line.format.bytes_per_second:
            return False
        if (
            type(audio) is bytes
            and rate_hz is None
            and self._is_begun
            and not is_end
            and not self.has_half
            and self._number == PLAIN
            and not len(audio) % SAMPLE_BYTES
            and 0 < len(audio) <= LONG_BYTES
        ):
            line.handed_bytes += len(audio)
            line.send((line.link_id, audio))
            return True
        pcm = self.check(audio, rate_hz, is_end=is_end)
        if len(pcm) > PIECE_BYTES:
            return False
        if pcm or is_end:
            self._note(pcm, rate_hz, is_end=is_end)
            line.handed_bytes += len(pcm)
            line.post(Write(self._number, pcm, rate_hz, is_end))
        return True

    async def write(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool = False) -> bool:
        """Hand over audio of any size, piece by piece, each as soon as there is room.

        Who is cancelled leaves nothing open: the pieces that were handed over are heard, and the end holds.

        Returns:
            False where a flush, or the end of the connection, overtook it: the rest is not played.
        """
        pcm = self.check(audio, rate_hz, is_end=is_end)
        if not pcm and not is_end:
            return True
        restarts = self._restarts
        self._note(pcm, rate_hz, is_end=is_end)
        self._waiting += 1
        at = 0
        try:
            line = self._line
            token = next(line.numbers)
            granted = await line.follow_up(token, StandInLine(self._number, token, is_end))
            while granted:
                piece = pcm[at : at + PIECE_BYTES]
                at += len(piece)
                line.handed_bytes += len(piece)
                ask = WriteGranted(token, piece, rate_hz, at < len(pcm))
                if at >= len(pcm):
                    line.post(ask)
                    return True
                granted = await line.follow_up(token, ask)
            return False
        finally:
            self._waiting -= 1
            if at < len(pcm) and len(pcm) % SAMPLE_BYTES and self._restarts == restarts:
                self.has_half = not self.has_half  # its last byte was not handed over

    def _note(self, pcm: bytes, rate_hz: int | None, *, is_end: bool) -> None:
        if is_end:
            self.restart()
            return
        self._is_begun = True
        self.has_half = bool((len(pcm) + self.has_half) % SAMPLE_BYTES)
        self._half_hz = rate_hz

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
