# SPDX-License-Identifier: Apache-2.0
"""The handlers of one connection, from on_connect to on_disconnect, which comes last and once."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support.audio import numbered
from support.call import Router
from support.conversation import Conversation, LoopClock

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.link import FIGURES_S
from audio_connector.server.server import AudioConnectorServer
from audio_connector.server.session import GRACE_S
from audio_connector.testing.network import dial
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)


class App:
    """Notes in one list all that it is told."""

    def __init__(self, *, connect_s: float = 0.0, message_s: float = 0.0) -> None:
        self.told: list[object] = []
        self.connect_s = connect_s
        self.message_s = message_s

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        self.told.append("connect")
        client.set_handler(
            on_message=self.on_message, on_disconnect=self.on_disconnect, on_error=self.told.append
        )
        await asyncio.sleep(self.connect_s)
        self.told.append("connected")

    async def on_message(self, message: bytes | str) -> None:
        await asyncio.sleep(self.message_s)
        self.told.append(message)

    async def on_disconnect(self, how: Disconnected) -> None:
        self.told.append(how)


BYE = Disconnected(code=1000, reason="bye", closed_by="router")


@in_virtual_time
async def test_a_call_from_its_beginning_to_its_end() -> None:
    app = App()
    async with Conversation(app.on_connect, rate_hz=None) as call:
        for number in range(3):
            await call.router_sends(numbered(number, 640))
        call.router_socket.close(1000, "bye")
        await call.session.task
        assert app.told == ["connect", "connected", *(numbered(number, 640) for number in range(3)), BYE]


@in_virtual_time
async def test_on_connect_may_be_the_whole_conversation() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=lambda: told.append("over"))
        async for frame in client.audio():
            await client.send_audio_buffer(frame)
        told.append("end of audio")

    told: list[str] = []
    async with Conversation(on_connect) as call:
        for _ in range(50):
            await call.router_sends(FRAME)
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert len(call.router.frames) == 50
        call.router_socket.close()
        await call.session.task
        assert told == ["end of audio", "over"]


@in_virtual_time
async def test_on_disconnect_comes_after_the_last_message_however_slow_the_handler_is() -> None:
    app = App(message_s=1.0)
    async with Conversation(app.on_connect, rate_hz=None, timeouts={"handler_s": 5.0}) as call:
        for number in range(20):
            await call.router_sends(numbered(number, 640))
        call.router_socket.close(1000, "bye")
        await call.session.task
        assert app.told[2:] == [*(numbered(number, 640) for number in range(20)), BYE]
        assert call.now_s == pytest.approx(20.0, abs=0.1)


@in_virtual_time
async def test_what_came_before_the_handlers_is_kept_also_where_the_call_is_over_by_then() -> None:
    app = App()

    async def on_connect(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(1.0)
        await app.on_connect(client)

    async with Conversation(on_connect, rate_hz=None) as call:
        await call.router_sends(FRAME)
        call.router_socket.close(1000, "bye")
        await call.session.task
        assert [item for item in app.told if item != "connected"] == ["connect", FRAME, BYE]


@pytest.mark.parametrize("what", ["an error", "a cancellation inside"])
def test_on_connect_that_fails_closes_with_1011(what: str, caplog: pytest.LogCaptureFixture) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=told.append)
        if what == "an error":
            raise KeyError("secret")
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    async def scene() -> None:
        async with Conversation(on_connect) as call:
            await call.session.task
            assert call.router.closed is not None
            assert (call.router.closed.code, call.router.closed.reason) == (1011, "internal error")

    told: list[Disconnected] = []
    run_in_virtual_time(scene())
    assert [how.code for how in told] == [1011]
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    what = "raised KeyError('secret')" if what == "an error" else "was cancelled"
    assert (
        f": on_connect {what}; it is closed with 1011. The handler is test_on_connect_that_fails"
        in record.getMessage()
    )


def test_on_connect_that_fails_after_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(1.0)
        raise KeyError("late")

    async def scene() -> None:
        async with Conversation(on_connect) as call:
            call.router_socket.close()
            await call.session.task

    run_in_virtual_time(scene())
    assert "on_connect raised KeyError('late'); it had ended before" in caplog.text


def test_on_disconnect_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def on_disconnect() -> None:
        raise KeyError("bad")

    async def scene() -> None:
        async with Conversation(lambda client: client.set_handler(on_disconnect=on_disconnect)) as call:
            call.router_socket.close()
            await call.session.task

    run_in_virtual_time(scene())
    assert "on_disconnect raised KeyError('bad'); the connection is over" in caplog.text


@in_virtual_time
async def test_without_handlers_nothing_is_wrong() -> None:
    for on_connect in (None, lambda client: None):
        async with Conversation(on_connect) as call:
            await call.router_sends(FRAME)
            call.router_socket.close()
            await call.session.task
            assert call.is_over


# What nobody asks for.


TEXT = '{"event":"websocket:media:update","active":true}'


async def send_all(call: Conversation, frames: int, texts: int) -> None:
    for number in range(max(frames, texts)):
        if number < frames:
            call.router_socket.send_audio(numbered(number, 640))
        if number < texts:
            call.router_socket.send_text(TEXT)
        await rest()


async def past_the_grace() -> None:
    """What nobody has asked for is not kept any longer, and the figures say so."""
    await asyncio.sleep(GRACE_S + 2 * FIGURES_S)


@pytest.mark.parametrize("is_settled", [True, False])
@in_virtual_time
async def test_texts_that_nobody_asked_for_never_end_a_call(is_settled: bool) -> None:
    """Neither for a bot that iterates over the audio in on_connect, nor for one that does so in a task."""
    heard: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []

    async def listen(client: AudioConnectorConnection) -> None:
        async for frame in client.audio():
            heard.append(frame)  # noqa: PERF401 - while it goes on

    async def on_connect(client: AudioConnectorConnection) -> None:
        if is_settled:
            tasks.append(asyncio.create_task(listen(client)))
        else:
            await listen(client)

    async with Conversation(on_connect, intake={"max_texts": 10}) as call:
        await send_all(call, 150, 150)
        assert call.router.closed is None
        assert len(heard) == 150
        await past_the_grace()
        statistics = call.client.statistics()
        assert statistics.unwanted_messages == (151 if is_settled else 141)
        assert statistics.dropped_messages == 0
        call.router_socket.close()
        await call.session.task
    for task in tasks:
        await task


@pytest.mark.parametrize("is_settled", [True, False])
@in_virtual_time
async def test_who_only_speaks_is_not_told_to_be_slow(is_settled: bool) -> None:
    errors: list[Exception] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append)
        if not is_settled:
            await asyncio.sleep(1e9)

    async with Conversation(on_connect, intake={"max_buffer_ms": 200}, timeouts={"handler_s": 0.1}) as call:
        await send_all(call, 100, 0)
        await past_the_grace()
        assert errors == []
        statistics = call.client.statistics()
        assert (statistics.dropped_messages, statistics.overflow_episodes) == (0, 0)
        assert statistics.unwanted_messages == (101 if is_settled else 90)


@in_virtual_time
async def test_who_asks_soon_after_on_connect_gets_what_came_before() -> None:
    """As a task does that first connects to a speech service."""
    async with Conversation(lambda client: None) as call:
        await send_all(call, 3, 3)
        await asyncio.sleep(GRACE_S - 0.1)
        told: list[object] = []
        call.client.set_handler(on_message=told.append)
        await rest()
        assert len(told) == 7
        await past_the_grace()
        assert call.client.statistics().unwanted_messages == 0


@in_virtual_time
async def test_who_asks_later_gets_what_comes_from_then_on() -> None:
    for on_connect in (None, lambda client: None):
        async with Conversation(on_connect) as call:
            await send_all(call, 3, 3)
            await past_the_grace()
            told: list[object] = []
            call.client.set_handler(on_message=told.append)
            await rest()
            assert told == []
            await call.router_sends(FRAME)
            assert told == [FRAME]
            await asyncio.sleep(2 * FIGURES_S)
            assert call.client.statistics().unwanted_messages == 7


# The end of the loop.


def test_a_loop_that_ends_takes_its_calls_along_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """As `asyncio.run` does it: it cancels every task, once, and waits for them."""
    app = App(connect_s=1e9)

    async def scene() -> list[AudioConnectorConnection]:
        server = AudioConnectorServer({"host": "localhost", "port": 0, "on_connect": app.on_connect})
        handle = await server.start_server(server._config or {})
        for _ in range(3):
            await dial(handle.get_address(), Router(LoopClock(asyncio.get_running_loop()), 16000))
        await asyncio.sleep(1.0)
        assert server._running is not None
        sessions = server._running.sessions
        assert len(sessions) == 3
        before = len(asyncio.all_tasks())
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0.1)
        assert before == 10, "three for each call, and this one"
        assert len(asyncio.all_tasks()) == 1
        assert sessions == {}
        await server.stop()
        return []

    run_in_virtual_time(scene())
    assert caplog.records == []


@in_virtual_time
async def test_an_open_call_has_one_task_and_an_ended_one_none() -> None:
    before = len(asyncio.all_tasks())
    for on_connect in (None, lambda client: None):
        async with Conversation(on_connect) as call:
            assert len(asyncio.all_tasks()) - before == 2, (
                "the dispatcher's, and the one that sees to the end"
            )
            call.router_socket.close()
            await rest()
            assert call.is_over
            await rest()
            assert len(asyncio.all_tasks()) == before


@in_virtual_time
async def test_one_whose_end_is_cancelled_before_it_began_is_over_all_the_same() -> None:
    async with Conversation() as call:
        call.session.end(BYE)
        call.session.task.cancel()
        await rest()
        assert call.is_over
        with pytest.raises(asyncio.CancelledError):
            await call.session.task
        call.session.task = asyncio.ensure_future(asyncio.sleep(0))  # for the end of the block


# Handlers that do not end.


def test_a_message_handler_that_never_ends_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    app = App(message_s=1e9)

    async def scene() -> None:
        async with Conversation(app.on_connect, rate_hz=None, timeouts={"handler_s": 3.0}) as call:
            await call.router_sends(FRAME)
            call.router_socket.close(1000, "bye")
            await call.session.task
            assert call.now_s == pytest.approx(3.0, abs=0.1)

    run_in_virtual_time(scene())
    assert app.told == ["connect", "connected", BYE]
    assert "a message handler still ran" in caplog.text


def test_on_connect_that_never_ends_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    app = App(connect_s=1e9)

    async def scene() -> None:
        async with Conversation(app.on_connect, timeouts={"handler_s": 3.0}) as call:
            await asyncio.sleep(100.0)
            call.router_socket.close(1000, "bye")
            await call.session.task
            assert call.now_s == pytest.approx(103.0, abs=0.1)

    run_in_virtual_time(scene())
    assert app.told[0] == "connect"
    assert app.told[-1] == BYE
    assert "on_connect still ran" in caplog.text


def test_on_disconnect_that_never_ends_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=lambda: asyncio.sleep(1e9))

    async def scene() -> None:
        async with Conversation(on_connect, timeouts={"handler_s": 3.0}) as call:
            call.router_socket.close(1000, "bye")
            await call.session.task
            assert call.is_over
            assert call.now_s == pytest.approx(3.0, abs=0.1)

    run_in_virtual_time(scene())
    assert "on_disconnect still ran" in caplog.text


def test_a_session_that_is_cancelled_leaves_no_handler_behind() -> None:
    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=lambda: asyncio.sleep(1e9))

    async def scene() -> None:
        async with Conversation(on_connect) as call:
            call.router_socket.close(1000, "bye")
            await asyncio.sleep(1.0)
            call.session.task.cancel()
            await call.session.task

    with pytest.raises(asyncio.CancelledError):
        run_in_virtual_time(scene())


def test_one_that_refuses_to_be_cancelled_holds_nobody_up(caplog: pytest.LogCaptureFixture) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=lambda message: None, on_disconnect=told.append)
        for _ in range(2):
            try:
                await asyncio.sleep(50.0)
            except asyncio.CancelledError:
                continue

    async def scene() -> None:
        async with Conversation(on_connect, timeouts={"handler_s": 3.0}) as call:
            call.router_socket.close(1000, "bye")
            await call.session.task
            assert call.now_s == pytest.approx(4.0, abs=0.1)
            assert told == [BYE]
            await asyncio.sleep(200.0)

    told: list[Disconnected] = []
    run_in_virtual_time(scene())


@in_virtual_time
async def test_in_a_hurry_handlers_are_cancelled_and_on_disconnect_still_comes() -> None:
    app = App(message_s=1e9, connect_s=1e9)
    async with Conversation(app.on_connect, rate_hz=None) as call:
        await call.router_sends(FRAME)
        await asyncio.sleep(1.0)
        call.session.hurry()
        await call.session.task
        assert call.now_s < 1.5
        how = Disconnected(code=1001, reason="the server has stopped", closed_by="server")
        assert app.told == ["connect", how]
        call.router_socket.close(1000, "bye")
        await rest()
        assert app.told == ["connect", how], "once"


@in_virtual_time
async def test_the_end_comes_once_however_often_it_is_said() -> None:
    app = App()
    async with Conversation(app.on_connect, rate_hz=None) as call:
        await rest()
        call.session.end(BYE)
        call.session.end(Disconnected(code=1006))
        await call.session.task
        assert app.told == ["connect", "connected", BYE]


def test_an_error_of_a_call_that_is_over_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    name = ""

    async def scene() -> None:
        nonlocal name
        async with Conversation() as call:
            name = call.client.id
            line = call.client._line
            call.router_socket.close(1000, "bye")
            await call.session.task
            line.report(OSError("the disk is full"))
            await rest()
            assert ("errors", ("OSError",), 1.0) in line.meters.snapshot()

    run_in_virtual_time(scene())
    assert caplog.messages == [f"connection {name}: of a call that is over: the disk is full"]
    assert vars(caplog.records[0])["connection"] == name
