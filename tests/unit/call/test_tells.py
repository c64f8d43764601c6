# SPDX-License-Identifier: Apache-2.0
"""What crosses between the two sides is plain: it could be put on a network."""

from __future__ import annotations

import inspect
import pickle
import typing
from typing import Any

import pytest
from support.audio import numbered
from support.call import VirtualCall

from audio_connector import errors
from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.errors import VideoError
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished, Flushed, Interrupted, Played, Progress
from audio_connector.wire.messages import (
    Connected,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
    UnknownEvent,
)
from audio_connector.wire.transport import Headers, Upgrade

FRAME = numbered(7, 640)

ASKS: list[asks.Ask] = [
    FRAME,
    asks.Write(3, FRAME, 24000, True),
    asks.StandInLine(0, 5, False),
    asks.WriteGranted(5, FRAME, None, True),
    asks.Leave(5),
    asks.BeginSpeech(3),
    asks.EndSpeech(3),
    asks.PauseSpeech(3, 6),
    asks.ResumeSpeech(3),
    asks.AddBackground(4, 6, FRAME, 16000, 0.2, 0.3, True),
    asks.SetBackground(4, 0.1, 0.3),
    asks.StopBackground(4, 6, 0.5),
    asks.Flush(6),
    asks.WaitPlayed(7, 3),
    asks.SendText("{}", 8),
    asks.StandInTextLine(8),
    asks.SetLead(7.5),
    asks.Unread(20.0, True),
    asks.Want(True, False, 12, True),
    asks.TapeOn(9, 10.0, None, False),
    asks.TapeOn(10, 5.0, 4, True, 0.1),
    asks.TapeMore(9),
    asks.TakeTape(9, True),
    asks.Released(),
    asks.Traced("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    asks.Close(1000, "bye"),
    asks.Judged({"who": "Ann"}, None, ""),
]

EVENTS: list[Event] = [
    Connected(format=AudioFormat(8000), headers={"a": {"b": [1, None]}}, content_type="audio/l16;rate=8000"),
    MediaUpdate(active=False),
    Disconnected(code=1000, reason="bye", closed_by="router"),
    Notified(payload={"x": 1}),
    Dtmf(digit="5"),
    UnknownEvent(name="new", text="{}", raw={"event": "new"}),
]

TELLS: list[Any] = [
    FRAME,
    *(TextItem('{"a":1}', event) for event in EVENTS),
    tells.Opened(Upgrade("/a", "b=c", Headers([("X-A", "1"), ("x-a", "2")]), ("127.0.0.1", 5), False)),
    tells.Asked(
        Upgrade("/a", "b=c", Headers([("x-a", "1")]), ("127.0.0.1", 5), False, {"who": "Ann"}), None, 5.0
    ),
    tells.Settled(AudioFormat(8000), Connected(format=AudioFormat(8000))),
    Answered(5, True),
    Answered(5, Flushed(1.0, 2.0)),
    Answered(5, Interrupted(1.0, 2.0)),
    Finished(3, Played(20.0)),
    tells.Taped(
        9,
        0.5,
        1.0,
        16000,
        ((0.6, FRAME),),
        ((0.7, True, FRAME),),
        (tells.TapedEvent(0.8, "server", "a", "", 0.0),),
        0.0,
    ),
    tells.Failed("RouterStalled", "it reads nothing"),
    tells.Warned("a speech has been open"),
    tells.Lost(5.0),
    tells.Resumed(Upgrade("/a", "", Headers(), ("127.0.0.1", 6), True)),
    tells.Release(),
    tells.Ended(Disconnected(code=1006, reason="", closed_by="network")),
    tells.Figures(
        progress=Progress(heard_before=1, anchor_s=2.0, lead_s=0.2),
        speeches=((3, Progress()),),
        intake=IntakeCounters(7),
    ),
]


def test_every_ask_and_every_tell_is_here() -> None:
    assert {type(ask) for ask in ASKS} == set(typing.get_args(asks.Ask))
    assert {type(tell) for tell in TELLS} == {*typing.get_args(tells.Tell), tells.Figures}


@pytest.mark.parametrize("value", [*ASKS, *TELLS], ids=lambda value: type(value).__name__)
def test_each_survives_a_network(value: object) -> None:
    copy = pickle.loads(pickle.dumps(value))
    assert type(copy) is type(value)
    if isinstance(value, tells.Opened):  # headers are compared as a mapping, and keep every value
        assert isinstance(copy, tells.Opened)
        assert copy.upgrade.headers.get_all("x-a") == ["1", "2"]
    assert copy == value


PLAIN = (bytes, str, int, float, bool, type(None))


def check_plain(value: object) -> None:
    if isinstance(value, PLAIN):
        return
    if isinstance(value, tuple | list):
        for item in value:
            check_plain(item)
    elif isinstance(value, typing.Mapping):
        for key, item in value.items():
            check_plain(key)
            check_plain(item)
    else:
        assert type(value).__module__.startswith("audio_connector.")
        assert not callable(value)
        assert not inspect.isawaitable(value)
        names = getattr(value, "__dataclass_fields__", None)
        assert names is not None, f"{type(value)} is no plain value"
        for name in names:
            check_plain(getattr(value, name))


@pytest.mark.parametrize("value", [*ASKS, *TELLS], ids=lambda value: type(value).__name__)
def test_each_is_made_of_plain_values(value: object) -> None:
    check_plain(value)


def test_what_a_real_call_tells_is_plain_too() -> None:
    call = VirtualCall(playback={"max_buffer_s": 0.1, "max_delay_ms": 300}, intake={"max_buffer_ms": 20})
    call.want(credit=1)
    speech = call.say(FRAME * 50)
    call.write(FRAME * 50)
    call.stand_in_line()
    call.wait_played()
    for _ in range(50):
        call.router_sends(FRAME)
    call.run_for(0.5)
    call.flush()
    call.write(b"RIFF")
    call.router_socket.close()
    call.run_for(1.0)
    told = [*call.told.in_order, *call.told.at_once]
    assert {type(tell) for tell in told} >= {bytes, tells.Opened, tells.Settled, tells.Ended, tells.Failed}
    assert speech.outcome is not None
    for tell in told:
        check_plain(tell)
        assert pickle.loads(pickle.dumps(tell)) == tell


def test_figures_that_were_told_never_change() -> None:
    call = VirtualCall()
    call.want(credit=1000)
    call.router_sends(FRAME)
    call.run_for(1.0)
    told = call.published
    before = pickle.dumps(told)
    for _ in range(10):
        call.router_sends(FRAME)
    assert pickle.dumps(told) == before


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, VideoError) and "__init__" not in vars(kind)
]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_arrives_as_what_it_was(kind: type[VideoError]) -> None:
    failed = tells.Failed.of(kind("what is wrong"))
    again = failed.error()
    assert type(again) is kind
    assert str(again) == "what is wrong"
    assert tells.Failed.of(again) == failed


@pytest.mark.parametrize("error", [KeyError("x"), ValueError("y"), OSError(5, "z"), RuntimeError()])
def test_one_that_is_none_of_ours_arrives_as_ours(error: Exception) -> None:
    again = tells.Failed.of(error).error()
    assert type(again) is VideoError
    assert str(again) == str(error)
