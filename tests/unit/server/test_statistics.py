# SPDX-License-Identifier: Apache-2.0
"""Figures as the application asks for them: new enough during a call, exact after its end."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest
from support.audio import numbered
from support.conversation import Conversation

from audio_connector.errors import IntakeOverflow
from audio_connector.playback.speech import Progress
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.link import FIGURES_S
from audio_connector.server.statistics import ConnectionStatistics, PlaybackState
from audio_connector.testing.virtual_time import in_virtual_time, rest

FRAME = numbered(7, 640)


@pytest.mark.parametrize("kind", [PlaybackState, ConnectionStatistics])
def test_every_figure_is_explained_and_none_changes(kind: type[Any]) -> None:
    for field in dataclasses.fields(kind):
        assert f"    {field.name}: " in (kind.__doc__ or "")
    assert kind.__dataclass_params__.frozen


@in_virtual_time
async def test_during_a_call_they_are_a_tenth_of_a_second_old_at_most() -> None:
    async with Conversation(lambda client: client.set_handler(on_audio=lambda audio: None)) as call:
        for number in range(1, 200):
            await call.router_sends(FRAME)
            await call.client.send_audio_buffer(FRAME)
            await asyncio.sleep(0.02)
            figures = call.client.statistics()
            late = int(FIGURES_S / 0.02) + 1
            assert number - late <= figures.audio_messages_received <= number
            assert number - late - 5 <= figures.audio_messages_sent <= number


@in_virtual_time
async def test_what_an_iterator_drops_since_it_is_not_read_counts() -> None:
    """Or neither the figures nor an alert would know of a bot that is too slow for its callers."""
    errors: list[Exception] = []
    read = asyncio.Event()
    heard: list[bytes] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append)
        slow, quick = client.audio(chunk_ms=40, sample_rate=24000), client.audio()
        for _ in range(100):
            await anext(quick)
        await read.wait()
        async for piece in slow:
            heard.append(piece)  # noqa: PERF401 - while it goes on

    async with Conversation(on_connect, intake={"max_buffer_ms": 400}) as call:
        for number in range(101):
            await call.router_sends(numbered(number, 640))
        await asyncio.sleep(FIGURES_S)
        figures = call.client.statistics()
        # The resampler has not given the very last of it.
        assert (figures.dropped_ms, figures.dropped_messages, figures.overflow_episodes) == (1600.0, 80, 1)
        assert [type(error) for error in errors] == [IntakeOverflow]
        read.set()
        await rest()
        assert sum(map(len, heard)) / 48 == 400.0
        assert call.client.statistics() == figures


@in_virtual_time
async def test_after_the_end_they_are_exact() -> None:
    async with Conversation(lambda client: client.set_handler(on_audio=lambda audio: None)) as call:
        for _ in range(33):
            await call.router_sends(FRAME)
            await call.client.send_audio_buffer(FRAME)
            await asyncio.sleep(0.021)
        await call.client.send_audio_buffer(FRAME * 100)
        await rest()
        call.router_socket.close()
        await call.session.task
        figures = call.client.statistics()
        assert figures.audio_messages_received == 33
        assert figures.audio_messages_sent == len(call.router.frames)
        assert figures.played_ms == call.client.playback.played_ms
        await asyncio.sleep(100.0)
        assert call.client.statistics() == figures
        assert call.client.playback.in_flight_ms == 0.0


@in_virtual_time
async def test_what_the_end_has_overtaken_on_its_way_counts_as_unsent() -> None:
    """Another process has ended the call, and its last figures do not know of what was handed over meanwhile."""
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 5)
        await asyncio.sleep(1.0)
        line = call.client._line
        line.handed_bytes += 10 * len(FRAME)
        assert call.client.statistics().unsent_ms == 0.0
        call.router_socket.close()
        await call.session.task
        figures = call.client.statistics()
        assert (figures.audio_ms_sent, figures.unsent_ms) == (100.0, 200.0)


@in_virtual_time
async def test_the_delay_of_a_relay_is_what_its_next_frame_will_have() -> None:
    async with Conversation(playback={"prime_ms": 100, "lead_ms": 200}) as call:
        for number in range(200):
            await call.client.send_audio_buffer(FRAME)
            await asyncio.sleep(0.02)
            if number > 10:
                assert call.client.playback.delay_ms == pytest.approx(80.0, abs=20.0)


@in_virtual_time
async def test_what_was_just_written_counts_as_queued() -> None:
    async with Conversation() as call:
        await call.client.wait_until_played()
        await call.client.send_audio_buffer(FRAME * 100)
        assert call.client.playback.delay_ms == 2000.0
        await rest()
        assert call.client.playback.delay_ms == 2000.0
        await asyncio.sleep(1.0)
        assert call.client.playback.delay_ms == pytest.approx(1000.0, abs=20.0)


@in_virtual_time
async def test_what_is_played_queued_and_under_way_is_all_that_was_written() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 300)
        await asyncio.sleep(2 * FIGURES_S)
        for _ in range(100):
            await asyncio.sleep(0.0513)
            state = call.client.playback
            assert state.played_ms + state.queued_ms + state.in_flight_ms == 6000.0
            assert state.delay_ms == state.queued_ms + state.in_flight_ms


@in_virtual_time
async def test_a_clock_that_is_corrected_takes_nothing_back() -> None:
    async with Conversation() as call:
        await call.client.send_audio_buffer(FRAME * 100)
        await asyncio.sleep(1.0)
        line, played_ms = call.client._line, call.client.statistics().played_ms
        assert played_ms > 500.0
        line.figures = line.figures._replace(progress=Progress(heard_before=5))
        assert call.client.statistics().played_ms == call.client.playback.played_ms == played_ms
