# SPDX-License-Identifier: Apache-2.0
"""What one simulated call saw, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from audio_connector.simulator.playout import PlayoutReport

NORMAL_CLOSE = (1000, 1001, 1005)
"""Close codes of a server that ended the call on purpose; 1005 is a close frame without a code."""


@dataclass(frozen=True, kw_only=True)
class CallReport:
    """What one simulated call saw.

    Attributes:
        url: The server that was called.
        connection_id: The call's ``x-opentok-ws-connectionid``.
        rate_hz: Samples per second.
        error: Why the connection was never made; None where it was.
        duration_s: From the connection to its end.
        frames_sent: 20 ms frames sent, silence included.
        speech_frames_sent: Those of them that were speech.
        frames_dropped: Frames not sent because the server did not read for a second or more (PROTOCOL 2.9).
        latest_tick_ms: How late the simulator itself was at worst. A value near 20 or above says that the
            machine was overloaded and that the other figures are not the server's fault.
        playout: What became of the audio that the server sent.
        first_audio_delay_ms: From the first frame of speech sent to the first audio received.
        clears: Clear commands received; a server that sends two forms for one flush counts twice.
        notifies: Notify commands received.
        other_texts: The first texts received that are no known command, each cut to 200 characters.
        texts_received: All texts received.
        events_sent: The names of the events sent, in order.
        closed: Whether the end of the connection was seen.
        close_code: The WebSocket close code; 1006 where there was no close frame, 0 where `closed` is False.
        close_reason: The text that came with it.
        closed_by: "us" (the simulated router), "peer" (the server) or "network".
        hung_up: Whether the simulator had ended the call before the server or the network did.
    """

    url: str
    connection_id: str = ""
    rate_hz: int = 16000
    error: str | None = None
    duration_s: float = 0.0
    frames_sent: int = 0
    speech_frames_sent: int = 0
    frames_dropped: int = 0
    latest_tick_ms: float = 0.0
    playout: PlayoutReport = field(default_factory=PlayoutReport)
    first_audio_delay_ms: float | None = None
    clears: int = 0
    notifies: int = 0
    other_texts: tuple[str, ...] = ()
    texts_received: int = 0
    events_sent: tuple[str, ...] = ()
    closed: bool = False
    close_code: int = 0
    close_reason: str = ""
    closed_by: Literal["us", "peer", "network"] = "network"
    hung_up: bool = False

    @property
    def frames_received(self) -> int:
        """Whole 20 ms frames received."""
        return self.playout.frames_received

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
            (playout.overflow_frames, "frame", "dropped because the playout buffer was full"),
            (self.frames_dropped, "frame", "not sent because the server did not read"),
        ]
        lines = [f"{count} {noun}{'s' if count > 1 else ''} {what}" for count, noun, what in found if count]
        if self.how_it_broke is not None:
            lines.append(self.how_it_broke)
        return tuple(lines)

    @property
    def how_it_broke(self) -> str | None:
        """Why the connection was not made, or how it broke in the middle of the call; None for neither."""
        if self.error is not None:
            return self.error
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
        values["other_texts"] = list(self.other_texts)
        values["events_sent"] = list(self.events_sent)
        return {**values, "problems": list(self.problems), "is_clean": self.is_clean}
