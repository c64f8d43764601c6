# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields
from typing import get_args

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import UsageError
from audio_connector.wire.messages import (
    ClearCommand,
    Cleared,
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

EVENTS: list[Event] = [
    Connected(
        format=AudioFormat(8000), content_type="audio/l16;rate=8000", headers={"a": {"b": [1]}}, raw={"x": 1}
    ),
    MediaUpdate(active=False, raw={"x": 1}),
    Disconnected(raw={"x": 1}),
    Disconnected(code=1006, reason="", closed_by="network"),
    Cleared(raw={"x": 1}),
    Notified(payload={"id": [1, 2]}, raw={"x": 1}),
    Dtmf(digit="#", duration_ms=0, raw={"x": 1}),
    UnknownEvent(name=None, text="?", raw={"x": 1}),
]
COMMANDS: list[Command] = [ClearCommand("legacy"), NotifyCommand({"id": [1]}), OtherCommand("{}")]
MESSAGES: list[Event | Command] = [*EVENTS, *COMMANDS]


def test_every_kind_is_here() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert {type(command) for command in COMMANDS} == set(get_args(Command))


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_messages_are_frozen(message: Event | Command) -> None:
    for field in fields(message):
        with pytest.raises(FrozenInstanceError):
            setattr(message, field.name, None)
    assert not hasattr(message, "__dict__")


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_messages_survive_pickle_and_copy(message: Event | Command) -> None:
    for twin in (pickle.loads(pickle.dumps(message)), copy.deepcopy(message)):
        assert twin == message
        assert twin is not message
        assert getattr(twin, "raw", None) == getattr(message, "raw", None)


@pytest.mark.parametrize("message", MESSAGES, ids=repr)
def test_equal_messages_have_equal_hashes(message: Event | Command) -> None:
    assert hash(copy.deepcopy(message)) == hash(message)


def test_raw_is_neither_compared_nor_shown() -> None:
    heard = MediaUpdate(True, raw={"event": "websocket:media:update", "active": True})
    assert heard == MediaUpdate(True)
    assert hash(heard) == hash(MediaUpdate(True))
    assert repr(heard) == "MediaUpdate(active=True)"


def test_events_of_different_meaning_differ() -> None:
    assert MediaUpdate(True) != MediaUpdate(False)
    assert Connected(headers={"a": "b"}) != Connected()
    assert Notified({"id": 1}) != Notified({"id": 2})
    assert len({Cleared(), Notified(), Connected(), Disconnected()}) == 4


def test_a_disconnect_is_the_routers_unless_told_otherwise() -> None:
    assert Disconnected() == Disconnected(code=None, reason="websocket:disconnected", closed_by="router")


@pytest.mark.parametrize("closed_by", ["peer", "us", "", None])
def test_a_disconnect_names_one_of_three_parties(closed_by: object) -> None:
    with pytest.raises(UsageError, match=r"closed_by=.* expected one of 'router', 'server', 'network'"):
        Disconnected(closed_by=closed_by)  # type: ignore[arg-type]  # the point of the test


def test_a_clear_has_one_of_three_forms() -> None:
    with pytest.raises(UsageError, match=r"form='Clear'; expected one of 'action', 'event', 'legacy'"):
        ClearCommand("Clear")  # type: ignore[arg-type]  # the point of the test


def test_a_key_has_a_name() -> None:
    with pytest.raises(UsageError, match="empty digit"):
        Dtmf("")


def test_a_key_is_not_held_for_less_than_nothing() -> None:
    with pytest.raises(UsageError, match="duration_ms=-1"):
        Dtmf("5", -1)


def test_events_can_be_matched_by_position() -> None:
    match EVENTS[1]:
        case MediaUpdate(active):
            assert active is False
        case _:
            pytest.fail("MediaUpdate does not match by position")
