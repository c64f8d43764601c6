# SPDX-License-Identifier: Apache-2.0
"""The handle of a connection: who it is, what arrives, how it ends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest
from support.peers import FRAME, calling, first_message, how_closed, next_audio, next_text
from support.serving import BOTH_LOOPS, DEADLINE_S, Listener, sawtooth, serving, until

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorConnectionData,
    AudioFormat,
    Cleared,
    Connected,
    ConnectionClosed,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
    UnknownEvent,
)
from audio_connector.audio.resample import Resampler

ROUTER_HEADERS = [
    ("x-opentok-ws-sessionid", "the-session"),
    ("x-opentok-ws-connectionid", "the-connection"),
    ("x-opentok-ws-conferenceid", "the-conference"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("x-forwarded-for", "10.0.0.2"),
    ("Caller", "Zo\xeb"),
]


# Who it is.


async def test_identity_from_the_headers() -> None:
    listener = Listener()
    async with (
        serving(listener) as handle,
        calling(handle.get_address(), "/room/7%20a?lang=en&x=1", additional_headers=ROUTER_HEADERS) as caller,
    ):
        client = (await listener.call()).client
        assert client.id == "the-connection"
        assert client.session_id == "the-session"
        assert client.connection_id == "the-connection"
        assert client.conference_id == "the-conference"
        assert (client.path, client.query) == ("/room/7%20a", "lang=en&x=1")
        assert client.remote_address == caller.local_address
        assert client.secure is False
        assert client.headers["X-FORWARDED-FOR"] == "10.0.0.1, 10.0.0.2"
        assert client.headers.get_all("x-forwarded-for") == ["10.0.0.1", "10.0.0.2"]
        assert client.headers.get_all("nothing") == []
        assert "nothing" not in client.headers
        info = client.info()
        assert isinstance(info, AudioConnectorConnectionData)
        headers = info.customHeaders
        assert headers is not None
        assert info.model_dump(exclude={"customHeaders"}) == {
            "sessionId": "the-session",
            "conferenceId": "the-conference",
            "uri": "/room/7%20a?lang=en&x=1",
            "connectionId": "the-connection",
            "id": "the-connection",
        }
        assert headers["x-forwarded-for"] == "10.0.0.1, 10.0.0.2"
        assert headers["caller"] == "Zo\xeb"
        assert headers["upgrade"] == "websocket"
        assert all(name == name.lower() for name in headers)
        assert "the-connection" in repr(client)
        assert "open" in repr(client)


async def test_the_bare_header_is_preferred_as_the_id() -> None:
    listener = Listener()
    headers = [*ROUTER_HEADERS, ("connectionId", "bare")]
    async with serving(listener) as handle, calling(handle.get_address(), additional_headers=headers):
        client = (await listener.call()).client
        assert client.id == "bare"
        assert client.connection_id == "the-connection"
        assert handle.connections["bare"] is client


async def test_identity_from_the_first_message() -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        client = (await listener.call()).client
        made = client.id
        assert len(made) == 32
        assert client.info().sessionId is None
        await caller.send(
            first_message(
                16000,
                sessionId="s",
                nested={"a": [1]},
                **{"x-opentok-ws-connectionid": "c", "conference-id": "f"},
            )
        )
        await until(lambda: client.session_id is not None, "the first message")
        assert (client.session_id, client.connection_id, client.conference_id) == ("s", "c", "f")
        assert client.id == made  # it never changes
        assert client.info().connectionId == "c"
        await caller.send(first_message(sessionId="other"))
        await caller.send("{}")
        heard = listener.calls[0]
        await until(lambda: len(heard.texts) == 3, "all texts")
        assert client.session_id == "s"  # the first message counts


# What arrives.


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
async def test_the_first_message_says_the_format(rate_hz: int) -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        heard = await listener.call()
        assert heard.client.format == AudioFormat(16000)
        await caller.send(first_message(rate_hz))
        frame = sawtooth(rate_hz // 50)
        await caller.send(frame)
        await until(lambda: len(heard.messages) == 2, "both messages")
        assert heard.client.format == AudioFormat(rate_hz)
        assert heard.client.format.frame_bytes == len(frame) == rate_hz // 25
        await until(lambda: heard.client.statistics().audio_messages_received == 1, "the figures")
        statistics = heard.client.statistics()
        assert (statistics.audio_messages_received, statistics.audio_ms_received) == (1, 20.0)
        assert (statistics.text_messages_received, statistics.odd_messages_received) == (1, 0)


@pytest.mark.parametrize("content_type", ["audio/l16;rate=44100", ""])
async def test_a_format_that_the_protocol_does_not_have_is_told_of(content_type: str) -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        heard = await listener.call()
        await caller.send(json.dumps({"event": "websocket:connected", "content-type": content_type}))
        await until(lambda: heard.errors, "the error")
        assert str(heard.errors[0]) == (
            f"the first message says content-type {content_type!r}; expected audio/l16 with rate 8000, 16000 or "
            "24000. The size of its audio messages will tell, or else it is taken for 16000 Hz"
        )
        assert heard.client.format == AudioFormat(16000)


TEXTS: list[tuple[str, Event]] = [
    (first_message(), Connected(format=AudioFormat(16000), content_type="audio/l16;rate=16000")),
    ('{"event":"websocket:media:update","method":"update","active":false}', MediaUpdate(active=False)),
    ('{"event":"websocket:media:update","active":true}', MediaUpdate(active=True)),
    ('{"event":"websocket:dtmf","digit":"5","duration":260}', Dtmf(digit="5", duration_ms=260)),
    ('{"event":"websocket:notify","payload":{"a":1}}', Notified(payload={"a": 1})),
    ('{"event":"websocket:cleared"}', Cleared()),
    ('{"event":"stream:created"}', UnknownEvent(name="stream:created", text='{"event":"stream:created"}')),
    ("not JSON", UnknownEvent(name=None, text="not JSON")),
    ('{"event":"websocket:disconnected"}', Disconnected()),
]


@BOTH_LOOPS
async def test_the_raw_and_the_typed_handlers_hear_the_same() -> None:
    raw: list[object] = []
    typed: list[object] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=raw.append, on_audio=typed.append, on_event=typed.append)

    async with serving(on_connect) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        for text, _ in TEXTS:
            await caller.send(text)
            await caller.send(FRAME)
        await until(lambda: len(typed) == 2 * len(TEXTS), "all messages")
        assert raw == [message for text, _ in TEXTS for message in (text, FRAME)]
        assert typed == [message for _, event in TEXTS for message in (event, FRAME)]
        assert isinstance(typed[0], Connected)
        assert typed[0].raw["event"] == "websocket:connected"


async def test_mute_is_shown() -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address()) as caller:
        heard = await listener.call()
        assert heard.client.is_active
        begun = asyncio.get_running_loop().time()
        await caller.send('{"event":"websocket:media:update","active":false}')
        await until(lambda: not heard.client.is_active, "the mute")
        await asyncio.sleep(0.1)
        await caller.send('{"event":"websocket:media:update","active":true}')
        await until(lambda: heard.client.is_active, "the end of the mute")
        statistics = heard.client.statistics()
        assert 90 < statistics.muted_ms < (asyncio.get_running_loop().time() - begun) * 1000
        assert statistics.gaps == 0
        await caller.close()
        await listener.ended()
        assert not heard.client.is_active


@BOTH_LOOPS
async def test_what_comes_early_is_kept_until_handlers_are_set() -> None:
    """Even where on_connect takes its time."""
    heard: list[object] = []
    clients: list[AudioConnectorConnection] = []
    connected = asyncio.Event()

    async def on_connect(client: AudioConnectorConnection) -> None:
        clients.append(client)
        await connected.wait()
        client.set_handler(on_message=heard.append, on_disconnect=lambda: heard.append("end"))

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            for at in range(100):
                await caller.send(sawtooth(320, start=320 * at))
            await caller.send('{"event":"websocket:dtmf","digit":"1"}')
            await until(
                lambda: clients and clients[0].statistics().text_messages_received == 2, "all messages"
            )
        connected.set()  # the caller has hung up already
        await until(lambda: heard[-1:] == ["end"], "the end")
    frames = [sawtooth(320, start=320 * at) for at in range(100)]
    assert heard == [first_message(), *frames, '{"event":"websocket:dtmf","digit":"1"}', "end"]


async def test_audio_waits_for_its_handler_while_events_are_taken() -> None:
    heard: list[object] = []
    events: list[Event] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=events.append)
        await until(lambda: len(events) == 2, "both events")
        client.set_handler(on_event=events.append, on_audio=heard.append)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        await caller.send(FRAME)
        await caller.send("{}")
        await until(lambda: heard, "the audio")
        assert heard == [FRAME]


async def test_handlers_may_be_changed_in_the_middle() -> None:
    first: list[object] = []
    second: list[object] = []
    async with (
        serving(lambda client: client.set_handler(on_audio=first.append)) as handle,
        calling(handle.get_address()) as caller,
    ):
        await caller.send(FRAME)
        await until(lambda: first, "the first frame")
        client = handle.connections.all()[0]
        client.set_handler(on_audio=second.append)
        await caller.send(FRAME)
        await until(lambda: second, "the second frame")
        assert (first, second) == ([FRAME], [FRAME])


# Iterators.


@BOTH_LOOPS
@pytest.mark.parametrize(
    ("chunk_ms", "sizes"), [(None, [640] * 25), (100, [3200] * 5), (70, [2240] * 7 + [320])]
)
async def test_audio_in_pieces(chunk_ms: float | None, sizes: list[int]) -> None:
    sent = sawtooth(25 * 320)
    pieces: list[bytes] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        pieces.extend([piece async for piece in client.audio(chunk_ms=chunk_ms)])
        pieces.append(b"over")

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            for at in range(0, len(sent), 640):
                await caller.send(sent[at : at + 640])
        await until(lambda: pieces[-1:] == [b"over"], "the end of the audio")
    assert [len(piece) for piece in pieces[:-1]] == sizes
    assert b"".join(pieces[:-1]) == sent


async def test_audio_at_another_rate() -> None:
    sent = sawtooth(25 * 160)
    pieces: list[bytes] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        pieces.extend([piece async for piece in client.audio(sample_rate=24000, chunk_ms=100)])
        pieces.append(b"over")

    async with serving(on_connect) as handle:
        async with calling(handle.get_address(), rate_hz=8000) as caller:
            for at in range(0, len(sent), 320):
                await caller.send(sent[at : at + 320])
        await until(lambda: pieces[-1:] == [b"over"], "the end of the audio")
    assert [len(piece) for piece in pieces[:-1]] == [4800] * 5
    whole = Resampler(8000, 24000)
    expected = np.frombuffer(whole.push(sent) + whole.finish(), "<i2")
    assert np.abs(np.frombuffer(b"".join(pieces[:-1]), "<i2").astype(int) - expected).max() <= 1


@BOTH_LOOPS
async def test_events_end_with_the_end() -> None:
    events: list[Event] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        events.extend([event async for event in client.events()])
        events.append(Cleared())

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            await caller.send('{"event":"websocket:dtmf","digit":"#"}')
            await caller.close(4000, "enough")
        await until(lambda: events[-1:] == [Cleared()], "the end of the events")
    assert events[1:3] == [
        Dtmf(digit="#"),
        Disconnected(code=4000, reason="enough", closed_by="router"),
    ]
    assert len(events) == 4


async def test_iterators_of_a_call_that_is_over() -> None:
    listener = Listener()
    async with serving(listener) as handle:
        async with calling(handle.get_address()):
            await listener.call()
        client = (await listener.ended()).client
        assert [piece async for piece in client.audio()] == []
        assert [event async for event in client.events()] == [listener.calls[0].end]


# Texts that are sent.


async def test_texts_in_their_order() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_json_packet(' {"a": "as it is"} ')
        await client.send_json_packet({"b": [1, None, "\xeb"]})
        await client.send_json_packet([])
        await client.send_json_packet("3")

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        assert await next_text(caller) == ' {"a": "as it is"} '
        assert json.loads(await next_text(caller)) == {"b": [1, None, "\xeb"]}
        assert await next_text(caller) == "[]"
        assert await next_text(caller) == "3"


async def test_a_text_overtakes_queued_audio_but_not_what_was_sent() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(320 * 50), pad_last_frame=True)
        await until(lambda: client.statistics().audio_messages_sent, "the first frames")
        await client.send_json_packet('{"mark":1}')

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        order = [await asyncio.wait_for(caller.recv(), DEADLINE_S) for _ in range(51)]
        at = order.index('{"mark":1}')
        assert 10 <= at < 30  # behind the lead of 200 ms, ahead of the rest
        assert b"".join(message for message in order if isinstance(message, bytes)) == sawtooth(320 * 50)


# Its end.


@BOTH_LOOPS
async def test_disconnect_twice() -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address()) as caller:
        heard = await listener.call()
        heard.client.disconnect()
        heard.client.disconnect()
        assert await how_closed(caller) == (1000, "")
        await listener.ended()
        heard.client.disconnect()
        assert heard.end == Disconnected(code=1000, reason="", closed_by="server")
        assert "closed" in repr(heard.client)


ASKED: dict[str, Any] = {
    "send a message": lambda client: client.send_json_packet("{}"),
    "play audio": lambda client: client.send_audio_buffer(FRAME),
    "flush": lambda client: client.flush_buffer(),
    "begin a speech": lambda client: client.speech().__aenter__(),
    "play a file": lambda client: client.play("nowhere.wav"),
}


@pytest.mark.parametrize("what", ASKED)
async def test_nothing_is_sent_on_a_closed_connection(what: str) -> None:
    listener = Listener()
    async with serving(listener) as handle:
        async with calling(handle.get_address()) as caller:
            heard = await listener.call()
            await caller.close(4001, "enough")
        await listener.ended()
        with pytest.raises(ConnectionClosed) as caught:
            await ASKED[what](heard.client)
        assert isinstance(caught.value, ValueError)
        assert (caught.value.code, caught.value.reason) == (4001, "enough")
        assert str(caught.value) == (
            f"cannot {what}: the connection was closed by the router with 4001 (enough); stop sending when "
            "on_disconnect is called"
        )


@pytest.mark.parametrize("what", ASKED)
async def test_nothing_is_sent_after_disconnect(what: str) -> None:
    """Before the router has answered the close frame."""
    caught: list[ConnectionClosed] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.disconnect()
        try:
            await ASKED[what](client)
        except ConnectionClosed as error:
            caught.append(error)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        await how_closed(caller)
        await until(lambda: caught, "the refusal")
        assert (caught[0].code, caught[0].reason) == (1000, "")


async def test_close_waits_for_what_was_said() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(320 * 20))
        await client.close(1001, "goodbye")
        closed.set_result(client.statistics())

    closed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        begun = asyncio.get_running_loop().time()
        assert b"".join(await next_audio(caller, 20)) == sawtooth(320 * 20)
        assert await how_closed(caller) == (1001, "goodbye")
        assert 0.38 < asyncio.get_running_loop().time() - begun < 2
        assert (await closed).played_ms == 400


@pytest.mark.parametrize("options", [{"after_playback": False}, {"timeout": 0.05}])
async def test_close_does_not_have_to_wait(options: dict[str, Any]) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(16000 * 10))
        await client.close(**options)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        begun = asyncio.get_running_loop().time()
        assert await how_closed(caller) == (1000, "")
        assert asyncio.get_running_loop().time() - begun < 5, "10 s of audio"


async def test_statistics_stay_after_the_end() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=lambda _: None)
        clients.append(client)
        await client.send_audio_buffer(sawtooth(320 * 5), pad_last_frame=True)
        await client.wait_until_played()
        await client.send_json_packet("{}")
        await client.flush_buffer()

    clients: list[AudioConnectorConnection] = []
    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            for size in (640, 640, 100):
                await caller.send(bytes(size))
            await next_audio(caller, 5)
            for _ in range(3):
                await next_text(caller)
        await until(lambda: len(handle.connections) == 0, "the end")
    statistics = clients[0].statistics()
    assert (statistics.audio_messages_sent, statistics.audio_ms_sent, statistics.played_ms) == (
        5,
        100.0,
        100.0,
    )
    assert statistics.text_messages_sent == 3
    assert (statistics.audio_messages_received, statistics.odd_messages_received) == (3, 1)
    assert statistics.audio_ms_received == 43.125
    assert (statistics.queued_ms, statistics.queued_peak_ms) == (0.0, 100.0)
    assert (statistics.underruns, statistics.dropped_messages, statistics.stalls) == (0, 0, 0)
