# SPDX-License-Identifier: Apache-2.0
"""The handle: who the connection is, how it is, what arrives, and how it ends."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.audio import numbered, real_speech
from support.conversation import Conversation

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import AudioFormatError, IntakeOverflow, MessageError, UsageError
from audio_connector.server.registry import Connections
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.messages import Connected, Disconnected, Dtmf, MediaUpdate, Notified

FRAME = numbered(7, 640)
VENDOR_HEADERS = (
    ("X-OpenTok-WS-SessionId", "s1"),
    ("x-opentok-ws-connectionid", "c1"),
    ("x-opentok-ws-conferenceid", "f1"),
    ("X-Custom", "a"),
    ("x-custom", "b"),
)


# Who it is.


@in_virtual_time
async def test_the_headers_say_who_it_is() -> None:
    async with Conversation(headers=VENDOR_HEADERS, path="/calls/7?who=me") as call:
        client = call.client
        assert (client.session_id, client.connection_id, client.conference_id) == ("s1", "c1", "f1")
        assert client.id == "c1"
        assert (client.path, client.query) == ("/calls/7", "who=me")
        assert client.remote_address == ("127.0.0.1", 49153)
        assert not client.secure
        assert client.headers["X-CUSTOM"] == "a, b"
        assert client.headers.get_all("x-custom") == ["a", "b"]
        assert client.info().model_dump() == {
            "sessionId": "s1",
            "conferenceId": "f1",
            "connectionId": "c1",
            "id": "c1",
            "uri": "/calls/7?who=me",
            "customHeaders": {
                "host": "localhost:49152",
                "x-opentok-ws-sessionid": "s1",
                "x-opentok-ws-connectionid": "c1",
                "x-opentok-ws-conferenceid": "f1",
                "x-custom": "a, b",
            },
        }


@in_virtual_time
async def test_where_they_do_not_the_first_message_does() -> None:
    first: dict[str, object] = {"sessionId": "s2", "Connection-Id": "c2", "conference_id": 5}
    async with Conversation(first_message=first) as call:
        client = call.client
        assert (client.session_id, client.connection_id, client.conference_id) == ("s2", "c2", None)
        assert client.info().uri == "/"


@in_virtual_time
async def test_an_identity_is_never_empty_and_never_changes() -> None:
    async with Conversation(rate_hz=None) as call:
        before = call.client.id
        assert before
        await call.router_says(Connected(headers={"connectionId": "late"}))
        assert call.client.connection_id == "late"
        assert call.client.id == before
    async with Conversation(headers=(("connectionId", "bare"), *VENDOR_HEADERS)) as call:
        assert call.client.id == "bare"
        assert "bare" in repr(call.client)


@in_virtual_time
async def test_its_repr_is_one_that_a_terminal_can_be_shown() -> None:
    headers = (("connectionId", "a\x9b2J\u202eb"),)
    async with Conversation(headers=headers, path="/\x9b2J") as call:
        assert repr(call.client) == "<AudioConnectorConnection 'a\\x9b2J\\u202eb' /\\x9b2J 16000 Hz open>"


# How it is.


@in_virtual_time
async def test_the_state_follows_the_router() -> None:
    async with Conversation(rate_hz=8000) as call:
        assert call.client.format == AudioFormat(8000)
        assert call.client.is_active
        await call.router_says(MediaUpdate(active=False))
        assert not call.client.is_active
        await call.router_says(MediaUpdate(active=True))
        assert call.client.is_active
        assert "open" in repr(call.client)
        call.router_socket.close()
        await rest()
        assert not call.client.is_active
        assert "closed" in repr(call.client)


@in_virtual_time
async def test_statistics_count_both_ways() -> None:
    async with Conversation() as call:
        call.client.set_handler(on_message=lambda message: None)
        for _ in range(10):
            await call.router_sends(FRAME)
        await call.router_sends(bytes(100))
        await call.client.send_audio_buffer(FRAME * 20)
        await call.client.flush_buffer()
        await call.client.send_audio_buffer(FRAME * 20, pad_last_frame=True)
        await call.client.wait_until_played()
        stats = call.client.statistics()
        assert (stats.audio_messages_received, stats.odd_messages_received) == (11, 1)
        assert stats.audio_ms_received == pytest.approx(6500 / 32)
        assert (stats.text_messages_received, stats.text_messages_sent) == (1, 2)
        assert stats.audio_messages_sent == 11 + 20
        assert stats.audio_ms_sent == 620.0
        assert stats.played_ms == call.client.playback.played_ms == 400.0
        assert (stats.queued_ms, stats.underruns, stats.stalls, stats.dropped_messages) == (0.0, 0, 0, 0)
        assert stats.queued_peak_ms == 400.0
    assert call.client.statistics().audio_messages_sent == 31, "also after the end"


@in_virtual_time
async def test_played_never_goes_back_although_the_router_corrects_the_clock() -> None:
    async with Conversation(playback={"lead_ms": 1000}) as call:
        await call.client.send_audio_buffer(FRAME * 500)
        await call.client.send_json_packet({"action": "notify", "payload": "x"})
        await asyncio.sleep(2.0)
        before = call.client.playback.played_ms
        await call.router_says(Notified(payload="x"))
        assert call.client.playback.played_ms == before
        await asyncio.sleep(3.0)
        assert call.client.playback.played_ms > before


@in_virtual_time
async def test_the_lead_is_set_by_the_vendor_s_name() -> None:
    async with Conversation(playback={"lead_ms": 200}) as call:
        call.client.set_buffer_timing(active_seconds=7.5)
        call.client.set_buffer_timing()
        await call.client.send_audio_buffer(FRAME * 1000)
        await rest()
        assert len(call.router.frames) == 376
        for wrong in (0, -1, 61, True, "7.5", float("nan")):
            with pytest.raises(UsageError, match="active_seconds"):
                call.client.set_buffer_timing(active_seconds=wrong)  # type: ignore[arg-type]


# What arrives.


@in_virtual_time
async def test_iterators_get_what_came_early_and_end_with_the_connection() -> None:
    async with Conversation(lambda _: asyncio.sleep(1.0)) as call:
        for number in range(1, 6):
            await call.router_sends(numbered(number, 640))
        audio, events = call.client.audio(), call.client.events()
        await call.router_says(Dtmf(digit="5"))
        call.router_socket.close(1000, "bye")
        assert [piece async for piece in audio] == [numbered(number, 640) for number in range(1, 6)]
        got = [event async for event in events]
        assert [type(event) for event in got] == [Connected, Dtmf, Disconnected]
        assert got[-1] == Disconnected(code=1000, reason="bye", closed_by="router")
        assert [piece async for piece in call.client.audio()] == []
        assert [event async for event in call.client.events()] == [got[-1]]


@in_virtual_time
async def test_audio_in_other_pieces() -> None:
    async with Conversation() as call:
        stream = call.client.audio(chunk_ms=100, sample_rate=24000)
        for at in range(0, 32_000, 640):
            await call.router_sends(real_speech()[at : at + 640])
        call.router_socket.close()
        pieces = [piece async for piece in stream]
        assert {len(piece) for piece in pieces[:-1]} == {4800}
        assert len(b"".join(pieces)) == pytest.approx(48_000, abs=4)


@pytest.mark.parametrize("chunk_ms", [0, -1, 60_001, True, "100", float("nan")])
def test_a_length_of_pieces_that_cannot_be(chunk_ms: float) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            with pytest.raises(UsageError, match="chunk_ms"):
                call.client.audio(chunk_ms=chunk_ms)

    run_in_virtual_time(scene())


@pytest.mark.parametrize("sample_rate", [0, 1, 200_000, True, "16000", 16000.0])
def test_a_rate_that_cannot_be(sample_rate: int) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            with pytest.raises(AudioFormatError):
                call.client.audio(sample_rate=sample_rate)
            told: list[object] = []
            call.client.set_handler(on_audio=told.append)
            await call.router_sends(FRAME)
            assert told == [FRAME]

    run_in_virtual_time(scene())


@in_virtual_time
async def test_an_iterator_that_is_not_read_is_told_of_on_on_error() -> None:
    async with Conversation(intake={"max_buffer_ms": 200}) as call:
        errors: list[Exception] = []
        call.client.set_handler(on_error=errors.append)
        stream = call.client.audio()
        for _ in range(30):
            await call.router_sends(FRAME)
        assert [type(error) for error in errors] == [IntakeOverflow]
        await stream.aclose()


@in_virtual_time
async def test_setting_handlers_replaces_all_of_them() -> None:
    async with Conversation() as call:
        told: list[object] = []
        call.client.set_handler(on_audio=told.append)
        await call.router_sends(b"1" * 640)
        call.client.set_handler(on_event=told.append)
        await call.router_sends(b"2" * 640)
        assert [item for item in told if isinstance(item, bytes)] == [b"1" * 640]
        with pytest.raises(UsageError):
            call.client.set_handler(lambda: None)
        with pytest.raises(TypeError):
            call.client.set_handler(on_error=5)  # type: ignore[arg-type]


# What is said.


@in_virtual_time
async def test_a_message_is_json_and_goes_out_as_it_is() -> None:
    async with Conversation() as call:
        await call.client.send_json_packet(' {"a": [1, 2]} ')
        await call.client.send_json_packet({"b": "ü"})
        await call.client.send_json_packet([1])
        with pytest.raises(MessageError) as caught:
            await call.client.send_json_packet('{"a": }')
        assert isinstance(caught.value, ValueError)
        with pytest.raises(MessageError):
            await call.client.send_json_packet({"a": float("nan")})
        await rest()
        assert call.router.texts[0] == ' {"a": [1, 2]} '
        assert [json.loads(text) for text in call.router.texts[1:]] == [{"b": "ü"}, [1]]


# The end.


@in_virtual_time
async def test_closing_waits_for_what_was_said() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 100)
        await call.client.close(3001, "enough")
        assert call.now_s == pytest.approx(2.0, abs=0.02)
        assert len(call.router.frames) == 100
        assert call.router.closed is not None
        assert (call.router.closed.code, call.router.closed.reason) == (3001, "enough")
        await call.client.close()


@in_virtual_time
async def test_closing_at_once_or_at_the_deadline() -> None:
    for options, seconds in (({"after_playback": False}, 0.0), ({"timeout": 0.5}, 0.5)):
        async with Conversation() as call:
            await call.client.send_audio_buffer(FRAME * 100)
            await call.client.close(**options)
            assert call.now_s == pytest.approx(seconds, abs=0.02)
            assert call.router.closed is not None


@in_virtual_time
async def test_closing_a_router_that_does_not_answer() -> None:
    async with Conversation(timeouts={"close_s": 2.0}) as call:
        call.router_socket.pause_reading()
        await call.client.close(after_playback=False)
        assert call.now_s == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(
    "arguments",
    [
        {"code": 1005},
        {"code": 1006},
        {"code": 999},
        {"code": 5000},
        {"code": "1000"},
        {"code": True},
        {"reason": "x" * 124},
        {"reason": "ü" * 62},
        {"reason": None},
        {"timeout": -1},
        {"timeout": None},
        {"timeout": float("nan")},
    ],
)
def test_a_close_that_cannot_be_is_refused(arguments: dict[str, object]) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            with pytest.raises(UsageError, match=next(iter(arguments))):
                await call.client.close(**arguments)  # type: ignore[arg-type]
            assert call.client._line.is_open
            await call.client.send_audio_buffer(FRAME)

    run_in_virtual_time(scene())


@in_virtual_time
async def test_the_registry_knows_them_by_id_and_by_session() -> None:
    async with Conversation(headers=VENDOR_HEADERS) as first, Conversation(headers=VENDOR_HEADERS) as second:
        registry = Connections()
        registry._live[1] = first.client
        registry._live[2] = second.client
        assert registry["c1"] is second.client, "the router dialled again"
        assert registry.all() == [first.client, second.client]
        assert registry.by_session("s1") == [first.client, second.client]
        assert registry.by_session("s2") == []
        assert (list(registry), len(registry)) == (["c1"], 1), "a mapping by id; all() has both"
        del registry._live[2]
        assert registry["c1"] is first.client
        assert "c2" not in registry
