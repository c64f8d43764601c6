# SPDX-License-Identifier: Apache-2.0
"""An application that is slow, or takes nothing: what waits is bounded, and nobody else notices."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc

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
)

SMALL = Intake(max_buffer_ms=200, window_messages=2)
OVERFLOW = (
    "more than 200 ms of incoming audio waited for the application, so the oldest is being dropped: make the "
    "handlers faster, or raise Intake.max_buffer_ms. statistics() counts the rest"
)


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
            await begun.wait()  # of texts that come before they are asked for the oldest are let go
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
        await until(lambda: client.statistics().dropped_ms == 39 * 20, "the figures")
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
            "raise Intake.max_buffer_ms. statistics() counts the rest"
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
