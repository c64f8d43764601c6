# SPDX-License-Identifier: Apache-2.0
"""Text to message and back: the only file that knows the protocol's JSON keys.

Decoding never fails: the router is not ours, and its messages differ between generations (PROTOCOL 2.3).
A text that is not understood becomes an `UnknownEvent` or an `OtherCommand`. Encoding is strict.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import AudioFormatError, MessageError
from audio_connector.wire.messages import (
    GOODBYE,
    ClearCommand,
    Cleared,
    ClearForm,
    Command,
    Connected,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
    NotifyCommand,
    OtherCommand,
    UnknownEvent,
)

CLEAR_FORMS: Final[Mapping[ClearForm, str]] = MappingProxyType(
    {
        "action": '{"action":"clear"}',
        "event": '{"event":"websocket:cleared"}',
        "legacy": '{"event":"clearAudio"}',
    }
)
"""The three texts in use for one command, by name (PROTOCOL 3.3)."""

_KnownEvent: TypeAlias = Connected | MediaUpdate | Disconnected | Cleared | Notified | Dtmf

_Reader: TypeAlias = Callable[[dict[str, Any]], Event | None]

MAX_PARTS: Final = 2000
"""A text of a peer is read up to so many values, of which an object or list counts as ten. The greatest message that
is known has fifteen (PROTOCOL 2); this many take a fifth of a millisecond, on the thread of all calls."""

_PARTS_OF_CONTAINER: Final = 10
_HELD_BYTES: Final = 600  # the event, its dict and the places in queues
_CONTAINER_BYTES: Final = 240  # a dict with one key; a list is less
_VALUE_BYTES: Final = 64  # a short string

_EXCERPT_CHARS: Final = 40  # on each side of a mistake: both fit a terminal's line with the indent
_NON_JSON_NUMBER: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(NaN|-?Infinity)')


# --- Router to server -----------------------------------------------------------------------------


def decode_event(text: str, *, is_first: bool = False) -> Event:
    """Read a text message of the router.

    Args:
        text: The message; blanks before it are allowed (PROTOCOL 2.1).
        is_first: No text came before it. One that has a content type needs no ``event`` then: older routers
            left it out (PROTOCOL 2.2).

    Returns:
        The event. `UnknownEvent` where the text is not a JSON object, names no event that is known, or lacks
        what this event needs. Keys that are not known stay in ``raw``. Of a key that comes twice, the last
        counts.
    """
    raw = parse_object(text)
    if raw is None:
        return UnknownEvent(name=None, text=text)
    named = raw.get("event")
    name = named if isinstance(named, str) else None
    read = _READERS.get(name)
    event = None if read is None else read(raw)
    if event is None and is_first and "event" not in raw and isinstance(raw.get("content-type"), str):
        event = read_connected(raw)
    return event or UnknownEvent(name=name, text=text, raw=raw)


def parse_object(text: str) -> dict[str, Any] | None:
    """Read a JSON object of a peer, within bounds of what that costs.

    Returns:
        The object; None where the text is something else, or of more parts than `MAX_PARTS`.
    """
    try:
        # A short one too: how deep one may be that the interpreter reads depends on its version.
        value: object = json.loads(text) if _parts_of(text) <= MAX_PARTS else None
    except (ValueError, RecursionError):  # also integers of thousands of digits, and nesting without end
        return None
    return value if isinstance(value, dict) else None


def held_bytes(text: str) -> int:
    """About how much memory a text takes that waits together with what was read of it."""
    containers = text.count("[") + text.count("{")
    values = containers + text.count(",") + text.count(":")
    return _HELD_BYTES + 2 * sys.getsizeof(text) + _CONTAINER_BYTES * containers + _VALUE_BYTES * values


def _parts_of(text: str) -> int:
    # Commas cost a value each, brackets an object that the garbage collector has to look at. In a string they cost
    # nothing; who has so many there gets the text as it is.
    return _PARTS_OF_CONTAINER * (text.count("[") + text.count("{")) + text.count(",")


def read_connected(raw: dict[str, Any]) -> Connected:
    """Make the first message of its JSON object."""
    headers = {key: value for key, value in raw.items() if key not in _KEYS_OF[Connected]}
    content_type = raw.get("content-type")
    if not isinstance(content_type, str):
        return Connected(headers=headers, raw=raw)
    try:
        audio_format = AudioFormat.from_content_type(content_type)
    except AudioFormatError:
        audio_format = None
    return Connected(format=audio_format, content_type=content_type, headers=headers, raw=raw)


def _read_media_update(raw: dict[str, Any]) -> MediaUpdate | None:
    active = raw.get("active")
    return MediaUpdate(active=active, raw=raw) if isinstance(active, bool) else None


def _read_dtmf(raw: dict[str, Any]) -> Dtmf | None:
    values = raw
    if "digit" not in raw:
        inner = raw.get("dtmf")
        values = {**raw, **(inner if isinstance(inner, dict) else {"digit": inner})}
    digit, duration_ms = values.get("digit"), values.get("duration")
    if not isinstance(digit, str) or not digit:
        return None
    if type(duration_ms) is not int or duration_ms < 0:  # type(), because True is an int as well
        duration_ms = None
    return Dtmf(digit=digit, duration_ms=duration_ms, raw=raw)


_READERS: Final[Mapping[str | None, _Reader]] = {
    "websocket:connected": read_connected,
    "websocket:media:update": _read_media_update,
    GOODBYE: lambda raw: Disconnected(raw=raw),
    "websocket:cleared": lambda raw: Cleared(raw=raw),
    "websocket:notify": lambda raw: Notified(payload=raw.get("payload"), raw=raw),
    "websocket:dtmf": _read_dtmf,
    None: _read_dtmf,  # PROTOCOL 2 old DTMF
}

# What an event's fields speak for; every other key is a header of `Connected`, or found in ``raw`` only.
_KEYS_OF: Final[Mapping[type, frozenset[str]]] = {
    Connected: frozenset({"content-type", "event"}),
    MediaUpdate: frozenset({"event", "method", "active"}),
    Disconnected: frozenset({"event", "method"}),
    Cleared: frozenset({"event"}),
    Notified: frozenset({"event", "payload"}),
    Dtmf: frozenset({"event", "digit", "duration", "dtmf"}),
}


def encode_event(event: Event, *, leading_blank: bool = True) -> str:
    """Write an event as the router does, for whoever plays the router.

    The fields count; of ``raw`` only the keys are added that no field speaks for, such as a ``content-type``
    in a `MediaUpdate`. The text of an `UnknownEvent` goes out as it is.

    Args:
        event: The event. Of a `Disconnected` only the message itself is written; its code and reason belong
            into the close frame.
        leading_blank: Put the blank in front that the router puts there (PROTOCOL 2.1).

    Returns:
        The text, in ASCII.

    Raises:
        MessageError: A header, a payload or ``raw`` holds what JSON cannot.
    """
    if isinstance(event, UnknownEvent):
        return event.text
    extra = event.headers if isinstance(event, Connected) else event.raw
    spoken_for = _KEYS_OF[type(event)]
    values = _event_values(event)
    values.update((key, value) for key, value in extra.items() if key not in spoken_for)
    return (" " if leading_blank else "") + _dump(values)


def _event_values(event: _KnownEvent) -> dict[str, object]:
    match event:
        case Connected(format=audio_format, content_type=content_type):
            if content_type is None and audio_format is not None:
                content_type = audio_format.content_type
            first: dict[str, object] = {} if content_type is None else {"content-type": content_type}
            return {**first, "event": "websocket:connected"}
        case MediaUpdate(active=active):
            return {"event": "websocket:media:update", "method": "update", "active": active}
        case Disconnected():
            return {"event": GOODBYE, "method": "delete"}
        case Cleared():
            return {"event": "websocket:cleared"}
        case Notified(payload=payload):
            return {"event": "websocket:notify", "payload": payload}
    values: dict[str, object] = {"event": "websocket:dtmf", "digit": event.digit}
    return values if event.duration_ms is None else {**values, "duration": event.duration_ms}


# --- Server to router -----------------------------------------------------------------------------


def decode_command(text: str) -> Command:
    """Read a text message of the server, for whoever plays the router.

    Args:
        text: The message.

    Returns:
        The command; `OtherCommand` for every text that is not one of `CLEAR_FORMS` or a notify command.
    """
    raw = parse_object(text) or {}
    if raw.get("action") == "clear":
        return ClearCommand("action")
    if raw.get("action") == "notify":
        return NotifyCommand(raw.get("payload"))
    if raw.get("event") == "websocket:cleared":
        return ClearCommand("event")
    if raw.get("event") == "clearAudio":
        return ClearCommand("legacy")
    return OtherCommand(text)


def name_of_text(text: str) -> str | None:
    """Tell what a text calls itself, whoever sent it: its event, or its action; None where it has no such name."""
    raw = parse_object(text) or {}
    return next((raw[key] for key in ("event", "action") if isinstance(raw.get(key), str)), None)


def notify_payload(text: str) -> object | None:
    """Tell whether a text that is about to be sent is a notify command, mostly without parsing it.

    Args:
        text: Valid JSON, see `encode_json`.

    Returns:
        The payload. None for any other text, and for a notify command without a payload or with a null, whose
        answer could not be told from that of another one.
    """
    if "notify" not in text:
        return None
    command = decode_command(text)
    return command.payload if isinstance(command, NotifyCommand) else None


# --- JSON that the application sends --------------------------------------------------------------


def encode_json(value: str | dict[str, Any] | list[Any]) -> str:
    """Make the text of a message: check a JSON text, or write a dict or list as JSON.

    Args:
        value: A JSON text, which is returned unchanged; or a dict or list of what JSON can hold.

    Returns:
        Text that a strict JSON parser takes and that UTF-8 can carry; without needless blanks and in ASCII,
        where it is written here.

    Raises:
        MessageError: The text is not JSON (the message shows where), has a lone surrogate, or is nested too
            deeply; the dict or list holds what JSON cannot, such as NaN, bytes or itself; or the value is of
            another type.
    """
    if isinstance(value, str):
        _check_json(value)
        return value
    if isinstance(value, dict | list):
        return _dump(value)
    raise MessageError(
        f"got a message of type {type(value).__name__}; expected a str of JSON, a dict or a list; "
        "put the value into a dict, or send audio with send_audio_buffer"
    )


def _dump(value: object) -> str:
    # ASCII (the default), because a lone surrogate would come out as text that UTF-8 cannot carry.
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except RecursionError as error:
        raise MessageError("the message is nested too deeply to be written as JSON; flatten it") from error
    except (TypeError, ValueError) as error:
        raise MessageError(
            f"the message cannot be written as JSON: {error}; "
            "use only dict with str keys, list, str, int, finite float, bool and None"
        ) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


# Numbers stay text: their size does not matter here, and int() refuses those of thousands of digits.
_CHECKER: Final = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def _check_json(text: str) -> None:
    try:
        _CHECKER.decode(text)
        text.encode()
    except RecursionError as error:
        raise MessageError("the message is nested too deeply to be checked; flatten it") from error
    except json.JSONDecodeError as error:
        raise _mistake(text, error.pos, error.msg) from error
    except UnicodeEncodeError as error:
        raise _mistake(text, error.start, "a lone surrogate, which UTF-8 cannot carry") from error
    except ValueError as error:
        # From _refuse_constant, which is not told where; all before it is JSON, so strings can be skipped.
        at = next(match.start(1) for match in _NON_JSON_NUMBER.finditer(text) if match[1])
        raise _mistake(text, at, str(error)) from error


def _mistake(text: str, at: int, what: str) -> MessageError:
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", at)
    start = max(line_start, at - _EXCERPT_CHARS)
    end = min(line_end if line_end >= 0 else len(text), at + _EXCERPT_CHARS)
    # One sign for one, so that the caret stands below the mistake.
    excerpt = "".join(char if char.isprintable() else " " for char in text[start:end])
    return MessageError(
        f"not JSON at line {text.count(chr(10), 0, at) + 1}, column {at - line_start + 1}: {what}\n"
        f"    {excerpt}\n"
        f"    {' ' * (at - start)}^\n"
        "Send a JSON text, or a dict or list, which is written as JSON for you."
    )
