# SPDX-License-Identifier: Apache-2.0
"""One recording on its way to disk: what was taped, both sides, becomes a stereo WAV file. Blocks; see `writer`.

The header is right after every second of audio, so that a process that is killed leaves a file that can be read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.audio.ingest import PcmIngest
from audio_connector.audio.mixing import interleave
from audio_connector.audio.wav import WavWriter
from audio_connector.call.tells import Taped
from audio_connector.errors import AudioFileError
from audio_connector.recording.notes import MAX_EVENTS, Note, Notes, write_notes
from audio_connector.recording.outcome import Recorded
from audio_connector.recording.timeline import Timeline

LOOKAHEAD_S = 1.0
"""Longer than what holds up a network that carries speech at all."""

HOLD_S = 5.0
"""For a network that stands still; what it held back for longer is placed late, and catches up. The file ends so
long ago where the caller is silent, and `LOOKAHEAD_S` ago where not."""

JOINED_S = 0.1
"""Messages that follow closely are placed together up to so much: a fifth of the work, still short of a breath."""

CLOSE_S = 2 * FRAME_MS / 1000
"""Less than a gap of `timeline.GAP_S` between two frames."""

ROUNDING_S = 1e-5
"""Less than half a sample at 24 kHz, and more than what floats of a clock of years are off by."""

MARGIN_S = FRAME_MS / 1000 + 0.001
"""A frame of ours that is being heard is told once it was, with the time at which it began."""


class Take:
    """Writes one file. Nothing is raised for the disk's sake: ``error`` says why it ended.

    Args:
        path: The file; an existing one is replaced.
        rate_hz: Samples per second; None takes the call's.
        notes: What it says of itself, besides what is found out here.
        keeps_events: Whether it says what happened.
    """

    def __init__(
        self, path: Path, *, rate_hz: int | None = None, notes: Notes | None = None, keeps_events: bool = True
    ) -> None:
        self.path = path
        self.error: AudioFileError | None = None
        self._wanted_hz = rate_hz
        self._notes = notes or Notes()
        self._keeps_events = keeps_events
        self._rate_hz = self._samples = 0
        self._lost_ms = 0.0
        self._events: list[Note] = []
        self._events_lost = 0
        self._zero = self._at = 0.0
        self._began_at = ""
        self._wav: WavWriter | None = None
        self._is_over = False

    def open(self, rate_hz: int) -> None:
        """Make the file, or say why not."""
        self._guarded(lambda: self._open(self._wanted_hz or rate_hz))

    def add(self, taped: Taped) -> None:
        """Write what is certain with it."""
        if not self._is_over:
            self._guarded(lambda: self._add(taped))

    def close(self) -> None:
        """Write what is left; more than once is fine."""
        if not self._is_over:
            self._guarded(self._finish)
            self._is_over = True

    @property
    def recorded(self) -> Recorded:
        """How far it is."""
        if not self._rate_hz:
            return Recorded(self.path, error=self.error)
        left = self._left
        return Recorded(
            path=self.path,
            duration_s=self._samples / self._rate_hz,
            rate_hz=self._rate_hz,
            lost_ms=self._lost_ms,
            gaps=left.gaps,
            gap_ms=left.gap_samples * 1000 / self._rate_hz,
            slips=left.slips + self._right.slips,
            error=self.error,
        )

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, AudioFileError) as error:
            self._is_over = True
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            done = (
                f"stopped after {self._samples / self._rate_hz:.1f} s" if self._samples else "was not begun"
            )
            self.error = AudioFileError(
                f"the recording {str(self.path)!r} {done}: {why}; the call goes on without it; make room, or choose "
                "another folder, and start another recording"
            )
            self.error.__cause__ = error
            if self._wav is not None:
                with contextlib.suppress(OSError, AudioFileError):
                    self._wav.close()

    def _open(self, rate_hz: int) -> None:
        self._wav = WavWriter(self.path, rate_hz, channels=2)
        self._rate_hz = rate_hz
        self._left = Timeline(rate_hz, lookahead_s=LOOKAHEAD_S, hold_s=HOLD_S)
        self._right = Timeline(rate_hz, lookahead_s=0.0, hold_s=MARGIN_S)
        self._ingests = (PcmIngest(rate_hz), PcmIngest(rate_hz))

    def _add(self, taped: Taped) -> None:
        if not self._began_at:
            self._zero = taped.since
            began = datetime.now(timezone.utc) - timedelta(seconds=taped.at - taped.since)
            self._began_at = began.isoformat(timespec="milliseconds")
            if (self._wanted_hz or taped.rate_hz) != self._rate_hz:  # of the file, which has no sample yet
                if self._wav is not None:
                    self._wav.close()
                self._open(self._wanted_hz or taped.rate_hz)
        zero, self._at, rate_hz = self._zero, taped.at, taped.rate_hz
        for end_s, pcm in _joined_came(taped.came, rate_hz):
            self._left.push(end_s - zero, self._at_rate(0, pcm, rate_hz))
        for end_s, is_first, pcm in _joined_heard(taped.heard, rate_hz):
            self._right.push(end_s - zero, self._at_rate(1, pcm, rate_hz), is_first=is_first)
        self._lost_ms += taped.lost_ms
        if self._keeps_events:
            for at, source, name, detail, for_s in taped.events:
                if len(self._events) < MAX_EVENTS:
                    self._events.append(Note(round(max(0.0, at - zero), 4), source, name, detail, for_s))
                else:
                    self._events_lost += 1
        if taped.is_complete:
            self._left.advance(taped.at - zero)
            self._right.advance(taped.at - zero)
            self._write()

    def _at_rate(self, side: int, pcm: bytes, rate_hz: int) -> bytes:
        return pcm if rate_hz == self._rate_hz else self._ingests[side].write(pcm, sample_rate=rate_hz)

    def _write(self) -> None:
        while (
            count := min(self._left.ready, self._right.ready, self._rate_hz)
        ) > 0 and self._wav is not None:
            self._wav.write(interleave(self._left.take(count), self._right.take(count)))
            self._samples += count

    def _finish(self) -> None:
        if self._wav is None:
            return
        if self._began_at:
            self._left.finish(self._at - self._zero)
            self._right.finish(self._at - self._zero)
            count = max(self._left.end, self._right.end)  # what stands late ends late
            self._left.finish(count / self._rate_hz)
            self._right.finish(count / self._rate_hz)
            self._write()
        self._wav.close()
        recorded = self.recorded
        notes = msgspec.structs.replace(
            self._notes,
            began_at=self._began_at,
            events=tuple(sorted(self._events, key=lambda note: note.at_s)),
            events_lost=self._events_lost,
            lost_ms=round(recorded.lost_ms, 1),
            gaps=recorded.gaps,
            gap_ms=round(recorded.gap_ms, 1),
            slips=recorded.slips,
        )
        write_notes(self.path, notes)


def _joined_came(came: Sequence[tuple[float, bytes]], rate_hz: int) -> Iterator[tuple[float, bytes]]:
    """Join messages that arrived closely, with the end that the earliest of them, for its place, tells.

    Half a sample at the end of a message is left out, as in `audio.pieces`: the message was cut off.
    """
    parts: list[bytes] = []
    size_s = end_s = last_s = 0.0
    for arrived, message in came:
        pcm = message if not len(message) % SAMPLE_BYTES else message[:-1]
        if parts and (size_s >= JOINED_S or arrived - last_s >= CLOSE_S):
            yield end_s, b"".join(parts)
            parts.clear()
        duration_s = len(pcm) / (SAMPLE_BYTES * rate_hz)
        end_s = min(end_s + duration_s, arrived) if parts else arrived
        size_s = size_s + duration_s if parts else duration_s
        parts.append(pcm)
        last_s = arrived
    if parts:
        yield end_s, b"".join(parts)


def _joined_heard(
    heard: Sequence[tuple[float, bool, bytes]], rate_hz: int
) -> Iterator[tuple[float, bool, bytes]]:
    """Join frames of a run that follow one another."""
    parts: list[bytes] = []
    size_s = end_s = 0.0
    starts_run = False
    for start, is_first, pcm in heard:
        if parts and (is_first or size_s >= JOINED_S or abs(start - end_s) > ROUNDING_S):
            yield end_s, starts_run, b"".join(parts)
            parts.clear()
        duration_s = len(pcm) / (SAMPLE_BYTES * rate_hz)
        starts_run = starts_run if parts else is_first
        size_s = size_s + duration_s if parts else duration_s
        end_s = start + duration_s
        parts.append(pcm)
    if parts:
        yield end_s, starts_run, b"".join(parts)
