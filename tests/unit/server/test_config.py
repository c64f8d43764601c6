# SPDX-License-Identifier: Apache-2.0
"""A wrong configuration says which field, which value, and what is allowed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import BaseModel

from audio_connector.call.settings import Intake, Limits, Playback, Timeouts
from audio_connector.errors import AudioConnectorConfigError, HandlerError, UsageError
from audio_connector.server.config import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
)
from audio_connector.wire.audio_transport import AudioTransport

GOOD: Mapping[str, Any] = {"host": "localhost", "port": 8765}


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("port", "http"),
        ("port", 1.5),
        ("port", True),
        ("port", None),
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


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (Playback, "lead_ms", 39.9),
        (Intake, "max_texts", 0),
        (Limits, "max_message_bytes", 1),
        (Timeouts, "stop_s", None),
    ],
)
def test_a_wrong_value_of_a_group_is_named_with_its_group(
    group: type[BaseModel], name: str, value: object
) -> None:
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
    assert AudioConnectorServerConfig.from_values(config).audio_transport == audio_transport


def test_every_mistake_is_named_at_once() -> None:
    text = refused(AudioConnectorServerConfig, host=None, port=-1)
    assert "host" in text
    assert "port" in text


def test_what_is_missing_is_named() -> None:
    assert "port is missing" in refused(AudioConnectorServerConfig, host="localhost")


def test_a_field_that_does_not_exist_is_not_ignored() -> None:
    assert "did you mean 'on_connect'" in refused(AudioConnectorServerConfig, **GOOD, onconnect=nothing)


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
    assert AudioConnectorServerConfig.from_values(values) == AudioConnectorServerConfig(**GOOD)


@pytest.mark.parametrize("values", [None, 5, "localhost:8765", ("localhost", 8765)])
def test_anything_else_is_refused(values: object) -> None:
    with pytest.raises(
        AudioConnectorConfigError, match="expected an AudioConnectorServerConfig or a mapping"
    ):
        AudioConnectorServerConfig.from_values(values)


def test_names_that_are_no_texts_are_refused() -> None:
    with pytest.raises(AudioConnectorConfigError, match="field names"):
        AudioConnectorServerConfig.from_values({1: 2})


def test_what_was_assigned_since_is_checked_too() -> None:
    config = AudioConnectorServerConfig(**GOOD)
    config.port = -5
    with pytest.raises(AudioConnectorConfigError, match="port=-5"):
        AudioConnectorServerConfig.from_values(config)


def test_no_host_means_all_addresses() -> None:
    assert AudioConnectorServerConfig(host="", port=0).host == ""


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


def sockets_that_cannot_listen() -> Iterator[tuple[socket.socket, str]]:
    """Each with what is said of it."""
    unbound, closed, datagram = socket.socket(), socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    closed.close()
    datagram.bind(("127.0.0.1", 0))
    yield unbound, "a socket that is not bound"
    yield closed, "a socket that cannot be used"
    yield datagram, "a socket of SOCK_DGRAM"
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield socket.create_connection(server.getsockname()), "a socket that is connected with ('127.0.0.1', "
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    yield context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True), "an SSLSocket"
    if hasattr(socket, "AF_UNIX"):
        yield socket.socket(socket.AF_UNIX), "a socket of AF_UNIX"


def test_sockets_that_cannot_listen_are_refused_by_what_they_are() -> None:
    for sock, words in sockets_that_cannot_listen():
        with sock:
            text = refused(AudioConnectorServerConfig, **GOOD, sockets=[sock])
            assert words in text
            assert "expected TCP sockets that listen, or are bound" in text
            assert text == refused(AudioConnectorServerConfig, sockets=[sock]), (
                "it is not the host that is missing"
            )
    assert "sockets.0=5: " in refused(AudioConnectorServerConfig, **GOOD, sockets=[5])


def test_with_sockets_host_and_port_are_those_of_the_first() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        config = AudioConnectorServerConfig.from_values({"sockets": [sock]})
        assert (config.host, config.port) == sock.getsockname()
        assert AudioConnectorServerConfig(**GOOD, sockets=(sock,)).port == config.port
        assert AudioConnectorServerConfig(**GOOD).sockets == ()
