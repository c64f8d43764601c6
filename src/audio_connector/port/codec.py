# SPDX-License-Identifier: Apache-2.0
"""Asks, tells and words about the server as bytes, for two processes; no I/O.

A message is a head, `HEAD` (length of the body, number of the link, kind), and a body. Audio is its body as it is;
all else is MessagePack, checked against the types of the message that it is read as: whoever has taken over the side
that faces the network can say something wrong, and nothing else. What the router wrote crosses as its own text.

Link `SERVER` is no connection: what is said under it concerns the server. Both ends have to be of one `VERSION`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_args

import msgspec

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished, Flushed, Interrupted, Played
from audio_connector.port import words
from audio_connector.wire.codec import decode_event
from audio_connector.wire.messages import Connected
from audio_connector.wire.transport import Headers

VERSION: Final = 2
"""Of what crosses; another one for each change of it."""

SERVER: Final = 0
"""The number of no link."""

SERIAL_BITS: Final = 40
"""The number of a link has in front of these the serial number of its I/O process: none comes twice."""

HEAD: Final = struct.Struct("<IQB")

Message = tuple[int, Any]
"""The number of a link, and an ask, a tell or a word."""


class NoMessage(Exception):
    """What came cannot be read: the other end is of another version, or is none of ours."""


# What MessagePack has no form for, or none that could be read again.


class _Text(NamedTuple):
    text: str
    is_first: bool


class _Settled(NamedTuple):
    rate_hz: int
    first_message: str | None


class _Outcome(NamedTuple):
    kind: int
    played_ms: float
    discarded_ms: float


class _Answered(NamedTuple):
    token: int
    value: bool | _Outcome | None


class _Finished(NamedTuple):
    lane: int
    outcome: _Outcome


_OUTCOMES: Final = (Played, Interrupted, Flushed)


def _flat(message: Any) -> object:  # noqa: ANN401 - whatever crosses
    kind = type(message)
    if kind is TextItem:
        return _Text(message.text, isinstance(message.event, Connected))
    if kind is tells.Settled:
        first = message.first_message
        return _Settled(message.format.rate_hz, None if first is None else json.dumps(dict(first.raw)))
    if kind is Finished:
        return _Finished(message.lane, _flat_outcome(message.outcome))
    value = message.value
    return _Answered(message.token, _flat_outcome(value) if isinstance(value, _OUTCOMES) else value)


def _flat_outcome(outcome: Played | Interrupted | Flushed) -> _Outcome:
    discarded_ms = 0.0 if isinstance(outcome, Played) else outcome.discarded_ms
    return _Outcome(_OUTCOMES.index(type(outcome)), outcome.played_ms, discarded_ms)


def _full(flat: Any) -> object:  # noqa: ANN401 - one of those above
    kind = type(flat)
    if kind is _Text:
        return TextItem(flat.text, decode_event(flat.text, is_first=flat.is_first))
    if kind is _Settled:
        first = None if flat.first_message is None else decode_event(flat.first_message, is_first=True)
        return tells.Settled(AudioFormat(flat.rate_hz), first if isinstance(first, Connected) else None)
    if kind is _Finished:
        return Finished(flat.lane, _full_outcome(flat.outcome))
    return Answered(flat.token, _full_outcome(flat.value) if isinstance(flat.value, _Outcome) else flat.value)


def _full_outcome(flat: _Outcome) -> Any:  # noqa: ANN401 - one of `_OUTCOMES`
    if flat.kind == 0:
        return Played(flat.played_ms)
    return (Interrupted, Flushed)[flat.kind - 1](flat.played_ms, flat.discarded_ms)


def _flat_value(value: object) -> object:
    if isinstance(value, Headers):
        return {name: value.get_all(name) for name in value}
    raise NotImplementedError(f"{type(value).__name__} does not cross")


def _full_value(kind: type, value: Any) -> object:  # noqa: ANN401
    if kind is Headers:
        return Headers.of(msgspec.convert(value, dict[str, list[str]]))
    raise NotImplementedError(f"{kind.__name__} does not cross")


FLAT: Final = {TextItem: _Text, tells.Settled: _Settled, Answered: _Answered, Finished: _Finished}
KINDS: Final = tuple(
    kind
    for union in (asks.Ask, tells.Tell, tells.Figures | words.Word)
    for kind in get_args(union)
    if kind is not bytes
)
"""All that crosses but audio; the number of one is its place, counted from 1."""

_NUMBERS: Final[dict[type, int]] = {kind: number for number, kind in enumerate(KINDS, 1)}
_encode: Final = msgspec.msgpack.Encoder(enc_hook=_flat_value).encode
_READERS: Final[tuple[Callable[[bytes], Any], ...]] = (
    bytes,
    *(msgspec.msgpack.Decoder(FLAT.get(kind, kind), dec_hook=_full_value).decode for kind in KINDS),
)


def encode(link_id: int, message: Any) -> bytes:  # noqa: ANN401 - whatever crosses
    """Make bytes of a message."""
    if type(message) is bytes:
        return HEAD.pack(len(message), link_id, 0) + message
    kind = type(message)
    flat = _flat(message) if kind in FLAT else message
    try:
        body = _encode(flat)
    except UnicodeEncodeError:
        body = _encode(_without_surrogates(flat))
    return HEAD.pack(len(body), link_id, _NUMBERS[kind]) + body


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401
    """Half of a pair is no character and cannot be sent on any socket; an application may hand one over."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, tuple):
        return [_without_surrogates(each) for each in value]
    return value


class Decoder:
    """Makes messages of bytes that come in pieces of any size, and hands each to ``deliver``."""

    def __init__(self, deliver: Callable[[Message], None], *, max_body_bytes: int) -> None:
        self._deliver = deliver
        self._max_body_bytes = max_body_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self._needed_bytes = HEAD.size

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            NoMessage: It cannot be read; nothing that follows can.
        """
        if self._pieces:
            self._pieces.append(data)
            self._size_bytes += len(data)
            if self._size_bytes < self._needed_bytes:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        deliver, head_bytes = self._deliver, HEAD.size
        at, end = 0, len(data)
        needed_bytes = head_bytes
        while at + head_bytes <= end:
            body_bytes, link_id, number = HEAD.unpack_from(data, at)
            body_at = at + head_bytes
            if body_bytes > self._max_body_bytes:
                raise NoMessage(
                    f"got a message of {body_bytes} bytes; expected {self._max_body_bytes} at most"
                )
            if body_at + body_bytes > end:
                needed_bytes = head_bytes + body_bytes
                break
            at = body_at + body_bytes
            body = data[body_at:at]
            deliver((link_id, body if number == 0 else _read(number, body)))
        if at < end:
            self._pieces.append(data[at:] if at else data)
        self._size_bytes, self._needed_bytes = end - at, needed_bytes


def _read(number: int, body: bytes) -> object:
    if number >= len(_READERS):
        raise NoMessage(f"got a message of kind {number}; expected one of {len(KINDS)}")
    try:
        message = _READERS[number](body)
        return _full(message) if KINDS[number - 1] in FLAT else message
    except Exception as error:
        name = KINDS[number - 1].__name__
        raise NoMessage(f"got a message that cannot be read as {name}: {error}") from error
