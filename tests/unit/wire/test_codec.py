# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_connector.audio.format import SUPPORTED_RATES_HZ, AudioFormat
from audio_connector.errors import MessageError
from audio_connector.wire import messages
from audio_connector.wire.codec import (
    CLEAR_FORMS,
    decode_command,
    decode_event,
    encode_event,
    encode_json,
    notify_payload,
)
from audio_connector.wire.messages import (
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

ROOT = Path(__file__).parents[3]
DEEP = 100_000  # brackets: far beyond any recursion limit

# --- What texts, values and messages there are ----------------------------------------------------

texts = st.text(st.characters(exclude_categories=()))  # lone surrogates included
finite = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(texts, finite, max_size=5)
known_names = st.sampled_from(
    [
        "websocket:connected",
        "websocket:media:update",
        "websocket:disconnected",
        "websocket:cleared",
        "websocket:notify",
        "websocket:dtmf",
        "clearAudio",
        "clear",
        "notify",
    ]
)
known_keys = st.sampled_from(
    ["content-type", "method", "active", "payload", "digit", "duration", "dtmf", "action"]
)
content_types = st.sampled_from(SUPPORTED_RATES_HZ).map(lambda rate_hz: AudioFormat(rate_hz).content_type)
near_misses = st.builds(
    lambda name, rest: json.dumps({"event": name, **rest}),
    known_names | finite,
    st.dictionaries(known_keys, finite | content_types | st.integers(-9, 999), max_size=5),
)
headers = objects.map(lambda values: {k: v for k, v in values.items() if k not in ("event", "content-type")})
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        lambda content_type, values: Connected(
            format=AudioFormat.from_content_type(content_type), content_type=content_type, headers=values
        ),
        content_types,
        headers,
    ),
    st.builds(Connected, format=st.none(), content_type=st.none() | st.just("audio/opus"), headers=headers),
    st.builds(MediaUpdate, st.booleans()),
    st.just(Disconnected()),
    st.just(Cleared()),
    st.builds(Notified, finite),
    st.builds(Dtmf, texts.filter(bool), st.none() | st.integers(min_value=0)),
)
HOSTILE = {
    "nothing": "",
    "blanks": " \t\r\n ",
    "brackets without end": "[" * DEEP,
    "objects without end": '{"event":' * DEEP,
    "a deep payload": '{"event":"websocket:notify","payload":' + "[" * DEEP + "]" * DEEP + "}",
    "a huge integer": '{"event":"websocket:dtmf","digit":"5","duration":' + "9" * 5000 + "}",
    "a huge rate": '{"event":"websocket:connected","content-type":"audio/l16;rate=' + "9" * 5000 + '"}',
    "a huge float": '{"event":"websocket:dtmf","digit":"5","duration":1e999}',
    "not a number": '{"event":"websocket:dtmf","digit":"5","duration":NaN}',
    "a lone surrogate": '{"event":"\ud800"}',
    "an escaped lone surrogate": '{"event":"\\udfff","digit":"5"}',
    "a byte order mark": '\ufeff{"event":"websocket:cleared"}',
    "a list as the name": '{"event":["websocket:connected"]}',
    "an object as the name": '{"event":{"websocket:connected":1}}',
    "a digit that is none": '{"event":"websocket:dtmf","digit":{"digit":5}}',
    "a content type that is none": '{"event":"websocket:connected","content-type":{}}',
    "a list": '[{"event":"websocket:cleared"}]',
    "a string": '"websocket:cleared"',
    "null": "null",
    "two objects": '{"event":"websocket:cleared"}{}',
    "a NUL": "\x00",
}


VECTORS: dict[str, dict[str, Any]] = {
    f"{path.stem}: {vector['name']}": vector
    for path in sorted((ROOT / "tests" / "vectors").glob("*.json"))
    for vector in json.loads(path.read_text(encoding="utf-8"))["messages"]
}


def from_sender(sender: str) -> pytest.MarkDecorator:
    chosen = {name: vector for name, vector in VECTORS.items() if vector["sender"] == sender}
    return pytest.mark.parametrize("vector", chosen.values(), ids=chosen.keys())


def expected(vector: dict[str, Any]) -> object:
    values = dict(vector["message"])
    kind = getattr(messages, values.pop("type"))
    if kind is UnknownEvent:
        return UnknownEvent(name=values["event_name"], text=vector["text"])
    if kind is OtherCommand:
        return OtherCommand(vector["text"])
    if values.get("format") is not None:
        values["format"] = AudioFormat(values["format"])
    return kind(**values)


# --- Router to server -----------------------------------------------------------------------------


@from_sender("router")
def test_a_routers_message_is_understood(vector: dict[str, Any]) -> None:
    event = decode_event(vector["text"])
    assert event == expected(vector)
    if vector["text"].lstrip().startswith("{"):
        assert event.raw == json.loads(vector["text"])


@from_sender("router")
def test_blanks_and_the_order_of_keys_do_not_matter(vector: dict[str, Any]) -> None:
    event = decode_event(vector["text"])
    if isinstance(event, UnknownEvent):
        return
    backwards = json.dumps(dict(reversed(list(event.raw.items()))), indent=1)
    assert decode_event(f"\r\n\t {backwards}\n") == event


@from_sender("router")
def test_nothing_of_a_routers_message_is_lost_when_it_is_written_again(vector: dict[str, Any]) -> None:
    event = decode_event(vector["text"])
    again = decode_event(encode_event(event))
    assert again == event
    if not isinstance(event, Dtmf):  # of its variants, only the documented one is written
        assert {key: again.raw[key] for key in event.raw} == event.raw


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_makes_decoding_fail(text: str) -> None:
    event = decode_event(text)
    assert isinstance(event, get_args(Event))
    if isinstance(event, UnknownEvent):
        assert event.text is text
    assert isinstance(decode_command(text), get_args(Command))
    assert notify_payload(text + "notify") is None


@given(texts)
def test_any_text_is_decoded(text: str) -> None:
    assert isinstance(decode_event(text), get_args(Event))
    assert isinstance(decode_command(text), get_args(Command))
    assert isinstance(decode_event(text[1:]), get_args(Event))


@given(finite.map(json.dumps) | near_misses)
def test_any_json_is_decoded(text: str) -> None:
    event = decode_event(text)
    if isinstance(event, UnknownEvent):
        value = json.loads(text)
        assert event.text == text
        assert event.raw == (value if isinstance(value, dict) else {})
    else:
        assert event.raw == json.loads(text)
    assert decode_event(encode_event(event)) == event
    assert isinstance(decode_command(text), get_args(Command))


@given(near_misses, st.data())
def test_a_text_that_was_cut_is_decoded(text: str, data: st.DataObject) -> None:
    cut = text[: data.draw(st.integers(0, len(text)))]
    assert isinstance(decode_event(cut), get_args(Event))


@given(events, st.booleans())
def test_events_survive_the_journey(event: Event, leading_blank: bool) -> None:
    text = encode_event(event, leading_blank=leading_blank)
    assert text.isascii()
    assert text.startswith(' {"' if leading_blank else '{"')
    again = decode_event(text)
    assert again == event
    assert again.raw == json.loads(text)


@given(texts, st.booleans())
def test_an_unknown_event_is_written_unchanged(text: str, leading_blank: bool) -> None:
    assert encode_event(UnknownEvent(name=None, text=text), leading_blank=leading_blank) == text


def test_of_a_key_that_comes_twice_the_last_counts() -> None:
    text = '{"event":"websocket:cleared","active":true,"event":"websocket:media:update","active":false}'
    assert decode_event(text) == MediaUpdate(active=False)


@pytest.mark.parametrize("active", ["1", "0", "null", '"true"', "[]"])
def test_mute_is_not_guessed(active: str) -> None:
    text = f'{{"event":"websocket:media:update","active":{active}}}'
    assert decode_event(text) == UnknownEvent(name="websocket:media:update", text=text)


@pytest.mark.parametrize("duration", ["-1", "true", "null", '"260"', "2.5", "[]"])
def test_a_duration_that_is_none_is_left_out(duration: str) -> None:
    assert decode_event(f'{{"digit":"5","duration":{duration}}}') == Dtmf("5", None)


def test_a_digit_at_top_level_counts_before_a_nested_one() -> None:
    text = '{"event":"websocket:dtmf","digit":"1","duration":10,"dtmf":{"digit":"2","duration":20}}'
    assert decode_event(text) == Dtmf("1", 10)


def test_a_custom_header_cannot_pose_as_the_protocols_own_key() -> None:
    spoof = Connected(
        format=AudioFormat(8000), headers={"event": "x", "content-type": "audio/l16;rate=24000", "a": "b"}
    )
    assert decode_event(encode_event(spoof)) == Connected(
        format=AudioFormat(8000), content_type="audio/l16;rate=8000", headers={"a": "b"}
    )


def test_fields_count_before_raw() -> None:
    raw = {"event": "websocket:media:update", "active": True, "content-type": "audio/l16;rate=8000"}
    text = encode_event(MediaUpdate(active=False, raw=raw), leading_blank=False)
    assert json.loads(text) == {
        "event": "websocket:media:update",
        "method": "update",
        "active": False,
        "content-type": "audio/l16;rate=8000",
    }


def test_an_event_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(MessageError, match="cannot be written as JSON"):
        encode_event(Notified(payload=float("nan")))


# --- Server to router -----------------------------------------------------------------------------


@from_sender("server")
def test_a_servers_message_is_understood(vector: dict[str, Any]) -> None:
    assert decode_command(vector["text"]) == expected(vector)


def test_the_clear_forms_are_all_there_and_cannot_be_changed() -> None:
    assert tuple(CLEAR_FORMS) == get_args(ClearForm)
    assert [decode_command(text) for text in CLEAR_FORMS.values()] == [ClearCommand(f) for f in CLEAR_FORMS]
    with pytest.raises(TypeError):
        CLEAR_FORMS["action"] = "{}"  # type: ignore[index]  # the point of the test


@given(finite)
def test_the_payload_of_a_notify_command_is_understood(payload: object) -> None:
    text = encode_json({"action": "notify", "payload": payload})
    assert decode_command(text) == NotifyCommand(payload)
    assert notify_payload(text) == payload


@pytest.mark.parametrize(
    "text",
    ['{"action":"clear"}', '{"action":"notify"}', '{"action":"notify","payload":null}', '{"say":"notify"}'],
)
def test_a_text_that_waits_for_no_answer_has_no_payload(text: str) -> None:
    assert notify_payload(text) is None


def test_a_payload_may_be_false() -> None:
    assert notify_payload('{"action":"notify","payload":0}') == 0
    assert notify_payload('{"action":"notify","payload":0}') is not None


# --- JSON that the application sends --------------------------------------------------------------


@given(finite, st.sampled_from([None, 2]))
def test_a_json_text_is_sent_as_it_is(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    assert encode_json(text) is text


@given(objects | st.lists(finite, max_size=4))
def test_dicts_and_lists_are_written_compactly(value: dict[str, Any] | list[Any]) -> None:
    text = encode_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert len(text) <= len(json.dumps(value))


def test_no_blank_is_wasted() -> None:
    assert encode_json({"a": [1, {"b": None}]}) == '{"a":[1,{"b":null}]}'


def is_json_for_the_wire(text: str) -> bool:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
        text.encode()
    except ValueError:
        return False
    return True


@given(texts | near_misses | near_misses.map(lambda text: text[:-1]))
@example('{"a":"\ud800"}')
@example('{"a":"\\ud800"}')
@example('{"a":NaN}')
@example('{"NaN":"-Infinity"}')
def test_a_text_is_refused_exactly_when_it_cannot_be_sent(text: str) -> None:
    if is_json_for_the_wire(text):
        assert encode_json(text) is text
    else:
        with pytest.raises(MessageError, match="not JSON at line"):
            encode_json(text)


@pytest.mark.parametrize(
    ("text", "line", "column", "sign"),
    [
        ("{'a': 1}", 1, 2, "'"),
        ('{\n  "a": 1,\n  b: 2\n}', 3, 3, "b"),
        ('{"a": 1} {"b": 2}', 1, 10, "{"),
        ('{"NaN": "NaN", "b": NaN}', 1, 21, "N"),
        ('{"say \\"Infinity\\"": -Infinity}', 1, 22, "-"),
        ("[1,\n[2, Infinity]]", 2, 5, "I"),
        ('{"\t\t\ta": 1 2}', 1, 3, " "),
        ('{"a": "' + "x" * 500 + '", b}', 1, 511, "b"),
        ('{"a":\n"\ud800"}', 2, 2, " "),
    ],
)
def test_a_mistake_is_pointed_at(text: str, line: int, column: int, sign: str) -> None:
    with pytest.raises(MessageError) as caught:
        encode_json(text)
    what, excerpt, caret, advice = str(caught.value).split("\n")
    assert what.startswith(f"not JSON at line {line}, column {column}: ")
    assert excerpt[caret.index("^")] == sign
    assert len(excerpt) <= 90
    assert "dict or list" in advice
    assert isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("text", ["", " ", '{"a":', '{"a\n'])
def test_a_text_that_ends_too_early_is_pointed_at(text: str) -> None:
    with pytest.raises(MessageError, match="not JSON at line 1, column"):
        encode_json(text)


def test_numbers_of_any_size_are_json() -> None:
    text = '{"n":' + "9" * 5000 + ',"f":1e999}'
    assert encode_json(text) is text


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(MessageError, match="nested too deeply"):
        encode_json("[" * DEEP)


def test_a_value_without_end_is_refused() -> None:
    value: list[Any] = []
    for _ in range(DEEP):
        value = [value]
    with pytest.raises(MessageError, match="nested too deeply"):
        encode_json(value)


LOOP: dict[str, Any] = {}
LOOP["self"] = LOOP


@pytest.mark.parametrize(
    "value",
    [
        {"a": float("nan")},
        [float("inf")],
        {"a": b"bytes"},
        {"a": {1, 2}},
        {(1, 2): "a"},
        LOOP,
        pytest.param(
            {"a": 10**5000},
            marks=pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="no such limit"),
        ),
    ],
    ids=["nan", "inf", "bytes", "set", "tuple key", "itself", "huge int"],
)
def test_a_value_that_json_cannot_hold_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(MessageError, match=r"cannot be written as JSON: .* use only dict") as caught:
        encode_json(value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("value", [None, 5, True, b"{}", ("a",)], ids=repr)
def test_a_value_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(MessageError, match=f"type {type(value).__name__}; expected a str of JSON, a dict or"):
        encode_json(value)  # type: ignore[arg-type]  # the point of the test


# --- The vectors ----------------------------------------------------------------------------------


def test_every_vector_names_rows_of_the_protocol() -> None:
    lines = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").splitlines()
    rows = {line.split("|")[1].strip().replace("`", "") for line in lines if line.startswith("|")}
    named = {row for vector in VECTORS.values() for row in vector["protocol"]}
    assert named
    assert named <= rows
