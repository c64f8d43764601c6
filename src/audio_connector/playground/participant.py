# SPDX-License-Identifier: Apache-2.0
"""One participant of the page's session: a socket of the simulated router, and what the page is told of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from audio_connector.errors import VideoError
from audio_connector.playground.messages import Speaker
from audio_connector.playground.microphone import Microphone
from audio_connector.playground.outbox import Outbox
from audio_connector.playground.outline import OutlineBatch, ValueBatch
from audio_connector.playground.speeches import Speech
from audio_connector.simulator import CallReport, LiveCall, Router, RouterCall, TraceEvent
from audio_connector.simulator.summary import how_closed
from audio_connector.wire.quoting import printable

logger = logging.getLogger("audio_connector.playground")

END_S: Final = 0.5
"""How long the closing handshake may take before the connection is dropped, in seconds."""

SHOWN_TURNS: Final = 40
"""Latest turns and barge-ins that the page shows."""


@dataclass(frozen=True, slots=True)
class Ears:
    """Who else takes what is spoken and heard, as 16-bit PCM."""

    spoken: Callable[[bytes], None]
    heard: Callable[[bytes], None]


class Participant:
    """Makes a call, feeds it, and tells the page.

    Args:
        speaker: Which one of the page's.
        call: What to call.
        router: Makes the call.
        outbox: To the page.
        record: Begins the recording's tracks of this one, at a time of the session.
        clock: Seconds of the session; asked once, when the connection is made.
    """

    def __init__(
        self,
        speaker: Speaker,
        call: RouterCall,
        *,
        router: Router,
        outbox: Outbox,
        record: Callable[[float], Ears],
        clock: Callable[[], float],
    ) -> None:
        self.speaker = speaker
        self._router = router
        self._outbox = outbox
        self._record = record
        self._clock = clock
        self._ears: Ears | None = None
        self._from_s = 0.0
        self._call = replace(call, heard=self._hear, spoken=self._note_spoken)
        self._live: LiveCall | None = None
        self._microphone = Microphone(call.audio_format.frame_bytes)
        self._saying: str | None = None
        self._is_leaving = False
        self._spoken = OutlineBatch(call.rate_hz)
        self._heard = OutlineBatch(call.rate_hz)
        self._depth_ms = ValueBatch()
        self._figures: dict[str, object] = {}
        self._task: asyncio.Task[None] | None = None

    # What the page wants.

    def start(self) -> None:
        """Dial."""
        self._tell("connecting")
        self._task = asyncio.ensure_future(self._run())

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return self._live is not None and self._live.is_open

    @property
    def is_muted(self) -> bool:
        """Whether it is muted."""
        return self._live is not None and self._live.is_muted

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or never came about."""
        return self._task is None or self._task.done()

    @property
    def now_s(self) -> float:
        """Seconds on the session's clock."""
        return self._from_s + (self._live.now_s if self._live is not None else 0.0)

    def listen(self, pcm: bytes) -> None:
        """Take speech of the microphone; what a WAV is said over is not heard."""
        live = self._live
        if live is None or not live.is_open or live.is_muted or self._saying is not None:
            return
        live.say_frames(self._microphone.push(pcm, live.unsaid_ms))

    def say(self, speech: Speech) -> None:
        """Say something at once, instead of what is being said."""
        live = self._live
        if live is None or not live.is_open:
            return
        live.stop_speaking()
        ends_s = live.say(speech.pcm)
        self._saying = speech.name
        self._outbox.post(
            {
                "type": "saying",
                "speaker": self.speaker,
                "name": speech.name,
                "until_s": round(self._from_s + ends_s, 3),
            }
        )
        live.note("participant", "says", speech.name)

    def stop(self) -> None:
        """Break off what is being said."""
        if self._live is not None:
            self._live.stop_speaking()

    def mute(self, muted: bool) -> None:
        """Mute, or let be heard again; what was being said goes on unheard, as of a participant who is muted."""
        if self._live is not None:
            if muted:
                self._live.mute()
            else:
                self._live.unmute()

    def press(self, digit: str) -> None:
        """Press a telephone key."""
        if self._live is not None and self._live.is_open:
            self._live.press(digit)

    async def end(self) -> None:
        """Hang up, and see the end of the connection within `END_S`."""
        if self._task is None:
            return
        self._is_leaving = True
        if self._live is not None:
            self._live.hang_up()
            await asyncio.wait((self._task,), timeout=END_S)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    # What the page is told.

    def push(self) -> None:
        """Send what has come together since the last time."""
        if self._live is None:
            return
        if self._saying is not None and not (self._live.is_open and self._live.unsaid_ms):
            self._saying = None
            self._outbox.post({"type": "saying", "speaker": self.speaker, "name": None})
        spoken, heard, depth = self._spoken.take(), self._heard.take(), self._depth_ms.take()
        if spoken[1] or heard[1] or depth[1]:
            self._outbox.post(
                {
                    "type": "live",
                    "speaker": self.speaker,
                    "at_s": round(self.now_s, 3),
                    "spoken": spoken,
                    "heard": heard,
                    "depth_ms": depth,
                }
            )

    def push_figures(self) -> None:
        """Send turns, barge-ins and counts, where one of them has changed."""
        if self._live is None:
            return
        figures = self._figures_of(self._live.report())
        if figures != self._figures:
            self._figures = figures
            self._outbox.post({"type": "figures", "speaker": self.speaker, **figures})

    # Inside.

    async def _run(self) -> None:
        try:
            report = await self._router.run(self._call, on_start=self._begin, on_event=self._note)
        except VideoError as error:
            self._tell("failed", printable(str(error)))
        except asyncio.CancelledError:
            self._finish("over", "")
            raise
        except Exception:
            logger.exception("a call of the page ended; this is an error of the library")
            self._finish("failed", "an error of the playground itself; its terminal tells which")
        else:
            # Hung up here: whatever the code, nobody has broken off.
            self._is_leaving |= report.hung_up
            self._finish("over", "; ".join(filter(None, [how_closed(report), report.router_ended])))

    def _begin(self, live: LiveCall) -> None:
        self._live = live
        self._arrive()
        self._tell("open")

    def _finish(self, state: str, text: str) -> None:
        self.push()
        self.push_figures()
        self._tell(state, text)

    def _tell(self, state: str, text: str = "") -> None:
        call = self._call
        self._outbox.post(
            {
                "type": "call",
                "speaker": self.speaker,
                "state": state,
                "text": text,
                "is_own_end": self._is_leaving,
                "rate_hz": call.rate_hz,
                "session_id": call.session_id,
                "connection_id": call.connection_id,
                "from_s": round(self._from_s, 3),
            }
        )

    def _arrive(self) -> Ears:
        """The connection is made, however that is told first: this one's time begins."""
        if self._ears is None:
            self._from_s = self._clock()
            self._ears = self._record(self._from_s)
        return self._ears

    def _hear(self, pcm: bytes) -> None:
        self._arrive().heard(pcm)
        self._heard.write(pcm)
        self._outbox.post_audio(self.speaker, pcm)

    def _note_spoken(self, frame: bytes) -> None:
        self._arrive().spoken(frame)
        self._spoken.write(frame)
        self._depth_ms.note(self._live.playout.buffered_ms if self._live is not None else 0)

    def _note(self, event: TraceEvent) -> None:
        self._arrive()
        self._outbox.post(
            {
                "type": "event",
                "speaker": self.speaker,
                "at_s": round(self._from_s + event.at_s, 3),
                "source": event.source,
                "name": event.name,
                "detail": printable(event.detail),
            }
        )

    def _figures_of(self, report: CallReport) -> dict[str, object]:
        playout = report.playout
        return {
            "turns": [
                {
                    "speech_end_s": self._on_session(turn.speech_end_s),
                    "reply_at_s": self._on_session(turn.reply_at_s),
                    "latency_ms": round(turn.latency_ms, 1),
                }
                for turn in report.turns[-SHOWN_TURNS:]
            ],
            "turn_count": len(report.turns),
            "barge_ins": [
                {
                    "speech_at_s": self._on_session(barge_in.speech_at_s),
                    "clear_at_s": self._on_session(barge_in.clear_at_s),
                    "silent_at_s": self._on_session(barge_in.silent_at_s),
                    "dropped_ms": round(barge_in.dropped_ms),
                    "stale_ms": round(barge_in.stale_ms),
                }
                for barge_in in report.barge_ins[-SHOWN_TURNS:]
            ],
            "deepest_ms": round(playout.deepest_ms),
            "underruns": playout.underruns,
            "underrun_ms": round(playout.underrun_ms, 1),
            "overflow_ms": round(report.overflow_ms),
            "wrong_sizes": playout.wrong_size_messages,
            "frames_dropped": report.frames_dropped,
            "microphone_dropped_ms": self._microphone.dropped_frames * 20,
        }

    def _on_session(self, at_s: float | None) -> float | None:
        return None if at_s is None else round(self._from_s + at_s, 3)
