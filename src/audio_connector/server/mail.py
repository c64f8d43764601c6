# SPDX-License-Identifier: Apache-2.0
"""What crosses between the application and the I/O thread: small, plain, frozen messages.

Connections are named by number, so that the two sides share no object but a `Published`, whose attributes
the I/O side replaces whole and everybody else only reads. A `Reply` is answered exactly once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from audio_connector.audio.format import AudioFormat
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.intake.dispatch import Item
from audio_connector.playback.speech import NOTHING_PLAYED, Progress
from audio_connector.wire.messages import Connected, Disconnected
from audio_connector.wire.transport import Upgrade

Reply = Future
"""Answered on the I/O thread, awaited on any loop with `asyncio.wrap_future`."""


def follow(reply: Reply[Any]) -> Reply[Any]:
    """A reply of the caller's own that gets the same answer: cancelling a wait must not cancel the others'."""
    copy: Reply[Any] = Reply()

    def pass_on(done: Reply[Any]) -> None:
        if copy.set_running_or_notify_cancel():
            copy.set_result(done.result())

    reply.add_done_callback(pass_on)
    return copy


class Published:
    """The latest of one connection, as the I/O side sees it.

    ``clock`` is the one that its times are of; the application's side reads it too, from any thread.
    """

    __slots__ = (
        "audio_messages_sent",
        "clock",
        "closed",
        "first_message",
        "format",
        "intake",
        "is_active",
        "odd_messages",
        "progress",
        "queued_peak_bytes",
        "round_trip_ms",
        "stalls",
        "text_messages_sent",
        "underrun_ms",
        "unreadable_messages",
    )

    def __init__(self, intake: IntakeCounters, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.format = AudioFormat()
        self.first_message: Connected | None = None
        self.is_active = True
        self.progress = NOTHING_PLAYED
        self.closed: Disconnected | None = None
        self.intake = intake
        self.audio_messages_sent = 0
        self.text_messages_sent = 0
        self.odd_messages = 0
        self.unreadable_messages = 0
        self.queued_peak_bytes = 0
        self.underrun_ms = 0.0
        self.stalls = 0
        self.round_trip_ms: float | None = None


class SpeechProgress:
    """The latest of one speech."""

    __slots__ = ("progress",)

    def __init__(self) -> None:
        self.progress: Progress = NOTHING_PLAYED


# From the application to the I/O side.


class Write(NamedTuple):
    """PCM of an utterance: whole samples at ``rate_hz``."""

    link_id: int
    utterance_id: int
    pcm: bytes
    rate_hz: int
    is_end: bool
    has_tail: bool


class BeginSpeech(NamedTuple):
    """An utterance begins; the reply is how it ends."""

    link_id: int
    utterance_id: int
    progress: SpeechProgress
    reply: Reply[Any]


class SendText(NamedTuple):
    """A text message, ahead of all audio that is still queued."""

    link_id: int
    text: str


class Flush(NamedTuple):
    """Cut all audio; utterances up to the id are refused from now on."""

    link_id: int
    up_to_id: int
    reply: Reply[Any]


class AwaitRoom(NamedTuple):
    """Answer once so many bytes in all were taken from the queue."""

    link_id: int
    taken_bytes: int
    reply: Reply[Any]


class AwaitPlayed(NamedTuple):
    """Answer once all that was written until now has been heard, or was cut."""

    link_id: int
    reply: Reply[Any]


class AwaitClosed(NamedTuple):
    """Answer once the connection is over."""

    link_id: int
    reply: Reply[Any]


class SetLead(NamedTuple):
    """How far ahead of the router's clock audio may be sent."""

    link_id: int
    lead_s: float


class Want(NamedTuple):
    """What the application can take now, how many further items, and whether it is expected to ask for more."""

    link_id: int
    audio: bool
    texts: bool
    credit: int
    is_settled: bool = False


class Close(NamedTuple):
    """Start the closing handshake."""

    link_id: int
    code: int
    reason: str


ToIo = Write | BeginSpeech | SendText | Flush | AwaitRoom | AwaitPlayed | AwaitClosed | SetLead | Want | Close


# From the I/O side to the application.


class Opened(NamedTuple):
    """A connection is open."""

    link_id: int
    upgrade: Upgrade
    published: Published


class Arrived(NamedTuple):
    """One message of the router: audio as bytes, or a text with its event."""

    link_id: int
    item: Item


class Failed(NamedTuple):
    """Something went wrong that the application should hear of; the connection goes on or not."""

    link_id: int
    error: Exception


class TailRequested(NamedTuple):
    """The queue runs dry while the application's side holds audio back."""

    link_id: int
    utterance_id: int


class Ended(NamedTuple):
    """The connection is over; nothing of it follows."""

    link_id: int
    how: Disconnected


class Heartbeat(NamedTuple):
    """Shows that the application's loop runs."""


ToApplication = Opened | Arrived | Failed | TailRequested | Ended | Heartbeat
