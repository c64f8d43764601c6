# SPDX-License-Identifier: Apache-2.0
"""What the two sides say to each other beside audio: the router's events and the server's commands.

All are frozen values. Two are equal when they mean the same: ``raw`` takes no part in comparison. Fields that
may hold a dict or a list take no part in the hash, so that every message has one.

Facts are cited by their row in docs/protocol.md; a name after the section number is a row of its event table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import UsageError

ClosedBy: TypeAlias = Literal["router", "server", "network"]
"""Who ended a connection; "network" where it broke off without a close frame."""

ClearForm: TypeAlias = Literal["action", "event", "legacy"]
"""The three ways of writing a clear command that are in use (PROTOCOL 3.3), see ``codec.CLEAR_FORMS``."""

GOODBYE: Final = "websocket:disconnected"
"""Name of the router's last message, and the reason of the `Disconnected` that it is decoded to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FromRouter:
    """What all events have in common.

    Attributes:
        raw: The whole JSON object as it came; empty where the event did not come as one.
    """

    raw: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Connected(_FromRouter):
    """The router's first message (PROTOCOL 2 websocket:connected).

    Attributes:
        format: The format of the audio, both ways; None where the message states none that the protocol has,
            in which case 16 kHz is the best guess (PROTOCOL 2.5).
        content_type: The text that ``format`` was read from; None where there is none.
        headers: All other keys: the custom headers of the REST call, which arrive at top level, mostly as
            strings (PROTOCOL 2.4). One that is called ``event`` or ``content-type`` may be lost on the way
            (PROTOCOL 2.2).
        raw: The whole JSON object.
    """

    format: AudioFormat | None = None
    content_type: str | None = None
    headers: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class MediaUpdate(_FromRouter):
    """The publisher's audio was muted or unmuted (PROTOCOL 2 websocket:media:update).

    Attributes:
        active: False from now on while muted; no audio at all comes then (PROTOCOL 2.7).
        raw: The whole JSON object.
    """

    active: bool


@dataclass(frozen=True, slots=True)
class Disconnected(_FromRouter):
    """The end, as the router's last message (PROTOCOL 2 websocket:disconnected) or of the connection itself.

    A normal end may be the router's message followed by code 1006, without a close frame (PROTOCOL 1.22).

    Attributes:
        code: The WebSocket close code, 1006 where there was no close frame; None for the router's message,
            which comes before the socket closes.
        reason: The text of the close frame, possibly empty; for the router's message, its name.
        closed_by: Who ended it.
        raw: The whole JSON object of the router's message; empty for the end of the connection.

    Raises:
        UsageError: ``closed_by`` is none of the three.
    """

    code: int | None = None
    reason: str = GOODBYE
    closed_by: ClosedBy = "router"

    def __post_init__(self) -> None:
        _check_one_of("closed_by", self.closed_by, get_args(ClosedBy))


@dataclass(frozen=True, slots=True)
class Cleared(_FromRouter):
    """The router dropped the audio it had buffered: its answer to a clear (PROTOCOL 2 websocket:cleared).

    Documented for the Voice API; on Video it may never come, so nothing may wait for it without a limit
    (PROTOCOL 3.5).

    Attributes:
        raw: The whole JSON object.
    """


@dataclass(frozen=True, slots=True)
class Notified(_FromRouter):
    """All audio sent before a notify command was played (PROTOCOL 2 websocket:notify).

    Documented for the Voice API; on Video it may never come (PROTOCOL 3.6).

    Attributes:
        payload: The command's payload, returned; None where the router sent none.
        raw: The whole JSON object.
    """

    payload: object = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Dtmf(_FromRouter):
    """A telephone key was pressed (PROTOCOL 2 websocket:dtmf, 2 old DTMF).

    Attributes:
        digit: The key, for example "5" or "#".
        duration_ms: How long it was held; None where the router does not say.
        raw: The whole JSON object.

    Raises:
        UsageError: ``digit`` is empty, or ``duration_ms`` negative.
    """

    digit: str
    duration_ms: int | None = None

    def __post_init__(self) -> None:
        if not self.digit:
            raise UsageError("got an empty digit; expected the name of a key; give one, for example '5'")
        if self.duration_ms is not None and self.duration_ms < 0:
            raise UsageError(f"got duration_ms={self.duration_ms!r}; expected zero or more, or None")


@dataclass(frozen=True, slots=True)
class UnknownEvent(_FromRouter):
    """A text that this library does not understand, kept as it came.

    Not an error, because the protocol grows: messages about created and destroyed streams exist since March
    2026, and their shape is not known (PROTOCOL 2 stream created / destroyed).

    Attributes:
        name: The value of its ``event`` key; None where it has none that is a string.
        text: The text, unchanged.
        raw: The whole JSON object; empty where the text is not one.
    """

    name: str | None
    text: str


Event: TypeAlias = Connected | MediaUpdate | Disconnected | Cleared | Notified | Dtmf | UnknownEvent
"""Whatever the router says in text."""


@dataclass(frozen=True, slots=True)
class ClearCommand:
    """Drop the audio that is buffered for playback (PROTOCOL 3.2, 3.3).

    Attributes:
        form: How it is written.

    Raises:
        UsageError: ``form`` is none of the three.
    """

    form: ClearForm = "action"

    def __post_init__(self) -> None:
        _check_one_of("form", self.form, get_args(ClearForm))


@dataclass(frozen=True, slots=True)
class NotifyCommand:
    """Return this payload when all audio sent so far was played (PROTOCOL 3.6).

    Attributes:
        payload: Whatever JSON can hold.
    """

    payload: object = field(hash=False)


@dataclass(frozen=True, slots=True)
class OtherCommand:
    """Any other text from the server; a router that does not know it ignores it (PROTOCOL 3.4).

    Attributes:
        text: The text, unchanged.
    """

    text: str


Command: TypeAlias = ClearCommand | NotifyCommand | OtherCommand
"""Whatever the server says in text."""


def _check_one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"got {name}={value!r}; expected one of {', '.join(map(repr, allowed))}")
