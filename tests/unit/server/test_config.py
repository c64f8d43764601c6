# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration says which field, which value, and what is allowed."""

from __future__ import annotations

import json
import math
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel

from audio_connector.errors import AudioConnectorConfigError, HandlerError, UsageError
from audio_connector.server.config import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
    Intake,
    Limits,
    Playback,
    Timeouts,
    config_from,
)
from audio_connector.wire.audio_transport import AudioTransport

GOOD: Mapping[str, Any] = {"host": "localhost", "port": 8765}
GROUPS: list[type[BaseModel]] = [Playback, Intake, Limits, Timeouts, AudioTransport]


def nothing() -> None: ...


async def takes_a_connection(client: object) -> None: ...


def refused(make: Callable[..., object], **values: object) -> str:
    with pytest.raises(AudioConnectorConfigError) as caught:
        make(**values)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, UsageError)
    return str(caught.value)


def test_the_documented_construction() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    config = AudioConnectorServerConfig(
        host="localhost",
        port=8765,
        ssl=context,
        on_start=nothing,
        on_stop=nothing,
        on_connect=takes_a_connection,
    )
    dump = config.model_dump()
    assert (dump["host"], dump["port"], dump["ssl"]) == ("localhost", 8765, context)
    assert dump["on_connect"] is takes_a_connection
    assert dump["playback"]["lead_ms"] == 200


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_defaults_is_frozen_and_survives_json(group: type[BaseModel]) -> None:
    values = group()
    for name in group.model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(values, name, getattr(values, name))
    assert group(**json.loads(json.dumps(values.model_dump()))) == values


@pytest.mark.parametrize("group", GROUPS)
def test_every_attribute_is_explained(group: type[BaseModel]) -> None:
    for name in group.model_fields:
        assert f"    {name}: " in (group.__doc__ or "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("port", "http"),
        ("port", 1.5),
        ("port", True),
        ("port", None),
        ("host", ""),
        ("host", "  "),
        ("host", None),
        ("host", "x" * 256),
        ("ssl", True),
        ("ssl", "cert.pem"),
        ("on_connect", 7),
        ("on_start", "start"),
        ("playback", 200),
        ("timeouts", None),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    text = refused(AudioConnectorServerConfig, **{**GOOD, name: value})
    assert name in text
    assert repr(value)[:70] in text


OUT_OF_RANGE: list[tuple[type[BaseModel], str, object]] = [
    (Playback, "lead_ms", 39.9),
    (Playback, "lead_ms", 60_001),
    (Playback, "lead_ms", math.nan),
    (Playback, "prime_ms", -1),
    (Playback, "pause_ms", 0),
    (Playback, "max_buffer_s", 0),
    (Playback, "clear_commands", ("no json",)),
    (Playback, "clear_commands", ("[NaN]",)),
    (Playback, "clear_commands", '{"action":"clear"}'),
    (Intake, "max_buffer_ms", 19),
    (Intake, "max_texts", 0),
    (Intake, "window_messages", 1),
    (Limits, "max_message_bytes", 1023),
    (Timeouts, "handshake_s", 0),
    (Timeouts, "stall_s", math.inf),
    (Timeouts, "ping_interval_s", -1),
    (Timeouts, "stop_s", None),
]


@pytest.mark.parametrize(("group", "name", "value"), OUT_OF_RANGE)
def test_a_group_s_wrong_value_is_named_alone_and_inside(
    group: type[BaseModel], name: str, value: object
) -> None:
    assert f"{name}" in refused(group, **{name: value})
    text = refused(AudioConnectorServerConfig, **GOOD, **{group.__name__.lower(): {name: value}})
    assert name in text
    assert group.__name__.lower() in text
    assert repr(value) in text


IN_JSON = AudioTransport(transport="json")


@pytest.mark.parametrize(
    ("value", "audio_transport"),
    [
        ("json", IN_JSON),
        ({"transport": "json"}, IN_JSON),
        (IN_JSON, IN_JSON),
        ("binary", AudioTransport()),
        ({}, AudioTransport()),
        (None, AudioTransport()),
    ],
)
def test_how_audio_crosses_the_wire_may_be_said_in_any_way(
    value: Any, audio_transport: AudioTransport
) -> None:
    config = AudioConnectorServerConfig(**GOOD, audio_transport=value)
    assert config.audio_transport == audio_transport
    config = AudioConnectorServerConfig(**GOOD)
    assert config.audio_transport == AudioTransport()
    config.audio_transport = value
    assert config_from(config).audio_transport == audio_transport


def test_every_mistake_is_named_at_once() -> None:
    text = refused(AudioConnectorServerConfig, host="", port=-1)
    assert "host" in text
    assert "port" in text


def test_what_is_missing_is_named() -> None:
    assert "port is missing" in refused(AudioConnectorServerConfig, host="localhost")


def test_a_field_that_does_not_exist_is_not_ignored() -> None:
    assert "did you mean 'on_connect'" in refused(AudioConnectorServerConfig, **GOOD, onconnect=nothing)
    assert "did you mean 'lead_ms'" in refused(Playback, lead=200)
    assert "it has lead_ms, prime_ms" in refused(Playback, xyz=1)


def test_also_inside_a_group() -> None:
    text = refused(AudioConnectorServerConfig, **GOOD, playback={"leadms": 200})
    assert "leadms" in text
    assert "lead_ms" in text


def test_a_long_value_is_cut() -> None:
    text = refused(AudioConnectorServerConfig, host="x" * 10_000, port=1)
    assert len(text) < 400


def test_handlers_are_checked_like_all_handlers() -> None:
    for name, handler in (
        ("on_start", takes_a_connection),
        ("on_stop", takes_a_connection),
        ("on_connect", nothing),
    ):
        text = refused(AudioConnectorServerConfig, **GOOD, **{name: handler})
        assert name in text
        assert "argument" in text
    assert issubclass(HandlerError, UsageError)


# What the server takes.


@pytest.mark.parametrize("wrap", [dict, MappingProxyType, AudioConnectorServerConfig])
def test_a_configuration_or_a_mapping_of_its_fields(wrap: Any) -> None:
    values = wrap(**GOOD) if wrap is AudioConnectorServerConfig else wrap(dict(GOOD))
    assert config_from(values) == AudioConnectorServerConfig(**GOOD)


@pytest.mark.parametrize("values", [None, 5, "localhost:8765", ("localhost", 8765)])
def test_anything_else_is_refused(values: object) -> None:
    with pytest.raises(
        AudioConnectorConfigError, match="expected an AudioConnectorServerConfig or a mapping"
    ):
        config_from(values)


def test_names_that_are_no_texts_are_refused() -> None:
    with pytest.raises(AudioConnectorConfigError, match="field names"):
        config_from({1: 2})


def test_what_was_assigned_since_is_checked_too() -> None:
    config = AudioConnectorServerConfig(**GOOD)
    config.port = -5
    with pytest.raises(AudioConnectorConfigError, match="port=-5"):
        config_from(config)


def test_the_data_of_a_connection_has_the_documented_names() -> None:
    data = AudioConnectorConnectionData(sessionId="s", customHeaders={"a": "b"}, id="x")
    assert data.model_dump() == {
        "sessionId": "s",
        "conferenceId": None,
        "uri": None,
        "connectionId": None,
        "customHeaders": {"a": "b"},
        "id": "x",
    }
