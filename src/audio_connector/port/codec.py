# SPDX-License-Identifier: Apache-2.0
"""The bodies of messages between two processes: asks, tells and words about the server; no I/O.

All but audio is MessagePack, checked against the types of the message that it is read as: whoever has taken over the
side that faces the network can say something wrong, and nothing else. What the router wrote crosses as its own text.
Both ends have to be of one `VERSION`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple, get_args

import msgspec

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished, Flushed, Interrupted, Played
from audio_connector.port import words
from audio_connector.wire.codec import decode_event, read_connected
from audio_connector.wire.messages import Connected
from audio_connector.wire.transport import Headers

VERSION: Final = 9
"""Of what crosses; another one for each change of it."""


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
    value: bool | float | str | _Outcome | None


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
        # No bound of parts: they were counted in the router's own text, where brackets may be escaped.
        first = None if flat.first_message is None else read_connected(json.loads(flat.first_message))
        return tells.Settled(AudioFormat(flat.rate_hz), first)
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


def encode(message: Any) -> tuple[int, bytes]:  # noqa: ANN401 - whatever crosses
    """Make the number of its kind, and bytes, of a message that is no audio."""
    kind = type(message)
    flat = _flat(message) if kind in FLAT else message
    try:
        body = _encode(flat)
    except UnicodeEncodeError:
        body = _encode(_without_surrogates(flat))
    return _NUMBERS[kind], body


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401
    """Half of a pair is no character and cannot be sent on any socket; an application may hand one over."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, tuple):
        return [_without_surrogates(each) for each in value]
    return value


def read(number: int, body: bytes) -> object:
    """Make a message of the body of one that is no audio.

    Raises:
        NoMessage: It cannot be read.
    """
    if number >= len(_READERS):
        raise NoMessage(f"got a message of kind {number}; expected one of {len(KINDS)}")
    try:
        message = _READERS[number](body)
        return _full(message) if KINDS[number - 1] in FLAT else message
    except Exception as error:
        name = KINDS[number - 1].__name__
        raise NoMessage(f"got a message that cannot be read as {name}: {error}") from error
