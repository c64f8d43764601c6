# SPDX-License-Identifier: Apache-2.0
"""An application that fails, dawdles or does not care: the call goes on, and nobody else notices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.bystander import Bystander
from support.peers import FRAME, calling
from support.serving import BOTH_LOOPS, echo, sawtooth, serving, until, warnings_of

from audio_connector import (
    AudioConnectorConnection,
    Disconnected,
    Timeouts,
)

# Handlers that raise.


@BOTH_LOOPS
@pytest.mark.parametrize("is_async", [True, False])
async def test_on_message_that_raises(is_async: bool) -> None:
    errors: list[Exception] = []
    ends: list[Disconnected] = []
    bystander = Bystander()

    def fail(message: bytes | str) -> None:
        raise LookupError(message)

    async def fail_later(message: bytes | str) -> None:
        await asyncio.sleep(0)
        raise LookupError(message)

    def on_connect(client: AudioConnectorConnection) -> None:
        if client.path == "/bystander":
            echo(client)
        else:
            client.set_handler(
                on_message=fail_later if is_async else fail, on_error=errors.append, on_disconnect=ends.append
            )

    async with serving(on_connect) as handle, bystander.watching(handle.get_address()):
        async with calling(handle.get_address(), rate_hz=None) as caller:
            frames = [sawtooth(320, start=320 * at) for at in range(100)]
            for frame in frames:
                await caller.send(frame)
            await caller.send("{}")
            await until(lambda: len(errors) == 101, "all errors")
            assert [error.args[0] for error in errors] == [*frames, "{}"]
            assert {type(error) for error in errors} == {LookupError}
            assert all(error.__traceback__ is not None for error in errors)
            assert ends == []
        await until(lambda: ends, "the end")
    assert len(ends) == 1


async def test_without_on_error_a_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise LookupError("no such word")

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=fail)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        await caller.send(FRAME)
        await until(lambda: warnings_of(caplog), "the log")
    [line] = warnings_of(caplog)
    assert (
        "on_audio raised LookupError('no such word'); the connection goes on. The handler is test_without"
        in line
    )
    assert caplog.records[-1].exc_info is not None


async def test_a_caller_who_hangs_up_on_an_echo_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    """The last frames are handed over after the end, and can go nowhere."""
    heard: list[bytes] = []
    ends: list[Disconnected] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_audio(frame: bytes) -> None:
            heard.append(frame)
            await asyncio.sleep(0.01)
            await client.send_audio_buffer(frame)

        client.set_handler(on_audio=on_audio, on_disconnect=ends.append)

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            for _ in range(20):
                await caller.send(FRAME)
            await until(lambda: heard, "the first frame")
        await until(lambda: ends, "the end, which is told behind the frames")
    assert len(heard) == 20
    assert warnings_of(caplog) == []


async def test_on_error_that_raises_is_logged_and_harmless(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    def fail(message: object) -> None:
        heard.append(message)
        raise LookupError("first")

    async def fail_again(error: Exception) -> None:
        raise KeyError("second")

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=fail, on_error=fail_again)

    async with serving(on_connect) as handle, calling(handle.get_address()) as caller:
        await caller.send(FRAME)
        await caller.send(FRAME)
        await until(lambda: len(heard) == 2, "both frames")
    await until(lambda: len(warnings_of(caplog)) == 2, "the log")
    first, count = (text.partition(": ")[2] for text in warnings_of(caplog))
    assert first.startswith(
        "on_error raised KeyError('second'); it was told of LookupError('first'); the connection"
    )
    assert count.startswith("on_error raised KeyError 1 more time in ")


async def test_on_disconnect_that_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: object) -> None:
        raise LookupError("gone")

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=fail)

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()):
            await until(lambda: len(handle.connections) == 1, "the call")
        await until(lambda: warnings_of(caplog), "the log")
        assert len(handle.connections) == 0
    [line] = warnings_of(caplog)
    assert (
        "on_disconnect raised LookupError('gone'); the connection is over. The handler is test_on_dis" in line
    )


async def test_a_handler_that_is_cancelled_inside_does_not_end_the_call() -> None:
    """For example by awaiting a task of its own that was cancelled."""
    heard: list[object] = []
    errors: list[Exception] = []

    async def on_message(message: object) -> None:
        heard.append(message)
        task = asyncio.ensure_future(asyncio.sleep(3600))
        task.cancel()
        await task

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=on_message, on_error=errors.append)

    async with serving(on_connect) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        await caller.send(FRAME)
        await caller.send("{}")
        await until(lambda: len(errors) == 2, "both errors")
    assert heard == [FRAME, "{}"]
    assert str(errors[0]).startswith("on_message was cancelled")


# The end comes once, and last.


@pytest.mark.parametrize("who", ["router", "server", "network", "stop"])
async def test_on_disconnect_runs_once_and_last(who: str) -> None:
    """Even where the messages before it take their time."""
    order: list[object] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_message(message: object) -> None:
            await asyncio.sleep(0.005)
            order.append(message)

        async def on_disconnect(how: Disconnected) -> None:
            await asyncio.sleep(0.005)
            order.append(how.closed_by)

        client.set_handler(on_message=on_message, on_disconnect=on_disconnect)

    async with serving(on_connect) as handle, calling(handle.get_address(), rate_hz=None) as caller:
        for _ in range(20):
            await caller.send(FRAME)
        await until(lambda: order, "the first frame")
        client = handle.connections.all()[0]
        await until(lambda: client.statistics().audio_messages_received == 20, "all frames")
        if who == "router":
            await caller.close()
        elif who == "server":
            client.disconnect()
        elif who == "stop":
            await handle.stop()
        else:
            caller.transport.abort()
        await until(lambda: order[-1:] != [FRAME], "the end")
    assert order == [FRAME] * 20 + ["server" if who == "stop" else who]


@pytest.mark.parametrize("takes", ["nothing", "something", "perhaps"])
async def test_on_disconnect_may_take_what_it_likes(takes: str) -> None:
    ends: list[object] = []
    handlers: dict[str, Any] = {
        "nothing": lambda: ends.append("end"),
        "something": ends.append,
        "perhaps": lambda how=None: ends.append(how),
    }

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=handlers[takes])

    async with serving(on_connect) as handle:
        async with calling(handle.get_address()) as caller:
            await until(lambda: len(handle.connections) == 1, "the call")
            await caller.close()
        await until(lambda: ends, "the end")
    assert ends == ["end" if takes == "nothing" else Disconnected(code=1000, reason="", closed_by="router")]


@pytest.mark.parametrize("which", ["on_message", "on_connect"])
async def test_a_handler_that_hangs_is_cancelled_after_the_end(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[object] = []
    cancelled: list[str] = []

    async def hang(_: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.append(which)

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_message=hang if which == "on_message" else None, on_disconnect=ends.append)
        if which == "on_connect":
            await hang(client)

    async with serving(on_connect, timeouts=Timeouts(handler_s=0.1)) as handle:
        async with calling(handle.get_address()):
            await until(lambda: len(handle.connections) == 1, "the call")
        await until(lambda: ends, "the end")
    assert cancelled == [which]
    assert ends == [Disconnected(code=1000, reason="", closed_by="router")]
    what = "a message handler" if which == "on_message" else which
    assert [text.partition(": ")[2] for text in warnings_of(caplog)] == [
        f"{what} still ran 0.1 s after the end and was cancelled"
    ]
