# SPDX-License-Identifier: Apache-2.0
"""Figures of one connection: frozen values, made when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

from audio_connector.audio.format import FRAME_MS
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.server.line import Line

_INTAKE = tuple(field.name for field in fields(IntakeCounters))


@dataclass(frozen=True, slots=True)
class PlaybackState:
    """How far the playback of a connection is.

    Attributes:
        queued_ms: Waits here to be sent.
        in_flight_ms: Was sent to the router and is not heard yet, by its clock.
        played_ms: Was heard since the connection began; never goes back.
        underruns: Gaps in the middle of an utterance.
        delay_ms: What is written now is heard so much later: queued and in flight together.
        skipped_ms: What was left out so far to keep the delay below ``Playback.max_delay_ms``.
    """

    queued_ms: float
    in_flight_ms: float
    played_ms: float
    underruns: int
    delay_ms: float = 0.0
    skipped_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """Counts of one connection since it began.

    Attributes:
        audio_messages_received: Messages of audio of the router.
        audio_ms_received: Their duration.
        text_messages_received: Text messages of the router.
        odd_messages_received: Messages of audio that were not exactly one frame.
        unreadable_messages_received: Texts that should have been audio in JSON and were not; each arrived as a text.
        dropped_messages: Messages of audio dropped because the application was slow; what a reader of
            ``client.audio()`` left unread counts in frames, for each such reader.
        dropped_ms: Their duration.
        unwanted_messages: Messages that nobody had asked for, and that were not kept.
        overflow_episodes: Times that dropping began.
        buffered_peak_ms: Most audio that ever waited for the application.
        age_peak_ms: Longest that a message waited for it.
        gaps: Times without audio for more than three frames while the stream was neither muted (PROTOCOL 2.8) nor
            lost.
        silence_ms: Their sum.
        longest_gap_ms: The longest of them.
        muted_ms: Time muted (PROTOCOL 2.7), up to the last unmute.
        audio_messages_sent: Frames sent.
        audio_ms_sent: Their duration.
        text_messages_sent: Text messages sent, clear commands included.
        queued_ms: Waits to be sent, now.
        queued_peak_ms: Most that ever waited.
        played_ms: Heard so far.
        underruns: Gaps in the middle of an utterance.
        underrun_ms: Their sum.
        skips: Times that audio was left out to keep the delay below ``Playback.max_delay_ms``.
        skipped_ms: Its duration.
        stalls: Times that the router stopped reading for a while.
        unsent_ms: Waited to be sent when the connection ended, or to reach the I/O side, and was not heard; 0 before.
        round_trip_ms: Of the latest ping; None before the first answer.
    """

    audio_messages_received: int
    audio_ms_received: float
    text_messages_received: int
    odd_messages_received: int
    unreadable_messages_received: int
    dropped_messages: int
    dropped_ms: float
    unwanted_messages: int
    overflow_episodes: int
    buffered_peak_ms: float
    age_peak_ms: float
    gaps: int
    silence_ms: float
    longest_gap_ms: float
    muted_ms: float
    audio_messages_sent: int
    audio_ms_sent: float
    text_messages_sent: int
    queued_ms: float
    queued_peak_ms: float
    played_ms: float
    underruns: int
    underrun_ms: float
    skips: int
    skipped_ms: float
    stalls: int
    unsent_ms: float
    round_trip_ms: float | None


def playback_of(line: Line) -> PlaybackState:
    """Work out from the latest figures, and from what was handed over since, how far the playback is."""
    figures, now = line.figures, line.clock()
    handed_ms = line.format.duration_ms(line.handed_bytes - figures.accepted_bytes)
    progress = figures.progress._replace(queued_ms=figures.progress.queued_ms + handed_ms)
    in_flight_ms, queued_ms = progress.in_flight_ms(now), progress.queued_ms_at(now)
    return PlaybackState(
        queued_ms=queued_ms,
        in_flight_ms=in_flight_ms,
        played_ms=line.played_ms,
        underruns=figures.underruns,
        delay_ms=queued_ms + in_flight_ms,
        skipped_ms=figures.skipped_ms,
    )


def statistics_of(line: Line) -> ConnectionStatistics:
    """Read what the I/O side has counted; during a call a tenth of a second old at most."""
    figures, intake, ms = line.figures, line.figures.intake, line.format.duration_ms
    # What has the same name is the same figure. Every end of a call asks for it, and `asdict` takes 40 µs.
    counted = {name: getattr(intake, name) for name in _INTAKE}
    counted.update(zip(figures._fields, figures, strict=True))
    if (
        line.closed is not None and not line.is_released
    ):  # what was handed over and did not arrive waits nowhere else
        counted["unsent_ms"] += ms(max(0, line.handed_bytes - figures.accepted_bytes))
    return ConnectionStatistics(
        audio_messages_received=intake.audio_messages,
        audio_ms_received=ms(intake.audio_bytes),
        text_messages_received=intake.text_messages,
        odd_messages_received=figures.odd_messages,
        unreadable_messages_received=figures.unreadable_messages,
        dropped_ms=ms(intake.dropped_bytes),
        buffered_peak_ms=ms(intake.buffered_peak_bytes),
        audio_ms_sent=float(figures.audio_messages_sent * FRAME_MS),
        queued_ms=figures.progress.queued_ms_at(line.clock()),
        queued_peak_ms=ms(figures.queued_peak_bytes),
        played_ms=line.played_ms,
        **{name: counted[name] for name in ConnectionStatistics.__slots__ if name in counted},
    )
