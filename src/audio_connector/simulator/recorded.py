# SPDX-License-Identifier: Apache-2.0
"""A call as a recording has it, made at the server: both sides, and what happened. Pure: samples in, a value out."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.audio.framing import Framer
from audio_connector.simulator.activity import LEAST_LEVEL, level_as_rms, loud_from
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Trace, TraceEvent, TraceRecorder, Turn

FLUSH = "flush"
UNDERRUN = "underrun"
"""The events that mean something for the picture."""

_MS = 1000


@dataclass(frozen=True, kw_only=True)
class RecordedCall:
    """A call that was recorded.

    Attributes:
        title: What it is called.
        facts: What is known of it, by name.
        rate_hz: Samples per second.
        duration_s: How long the recording is.
        turns: Each time that the server answered.
        barge_ins: Each time that it was spoken over, or flushed.
        trace: Both sides over time.
        is_whole: It says what happened too; one of another program, or of a process that was killed, does not.
        transcript: Who said what, where somebody has understood it.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    rate_hz: int
    duration_s: float
    turns: tuple[Turn, ...]
    barge_ins: tuple[BargeIn, ...]
    trace: Trace
    is_whole: bool
    transcript: tuple[TranscriptLine, ...] = ()


def caller_loud_from(rate_hz: int, blocks: Iterable[bytes]) -> float:
    """Return the root mean square from which on the caller of a recording speaks, who sits in a room.

    Args:
        rate_hz: Samples per second.
        blocks: All of its stereo audio, piece by piece.
    """
    framer = Framer(rate_hz * FRAME_MS // _MS * 2 * SAMPLE_BYTES)
    levels = array("f")
    for block in blocks:
        for frame in framer.push(block):
            levels.append(level_as_rms(np.frombuffer(frame, "<i2")[::2].tobytes()))
    return loud_from(levels)


class RecordingReader:
    """Makes a `RecordedCall` of stereo audio, piece by piece: the caller left, the server right.

    Args:
        rate_hz: Samples per second.
        events: What happened, in order.
        caller_from: The root mean square from which on the caller speaks, see `caller_loud_from`.
    """

    def __init__(
        self, rate_hz: int, events: Sequence[TraceEvent], *, caller_from: float = LEAST_LEVEL
    ) -> None:
        self._rate_hz = rate_hz
        self._caller_from = caller_from
        self._frame_samples = rate_hz * FRAME_MS // _MS
        self._recorder = TraceRecorder(rate_hz)
        self._observer = Observer(2 * self._frame_samples)
        self._flushes = [event.at_s for event in events if event.name == FLUSH and event.source == "server"]
        self._rest = b""
        self._samples = 0
        self._server_until_s = 0.0  # when the server was heard last
        for event in events:
            self._recorder.log.add(event)
            if event.name == UNDERRUN:
                self._recorder.note_hole(event.at_s, event.for_s)

    def read(self, stereo: bytes) -> None:
        """Take the next samples, left and right in turn."""
        data = self._rest + stereo
        frame_bytes = 4 * self._frame_samples
        whole = len(data) - len(data) % frame_bytes
        for at in range(0, whole, frame_bytes):
            self._frame(data[at : at + frame_bytes])
        self._rest = data[whole:]

    def finish(
        self, *, title: str, facts: Sequence[tuple[str, str]], events_lost: int = 0, is_whole: bool = True
    ) -> RecordedCall:
        """Say what there is."""
        if self._rest:
            self._frame(self._rest)
        self._observer.look(self._samples / self._rate_hz + 1)
        self._recorder.log.lost += events_lost
        return RecordedCall(
            title=title,
            facts=tuple(facts),
            rate_hz=self._rate_hz,
            duration_s=self._samples / self._rate_hz,
            turns=tuple(self._observer.turns),
            barge_ins=self._observer.all_barge_ins(),
            trace=self._recorder.trace(),
            is_whole=is_whole,
        )

    def _frame(self, stereo: bytes) -> None:
        samples = np.frombuffer(stereo, "<i2").reshape(-1, 2)
        caller, server = samples[:, 0].tobytes(), samples[:, 1].tobytes()
        at_s, observer = self._samples / self._rate_hz, self._observer
        self._samples += len(samples)
        end_s = self._samples / self._rate_hz
        self._recorder.spoken.write(caller)
        self._recorder.heard.write(server)
        while self._flushes and self._flushes[0] <= end_s:
            flush_s = self._flushes.pop(0)
            observer.cleared(
                flush_s, flush_s, 0.0, was_heard=flush_s - self._server_until_s < 2 * FRAME_MS / _MS
            )
        if server.count(0) != len(server):  # first, for whoever speaks at this time speaks over it
            observer.played(server, at_s)
            self._server_until_s = end_s
        observer.said(at_s, is_loud=level_as_rms(caller) >= self._caller_from)
        observer.look(end_s)
