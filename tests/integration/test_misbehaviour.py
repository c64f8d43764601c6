# SPDX-License-Identifier: Apache-2.0
"""An application that fails, dawdles or does not care: the call goes on, and nobody else notices."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from typing import Any

import pytest
from support.bystander import Bystander
from support.peers import FRAME, calling, how_closed, next_audio
from support.serving import BOTH_LOOPS, DEADLINE_S, Listener, echo, sawtooth, serving, until, warnings_of

from audio_connector import (
    AudioConnectorConnection,
    Disconnected,
    Event,
    Intake,
    IntakeOverflow,
    LimitError,
    Timeouts,
)

SMALL = Intake(max_buffer_ms=200, window_messages=2)
OVERFLOW = (
    "more than 200 ms of incoming audio waited for the application, so the oldest is being dropped: make the "
    "handlers faster, or raise Intake.max_buffer_ms. statistics() counts the rest"
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


# Handlers that are slow.


@BOTH_LOOPS
async def test_on_message_that_is_slow() -> None:
    heard: list[bytes] = []
    errors: list[Exception] = []
    texts: list[str] = []
    bystander = Bystander()
    all_came = asyncio.Event()

    async def on_message(message: bytes | str) -> None:
        await asyncio.sleep(0.1)
        await bystander.echo()
        if isinstance(message, bytes):
            await all_came.wait()
        heard.append(message) if isinstance(message, bytes) else texts.append(message)

    def on_connect(client: AudioConnectorConnection) -> None:
        if client.path == "/bystander":
            echo(client)
        else:
            client.set_handler(on_message=on_message, on_error=errors.append)

    frames = [sawtooth(320, start=320 * at) for at in range(50)]
    async with (
        serving(on_connect, intake=SMALL) as handle,
        bystander.watching(handle.get_address()),
        calling(handle.get_address(), rate_hz=None) as caller,
    ):
        await until(lambda: len(handle.connections) == 2, "both calls")
        client = next(each for each in handle.connections.all() if each.path == "/")
        await caller.send('{"is":"wanted"}')
        await until(lambda: texts, "the handler")
        for frame in frames:
            await caller.send(frame)
        await caller.send('{"not":"dropped"}')
        await until(lambda: client.statistics().audio_messages_received == 50, "all frames")
        all_came.set()
        await until(lambda: len(texts) == 2, "what was kept")
        assert heard[-10:] == frames[-10:]  # the newest 200 ms
        assert heard == sorted(heard, key=frames.index)
        assert len(heard) <= 14  # and what was on its way already
        assert [(type(error), str(error)) for error in errors] == [(IntakeOverflow, OVERFLOW)]
        await until(lambda: client.statistics().age_peak_ms > 500, "the figures, when the last was taken")
        statistics = client.statistics()
        assert statistics.audio_messages_received == 50
        assert statistics.dropped_messages == 50 - len(heard)
        assert statistics.dropped_ms == statistics.dropped_messages * 20
        assert statistics.overflow_episodes == 1
        assert statistics.buffered_peak_ms == 200
        assert 500 < statistics.age_peak_ms < DEADLINE_S * 1000
        for frame in frames[:20]:
            await caller.send(frame)
        await until(lambda: len(errors) == 2, "the second episode")
        await until(lambda: client.statistics().overflow_episodes == 2, "the figures")


async def test_handlers_that_are_never_set(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may listen: the call speaks all the same, and who comes late gets what comes from then on."""
    async with serving(intake=SMALL) as handle, calling(handle.get_address()) as caller:
        await until(lambda: len(handle.connections) == 1, "the call")
        client = handle.connections.all()[0]
        for _ in range(500):
            await caller.send(FRAME)
        await until(lambda: client.statistics().audio_messages_received == 500, "all frames")
        await client.send_audio_buffer(FRAME, pad_last_frame=True)
        assert await next_audio(caller, 1) == [FRAME]
        statistics = client.statistics()
        assert (statistics.dropped_messages, statistics.overflow_episodes) == (0, 0)
        assert statistics.unwanted_messages == 501, "and the first text"
        assert warnings_of(caplog) == []
        late: list[object] = []
        client.set_handler(on_audio=late.append)
        for number in itertools.count():
            await caller.send(sawtooth(320, start=320 * number))
            await asyncio.sleep(0.01)
            if late:
                break
        assert late == [sawtooth(320, start=320 * number)]


async def test_memory_stays_bounded_while_nobody_listens() -> None:
    async with serving(intake=SMALL) as handle, calling(handle.get_address()) as caller:
        await until(lambda: len(handle.connections) == 1, "the call")
        client = handle.connections.all()[0]
        for _ in range(200):
            await caller.send(FRAME)
        await until(lambda: client.statistics().audio_messages_received == 200, "the first frames")
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for _ in range(20):
                for _ in range(100):
                    await caller.send(FRAME)
                await (await caller.ping())  # so that the caller's own buffers stay small
            await until(lambda: client.statistics().audio_messages_received == 2200, "all frames")
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert client.statistics().unwanted_messages == 2201
        assert after - before < 200_000, "2000 frames are 1.3 MB"
        assert peak - before < 600_000


async def test_texts_are_never_dropped_but_bounded() -> None:
    listener = Listener()
    begun, release = asyncio.Event(), asyncio.Event()
    texts: list[str] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        await listener(client)
        errors, ends = listener.calls[0].errors, listener.calls[0].ends

        async def slow(message: str | bytes) -> None:
            begun.set()
            await release.wait()
            texts.append(str(message))

        client.set_handler(on_message=slow, on_error=errors.append, on_disconnect=ends.append)

    async with (
        serving(on_connect, intake=Intake(max_texts=20, window_messages=2)) as handle,
        calling(handle.get_address(), rate_hz=None) as caller,
    ):
        heard = await listener.call()
        await caller.send('{"n":0}')
        await asyncio.wait_for(begun.wait(), DEADLINE_S)  # before they are wanted, the oldest are dropped
        for at in range(1, 40):
            await caller.send(f'{{"n":{at}}}')
        assert await how_closed(caller) == (1008, "too many unread messages")
        release.set()
        await listener.ended()
    assert [type(error) for error in heard.errors] == [LimitError]
    assert str(heard.errors[0]) == (
        "20 text messages were not taken by the application, so the connection was closed with 1008: return "
        "sooner from on_message or on_event, or raise Intake.max_texts"
    )
    assert texts == [f'{{"n":{at}}}' for at in range(len(texts))]
    assert 20 <= len(texts) < 40
    assert heard.end == Disconnected(code=1008, reason="too many unread messages", closed_by="server")


@BOTH_LOOPS
async def test_an_iterator_that_is_read_too_slowly() -> None:
    errors: list[Exception] = []
    read: list[bytes] = []
    begun = asyncio.Event()
    frames = [sawtooth(320, start=320 * at) for at in range(50)]

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append)
        stream = client.audio()
        read.append(await stream.__anext__())
        begun.set()
        await until(lambda: stream.dropped_bytes == 39 * 640, "the drop")
        read.extend([frame async for frame in stream])

    async with serving(on_connect, intake=Intake(max_buffer_ms=200, window_messages=100)) as handle:
        async with calling(handle.get_address(), rate_hz=None) as caller:
            await caller.send(frames[0])
            await asyncio.wait_for(
                begun.wait(), DEADLINE_S
            )  # what nobody wants yet is not dropped by the stream
            for frame in frames[1:]:
                await caller.send(frame)
            await until(lambda: errors, "the error")
        await until(lambda: len(read) == 11, "what was kept")
    assert read == [frames[0], *frames[-10:]]
    assert [str(error) for error in errors] == [
        (
            "more than 200 ms of audio waited in client.audio(), so the oldest is being dropped: read it faster, or "
            "raise Intake.max_buffer_ms"
        )
    ]


async def test_events_that_nobody_reads() -> None:
    outcome: list[object] = []
    begun = asyncio.Event()

    async def on_connect(client: AudioConnectorConnection) -> None:
        events = client.events()
        await anext(events)
        begun.set()
        await until(lambda: events.is_over, "the end of patience")
        read: list[Event] = []
        try:
            async for event in events:
                read.append(event)  # noqa: PERF401 - the comprehension would be lost with the error
        except LimitError as error:
            outcome.extend([len(read), str(error)])

    async with (
        serving(on_connect, intake=Intake(max_texts=20)) as handle,
        calling(handle.get_address(), rate_hz=None) as caller,
    ):
        await caller.send("{}")
        await asyncio.wait_for(begun.wait(), DEADLINE_S)  # before they are wanted, the oldest are dropped
        for _ in range(30):
            await caller.send("{}")
        await until(lambda: outcome, "the error")
        assert len(handle.connections) == 1  # the call goes on
    assert outcome == [
        20,
        (
            "20 events were not read from client.events(), so it ends here: read it in a loop of its own, or raise "
            "Intake.max_texts"
        ),
    ]


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
