# SPDX-License-Identifier: Apache-2.0
"""A call that goes on over another socket: its handlers, whoever waits, and the end of it and of the server."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest
from support.audio import numbered
from support.redials import RESUME_S, Scene, ids, lose, sentence
from support.serving import traces_of

from audio_connector.errors import DialError
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.line import Line
from audio_connector.server.link import Link
from audio_connector.server.session import Session
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)
GONE = Disconnected(code=1006, reason="", closed_by="network")


# The same object goes on.


@in_virtual_time
async def test_the_connection_goes_on_with_its_handlers() -> None:
    async with Scene() as scene:
        first = await scene.dial(ids(), path="/a?n=1")
        client = scene.client
        first.send_audio(FRAME)
        await rest()
        address = client.remote_address
        await lose(first, 1.0)
        assert scene.handle.connections.all() == [client]
        assert not client.is_active
        assert not client.is_resumed
        second = await scene.dial([*ids(), ("more", "this")], path="/b?n=2")
        second.send_audio(FRAME)
        await asyncio.sleep(0.2)
        assert scene.app.resumed == [client]
        assert client.is_active
        assert client.is_resumed
        assert client.headers["more"] == "this"
        assert (client.path, client.query, client.id) == ("/b", "n=2", "c1")
        assert client.remote_address != address
        assert client.info().uri == "/b?n=2"
        assert scene.app.heard.count(FRAME) == client.statistics().audio_messages_received == 2
        assert client.statistics().gaps == 0
        await lose(second, RESUME_S - 0.1)
        assert scene.app.ends == []
        await asyncio.sleep(0.2)
        assert scene.app.ends == [GONE]
        assert scene.app.errors == []
        assert scene.sessions == []
        assert scene.handle.connections.all() == []


@in_virtual_time
async def test_a_conversation_in_on_connect_goes_on_and_is_not_begun_twice() -> None:
    begun: list[AudioConnectorConnection] = []

    async def echo(client: AudioConnectorConnection) -> None:
        begun.append(client)
        async for frame in client.audio():
            await client.send_audio_buffer(frame)

    async with Scene(on_connect=echo, on_resume=None) as scene:
        for number in range(3):
            socket = await scene.dial()
            for k in range(5):
                socket.send_audio(numbered(10 * number + k + 1, 640))
                await asyncio.sleep(0.02)
            await asyncio.sleep(1.0)
            await lose(socket, 1.0)
        assert scene.heard == [1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 21, 22, 23, 24, 25]
        assert len(begun) == 1


@in_virtual_time
async def test_an_on_connect_that_has_returned_is_called_again_where_there_is_no_on_resume() -> None:
    begun: list[bool] = []

    def echo(client: AudioConnectorConnection) -> None:
        begun.append(client.is_resumed)
        client.set_handler(on_audio=client.send_audio_buffer)

    async with Scene(on_connect=echo, on_resume=None) as scene:
        for number in range(3):
            socket = await scene.dial()
            await asyncio.sleep(0.1)
            socket.send_audio(numbered(number + 1, 640))
            await asyncio.sleep(1.0)
            await lose(socket, 1.0)
        assert begun == [False, True, True]
        assert scene.heard == [1, 2, 3]


@in_virtual_time
async def test_a_sentence_is_heard_over_both_sockets() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        async with scene.client.speech() as speech:
            await speech.write(sentence(200))
        await asyncio.sleep(1.0)
        await lose(first, 2.0)
        assert scene.client.playback.queued_ms == 4000.0 - scene.client.playback.played_ms
        await scene.dial()
        assert await speech.finished() == Played(4000.0)
        assert scene.heard == list(range(1, 201))
        assert scene.client.playback.underruns == 1


@in_virtual_time
async def test_writes_wait_for_room_while_it_is_lost_and_go_on() -> None:
    async with Scene(playback={"max_buffer_s": 1}) as scene:
        first = await scene.dial()
        await lose(first)
        writing = asyncio.ensure_future(scene.client.send_audio_buffer(sentence(300), pad_last_frame=True))
        await asyncio.sleep(3.0)
        assert not writing.done()
        assert scene.client.playback.queued_ms <= 2000.0 + 2000.0
        await scene.dial()
        await writing
        await scene.client.wait_until_played()
        assert scene.heard == list(range(1, 301))


@in_virtual_time
async def test_whoever_waits_when_it_is_given_up_gets_an_answer() -> None:
    async with Scene(playback={"max_buffer_s": 1}) as scene:
        first = await scene.dial()
        await lose(first)
        client = scene.client
        writing = asyncio.ensure_future(client.send_audio_buffer(sentence(300)))
        playing = asyncio.ensure_future(client.wait_until_played())
        texting = [
            asyncio.ensure_future(client.send_json_packet("[" + "1," * 20_000 + "1]")) for _ in range(5)
        ]
        await asyncio.sleep(RESUME_S - 0.1)
        assert not any(task.done() for task in (writing, playing, texting[-1]))
        await asyncio.sleep(0.2)
        assert all(task.done() for task in (writing, playing, *texting))
        assert isinstance(await playing, Interrupted)
        await asyncio.gather(writing, *texting, return_exceptions=True)
        assert scene.app.ends == [GONE]


@pytest.mark.parametrize("way", ["disconnect", "close", "close after playback", "stop", "drain"])
@pytest.mark.parametrize("speaks", [False, True])
def test_what_ends_a_call_that_is_lost(way: str, speaks: bool) -> None:
    async def scene() -> None:
        async with Scene(resume_s=600.0) as scene:
            first = await scene.dial()
            if speaks:
                await scene.client.send_audio_buffer(sentence(200))
            await lose(first)
            begun = asyncio.get_running_loop().time()
            match way:
                case "disconnect":
                    scene.client.disconnect()
                    await rest()
                case "close":
                    await scene.client.close(4000, "enough", after_playback=False)
                case "close after playback":
                    await scene.client.close(timeout=10.0)
                case "stop":
                    await scene.handle.stop()
                case "drain":
                    await scene.handle.drain(20.0)
            took_s = asyncio.get_running_loop().time() - begun
            await rest()
            limit_s = {"close after playback": 10.0, "drain": 20.0}.get(way, 0.0) if speaks else 0.0
            assert limit_s <= took_s <= limit_s + 0.5
            code = {"close": 4000, "stop": 1001, "drain": 1001}.get(way, 1000)
            [how] = scene.app.ends
            assert (how.code, how.closed_by) == (code, "server")

    run_in_virtual_time(scene())


@in_virtual_time
async def test_half_a_sample_that_was_dropped_is_not_waited_for() -> None:
    async with Scene(playback={"keeps_on_resume": False}) as scene:
        first = await scene.dial()
        await scene.client.send_audio_buffer(FRAME + b"\1")
        await lose(first, 1.0)
        await scene.dial()
        await scene.client.send_audio_buffer(numbered(9, 640), pad_last_frame=True)
        await asyncio.sleep(1.0)
        assert scene.routers[-1].frames == [numbered(9, 640)]
        assert scene.app.errors == []


# Handlers.


@in_virtual_time
async def test_on_resume_runs_one_at_a_time_and_for_the_latest() -> None:
    running, most, calls = 0, 0, 0

    async def on_resume(client: AudioConnectorConnection) -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        await asyncio.sleep(3.0)
        running -= 1

    async with Scene(on_resume=on_resume) as scene:
        socket = await scene.dial()
        for _ in range(50):
            await lose(socket)
            socket = await scene.dial()
        [session] = scene.sessions
        assert len(session._running) <= 2
        await asyncio.sleep(10.0)
        assert (most, calls) == (1, 2)
        await lose(socket)
        socket = await scene.dial()
        await asyncio.sleep(10.0)
        assert (most, calls) == (1, 3)


@pytest.mark.parametrize("what", ["raises", "is cancelled"])
def test_on_resume_that_fails_closes_with_1011(what: str, caplog: pytest.LogCaptureFixture) -> None:
    async def on_resume(client: AudioConnectorConnection) -> None:
        if what == "raises":
            raise KeyError("lost")
        raise asyncio.CancelledError

    async def scene() -> None:
        async with Scene(on_resume=on_resume) as scene:
            await lose(await scene.dial())
            await scene.dial()
            await asyncio.sleep(1.0)
            closed = scene.routers[-1].closed
            assert closed is not None
            assert closed.code == 1011
            assert len(scene.app.ends) == 1

    with caplog.at_level(logging.ERROR):
        run_in_virtual_time(scene())
    assert ": on_resume " in caplog.text


def test_on_resume_that_does_not_end_is_cancelled_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with Scene(on_resume=lambda client: asyncio.sleep(1000.0)) as scene:
            await lose(await scene.dial())
            (await scene.dial()).close()
            await asyncio.sleep(10.0)
            assert scene.sessions == []

    run_in_virtual_time(scene())
    assert "on_resume still ran 5 s after the end" in caplog.text


def test_a_break_is_a_line_and_so_is_its_mending(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            await lose(await scene.dial(ids("\x1b[2J\nERROR"), path="/a?token=1"))
            await lose(await scene.dial(ids("\x1b[2J\nERROR"), path="/b?token=1"), RESUME_S + 1)

    with caplog.at_level(logging.INFO, logger="audio_connector.server"):
        run_in_virtual_time(scene())
    lines = [record.getMessage().partition(": ")[2] for record in caplog.records]
    words = [line.partition(" ")[0] for line in lines]
    assert words == ["opened", "its", "broke", "dialled", "its", "broke", "closed"]
    assert lines[2] == "broke off; for 5 s the router may dial again"
    assert lines[3] == "dialled again by 127.0.0.1:49154 with path '/b', session s1"
    assert all(record.levelno == logging.INFO for record in caplog.records), "as an end without resume_s is"
    assert all(record.getMessage().isprintable() for record in caplog.records)


# The server.


@in_virtual_time
async def test_a_drain_lets_a_router_back_in_and_nobody_else() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        await scene.client.send_audio_buffer(sentence(100), pad_last_frame=True)
        await lose(first)
        draining = asyncio.ensure_future(scene.handle.drain(30.0))
        await asyncio.sleep(1.0)
        with pytest.raises(DialError, match="503"):
            await scene.dial(ids("c2"))
        await scene.dial()
        assert await draining
        assert scene.heard == list(range(1, 101))
        [how] = scene.app.ends
        assert (how.code, how.reason) == (1001, "the server has stopped")


@in_virtual_time
async def test_a_drain_waits_for_a_lost_router_no_longer_than_the_call_does() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        await scene.client.send_audio_buffer(sentence(100))
        await lose(first)
        begun = asyncio.get_running_loop().time()
        assert await scene.handle.drain(30.0)
        assert asyncio.get_running_loop().time() - begun < RESUME_S + 0.5
        assert scene.app.ends == [GONE]


@in_virtual_time
async def test_a_full_server_lets_a_router_back_in() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        scene.side._has_room = lambda: False
        await lose(first)
        await scene.dial()
        assert scene.app.resumed == [scene.client]


@in_virtual_time
async def test_of_calls_that_never_come_back_nothing_is_left() -> None:
    counted = (Link, Session, AudioConnectorConnection, Line)
    before = [traces_of(kind) for kind in counted]

    def echo(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=client.send_audio_buffer)

    async with Scene(on_connect=echo, on_resume=None) as scene:
        tasks = len(asyncio.all_tasks())
        for number in range(200):
            socket = await scene.dial(ids(f"c{number}"))
            socket.send_audio(FRAME)
            await lose(socket)
            if number % 3 == 0:
                await lose(await scene.dial(ids(f"c{number}")))
        side = scene.side
        await asyncio.sleep(RESUME_S + 6.0)
        assert (side.links, side._by_identity, side._identities) == ({}, {}, {})
        assert scene.sessions == []
        assert len(asyncio.all_tasks()) == tasks
        assert side.pacer._heap == []
        del socket
        scene.routers.clear()
        gc.collect()
        assert [traces_of(kind) for kind in counted] == before
