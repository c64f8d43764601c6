# SPDX-License-Identifier: Apache-2.0
"""What one simulated call saw, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.trace import BargeIn, Trace, Turn

NORMAL_CLOSE = (1000, 1001, 1005)
"""Close codes of a server that ended the call on purpose; 1005 is a close frame without a code."""

_BAD_AUDIO = "of audio that is not in JSON, as this call's is; is the server's audio_transport binary?"
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
        first_audio_delay_ms: From the first frame of speech sent to the first audio received; None where none
            came, or where the server spoke first.
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
    def problems(self) -> tuple[str, ...]:
        """What a listener would have noticed, one line each; empty for a clean call."""
        if self.error is not None:
            return (self.error,)
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
        lines = [f"{count} {noun}{'s' if count > 1 else ''} {what}" for count, noun, what in found if count]
        if self.how_it_broke is not None:
            lines.append(self.how_it_broke)
        return tuple(lines)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What may be meant, and may be a fault, one line each: a bot that only listens is silent on purpose."""
        if self.error is not None:
            return ()
        lines = []
        if self.speech_frames_sent and not self.frames_received and not self.json_audio_texts:
            lines.append("the bot said nothing, though it was spoken to")
        if self.stale_ms:
            lines.append("what was cleared went on after the clear: see stale audio")
        if self.closed and self.closed_by == "peer" and not self.hung_up and self.close_code in NORMAL_CLOSE:
            reason = f" ({self.close_reason})" if self.close_reason else ""
            unheard_ms = self.playout.buffered_frames * FRAME_MS
            unheard = f", {unheard_ms} ms of its audio unheard" if unheard_ms else ""
            lines.append(f"the server ended the call before it was over: {self.close_code}{reason}{unheard}")
        return tuple(lines)

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
        """Whether nothing was lost and nothing broke."""
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
