# SPDX-License-Identifier: Apache-2.0
"""What one simulated call counts while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.trace import Trace
from audio_connector.wire.transport import Closed

_OTHER_TEXTS = 10
_EVENTS = 1000
_OTHER_TEXT_CHARACTERS = 200


@dataclass(slots=True)
class Tally:
    """The counts of a call; the attributes are those of `CallReport`, times in seconds of its clock."""

    opened_at: float | None = None
    ended_at: float | None = None
    frames_sent: int = 0
    speech_frames_sent: int = 0
    frames_dropped: int = 0
    latest_tick_s: float = 0.0
    first_speech_at: float | None = None
    clears: int = 0
    notifies: int = 0
    texts_ignored: int = 0
    json_audio_texts: int = 0
    bad_audio_messages: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    reconnects: int = 0
    router_ended: str | None = None
    redial_error: str | None = None
    texts_received: int = 0
    other_texts: list[str] = field(default_factory=list)
    events_sent: list[str] = field(default_factory=list)
    closed: Closed | None = None
    hung_up: bool = False

    def keep_event(self, name: str) -> None:
        """Keep the name of an event that was sent, up to a bound."""
        if len(self.events_sent) < _EVENTS:
            self.events_sent.append(name)

    def keep_text(self, text: str) -> None:
        """Keep a text that is no known command, up to a bound."""
        if len(self.other_texts) < _OTHER_TEXTS:
            self.other_texts.append(text[:_OTHER_TEXT_CHARACTERS])

    def report(
        self, call: RouterCall, playout: PlayoutReport, now: float, observer: Observer, trace: Trace | None
    ) -> CallReport:
        """Return the counts as a report, up to ``now``."""
        delay_ms = None
        if observer.first_sound_at is not None and self.first_speech_at is not None:
            delay_s = observer.first_sound_at - self.first_speech_at
            delay_ms = delay_s * 1000 if delay_s >= 0 else None
        closed = self.closed
        return replace(
            CallReport.of(call),
            duration_s=now - self.opened_at if self.opened_at is not None else 0.0,
            frames_sent=self.frames_sent,
            speech_frames_sent=self.speech_frames_sent,
            frames_dropped=self.frames_dropped,
            latest_tick_ms=self.latest_tick_s * 1000,
            bytes_sent=self.bytes_sent,
            bytes_received=self.bytes_received,
            playout=playout,
            first_audio_delay_ms=delay_ms,
            has_sound=observer.first_sound_at is not None,
            jitter_ms=observer.jitter_s * 1000,
            jitter_peak_ms=observer.jitter_peak_s * 1000,
            barge_ins=observer.all_barge_ins(),
            turns=tuple(observer.turns),
            clears=self.clears,
            notifies=self.notifies,
            texts_ignored=self.texts_ignored,
            # What is no audio after all is counted as such already, where audio is JSON.
            json_audio_texts=0 if call.audio_transport.is_json else self.json_audio_texts,
            bad_audio_messages=self.bad_audio_messages,
            reconnects=self.reconnects,
            other_texts=tuple(self.other_texts),
            texts_received=self.texts_received,
            events_sent=tuple(self.events_sent),
            closed=closed is not None,
            close_code=closed.code if closed is not None else 0,
            close_reason=closed.reason if closed is not None else "",
            closed_by=closed.closed_by if closed is not None else "network",
            hung_up=self.hung_up,
            router_ended=self.router_ended,
            redial_error=self.redial_error,
            trace=trace,
        )
