# SPDX-License-Identifier: Apache-2.0
"""How audio crosses the wire is said in the words of the REST call, and what cannot work is refused."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from pydantic import ValidationError

from audio_connector.errors import AudioConnectorConfigError
from audio_connector.wire.audio_transport import AudioTransport


def refused(**values: object) -> str:
    with pytest.raises(AudioConnectorConfigError) as caught:
        AudioTransport(**values)  # type: ignore[arg-type]
    return str(caught.value)


def test_the_defaults_are_those_of_the_rest_call() -> None:
    transport = AudioTransport()
    assert (transport.transport, transport.encoding, transport.audio_field) == ("binary", "base64", "audio")
    assert (transport.receive_audio_field, transport.static_fields) == (None, {})
    assert not transport.is_json
    assert AudioTransport(transport="json").is_json


def test_the_dump_is_the_body_of_the_rest_call() -> None:
    body = {
        "transport": "json",
        "encoding": "base64",
        "audio_field": "payload",
        "receive_audio_field": "reply",
        "static_fields": {"kind": "audio", "version": 1},
    }
    assert AudioTransport(**body).model_dump(exclude_none=True) == body  # type: ignore[arg-type]


def test_the_names_are_those_that_the_router_sees() -> None:
    same = AudioTransport(audio_field="a")
    assert (same.to_server_field, same.to_router_field) == ("a", "a")
    two = AudioTransport(audio_field="a", receive_audio_field="b")
    assert (two.to_server_field, two.to_router_field) == ("a", "b")


@pytest.mark.parametrize(
    ("value", "transport"),
    [
        (None, AudioTransport()),
        ("binary", AudioTransport()),
        ("json", AudioTransport(transport="json")),
        ({"transport": "json", "audio_field": "a"}, AudioTransport(transport="json", audio_field="a")),
        (MappingProxyType({"transport": "json"}), AudioTransport(transport="json")),
        ({}, AudioTransport()),
    ],
)
def test_what_may_be_written_for_one(value: object, transport: AudioTransport) -> None:
    assert AudioTransport.of(value) == transport
    assert AudioTransport.of(transport) is transport


@pytest.mark.parametrize("value", [5, True, ["json"], b"json", {1: 2}])
def test_nothing_else_may(value: object) -> None:
    with pytest.raises(ValueError, match="expected None, 'binary', 'json', an AudioTransport, or a mapping"):
        AudioTransport.of(value)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"transport": "jsn"}, "transport='jsn': input should be 'binary' or 'json'"),
        ({"encoding": "hex"}, "encoding='hex': input should be 'base64'"),
        ({"audio_field": ""}, "audio_field='': string should have at least 1 character"),
        ({"audio_field": None}, "audio_field=None: input should be a valid string"),
        ({"receive_audio_field": 5}, "receive_audio_field=5: input should be a valid string"),
        (
            {"audio_field": "event"},
            "audio_field='event': the router's events have this key; take another name",
        ),
        ({"audioField": "a"}, "audioField is not a field; did you mean 'audio_field'?"),
        ({"static_fields": []}, "static_fields=[]: input should be a valid dictionary"),
        ({"static_fields": {"a": b"x"}}, "the message cannot be written as JSON"),
        ({"static_fields": {"a": float("nan")}}, "the message cannot be written as JSON"),
        (
            {"static_fields": {"audio": 1}},
            "static_fields has the key 'audio', which is audio_field; rename one of them",
        ),
        (
            {"receive_audio_field": "a", "static_fields": {"a": 1}},
            "static_fields has the key 'a', which is receive_audio_field; rename one of them",
        ),
        (
            {"static_fields": {"event": "websocket:media"}},
            "every message with this event counts as one of the router's, not as audio: 'websocket:media'",
        ),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], text: str) -> None:
    assert text in refused(**values)


def test_a_static_event_of_another_kind_is_allowed() -> None:
    assert AudioTransport(static_fields={"event": "media"}).static_fields == {"event": "media"}


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AudioTransport().transport = "json"
