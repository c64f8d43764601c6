# SPDX-License-Identifier: Apache-2.0
"""The application's end of a lane of audio: that of plain writes, or of a speech.

Nothing is decided here but what needs no knowledge of the queue: whether it is audio, and whether there surely is
room. Whoever is not sure of that stands in line on the I/O side, which knows.
"""

from __future__ import annotations

from audio_connector.audio.admission import LONG_BYTES, Admission
from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.audio.pcm import AudioInput, is_array
from audio_connector.call.asks import StandInLine, Write, WriteGranted
from audio_connector.errors import UsageError
from audio_connector.playback.speech import NO_ROOM, PLAIN
from audio_connector.server.line import Line

PIECE_BYTES = 64_000
"""What is handed over at once: 2 s at 16 kHz, so that an hour in one call neither fills the queue nor holds up the
I/O side."""

WAITS_FOR_ITSELF = (
    "this is heard behind a speech whose async with block it stands in, and would wait for ever for that to end; "
    "leave that block first, or say it in a task of its own"
)


class Lane:
    """Where one utterance after another is written; ``number`` is `PLAIN`, or that of a speech.

    After a pause of ``pause_s`` in plain writes it is judged anew whether they are audio.
    """

    __slots__ = ("_line", "_number", "_pause_s", "_waiting", "_written_at", "admission")

    def __init__(self, line: Line, number: int, *, pause_s: float = float("inf")) -> None:
        self.admission = Admission()
        self._line = line
        self._number = number
        self._pause_s = pause_s
        self._written_at = 0.0
        self._waiting = 0

    def write_now(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool) -> bool:
        """Hand over what surely has room, the path of every outgoing frame; False where it has not: then `write` it.

        Raises what `Admission.check` does; nothing was handed over then.
        """
        line, admission = self._line, self.admission
        now = line.clock()
        if now - self._written_at > self._pause_s:
            admission.judge_anew()
        self._written_at = now
        figures = line.figures
        queued_bytes = figures.queued_bytes + line.handed_bytes - figures.accepted_bytes
        if self._waiting or queued_bytes > line.max_queued_bytes:
            return False
        if admission.goes_on and type(audio) is bytes and rate_hz is None and not is_end:
            size_bytes = len(audio)
            if self._number == PLAIN and 0 < size_bytes <= LONG_BYTES and not size_bytes % SAMPLE_BYTES:
                line.handed_bytes += size_bytes
                line.send((line.link_id, audio))
                return True
        if is_array(audio) and audio.ndim and len(audio) * SAMPLE_BYTES > PIECE_BYTES:
            return False  # before it is converted, which `write` does as well: twice a second for an hour of floats
        pcm = admission.check(audio, rate_hz, is_end=is_end)
        if len(pcm) > PIECE_BYTES:
            return False
        if pcm or is_end:
            admission.note(pcm, rate_hz, is_end=is_end)
            line.handed_bytes += len(pcm)
            line.post(Write(self._number, pcm, rate_hz, is_end))
        return True

    async def write(self, audio: AudioInput, rate_hz: int | None, *, is_end: bool = False) -> bool:
        """Hand over audio of any size, piece by piece, each as soon as there is room.

        Who is cancelled leaves nothing open: the pieces that were handed over are heard, and the end holds. False
        where a flush, or the end of the connection, overtook it: the rest is not played.
        """
        line, admission = self._line, self.admission
        pcm = admission.check(audio, rate_hz, is_end=is_end)
        if not pcm and not is_end:
            return True
        utterance = admission.utterance
        admission.note(pcm, rate_hz, is_end=is_end)
        self._waiting += 1
        at = 0
        try:
            token = next(line.numbers)
            behind = line.speech_before(self._number)
            granted = await line.follow_up(token, StandInLine(self._number, token, is_end, behind))
            while granted and granted != NO_ROOM:
                piece = pcm[at : at + PIECE_BYTES]
                at += len(piece)
                line.handed_bytes += len(piece)
                ask = WriteGranted(token, piece, rate_hz, at < len(pcm))
                if at >= len(pcm):
                    line.post(ask)
                    return True
                granted = await line.follow_up(token, ask)
            if granted == NO_ROOM:
                raise UsageError(WAITS_FOR_ITSELF)
            return False
        finally:
            self._waiting -= 1
            if at < len(pcm) and len(pcm) % SAMPLE_BYTES and admission.utterance == utterance:
                admission.forget_last_byte()
