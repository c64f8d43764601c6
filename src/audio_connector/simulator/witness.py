# SPDX-License-Identifier: Apache-2.0
"""Whatever is kept of a call while it goes on: its course over time, its recording, and who said what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath
from typing import Final

from audio_connector.simulator.config import RouterCall, Sink
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.script import SayText
from audio_connector.simulator.steps import StepRunner
from audio_connector.simulator.talk.ear import Ear
from audio_connector.simulator.talk.transcript import TranscriptLine, in_order
from audio_connector.simulator.trace import Trace, TraceEvent, TraceRecorder
from audio_connector.wire.quoting import quoted

MAX_LINES: Final = 10_000
"""Lines of a participant that are kept; a call of six hours has fewer."""


class Witness:
    """Keeps what one call asked for.

    Args:
        call: What is planned.
        observer: Told of what is played.
        ear: Understands the bot, where somebody wants its words.
        heard: Called with what the session hears, silence included.
        on_event: Called with everything that happens, as it happens.
    """

    def __init__(
        self,
        call: RouterCall,
        observer: Observer,
        *,
        ear: Ear | None,
        heard: Sink | None,
        on_event: Callable[[TraceEvent], None] | None,
    ) -> None:
        self.recorder = TraceRecorder(call.rate_hz) if call.trace else None
        self.ear = ear
        self._observer = observer
        self._sink = heard
        self._on_event = on_event
        self._lines: list[TranscriptLine] = []

    @property
    def is_watching(self) -> bool:
        """Whether anybody looks at the call while it goes on."""
        return any(each is not None for each in (self.recorder, self._sink, self._on_event, self.ear))

    @property
    def record(self) -> Sink | None:
        """Takes what the session hears, silence included; None where nobody wants it."""
        return None if self._sink is None and self.recorder is None else self._record

    @property
    def played(self) -> Callable[[bytes, float], None]:
        """Takes each frame of the bot, and when it is heard."""
        return self._observer.played if self.ear is None else self._played

    def note(self, event: TraceEvent) -> None:
        """Something happened."""
        if self.recorder is not None:
            self.recorder.log.add(event)
        if self._on_event is not None:
            self._on_event(event)

    def note_hole(self, begin_at: float, end_at: float) -> None:
        """There was an underrun, from one time of the clock to another."""
        if self.recorder is not None:
            self.recorder.note_hole(begin_at - self._observer.origin, end_at - begin_at)

    def look(self, now: float) -> None:
        """All was told that is due by now."""
        self._observer.look(now)
        if self.ear is not None:
            self.ear.look(now - self._observer.origin)

    def says(self, what: object, at_s: float, for_s: float) -> str:
        """The participant says something from a time on: return what, in a few words."""
        name = (
            "speech"
            if isinstance(what, bytes)
            else ""
            if isinstance(what, SayText)
            else PurePath(str(what)).name
        )
        text = what.text if isinstance(what, SayText) else f"[{name}]"
        if len(self._lines) < MAX_LINES:
            self._lines.append(TranscriptLine("participant", at_s, for_s, text))
        return f"{name or quoted(text)}, {for_s:.2f} s"

    def breaks_off(self, now_s: float) -> None:
        """The participant says nothing more of all that."""
        while self._lines and self._lines[-1].at_s >= now_s:
            self._lines.pop()
        if self._lines and self._lines[-1].end_s > now_s:
            last = self._lines[-1]
            self._lines[-1] = TranscriptLine(
                last.who, last.at_s, now_s - last.at_s, f"{last.text} \N{EM DASH}"
            )

    def transcript(self) -> tuple[TranscriptLine, ...]:
        """Who said what so far; nothing where nobody wants the bot's words."""
        return () if self.ear is None else in_order([*self._lines, *self.ear.lines])

    def complete(self, report: CallReport, steps: StepRunner) -> CallReport:
        """Add to a report what was said, what was waited for in vain, and what was not done."""
        report = replace(report, left_out=steps.left_out, ended_by_step=steps.has_ended)
        if self.ear is None:
            return report
        return replace(
            report, transcript=self.transcript(), unheard_s=self.ear.unheard_s, missed=tuple(steps.missed)
        )

    def trace(self) -> Trace | None:
        """The course so far, where it is kept; drawing it up takes a millisecond."""
        return None if self.recorder is None else self.recorder.trace()

    def _played(self, frame: bytes, at: float) -> None:
        self._observer.played(frame, at)
        if self.ear is not None:
            self.ear.played(frame, at - self._observer.origin)

    def _record(self, pcm: bytes) -> None:
        if self._sink is not None:
            self._sink(pcm)
        if self.recorder is not None:
            self.recorder.heard.write(pcm)
