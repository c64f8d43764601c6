# SPDX-License-Identifier: Apache-2.0
"""A server whose loop ends before it, stops, or is held up by on_stop: it ends all the same, and says so."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from support.serving import DEADLINE_S, io_threads, serving, warnings_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection as BlockingCaller
from websockets.sync.client import connect as dial_blocking

from audio_connector import AudioConnectorConnection, Video

FREE: dict[str, Any] = {"host": "127.0.0.1", "port": 0}


@pytest.mark.parametrize(
    ("what", "warning"),
    [
        ("never ends", "on_stop still ran after 0.2 s and was cancelled"),
        ("refuses to be cancelled", "on_stop still ran after 0.2 s and was cancelled"),
        ("is cancelled", "on_stop was cancelled; the server has stopped all the same"),
    ],
)
async def test_on_stop_does_not_hold_up_the_stop(
    what: str, warning: str, caplog: pytest.LogCaptureFixture
) -> None:
    enough = asyncio.Event()

    async def on_stop() -> None:
        if what == "is cancelled":
            raise asyncio.CancelledError
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if what == "never ends":
                raise
        await enough.wait()

    async with serving(on_stop=on_stop, timeouts={"stop_s": 0.2}) as handle:
        await asyncio.wait_for(handle.stop(), 2)
        await asyncio.wait_for(handle.wait_closed(), 2)
    enough.set()
    assert warnings_of(caplog) == [warning]
    caplog.clear()


def test_a_loop_that_ends_without_stop_ends_its_calls(caplog: pytest.LogCaptureFixture) -> None:
    """A vendor's program often ends with its asyncio.run()."""
    block = ExitStack()

    async def forget() -> BlockingCaller:
        handle = await Video().start_audio_connector_server(FREE)
        return await asyncio.to_thread(
            lambda: block.enter_context(dial_blocking(handle.get_address(), compression=None))
        )

    caller = asyncio.run(forget())
    with pytest.raises(ConnectionClosed) as caught:
        caller.recv(DEADLINE_S)
    block.close()
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1001, "the server has stopped")
    for thread in threading.enumerate():
        if thread.name == "audio-connector-io":
            thread.join(DEADLINE_S)
    assert io_threads() == 0
    assert len(warnings_of(caplog)) == 1
    assert "has ended without handle.stop()" in warnings_of(caplog)[0]


def test_a_loop_that_is_closed_with_a_wake_up_pending_is_noticed_and_may_be_stopped_later() -> None:
    loop = asyncio.new_event_loop()
    handle = loop.run_until_complete(Video().start_audio_connector_server(FREE))
    time.sleep(0.3)  # meanwhile the I/O side has asked whether the loop runs
    loop.close()

    async def stop() -> None:
        await asyncio.wait_for(handle.wait_closed(), DEADLINE_S)
        await asyncio.wait_for(handle.stop(), DEADLINE_S)

    asyncio.run(stop())
    assert io_threads() == 0
    assert not handle.running


def test_stop_just_after_the_loop_was_closed() -> None:
    loop = asyncio.new_event_loop()
    handle = loop.run_until_complete(Video().start_audio_connector_server(FREE))
    loop.close()

    async def stop() -> None:
        await asyncio.wait_for(handle.stop(), DEADLINE_S)
        await asyncio.wait_for(handle.wait_closed(), DEADLINE_S)

    asyncio.run(stop())
    assert io_threads() == 0


def test_stop_while_the_loop_that_started_it_does_not_run(caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[bool] = []
    config = {**FREE, "on_stop": lambda: stopped.append(True), "timeouts": {"stop_s": 0.2}}
    loop = asyncio.new_event_loop()
    handle = loop.run_until_complete(Video().start_audio_connector_server(config))

    async def stop() -> None:
        await asyncio.wait_for(handle.stop(), DEADLINE_S)
        await asyncio.wait_for(handle.wait_closed(), DEADLINE_S)

    asyncio.run(stop())
    assert io_threads() == 0
    assert stopped == []
    assert "does not run" in caplog.text
    loop.run_until_complete(asyncio.wait_for(handle.stop(), DEADLINE_S))
    loop.close()
    assert stopped == [True]


def test_a_loop_that_ends_while_a_handler_runs_does_end() -> None:
    """asyncio.run() cancels every task and waits for it: the one that runs the handlers must not go on."""
    with ExitStack() as block:

        async def forget() -> None:
            def on_connect(client: AudioConnectorConnection) -> None:
                client.set_handler(on_message=on_message)

            async def on_message(_: object) -> None:
                begun.set()
                await asyncio.sleep(3600)

            begun = asyncio.Event()
            handle = await Video().start_audio_connector_server({**FREE, "on_connect": on_connect})
            caller = await asyncio.to_thread(
                lambda: block.enter_context(dial_blocking(handle.get_address(), compression=None))
            )
            await asyncio.to_thread(caller.send, bytes(640))
            await asyncio.wait_for(begun.wait(), DEADLINE_S)

        thread = threading.Thread(target=asyncio.run, args=(forget(),), daemon=True)
        thread.start()
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
    for thread in threading.enumerate():
        if thread.name == "audio-connector-io":
            thread.join(DEADLINE_S)
