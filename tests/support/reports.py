# SPDX-License-Identifier: Apache-2.0
"""A report of a call that never was, with something of everything in it, and its times known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import sample_speech
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import (
    BargeIn,
    Envelope,
    EnvelopeRecorder,
    Hole,
    Series,
    SeriesRecorder,
    Trace,
    TraceEvent,
    Turn,
)

RATE_HZ: Final = 16000
FRAME_S: Final = 0.02
DURATION_S: Final = 24.0

CLEAN: Final = CallReport(
    url="ws://127.0.0.1:8765",
    duration_s=1.0,
    closed=True,
    close_code=1000,
    closed_by="us",
    playout=PlayoutReport(frames_received=50),
)
UNREACHED: Final = CallReport(url="ws://127.0.0.1:9", error="ws://127.0.0.1:9: connection refused")


@dataclass(frozen=True)
class Utterance:
    """Sound from one time to another; the packaged sentence, repeated."""

    begin_s: float
    end_s: float


# The participant asks, is answered, asks again and interrupts the long answer.
SPOKEN: Final = (Utterance(1.0, 3.5), Utterance(8.0, 10.0), Utterance(13.0, 15.0), Utterance(20.0, 21.0))
HEARD: Final = (Utterance(4.2, 7.0), Utterance(10.9, 13.54), Utterance(16.2, 19.5))
HOLE: Final = Utterance(17.4, 17.52)  # an underrun in the third answer
LOST: Final = Hole(HOLE.begin_s, HOLE.end_s - HOLE.begin_s)
LEAD_S: Final = 0.2
CLEAR_S: Final = 13.5
BARGE_IN: Final = BargeIn(
    speech_at_s=13.0, clear_at_s=CLEAR_S, silent_at_s=13.54, dropped_ms=2400, stale_ms=40
)
TURNS: Final = (Turn(3.5, 4.2), Turn(10.0, 10.9), Turn(15.0, 16.2))
EVENTS: Final = (
    TraceEvent(0.0, "router", "connected", "audio/l16;rate=16000"),
    TraceEvent(1.0, "participant", "say", "sample:he-was-not"),
    TraceEvent(5.0, "participant", "dtmf", "5"),
    TraceEvent(8.0, "participant", "say", "sample:unless-to-be"),
    TraceEvent(10.9, "server", "overflow", "200 ms dropped, the buffer was full"),
    TraceEvent(13.5, "server", "clear", "2400 ms dropped"),
    TraceEvent(13.5, "router", "cleared"),
    TraceEvent(17.2, "network", "stall", "neither direction", 0.32),
    TraceEvent(17.52, "server", "underrun", "120 ms of silence in the middle of speech"),
    TraceEvent(21.5, "participant", "mute", "", 2.0),
    TraceEvent(24.0, "router", "disconnected"),
)


def busy_report(name: str = "Ann") -> CallReport:
    """One call in which everything happens."""
    return CallReport(
        url="ws://127.0.0.1:8765/room/7",
        name=name,
        session_id="2_MX40NTY3",
        connection_id="0a1b2c3d",
        duration_s=DURATION_S,
        frames_sent=1100,
        speech_frames_sent=375,
        latest_tick_ms=1.25,
        bytes_sent=704_000,
        bytes_received=512_640,
        playout=PlayoutReport(
            frames_received=801,
            underruns=1,
            underrun_ms=120.0,
            overflow_frames=10,
            deepest_ms=5040.0,
            first_audio_at=4.2,
            played_frames=671,
            cleared_frames=120,
        ),
        first_audio_delay_ms=3200.0,
        has_sound=True,
        jitter_ms=2.25,
        jitter_peak_ms=11.5,
        barge_ins=(BARGE_IN,),
        turns=TURNS,
        clears=1,
        events_sent=("Connected", "Dtmf", "Cleared", "MediaUpdate", "Disconnected"),
        closed=True,
        close_code=1000,
        closed_by="us",
        hung_up=True,
        trace=Trace(outline(SPOKEN), outline(HEARD, HOLE), depth(), EVENTS, holes=(LOST,)),
    )


def many_reports(count: int) -> list[CallReport]:
    """Calls of which every third is faultless, and none is like another."""
    busy = busy_report()
    reports = []
    for number in range(count):
        playout = replace(
            busy.playout, underruns=number % 3, underrun_ms=20.0 * (number % 3), overflow_frames=0
        )
        turns = tuple(replace(turn, reply_at_s=turn.reply_at_s + number * 0.001) for turn in TURNS)
        trace = replace(busy.trace, holes=(LOST,) * (number % 3)) if busy.trace is not None else None
        name = f"caller {number}"
        reports.append(replace(busy, name=name, playout=playout, turns=turns, trace=trace))
    return reports


def long_report(duration_s: float = 600.0) -> CallReport:
    """A call of ten minutes with a turn every five seconds, and a barge-in every thirty."""
    sentence = sample_speech(rate_hz=RATE_HZ)
    spoken, heard, depths = EnvelopeRecorder(RATE_HZ), EnvelopeRecorder(RATE_HZ), SeriesRecorder()
    turns, barge_ins, events, said = [], [], [], []
    for begin in range(0, int(duration_s), 5):
        spoken.write(sentence[: 2 * RATE_HZ * 2].ljust(5 * RATE_HZ * 2, b"\0"))
        heard.write(bytes(3 * RATE_HZ * 2) + sentence[: 2 * RATE_HZ * 2])
        turns.append(Turn(begin + 2.0, begin + 3.0))
        events += [
            TraceEvent(begin + 0.0, "participant", "say", "sample:he-was-not"),
            TraceEvent(begin + 3.0, "server", "notify", '{"part": 1}'),
        ]
        said += [
            TranscriptLine("participant", begin, 2.0, "What can you tell me about this?"),
            TranscriptLine("bot", begin + 3.0, 2.0, "A thing or two. " * (1 + begin % 20)),
        ]
        if begin % 30 == 0:
            barge_ins.append(BargeIn(begin + 4.0, begin + 4.3, begin + 4.34, 600.0))
        for frame in range(250):
            depths.note(begin + frame * FRAME_S, 200.0 if frame > 150 else 0.0)
    trace = Trace(spoken.envelope(), heard.envelope(), depths.series(), tuple(events))
    return replace(
        busy_report(),
        duration_s=duration_s,
        trace=trace,
        turns=tuple(turns),
        barge_ins=tuple(barge_ins),
        transcript=tuple(said),
    )


def outline(utterances: Sequence[Utterance], hole: Utterance | None = None) -> Envelope:
    """The outline of speech in these stretches, and silence elsewhere."""
    sentence = np.frombuffer(sample_speech(rate_hz=RATE_HZ), "<i2")
    # Whatever is called sound here is loud, so that a test can measure where it begins and ends.
    loud = sentence[np.abs(sentence) > 600]
    samples = np.zeros(round(DURATION_S * RATE_HZ), "<i2")
    for utterance in utterances:
        begin, end = (round(at_s * RATE_HZ) for at_s in (utterance.begin_s, utterance.end_s))
        samples[begin:end] = np.resize(sentence, end - begin)
        for edge in (begin, end - 320):
            samples[edge : edge + 320] = np.resize(loud, 320)
    if hole is not None:
        samples[round(hole.begin_s * RATE_HZ) : round(hole.end_s * RATE_HZ)] = 0
    recorder = EnvelopeRecorder(RATE_HZ)
    recorder.write(samples.tobytes())
    return recorder.envelope()


def depth() -> Series:
    """How much waits: two answers come at once, the second is cleared; the third comes in time until the stall."""
    recorder = SeriesRecorder()
    for frame in range(round(DURATION_S / FRAME_S)):
        recorder.note(frame * FRAME_S, round(1000 * _waiting_s(frame * FRAME_S)))
    return recorder.series()


def _waiting_s(at_s: float) -> float:
    first, second, third = HEARD
    if first.begin_s <= at_s < first.end_s:
        return first.end_s - at_s
    if second.begin_s <= at_s < CLEAR_S:
        return second.end_s - at_s + BARGE_IN.dropped_ms / 1000
    if not third.begin_s <= at_s < third.end_s:
        return 0.0
    if HOLE.begin_s - LEAD_S <= at_s < HOLE.end_s:
        return max(HOLE.begin_s - at_s, 0.0)
    return min(LEAD_S, third.end_s - at_s)
