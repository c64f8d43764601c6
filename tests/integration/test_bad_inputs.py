# SPDX-License-Identifier: Apache-2.0
"""Bad input and the exact error of each: what was got, what was expected, what to do. Nothing is changed by it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.peers import calling, next_audio
from support.serving import serving, until

from audio_connector import (
    AudioConnectorConfigError,
    AudioConnectorConnection,
    AudioConnectorServer,
    AudioConnectorServerConfig,
    AudioConnectorStartServerError,
    AudioDataError,
    AudioFileError,
    AudioFormatError,
    ConnectionClosed,
    HandlerError,
    Intake,
    Limits,
    MessageError,
    Playback,
    Timeouts,
    UsageError,
    VideoError,
)


def needs_one(_: object) -> None:
    """A handler with one parameter."""


def needs_none() -> None:
    """A handler without."""


def needs_two(_: object, __: object) -> None:
    """A handler with too many."""


def config(**values: object) -> AudioConnectorServerConfig:
    fields: dict[str, Any] = {"host": "127.0.0.1", "port": 0, **values}
    return AudioConnectorServerConfig(**fields)


OF_CONFIG = "AudioConnectorServerConfig: "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: config(port=65536), OF_CONFIG + "port=65536: input should be less than or equal to 65535"),
        (lambda: config(port=-1), OF_CONFIG + "port=-1: input should be greater than or equal to 0"),
        (lambda: config(port=True), OF_CONFIG + "port=True: expected a whole number from 0 to 65535"),
        (lambda: config(port=None), OF_CONFIG + "port=None: input should be a valid integer"),
        (
            lambda: config(port="http"),
            OF_CONFIG + "port='http': input should be a valid integer, unable to parse string as an integer",
        ),
        (lambda: config(host=5), OF_CONFIG + "host=5: input should be a valid string"),
        (
            lambda: config(host=" "),
            OF_CONFIG + "host=' ': a blank; expected a name or an address, or '' for every address",
        ),
        (
            lambda: config(ssl="cert.pem"),
            OF_CONFIG + "ssl='cert.pem': input should be an instance of SSLContext",
        ),
        (lambda: config(on_connect=5), OF_CONFIG + "on_connect=5: input should be callable"),
        (
            lambda: config(on_connect=needs_none),
            OF_CONFIG
            + "on_connect=needs_none cannot be called with one argument, the connection; change its parameters",
        ),
        (
            lambda: config(on_start=needs_one),
            OF_CONFIG + "on_start=needs_one cannot be called with no argument; change its parameters",
        ),
        (
            lambda: config(on_conect=needs_one),
            OF_CONFIG + "on_conect is not a field; did you mean 'on_connect'?",
        ),
        (
            lambda: config(playback={"lead": 5}),
            OF_CONFIG + "playback.lead is not a field; did you mean 'lead_ms'?",
        ),
        (
            lambda: config(playback=5),
            OF_CONFIG + "playback=5: input should be a valid dictionary or instance of Playback",
        ),
        (
            lambda: config(audio_transport="jsn"),
            OF_CONFIG + "audio_transport.transport='jsn': input should be 'binary' or 'json'",
        ),
        (
            lambda: config(audio_transport=5),
            OF_CONFIG
            + "audio_transport=5: expected None, 'binary', 'json', an AudioTransport, or a mapping of its fields",
        ),
        (
            lambda: config(audio_transport={"transport": "json", "audioField": "a"}),
            OF_CONFIG + "audio_transport.audioField is not a field; did you mean 'audio_field'?",
        ),
        (
            lambda: config(audio_transport={"transport": "json", "static_fields": {"audio": 1}}),
            (
                OF_CONFIG
                + "audio_transport: static_fields has the key 'audio', which is audio_field; rename one of them"
            ),
        ),
        (lambda: Playback(lead_ms=10), "Playback: lead_ms=10: input should be greater than or equal to 40"),
        (
            lambda: Playback(clear_commands=("{",)),
            (
                "Playback: clear_commands=('{',): '{' is not valid JSON: Expecting property name enclosed in double "
                "quotes: line 1 column 2 (char 1)"
            ),
        ),
        (
            lambda: Intake(max_buffer_ms=-1),
            "Intake: max_buffer_ms=-1: input should be greater than or equal to 20",
        ),
        (
            lambda: Limits(max_message_bytes=5),
            "Limits: max_message_bytes=5: input should be greater than or equal to 1024",
        ),
        (
            lambda: Timeouts(ping_interval_s=0),
            "Timeouts: ping_interval_s=0: input should be greater than 0",
        ),
        (
            lambda: Timeouts(stall_s="x"),  # type: ignore[arg-type]  # the point of it
            "Timeouts: stall_s='x': input should be a valid number, unable to parse string as a number",
        ),
    ],
)
def test_a_configuration_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(AudioConnectorConfigError) as error:
        make()
    assert str(error.value) == message
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, VideoError)


def client_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def empty_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def fails() -> None:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (
            None,
            AudioConnectorConfigError,
            "got NoneType None; expected an AudioConnectorServerConfig or a mapping of its fields",
        ),
        ({1: 2}, AudioConnectorConfigError, "got the field names [1]; expected texts"),
        ({}, AudioConnectorConfigError, OF_CONFIG + "host is missing; port is missing"),
        (
            {"host": "no.such.host.invalid", "port": 0},
            AudioConnectorStartServerError,
            (
                "cannot listen on no.such.host.invalid:0: the host is not known; expected a name or address of this "
                "machine, such as localhost or 0.0.0.0"
            ),
        ),
        (
            {"host": "192.0.2.1", "port": 0},
            AudioConnectorStartServerError,
            "cannot listen on 192.0.2.1:0: the address is not one of this machine; 0.0.0.0 listens on all of them",
        ),
        (
            {"host": "127.0.0.1", "port": 0, "ssl": empty_context()},
            AudioConnectorStartServerError,
            "the ssl context has no certificate; call context.load_cert_chain(certfile, keyfile) before starting",
        ),
        (
            {"host": "127.0.0.1", "port": 0, "ssl": client_context()},
            AudioConnectorStartServerError,
            (
                "the ssl context is for clients; expected ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) with "
                "load_cert_chain()"
            ),
        ),
        (
            {"host": "127.0.0.1", "port": 0, "on_start": fails},
            AudioConnectorStartServerError,
            "on_start failed with KeyError: 'x'; the server was stopped again",
        ),
    ],
)
async def test_a_start_is_refused(values: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as error:
        await AudioConnectorServer().start_server(values)
    assert str(error.value) == message


async def test_a_port_in_use_is_named() -> None:
    async with serving() as handle:
        with pytest.raises(AudioConnectorStartServerError) as error:
            await AudioConnectorServer().start_server({"host": "127.0.0.1", "port": handle.port})
        assert str(error.value) == (
            f"cannot listen on 127.0.0.1:{handle.port}: the port is in use; choose another one, 0 for any free one, "
            "or end the program that has it"
        )


async def test_a_server_starts_once() -> None:
    server = AudioConnectorServer({"host": "127.0.0.1", "port": 0})
    async with server as handle:
        with pytest.raises(UsageError, match=r"^this server was started before; make another AudioConnector"):
            await server.start_server({"host": "127.0.0.1", "port": 0})
        assert handle.running
    with pytest.raises(
        UsageError, match=r"^AudioConnectorServer\(\) has no configuration; pass one, or call"
    ):
        await AudioConnectorServer().__aenter__()


AUDIO_TYPES = "expected bytes, bytearray, memoryview, or a numpy array of int16 or float32; "
RATES = "expected an int from 4000 to 192000; give the audio's own rate in samples per second"
CLOSE_CODES = "expected one of 1000, 1001, 1003, 1008, 1011, 1012, 1013, or 3000 to 4999"
JSON_TYPES = "use only dict with str keys, list, str, int, finite float, bool and None"
CHANNELS = (
    "expected shape (samples,) or (samples, channels) with 1 to 32 channels; transpose it with .T if channels come "
    "first, or flatten it with .reshape(-1) if it is mono"
)
Call = Callable[[AudioConnectorConnection], Any]

CALLS: list[tuple[Call, type[Exception], str]] = [
    (
        lambda c: c.send_audio_buffer("abc"),  # type: ignore[arg-type]
        AudioDataError,
        f"got audio of type str; {AUDIO_TYPES}on_message also gets the router's texts, take on_audio instead, which gets audio alone; base64 text is decoded with base64.b64decode() first",
    ),
    (
        lambda c: c.send_audio_buffer(None),  # type: ignore[arg-type]
        AudioDataError,
        f"got audio of type NoneType; {AUDIO_TYPES}leave the call out where there is no audio",
    ),
    (
        lambda c: c.send_audio_buffer([1, 2]),  # type: ignore[arg-type]
        AudioDataError,
        f"got audio of type list; {AUDIO_TYPES}use numpy.asarray(samples, dtype=numpy.int16)",
    ),
    (
        lambda c: c.send_audio_buffer(np.zeros(3, np.int32)),  # type: ignore[arg-type]
        AudioDataError,
        (
            "got a numpy array of dtype int32; expected int16, or float32 in [-1, 1]; scale it and use "
            "astype(numpy.int16) or astype(numpy.float32)"
        ),
    ),
    (
        lambda c: c.send_audio_buffer(np.zeros((2, 100), np.int16)),
        AudioDataError,
        f"got a numpy array of shape (2, 100); {CHANNELS}",
    ),
    (
        lambda c: c.send_audio_buffer(np.array([0, np.nan], np.float32)),
        AudioDataError,
        (
            "got nan at index 1; expected finite floats in [-1, 1]; replace it with numpy.nan_to_num(), or look for a "
            "division by zero where it is made"
        ),
    ),
    (
        lambda c: c.send_audio_buffer(b"123", pad_last_frame=True),
        AudioDataError,
        (
            "an odd number of bytes over the whole utterance (3 in this call): 16-bit samples have two each. Nothing of "
            "this call was played; look for what cuts the audio in the middle of a sample"
        ),
    ),
    (
        lambda c: c.send_audio_buffer(b"12", bytes_per_sample=0),
        UsageError,
        (
            "bytes_per_sample=0: expected the bytes of a frame, 320, 640 or 960; leave it out, since frames follow the "
            "connection's rate"
        ),
    ),
    (
        lambda c: c.send_audio_buffer(b"12", frames_ms=30),
        UsageError,
        "frames_ms=30: expected 10 or 20; leave it out, the wire carries 20 ms frames",
    ),
    (
        lambda c: c.send_audio_buffer(b"12", sample_rate=100),
        AudioFormatError,
        f"got the sample rate 100; {RATES}",
    ),
    (lambda c: c.audio(sample_rate=1), AudioFormatError, f"got the sample rate 1; {RATES}"),
    (
        lambda c: c.audio(chunk_ms=0),
        UsageError,
        "chunk_ms=0: expected 1 to 60000 ms, or None for one frame at a time",
    ),
    (
        lambda c: c.send_json_packet('{"a":}'),
        MessageError,
        (
            'not JSON at line 1, column 6: Expecting value\n    {"a":}\n         ^\nSend a JSON text, or a dict or list, '
            "which is written as JSON for you."
        ),
    ),
    (
        lambda c: c.send_json_packet(b"{}"),  # type: ignore[arg-type]
        MessageError,
        (
            "got a message of type bytes; expected a str of JSON, a dict or a list; put the value into a dict, or send "
            "audio with send_audio_buffer"
        ),
    ),
    (
        lambda c: c.send_json_packet({"a": {1}}),
        MessageError,
        f"the message cannot be written as JSON: Object of type set is not JSON serializable; {JSON_TYPES}",
    ),
    (
        lambda c: c.set_buffer_timing(0),
        UsageError,
        "active_seconds=0: expected seconds, more than 0 and at most 60",
    ),
    (
        lambda c: c.set_handler(on_message=5),  # type: ignore[arg-type]
        HandlerError,
        "on_message=5 is not callable; expected a function or a coroutine function",
    ),
    (
        lambda c: c.set_handler(on_message=needs_none),
        HandlerError,
        "on_message=needs_none cannot be called with one argument, the message; change its parameters",
    ),
    (
        lambda c: c.set_handler(on_disconnect=needs_two),
        HandlerError,
        (
            "on_disconnect=needs_two can be called neither with no argument nor with one, the Disconnected; change its "
            "parameters"
        ),
    ),
    (lambda c: c.close(1006), UsageError, f"code=1006: {CLOSE_CODES}"),
    (
        lambda c: c.close(reason="x" * 124),
        UsageError,
        "reason='" + "x" * 59 + ": expected a text of up to 123 bytes in UTF-8",
    ),
    (lambda c: c.close(timeout=-1), UsageError, "timeout=-1: expected seconds, 0 or more"),
    (
        lambda c: c.speech().write(b"12"),
        UsageError,
        "begin the speech with: async with client.speech() as ...",
    ),
    (
        lambda c: c.play("/no/such.wav"),
        AudioFileError,
        (
            "cannot open '/no/such.wav': [Errno 2] No such file or directory: '/no/such.wav'; expected a readable audio "
            "file; check the path"
        ),
    ),
]


async def _made(result: object) -> None:
    if isinstance(result, Awaitable):
        await result


async def test_a_call_is_refused_and_changes_nothing() -> None:
    clients: asyncio.Queue[AudioConnectorConnection] = asyncio.Queue()
    async with serving(clients.put_nowait) as handle, calling(handle.get_address()) as router:
        client = await clients.get()
        for call, kind, message in CALLS:
            with pytest.raises(kind) as error:
                await _made(call(client))
            assert str(error.value) == message
            assert isinstance(error.value, ValueError)
        # The call goes on as if none of these had been made.
        await client.send_audio_buffer(b"ab" * 320, pad_last_frame=True)
        assert await next_audio(router, 1) == [b"ab" * 320]
        await until(lambda: client.statistics().audio_messages_sent == 1, "the figures")


async def test_a_closed_connection_refuses_what_needs_an_open_one(tmp_path: Path) -> None:
    clients: asyncio.Queue[AudioConnectorConnection] = asyncio.Queue()
    async with serving(clients.put_nowait) as handle, calling(handle.get_address()):
        client = await clients.get()
        client.disconnect()
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "play audio": lambda: client.send_audio_buffer(b"12"),
            "send a message": lambda: client.send_json_packet("{}"),
            "flush": client.flush_buffer,
            "begin a speech": client.speech().__aenter__,
            "play a file": lambda: client.play(tmp_path / "any.wav"),
        }
        for what, call in calls.items():
            with pytest.raises(ConnectionClosed) as error:
                await call()
            assert str(error.value) == (
                f"cannot {what}: the connection was closed by the server with 1000; stop sending when on_disconnect "
                "is called"
            )
            assert (error.value.code, error.value.reason) == (1000, "")
            assert isinstance(error.value, ValueError)
