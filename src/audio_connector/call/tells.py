# SPDX-License-Identifier: Apache-2.0
"""What a call tells the application: plain values that could cross a network.

Plain bytes are a tell too, and the most frequent one: one message of audio. `Figures` are not part of the order of
events: only the latest count, and every answer comes behind figures that are at least as new.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from audio_connector import errors
from audio_connector.audio.format import AudioFormat
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import NOTHING_PLAYED, Answered, Finished, Progress
from audio_connector.wire.messages import Connected, Disconnected
from audio_connector.wire.transport import Upgrade


class Opened(NamedTuple):
    """A connection is open; ``takeovers`` applications have had it before, see `machine.Call.hand_over`.

    ``trace`` is what the latest of them has said by `asks.Traced`.
    """

    upgrade: Upgrade
    takeovers: int = 0
    trace: str = ""


class Asked(NamedTuple):
    """Somebody dials, under the number of no call: are they let in? Answered by an `asks.Judged`.

    ``resumes`` is the identity of the call that would go on, None for a new one. After ``until``, a time of the I/O
    side's clock, nobody waits for the answer any more.
    """

    upgrade: Upgrade
    resumes: Any
    until: float


class Lost(NamedTuple):
    """The connection broke off; for so many seconds the router may dial again."""

    resume_s: float


class Resumed(NamedTuple):
    """It has dialled again, and the call goes on."""

    upgrade: Upgrade


class Release(NamedTuple):
    """Another application takes the call: end what belongs to it, and answer with an `asks.Released`."""


class Settled(NamedTuple):
    """The format of the call is known, or the first message without it; None where that has not come."""

    format: AudioFormat
    first_message: Connected | None


class Failed(NamedTuple):
    """Something that the application should hear of: the name of a class in `errors`, and its text."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """Make a value of an error."""
        return cls(type(error).__name__, str(error))

    def error(self) -> Exception:
        """Make an error of the value."""
        kind: type[Exception] = getattr(errors, self.kind, errors.VideoError)
        return kind(self.text)


class Warned(NamedTuple):
    """Something that belongs into the log."""

    text: str


class Ended(NamedTuple):
    """The connection is over; nothing of it follows."""

    how: Disconnected


class TapedEvent(NamedTuple):
    """Something that happened: when, whose doing it was, what, and for how long."""

    at_s: float
    source: str
    name: str
    detail: str
    for_s: float


class Taped(NamedTuple):
    """What was heard, both ways, and what happened, see `call.tape`; times are of the I/O side's clock.

    All from ``since`` to ``at`` was told once a piece that ``is_complete`` has come: ``came`` are messages of the
    caller with their arrival; ``heard`` are frames of ours with the time from which on each was heard, and whether a
    run began with it. ``lost_ms`` of audio could not be kept until now.
    """

    token: int
    since: float
    at: float
    rate_hz: int
    came: tuple[tuple[float, bytes], ...]
    heard: tuple[tuple[float, bool, bytes], ...]
    events: tuple[TapedEvent, ...]
    lost_ms: float
    is_complete: bool = False
    is_last: bool = False


class Figures(NamedTuple):
    """How a call is, as of now; what is played is worked out from ``progress`` at any later time.

    ``speeches`` has those that were not heard to their end, by number. ``accepted_bytes`` came from the
    application, as they came; ``queued_bytes`` wait to be sent, as they will be. ``texts_taken`` are characters
    that have left. The rest is described in `server.statistics`.
    """

    progress: Progress = NOTHING_PLAYED
    speeches: tuple[tuple[int, Progress], ...] = ()
    accepted_bytes: int = 0
    queued_bytes: int = 0
    texts_taken: int = 0
    intake: IntakeCounters = IntakeCounters()
    is_active: bool = True
    audio_messages_sent: int = 0
    text_messages_sent: int = 0
    odd_messages: int = 0
    unreadable_messages: int = 0
    queued_peak_bytes: int = 0
    underruns: int = 0
    underrun_ms: float = 0.0
    skips: int = 0
    skipped_ms: float = 0.0
    stalls: int = 0
    unsent_ms: float = 0.0
    round_trip_ms: float | None = None


Tell = (
    bytes
    | TextItem
    | Opened
    | Asked
    | Settled
    | Answered
    | Finished
    | Taped
    | Failed
    | Warned
    | Lost
    | Resumed
    | Release
    | Ended
)

ANSWERS = (Answered, Finished, Taped)
"""Not part of the order of events either: whoever waits is told at once, in whatever loop."""
