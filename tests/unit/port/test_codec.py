# SPDX-License-Identifier: Apache-2.0
"""What crosses between two processes arrives as it was said, however it is cut, and what is no message is said so."""

from __future__ import annotations

import contextlib
import json
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.intake.buffer import IntakeCounters
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import Answered, Finished, Flushed, Interrupted, Played, Progress
from audio_connector.port import words
from audio_connector.port.codec import KINDS, NoMessage, encode, read
from audio_connector.port.framing import HEAD, Decoder, encode_all
from audio_connector.wire.codec import MAX_PARTS, decode_event
from audio_connector.wire.messages import Connected, Disconnected
from audio_connector.wire.transport import Headers, Upgrade

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
NUMBER = st.integers(0, 2**31)
MS = st.floats(0, 1e9)
SHARE = st.floats(0, 1)
MAYBE_RATE = st.none() | st.integers(4000, 192_000)
PCM = st.binary(max_size=1300)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OUTCOME = st.builds(Played, MS) | st.builds(Interrupted, MS, MS)
FIRST = st.builds(
    lambda more, rate_hz: decode_event(
        json.dumps({**more, "event": "websocket:connected", "content-type": f"audio/l16;rate={rate_hz}"})
    ),
    st.dictionaries(TEXT, JSON, max_size=3),
    st.sampled_from((8000, 16000, 24000, 5)),
)
HEADERS = st.lists(st.tuples(TEXT, TEXT), max_size=5).map(Headers)
PROGRESS = st.builds(Progress, NUMBER, st.none() | MS, NUMBER, NUMBER, NUMBER, MS, NUMBER, MS)
IDENTITY = st.recursive(
    st.none() | st.booleans() | NUMBER | MS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
UPGRADE = st.builds(Upgrade, TEXT, TEXT, HEADERS, st.tuples(TEXT, NUMBER), st.booleans(), IDENTITY)

ALL: dict[type, st.SearchStrategy[Any]] = {
    asks.Write: st.builds(asks.Write, NUMBER, PCM, MAYBE_RATE, st.booleans()),
    asks.StandInLine: st.builds(asks.StandInLine, NUMBER, NUMBER, st.booleans(), st.none() | NUMBER),
    asks.WriteGranted: st.builds(asks.WriteGranted, NUMBER, PCM, MAYBE_RATE, st.booleans()),
    asks.Leave: st.builds(asks.Leave, NUMBER),
    asks.BeginSpeech: st.builds(asks.BeginSpeech, NUMBER),
    asks.EndSpeech: st.builds(asks.EndSpeech, NUMBER),
    asks.PauseSpeech: st.builds(asks.PauseSpeech, NUMBER, NUMBER),
    asks.ResumeSpeech: st.builds(asks.ResumeSpeech, NUMBER),
    asks.AddBackground: st.builds(
        asks.AddBackground, NUMBER, NUMBER, PCM, NUMBER, SHARE, SHARE, st.booleans()
    ),
    asks.SetBackground: st.builds(asks.SetBackground, NUMBER, SHARE, SHARE),
    asks.StopBackground: st.builds(asks.StopBackground, NUMBER, NUMBER, MS),
    asks.Flush: st.builds(asks.Flush, NUMBER),
    asks.WaitPlayed: st.builds(asks.WaitPlayed, NUMBER, st.none() | NUMBER, st.booleans()),
    asks.SendText: st.builds(asks.SendText, TEXT, st.none() | NUMBER),
    asks.StandInTextLine: st.builds(asks.StandInTextLine, NUMBER),
    asks.SetLead: st.builds(asks.SetLead, MS),
    asks.Unread: st.builds(asks.Unread, MS, st.booleans()),
    asks.Want: st.builds(asks.Want, st.booleans(), st.booleans(), NUMBER, st.booleans()),
    asks.TapeOn: st.builds(asks.TapeOn, NUMBER, MS, st.none() | NUMBER, st.booleans(), MS),
    asks.TapeMore: st.builds(asks.TapeMore, NUMBER),
    asks.TakeTape: st.builds(asks.TakeTape, NUMBER, st.booleans()),
    asks.Released: st.just(asks.Released()),
    asks.Traced: st.builds(asks.Traced, TEXT),
    asks.Close: st.builds(asks.Close, st.just(1000), TEXT),
    asks.Judged: st.builds(asks.Judged, IDENTITY, st.none() | NUMBER, TEXT),
    TextItem: st.builds(
        lambda text, is_first: TextItem(text, decode_event(text, is_first=is_first)),
        TEXT | JSON.map(json.dumps) | st.just('{"content-type": "audio/l16;rate=8000"}'),
        st.booleans(),
    ),
    tells.Opened: st.builds(tells.Opened, UPGRADE, NUMBER, TEXT),
    tells.Settled: st.builds(
        tells.Settled,
        st.builds(AudioFormat, st.sampled_from((8000, 16000, 24000))),
        st.none() | FIRST.filter(lambda event: isinstance(event, Connected)),
    ),
    Answered: st.builds(
        Answered, NUMBER, st.none() | st.booleans() | MS | OUTCOME | st.builds(Flushed, MS, MS)
    ),
    Finished: st.builds(Finished, NUMBER, OUTCOME),
    tells.Taped: st.builds(
        tells.Taped,
        NUMBER,
        MS,
        MS,
        st.sampled_from((8000, 16000, 24000)),
        st.lists(st.tuples(MS, PCM), max_size=3).map(tuple),
        st.lists(st.tuples(MS, st.booleans(), PCM), max_size=3).map(tuple),
        st.lists(st.builds(tells.TapedEvent, MS, TEXT, TEXT, TEXT, MS), max_size=3).map(tuple),
        MS,
        st.booleans(),
        st.booleans(),
    ),
    tells.Failed: st.builds(tells.Failed, TEXT, TEXT),
    tells.Asked: st.builds(tells.Asked, UPGRADE, IDENTITY, MS),
    tells.Lost: st.builds(tells.Lost, MS),
    tells.Resumed: st.builds(tells.Resumed, UPGRADE),
    tells.Release: st.just(tells.Release()),
    tells.Warned: st.builds(tells.Warned, TEXT),
    tells.Ended: st.builds(
        tells.Ended,
        st.builds(
            Disconnected,
            code=st.none() | NUMBER,
            reason=TEXT,
            closed_by=st.sampled_from(("router", "server", "network")),
        ),
    ),
    tells.Figures: st.builds(
        tells.Figures,
        **{name: NUMBER for name, kind in get_type_hints(tells.Figures).items() if kind is int},
        **{name: MS for name, kind in get_type_hints(tells.Figures).items() if kind is float},
        progress=PROGRESS,
        speeches=st.lists(st.tuples(NUMBER, PROGRESS), max_size=3).map(tuple),
        intake=st.builds(IntakeCounters, NUMBER, NUMBER, age_peak_ms=MS),
        is_active=st.booleans(),
        round_trip_ms=st.none() | MS,
    ),
    words.Start: st.builds(
        words.Start,
        NUMBER,
        TEXT,
        TEXT,
        st.lists(NUMBER, max_size=3).map(tuple),
        st.booleans(),
        NUMBER,
        st.booleans(),
        NUMBER,
        st.none() | NUMBER,
        TEXT,
    ),
    words.Started: st.builds(words.Started, TEXT, NUMBER, TEXT),
    words.NotStarted: st.builds(words.NotStarted, TEXT, TEXT),
    words.RefuseCalls: st.just(words.RefuseCalls()),
    words.CloseAll: st.builds(words.CloseAll, NUMBER, TEXT, MS),
    words.AllClosed: st.just(words.AllClosed()),
    words.ShutDown: st.just(words.ShutDown()),
    words.Load: st.builds(words.Load, MS, NUMBER),
    words.Retire: st.builds(words.Retire, NUMBER, st.none() | MS),
    words.Retired: st.builds(words.Retired, NUMBER),
    words.Lost: st.builds(words.Lost, NUMBER),
    words.Serve: st.builds(words.Serve, TEXT, TEXT, NUMBER),
    words.Loaded: st.builds(words.Loaded, TEXT),
    words.NotLoaded: st.builds(words.NotLoaded, TEXT),
    words.Ready: st.just(words.Ready()),
    words.Drain: st.builds(words.Drain, MS),
    words.Drained: st.builds(words.Drained, st.booleans()),
    words.Collect: st.builds(words.Collect, NUMBER, st.booleans()),
    words.Collected: st.builds(words.Collected, NUMBER, TEXT),
    words.Counted: st.builds(words.Counted, TEXT),
    words.Refused: st.builds(words.Refused, st.dictionaries(TEXT, NUMBER, max_size=3)),
    words.Logged: st.builds(
        words.Logged, TEXT, NUMBER, TEXT, MS, st.none() | TEXT, st.dictionaries(TEXT, TEXT, max_size=3)
    ),
}
MESSAGE = PCM | st.one_of(*ALL.values())


def same(message: Any) -> Any:
    """To compare by: headers have no equality, and events compare without their raw text."""
    if isinstance(message, tells.Opened | tells.Resumed):
        headers = message.upgrade.headers
        values: Any = {name: headers.get_all(name) for name in headers}
        return message._replace(upgrade=message.upgrade._replace(headers=values))
    if isinstance(message, TextItem):
        return message, message.event.raw
    if isinstance(message, tells.Settled) and message.first_message is not None:
        return message, message.first_message.raw
    return message


def decoded(data: bytes, cuts: list[int]) -> list[tuple[int, Any]]:
    got: list[tuple[int, Any]] = []
    decoder = Decoder(got.append, max_body_bytes=1 << 20)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    for begin, end in zip([0, *ends], ends, strict=False):
        decoder.feed(data[begin:end])
    return got


def test_there_is_one_of_each_kind() -> None:
    assert set(ALL) == set(KINDS)


@given(
    st.lists(st.tuples(st.integers(0, 2**64 - 1), MESSAGE), max_size=8),
    st.lists(st.integers(0, 4000), max_size=30),
)
def test_what_is_said_arrives_however_it_is_cut(messages: list[tuple[int, Any]], cuts: list[int]) -> None:
    got = decoded(encode_all(messages), cuts)
    assert [(link_id, type(message), same(message)) for link_id, message in got] == [
        (link_id, type(message), same(message)) for link_id, message in messages
    ]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_byte_by_byte(kind: type) -> None:
    data = encode_all([(7, b"ab")]) + encode_all([(7, b"")])
    assert decoded(data, list(range(len(data)))) == [(7, b"ab"), (7, b"")]

    @settings(max_examples=20)
    @given(ALL[kind])
    def arrives(message: Any) -> None:
        data = encode_all([(3, message)])
        got = decoded(data, list(range(len(data))))
        assert [(link_id, same(each)) for link_id, each in got] == [(3, same(message))]

    arrives()


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_garbage_is_messages_or_said_to_be_none(data: bytes, cuts: list[int]) -> None:
    with contextlib.suppress(NoMessage):
        for _, message in decoded(data, cuts):
            assert type(message) in (*KINDS, bytes)


@given(st.one_of(*ALL.values()), st.data())
def test_a_message_with_other_bytes_is_one_of_its_kind_or_none(message: Any, data: Any) -> None:
    encoded = bytearray(encode_all([(1, message)]))
    at = data.draw(st.integers(HEAD.size, len(encoded) - 1) if len(encoded) > HEAD.size else st.just(0))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        got = decoded(bytes(encoded), [])
    except NoMessage:
        return
    for _, each in got:
        assert type(each) in (*KINDS, bytes)


@given(st.one_of(*ALL.values()), st.integers(1, 255), st.data())
def test_the_body_of_one_kind_read_as_another_is_one_of_those_or_none(
    message: Any, number: int, data: st.DataObject
) -> None:
    """And so is a body with bytes more or less."""
    _, body = encode(message)
    at, size = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, 9))
    bent = data.draw(
        st.sampled_from([body, body[:at] + body[at + size :], body[:at] + bytes([192 + size]) + body[at:]])
    )
    try:
        got = read(number, bent)
    except NoMessage:
        return
    assert type(got) is KINDS[number - 1]


def test_what_is_too_long_or_of_no_kind_is_named() -> None:
    with pytest.raises(NoMessage, match=r"got a message of 1048577 bytes; expected 1048576 at most"):
        decoded(HEAD.pack((1 << 20) + 1, 1, 0), [])
    with pytest.raises(NoMessage, match=f"got a message of kind 200; expected one of {len(KINDS)}"):
        decoded(HEAD.pack(0, 1, 200), [])
    with pytest.raises(NoMessage, match="cannot be read as Close"):
        decoded(HEAD.pack(1, 1, 1 + KINDS.index(asks.Close)) + b"\x00", [])


def test_half_a_pair_crosses_as_a_question_mark() -> None:
    assert decoded(encode_all([(1, asks.Close(1000, "a\ud800b"))]), []) == [(1, asks.Close(1000, "a?b"))]


def test_a_first_message_crosses_whatever_it_has_escaped() -> None:
    text = '{"event":"websocket:connected","content-type":"audio/l16;rate=8000","x":"%s"}'
    first = decode_event(text % (r"\u005b" * (MAX_PARTS // 10 + 1)))
    assert isinstance(first, Connected)
    [(_, settled)] = decoded(encode_all([(1, tells.Settled(AudioFormat(8000), first))]), [])
    assert same(settled) == same(tells.Settled(AudioFormat(8000), first))


def test_one_that_cannot_be_written_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    unwritable = asks.Judged(1 << 64, None, "")
    assert decoded(encode_all([(1, b"a"), (2, unwritable), (3, b"b")]), []) == [(1, b"a"), (3, b"b")]
    assert "a message was lost" in caplog.text
