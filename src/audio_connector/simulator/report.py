# SPDX-License-Identifier: Apache-2.0
"""What one simulated call saw, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.talk.persona import Outcome
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Trace, Turn

NORMAL_CLOSE = (1000, 1001, 1005)
"""Close codes of a server that ended the call on purpose; 1005 is a close frame without a code."""

_BAD_AUDIO = "of audio that is not in JSON, as this call's is; is the server's audio_transport binary?"
_SILENT = "the bot said nothing, though it was spoken to (--allow-silence, where it only listens)"
_MAY_HANG_UP = "--allow-hangup, where it may"
_SHOWN_STEPS = 5
_AUDIO_AS_TEXT = "of audio in JSON, which this call does not read; is the server's audio_transport json?"


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """What one simulated call saw.

    Attributes:
        url: The server that was called.
        name: The participant's name, as the call was given it.
        profile: The name of the router's profile.
        session_id: The call's ``x-opentok-ws-sessionid``.
        connection_id: The call's ``x-opentok-ws-connectionid``.
        rate_hz: Samples per second.
        error: Why the connection was never made; None where it was.
        duration_s: From the connection to its end.
        frames_sent: 20 ms frames sent, silence included.
        speech_frames_sent: Those of them that were speech.
        frames_dropped: Frames not sent because the server did not read for a second or more (PROTOCOL 2.9).
        latest_tick_ms: How late the simulator itself was at worst. A value near 20 or above says that the
            machine was overloaded and that the other figures are not the server's fault.
        bytes_sent: Payload of all messages sent: the PCM of audio, the characters of texts.
        bytes_received: Payload of all messages received, likewise.
        playout: What became of the audio that the server sent.
        first_audio_delay_ms: From the first frame of speech sent to the first sound received, frames of zeros
            being none; None where none came, or where the server spoke first.
        has_sound: Whether any audio received was more than zeros.
        jitter_ms: Mean deviation of the audio's arrival from one frame per 20 ms (RFC 3550 6.4.1), at the
            end. A server that sends ahead in bursts has more of it, and does no harm by it.
        jitter_peak_ms: The greatest that it ever was.
        barge_ins: Each time that the participant spoke over the bot, or that the server cleared what it said.
        turns: Each time that the bot answered, with its latency.
        clears: Clear commands received; a server that sends two forms for one flush counts twice.
        notifies: Notify commands received.
        texts_ignored: Texts dropped by a router that reads none (PROTOCOL 3.4).
        json_audio_texts: Texts that look like audio in JSON, in a call whose audio is binary.
        bad_audio_messages: Messages that should have been audio in JSON and were none (PROTOCOL 4.32).
        reconnects: Times that the connection was made again.
        other_texts: The first texts received that are no known command, each cut to 200 characters.
        texts_received: All texts received.
        events_sent: The names of the events sent, in order.
        closed: Whether the end of the connection was seen.
        close_code: The WebSocket close code; 1006 where there was no close frame, 0 where `closed` is False.
        close_reason: The text that came with it.
        closed_by: "us" (the simulated router), "peer" (the server) or "network".
        hung_up: Whether the simulator had ended the call, by a reset too, before the server or the network did.
        router_ended: Why the router itself ended the call for what the server sent; None where it did not.
        redial_error: Why the connection could not be made again; None where it could, or was not tried.
        allow_silence: Whether a bot that says nothing is as it should be.
        allow_hangup: Whether a server that ends the call in good order is as it should be.
        transcript: Who said what, where somebody wanted the bot's words.
        unheard_s: How much of the bot's speech was not recognised, because the recogniser was too slow.
        missed: Words that a step waited for and never heard, one line each.
        left_out: Other steps that were not done by now, one line each; once the call is over they never will be.
        ended_by_step: Whether a step has ended the call, or ``duration_s`` of the scenario.
        expected: What had to be true of the bot's words, one line each.
        unmet: What of it was not, and why.
        word_errors: The bot's word error rate against the reference of `RouterCall.expect`; None without one.
        outcome: How a persona's call ended; None where nobody played one.
        trace: The call over time, where ``RouterCall.trace`` asked for it.
    """

    url: str
    name: str = ""
    profile: str = "video"
    session_id: str = ""
    connection_id: str = ""
    rate_hz: int = 16000
    error: str | None = None
    duration_s: float = 0.0
    frames_sent: int = 0
    speech_frames_sent: int = 0
    frames_dropped: int = 0
    latest_tick_ms: float = 0.0
    bytes_sent: int = 0
    bytes_received: int = 0
    playout: PlayoutReport = field(default_factory=PlayoutReport)
    first_audio_delay_ms: float | None = None
    has_sound: bool = False
    jitter_ms: float = 0.0
    jitter_peak_ms: float = 0.0
    barge_ins: tuple[BargeIn, ...] = ()
    turns: tuple[Turn, ...] = ()
    clears: int = 0
    notifies: int = 0
    texts_ignored: int = 0
    json_audio_texts: int = 0
    bad_audio_messages: int = 0
    reconnects: int = 0
    other_texts: tuple[str, ...] = ()
    texts_received: int = 0
    events_sent: tuple[str, ...] = ()
    closed: bool = False
    close_code: int = 0
    close_reason: str = ""
    closed_by: Literal["us", "peer", "network"] = "network"
    hung_up: bool = False
    router_ended: str | None = None
    redial_error: str | None = None
    allow_silence: bool = False
    allow_hangup: bool = False
    transcript: tuple[TranscriptLine, ...] = ()
    unheard_s: float = 0.0
    missed: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    ended_by_step: bool = False
    expected: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    word_errors: float | None = None
    outcome: Outcome | None = None
    trace: Trace | None = None

    @classmethod
    def of(cls, call: RouterCall) -> CallReport:
        """Return the report of a call of which nothing was seen yet."""
        return cls(
            url=call.address,
            name=call.name,
            profile=call.router.name,
            session_id=call.session_id,
            connection_id=call.connection_id,
            rate_hz=call.rate_hz,
            allow_silence=call.allow_silence,
            allow_hangup=call.allow_hangup or call.listens_s is None,
        )

    @property
    def frames_received(self) -> int:
        """Whole 20 ms frames received."""
        return self.playout.frames_received

    @property
    def overflow_ms(self) -> float:
        """Audio dropped because the router's buffer was full."""
        return float(self.playout.overflow_frames * FRAME_MS)

    @property
    def stale_ms(self) -> float:
        """Audio of what was cleared that still came afterwards, in sum; see `BargeIn.stale_ms`."""
        return sum(barge_in.stale_ms for barge_in in self.barge_ins)

    @property
    def spoke_first(self) -> bool:
        """Whether the bot was heard before anybody had spoken to it."""
        return self.has_sound and self.first_audio_delay_ms is None

    @property
    def shortfalls(self) -> tuple[str, ...]:
        """How this was not the call that was planned, one line each: no figure of it says anything then.

        It was never made, broke, was ended too early, or the bot said nothing though it was spoken to; the first
        of these that it was. Words that a step waited for in vain are told beside it, and steps that stood behind
        the one that ended the call.
        """
        return (*self._shortfall, *self.missed, *(self._left_out if self.ended_by_step else ()))

    @property
    def _left_out(self) -> tuple[str, ...]:
        if not self.left_out or not self.closed:
            return ()
        count, shown = len(self.left_out), ", ".join(self.left_out[:_SHOWN_STEPS])
        rest = f" and {count - _SHOWN_STEPS} more" if count > _SHOWN_STEPS else ""
        ended = "a step, or duration_s, had ended the call" if self.ended_by_step else "the call was over"
        return (f"{count} step{'s' * (count > 1)} left out, because {ended} before: {shown}{rest}",)

    @property
    def _shortfall(self) -> tuple[str, ...]:
        if self.how_it_ended is not None:
            return (self.how_it_ended,)
        if not self.frames_sent and self.duration_s * 1000 < FRAME_MS:
            return ("there was no call: it was over before anything was said",)
        is_answered = self.has_sound or self.json_audio_texts or self.bad_audio_messages
        return () if is_answered or not self.speech_frames_sent or self.allow_silence else (_SILENT,)

    @property
    def problems(self) -> tuple[str, ...]:
        """What was lost, how it was not the call that was planned, and what was not said as expected."""
        return (*self.losses, *self.shortfalls, *self.unmet)

    @property
    def losses(self) -> tuple[str, ...]:
        """What a listener would have noticed, one line each."""
        playout = self.playout
        found = [
            (
                playout.wrong_size_messages,
                "message",
                f"of a wrong size, {playout.wrong_size_lost_bytes} bytes lost",
            ),
            (
                playout.underruns,
                "underrun",
                f"(gaps shorter than a pause), {playout.underrun_ms:.1f} ms in sum",
            ),
            (self.bad_audio_messages, "message", _BAD_AUDIO),
            (self.json_audio_texts, "text", _AUDIO_AS_TEXT),
            (playout.overflow_frames, "frame", "dropped because the playout buffer was full"),
            (self.frames_dropped, "frame", "not sent because the server did not read"),
        ]
        return tuple(
            f"{count} {noun}{'s' if count > 1 else ''} {what}" for count, noun, what in found if count
        )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What may be meant, and may be a fault, one line each."""
        if self.error is not None:
            return ()
        lines = [] if self.ended_by_step else [*self._left_out]
        if self.stale_ms:
            lines.append("what was cleared went on after the clear: see stale_ms")
        if self._is_hung_up_on and self.playout.buffered_frames:
            unheard_ms = self.playout.buffered_frames * FRAME_MS
            lines.append(f"the server ended the call with {unheard_ms} ms of its audio unheard")
        return tuple(lines)

    @property
    def _is_hung_up_on(self) -> bool:
        """Whether the server ended the call in good order."""
        return (
            self.closed and self.closed_by == "peer" and not self.hung_up and self.close_code in NORMAL_CLOSE
        )

    @property
    def how_it_ended(self) -> str | None:
        """How the call ended otherwise than it was planned: it broke, or was ended too early; None for neither."""
        if self.how_it_broke is not None:
            return self.how_it_broke
        if not self._is_hung_up_on or self.allow_hangup:
            return None
        reason = f" {self.close_reason!r}" if self.close_reason else ""
        return f"the server ended the call before it was over: {self.close_code}{reason} ({_MAY_HANG_UP})"

    @property
    def how_it_broke(self) -> str | None:
        """Why the connection was not made, or how it broke in the middle of the call; None for neither."""
        for why in (self.error, self.router_ended, self.redial_error):
            if why is not None:
                return why
        if not self.closed or self.hung_up or self.close_code in NORMAL_CLOSE:
            return None
        reason = f" {self.close_reason!r}" if self.close_reason else ""
        return f"the connection broke in the middle of the call: {self.close_code}{reason}"

    @property
    def is_clean(self) -> bool:
        """Whether it was the call that was planned, and nothing was lost."""
        return not self.problems

    def to_dict(self) -> dict[str, object]:
        """Return everything as plain values for JSON, the problems included."""
        values: dict[str, object] = asdict(self)
        return {
            **values,
            "barge_ins": [
                {
                    **asdict(barge_in),
                    "latency_ms": barge_in.latency_ms,
                    "speech_to_silence_ms": barge_in.speech_to_silence_ms,
                }
                for barge_in in self.barge_ins
            ],
            "turns": [{**asdict(turn), "latency_ms": turn.latency_ms} for turn in self.turns],
            "problems": list(self.problems),
            "remarks": list(self.remarks),
            "is_clean": self.is_clean,
        }
