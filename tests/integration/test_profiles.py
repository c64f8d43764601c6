# SPDX-License-Identifier: Apache-2.0
"""Three kinds of router: our server is clean with each, and servers with a fault show what each makes of it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.foreign_server import Seen, foreign_servers
from support.serving import sawtooth
from websockets.asyncio.server import ServerConnection

from audio_connector.playground.parrot import parrot
from audio_connector.simulator import PROFILES, CallReport, Router, RouterCall
from audio_connector.testing import Audio, in_virtual_time, serve

FRAME = sawtooth(320)
SPEECH = Audio.of("sample:he-was-not")


async def call(
    url: str, profile: str, *, heard: bytearray | None = None, tail_s: float = 0.4, **options: Any
) -> CallReport:
    sink = (bytearray() if heard is None else heard).extend
    async with Router() as router:
        planned = RouterCall(url=url, profile=profile, tail_s=tail_s, heard=sink, **options)
        return await asyncio.wait_for(router.run(planned), 20)


def saying(*messages: bytes | str) -> Any:
    async def say(connection: ServerConnection, seen: Seen) -> None:
        await connection.recv()
        for message in messages:
            await connection.send(message)
        async for message in connection:
            seen.note(message)

    return say


# Our server.


@pytest.mark.parametrize("audio_transport", ["binary", "json"])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("profile", PROFILES)
@in_virtual_time
async def test_the_parrot_is_clean_with_every_router(
    profile: str, rate_hz: int, audio_transport: str
) -> None:
    async with (
        serve(parrot, audio_transport=audio_transport) as server,
        server.call(profile=profile, rate_hz=rate_hz) as talk,
    ):
        await talk.say(SPEECH)
        reply = await talk.reply()
        assert reply.rate_hz == rate_hz
        # The parrot leaves out what is quiet before and after the sentence.
        assert 2.0 < reply.duration_s <= SPEECH.duration_s
        assert talk.spoken.contains(reply)
        report = await talk.hang_up()
    assert report.problems == ()
    assert (report.profile, len(report.turns)) == (profile, 1)


@pytest.mark.parametrize("profile", ["video", "voice"])
@in_virtual_time
async def test_the_parrot_falls_silent_with_every_router_that_knows_clear(profile: str) -> None:
    async with serve(parrot) as server, server.call(profile=profile) as talk:
        await talk.say(SPEECH)
        barge_in = await talk.interrupt(SPEECH, after_s=1.0)
        assert barge_in.latency_ms is not None
        assert barge_in.latency_ms <= 20
        assert barge_in.stale_ms == 0


@in_virtual_time
async def test_a_router_that_reads_no_text_hears_what_was_under_way_and_no_more() -> None:
    async with serve(parrot) as server, server.call(profile="wsbridge") as talk:
        await talk.say(SPEECH)
        await talk.until_speaking()
        await talk.say(SPEECH)
        await talk.reply()
        report = await talk.hang_up()
    assert report.texts_ignored == 2  # the clear, in two forms
    assert report.clears == 0
    [barge_in] = report.barge_ins
    assert barge_in.clear_at_s is None
    assert barge_in.speech_to_silence_ms is not None
    assert barge_in.speech_to_silence_ms < 1000  # the lead, and what it takes to know a voice


# Messages that are not one frame.


async def test_video_cuts_what_is_long_and_drops_what_is_short() -> None:
    heard = bytearray()
    async with foreign_servers(saying(FRAME + b"12", FRAME[:320], FRAME[:320], FRAME)) as (url, _):
        report = await call(url, "video", heard=heard)
    assert report.playout.wrong_size_messages == 3
    assert report.playout.wrong_size_lost_bytes == 2 + 640
    assert FRAME + FRAME in heard
    assert report.problems == ("3 messages of a wrong size, 642 bytes lost",)


async def test_wsbridge_cuts_what_is_long_and_joins_what_is_short() -> None:
    heard = bytearray()
    async with foreign_servers(saying(FRAME + b"12", FRAME[:320], FRAME[320:], FRAME)) as (url, _):
        report = await call(url, "wsbridge", heard=heard)
    assert report.playout.wrong_size_messages == 3
    assert report.playout.wrong_size_lost_bytes == 2
    # It reads too slowly for frames that come in halves, so there may be holes.
    samples = np.frombuffer(bytes(heard), "<i2")
    assert samples[samples != 0].tobytes() == FRAME * 3


async def test_in_wsbridge_one_odd_byte_shifts_every_later_sample() -> None:
    heard = bytearray()
    later = [sawtooth(320, start=320 * number) for number in range(20)]
    async with foreign_servers(saying(b"\x7f", *later)) as (url, _):
        await call(url, "wsbridge", heard=heard, tail_s=0.8)
    stream = b"\x7f" + b"".join(later)
    at = bytes(heard).find(stream[: 640 * 20])
    assert at >= 0
    assert at % 2 == 0  # so each sample is made of halves of two
    assert b"".join(later)[: 640 * 19] not in bytes(heard[: at + 1])


@pytest.mark.parametrize("size", [160, 639, 641, 1280])
async def test_voice_ends_the_call(size: int) -> None:
    async with foreign_servers(saying(FRAME, b"\x01" * size)) as (url, all_seen):
        report = await call(url, "voice", tail_s=10.0)
    assert report.duration_s < 5
    assert all_seen[0].close_code == 1006
    text = f"the router ended the call: a message of {size} bytes; it takes frames of 640 (PROTOCOL 4.8)"
    assert report.router_ended == text
    assert text in report.problems


# Buffers and reading.


@pytest.mark.parametrize(("name", "frames"), [("video", 3000), ("wsbridge", 1024), ("voice", 3072)])
async def test_what_does_not_fit_into_the_buffer_is_dropped(name: str, frames: int) -> None:
    # wsbridge reads so slowly that its buffer takes twenty seconds to fill: here it reads like the others.
    profile = replace(PROFILES[name], read_interval_ms=0.0)
    async with foreign_servers(saying(*[FRAME] * (frames + 100))) as (url, _):
        report = await call(url, profile, tail_s=0.6)  # type: ignore[arg-type]  # a call takes both
    playout = report.playout
    assert playout.frames_received == frames + 100
    # What was played while the burst arrived made room.
    assert 100 - playout.played_frames <= playout.overflow_frames <= 100
    assert playout.deepest_ms == frames * 20
    assert report.overflow_ms == playout.overflow_frames * 20


@pytest.mark.parametrize(("profile", "least_s", "most_s"), [("video", 0.0, 0.7), ("wsbridge", 1.0, 4.0)])
async def test_a_burst_waits_at_a_server_whose_router_reads_slowly(
    profile: str, least_s: float, most_s: float
) -> None:
    took: list[float] = []

    async def burst(connection: ServerConnection, seen: Seen) -> None:
        sock = connection.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        connection.transport.set_write_buffer_limits(high=4096)
        await connection.recv()
        begun = time.monotonic()
        for _ in range(200):
            await connection.send(FRAME)
        took.append(time.monotonic() - begun)
        async for _ in connection:  # or its close frame would wait behind what nobody reads
            pass

    async with foreign_servers(burst) as (url, _):
        report = await call(url, profile, tail_s=2.6)
    assert least_s < took[0] < most_s  # 200 messages, one in 10 ms; some wait in the kernel
    assert report.frames_received == 200
    assert report.playout.underruns == 0


# Texts.


async def test_wsbridge_reads_no_text() -> None:
    texts = ('{"action":"clear"}', '{"action":"notify","payload":1}')
    async with foreign_servers(saying(*[FRAME] * 10, *texts)) as (url, all_seen):
        report = await call(url, "wsbridge", tail_s=0.5)
    assert (report.texts_received, report.texts_ignored, report.clears, report.notifies) == (2, 2, 0, 0)
    assert report.playout.cleared_frames == 0
    assert [json.loads(text)["event"] for text in all_seen[0].texts] == ["websocket:disconnected"]


async def test_voice_obeys_one_form_of_clear() -> None:
    others = ('{"event":"websocket:cleared"}', '{"event":"clearAudio"}')
    async with foreign_servers(saying(*[FRAME] * 50, *others)) as (url, all_seen):
        report = await call(url, "voice", tail_s=0.3)
    assert (report.clears, report.playout.cleared_frames) == (0, 0)
    assert report.other_texts == others
    async with foreign_servers(saying(*[FRAME] * 50, '{"action":"clear"}')) as (url, all_seen):
        report = await call(url, "voice", tail_s=0.3)
    assert report.clears == 1
    assert report.playout.cleared_frames > 30
    assert json.loads(all_seen[0].texts[0]) == {"event": "websocket:cleared"}


async def test_voice_answers_a_notify_when_the_audio_before_it_was_heard() -> None:
    notify = '{"action":"notify","payload":{"mark":7}}'
    answered: list[float] = []

    async def say(connection: ServerConnection, seen: Seen) -> None:
        await connection.recv()
        begun = time.monotonic()
        for _ in range(20):
            await connection.send(FRAME)
        await connection.send(notify)
        async for message in connection:
            if isinstance(message, str) and "notify" in message:
                answered.append(time.monotonic() - begun)
                seen.note(message)

    async with foreign_servers(say) as (url, all_seen):
        await call(url, "voice", tail_s=0.8)
        assert [json.loads(text) for text in all_seen[0].texts] == [
            {"event": "websocket:notify", "payload": {"mark": 7}}
        ]
        assert 0.4 <= answered[0] < 0.55
        await call(url, "video", tail_s=0.6)
    assert all_seen[1].texts == []
