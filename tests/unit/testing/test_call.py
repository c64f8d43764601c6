# SPDX-License-Identifier: Apache-2.0
"""A call of a test: what the participant does, what is heard of the bot, and what a failure says of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from audio_connector import (
    AudioConnectorConnection,
    ConnectionClosed,
    DialError,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    UsageError,
)
from audio_connector.simulator import Impairments, Step
from audio_connector.testing import Audio, Call, CallFailed, in_virtual_time, rest, serve

ONE = Audio.of("sample:he-was-not")
TONE = Audio.tone(440, 1.0)


@asynccontextmanager
async def called(on_connect: Any = None, **options: Any) -> AsyncIterator[Call]:
    async with serve(on_connect) as server, server.call(**options) as call:
        yield call


async def say(client: AudioConnectorConnection, audio: Audio) -> None:
    await client.send_audio_buffer(audio.pcm, pad_last_frame=True, sample_rate=audio.rate_hz)


async def repeat(client: AudioConnectorConnection) -> None:
    """Say again what was said, once it was said; by the clock, for some routers send no frames in silence."""
    phrase, loud_at, audio = list[bytes](), 0.0, client.audio()
    while True:
        try:
            frame = await asyncio.wait_for(anext(audio), 0.4)
        except StopAsyncIteration:
            return
        except (asyncio.TimeoutError, TimeoutError):
            frame = b""
        if not Audio(frame, client.format.rate_hz).is_silent:
            loud_at = time.monotonic()
        if time.monotonic() - loud_at < 0.4:
            phrase.append(frame)
        elif phrase:
            await client.send_audio_buffer(b"".join(phrase), pad_last_frame=True)
            phrase.clear()


def speaker(*parts: Audio, close: bool = False) -> Any:
    """A bot that says something, with pauses of a second, and hangs up or not."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=lambda frame: None)
        for part in parts:
            await say(client, part)
            await client.wait_until_played()
            await asyncio.sleep(0 if close and part is parts[-1] else 1.0)
        if close:
            await client.close(4000, "good bye")

    return on_connect


def storyteller(*, obeys: bool = True) -> Any:
    """A bot that tells a long story; when it is spoken to it is silent, and answers with a tone afterwards."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(0.3)
        await say(client, ONE + ONE + ONE)
        is_spoken_to = False
        async for frame in client.audio(chunk_ms=100):
            if not Audio(frame).is_silent:
                if obeys and client.playback.in_flight_ms:
                    await client.flush_buffer()
                is_spoken_to = True
            elif is_spoken_to:
                is_spoken_to = False
                await say(client, TONE)

    return on_connect


# What the bot says.


@in_virtual_time
async def test_what_the_bot_says_is_heard_in_order_however_late_one_asks() -> None:
    parts = (TONE, ONE, Audio.tone(600, 0.4))
    async with called(speaker(*parts)) as call:
        await asyncio.sleep(20)
        for part in parts:
            assert (await call.reply(within_s=0)).matches(part)
        with pytest.raises(CallFailed):
            await call.reply(within_s=1)


@in_virtual_time
async def test_a_reply_is_waited_for_until_its_end() -> None:
    async with called(speaker(Audio.silence(1.0) + TONE + Audio.silence(0.4) + TONE)) as call:
        reply = await call.reply()
        assert reply.duration_s == 2.4
        assert call.now_s == pytest.approx(3.9, abs=0.03), "half a second of silence ends it"
        assert reply.level_db == pytest.approx(-20.8, abs=0.1)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("profile", ["video", "wsbridge", "voice"])
@in_virtual_time
async def test_a_question_is_answered(profile: str, rate_hz: int) -> None:
    async with called(repeat, profile=profile, rate_hz=rate_hz) as call:
        await call.say(ONE)
        reply = await call.reply(within_s=2)
        assert reply.rate_hz == rate_hz
        assert reply.contains(ONE)
        assert call.spoken.contains(ONE)
        assert call.heard.contains(reply).at_s > ONE.duration_s
        assert call.client.format.rate_hz == rate_hz
    assert call.report().playout.underruns == 0


@in_virtual_time
async def test_who_says_good_bye_and_hangs_up_is_heard_to_the_end() -> None:
    async with called(speaker(TONE, close=True)) as call:
        assert (await call.reply()).matches(TONE)
        await asyncio.sleep(1)
        assert call.is_over
        assert (call.report().close_code, call.report().closed_by) == (4000, "peer")
        with pytest.raises(CallFailed, match="cannot speak: the call is over"):
            await call.say(TONE)
        with pytest.raises(CallFailed, match=r"closed 4000 'good bye'"):
            await call.reply()
        assert call.heard.contains(TONE)


@in_virtual_time
async def test_where_nothing_is_said_the_failure_tells_what_was() -> None:
    async with called(speaker(TONE)) as call:
        await call.say(ONE)
        call.press("5")
        await call.reply()
        with pytest.raises(CallFailed) as caught:
            await call.reply(within_s=2.5)
        lines = str(caught.value).splitlines()
        assert lines[0] == f"no reply within 2.5 s, {call.now_s:.2f} s into the call"
        assert lines[1].startswith("  heard of the bot: 0.01 to 1.00 s, in ")
        assert lines[2].startswith("  said to it: 0.0")
        assert "  3.02 s: participant key 5" in lines


@in_virtual_time
async def test_a_bot_that_never_stops_is_no_reply() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        try:
            while True:
                await client.send_audio_buffer(TONE.pcm)
        except ConnectionClosed:
            pass

    async with called(on_connect) as call:
        with pytest.raises(CallFailed, match=r"spoke for more than 5 s without a pause of 0\.5 s"):
            await call.reply(longest_s=5)
        with pytest.raises(CallFailed, match="was not silent"):
            await call.until_silent(within_s=3)


@in_virtual_time
async def test_silence_can_be_expected() -> None:
    async with called(speaker(Audio.silence(2.0) + TONE)) as call:
        await call.expect_silence(1.9)
        with pytest.raises(CallFailed, match=r"the bot spoke at 2\.00 s, where silence was expected"):
            await call.expect_silence(1.0)
        assert call.now_s < 2.1
        await call.until_speaking()
        await call.until_silent()
        with pytest.raises(CallFailed, match="the bot said nothing within 1 s"):
            await call.until_speaking(within_s=1)


@in_virtual_time
async def test_after_a_wait_for_silence_a_reply_is_what_comes_then() -> None:
    async with called(speaker(TONE, ONE)) as call:
        await call.until_speaking()
        await call.until_silent()
        assert (await call.reply()).matches(ONE)


# What the participant does.


@in_virtual_time
async def test_what_is_said_takes_its_time_and_follows_what_is_being_said() -> None:
    async with called() as call:
        await call.say(TONE)
        assert call.now_s == pytest.approx(1.0, abs=0.03)
        await asyncio.gather(call.say(TONE), call.say(Audio.tone(600, 0.5).samples))
        assert call.now_s == pytest.approx(2.5, abs=0.05)
        assert call.spoken.contains(TONE + Audio.tone(600, 0.5)).at_s == pytest.approx(1.05, abs=0.02)
        await call.say(TONE.at_rate(8000).pcm, rate_hz=8000)
        assert call.now_s == pytest.approx(3.5, abs=0.07)


@in_virtual_time
async def test_the_bot_is_told_of_mute_and_keys() -> None:
    events: list[Event] = []
    async with called(lambda client: client.set_handler(on_event=events.append)) as call:
        call.mute()
        call.unmute()
        call.press("1#")
        await asyncio.sleep(0.1)
        with pytest.raises(UsageError, match=r"digits='1x': expected keys of a telephone, 0123456789\*#ABCD"):
            call.press("1x")
    told = [event for event in events if isinstance(event, MediaUpdate | Dtmf)]
    assert [event.active for event in told[:2] if isinstance(event, MediaUpdate)] == [False, True]
    assert [event.digit for event in told[2:] if isinstance(event, Dtmf)] == ["1", "#"]
    assert [event.name for event in call.events][:5] == ["connected", "mute", "unmute", "key", "key"]


@in_virtual_time
async def test_a_bot_is_interrupted_and_answers_anew() -> None:
    async with called(storyteller()) as call:
        barge_in = await call.interrupt(Audio.tone(600, 0.4), after_s=1.0)
        assert barge_in.speech_at_s == pytest.approx(1.3, abs=0.05)
        assert barge_in.speech_to_silence_ms is not None
        assert barge_in.speech_to_silence_ms < 300
        assert barge_in.stale_ms == 0
        assert (await call.reply()).matches(TONE)
        assert not call.heard.contains(ONE)
        assert '{"action":"clear"}' in call.texts


@in_virtual_time
async def test_a_bot_that_talks_on_fails() -> None:
    async with called(storyteller(obeys=False)) as call:
        with pytest.raises(CallFailed, match="the bot spoke on for 2 s after it was interrupted"):
            await call.interrupt(TONE, within_s=2)


@in_virtual_time
async def test_who_says_nothing_cannot_be_interrupted() -> None:
    async with called(speaker(Audio.silence(1.0), Audio.tone(600, 0.3))) as call:
        with pytest.raises(CallFailed, match="the bot said nothing within 1 s"):
            await call.interrupt(TONE, within_s=1)
        with pytest.raises(CallFailed, match="spoke for less than 2 s, so nothing was left to interrupt"):
            await call.interrupt(TONE, after_s=2)


@in_virtual_time
async def test_a_call_that_ends_while_one_speaks_fails() -> None:
    async with called(speaker(Audio.silence(1.0), close=True)) as call:
        with pytest.raises(CallFailed, match="the call ended before everything was said"):
            await call.say(ONE)


# The rest.


@in_virtual_time
async def test_texts_of_the_server_are_kept_whole_in_either_transport() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_json_packet({"long": "x" * 500})
        await say(client, TONE)
        await client.send_json_packet("[1,2]")

    for transport in ("binary", "json"):
        async with serve(on_connect, audio_transport=transport) as server, server.call() as call:
            assert (await call.reply()).matches(TONE)
            assert [json.loads(text) for text in call.texts] == [{"long": "x" * 500}, [1, 2]]


@in_virtual_time
async def test_it_ends_as_it_is_asked_to() -> None:
    ends: list[Disconnected] = []

    def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(on_disconnect=ends.append)

    async with serve(on_connect) as server:
        async with server.call() as call:
            report = await call.hang_up("abrupt")
            assert (report.close_code, call.is_over) == (1006, True)
        async with server.call():
            pass
        await rest()
        with pytest.raises(LookupError, match="the test's own"):
            async with server.call():
                raise LookupError("the test's own")
        await rest()
    assert [(how.code, how.closed_by) for how in ends] == [
        (1006, "network"),
        (1000, "router"),
        (1006, "network"),
    ]


@in_virtual_time
async def test_steps_and_impairments_are_those_of_the_simulator() -> None:
    steps = [Step(at_s=0.5, dtmf="7"), Step(at_s=1.0, reconnect_s=0.5)]
    clients: list[AudioConnectorConnection] = []
    async with called(
        clients.append, steps=steps, impairments=Impairments(jitter_ms=30), headers={"x-a": "b"}
    ) as call:
        assert call.client is clients[0]
        await asyncio.sleep(2.0)
        assert len(clients) == 2
        assert call.client is clients[1]
        assert call.client.headers["x-a"] == "b"
        assert call.report().reconnects == 1


@in_virtual_time
async def test_a_wrong_option_is_refused_by_its_name() -> None:
    async with serve() as server:
        with pytest.raises(UsageError, match="a call has no profil=; expected name, profile, "):
            async with server.call(profil="voice"):
                pass
        with pytest.raises(
            UsageError, match=r"heard= is the test kit's own; after the call take call\.heard\.save"
        ):
            async with server.call(heard="x.wav"):
                pass
        with pytest.raises(UsageError, match="expected one that begins with a slash"):
            async with server.call("bot"):
                pass
        with pytest.raises(UsageError, match="profile is 'phone'"):
            async with server.call(profile="phone"):
                pass


@in_virtual_time
async def test_a_server_that_has_stopped_cannot_be_called() -> None:
    async with serve() as server:
        await server.handle.stop()
        with pytest.raises(DialError, match="cannot be reached"):
            async with server.call():
                pass


def test_ten_minutes_with_replies_interruptions_and_mutes_take_seconds() -> None:
    @in_virtual_time
    async def conversation() -> None:
        async with called(storyteller()) as call:
            while call.now_s < 600:
                await call.interrupt(Audio.tone(600, 0.4))
                assert (await call.reply()).matches(TONE)
                call.mute()
                await call.expect_silence(1.0)
                call.unmute()
                await say(call.client, ONE + ONE)
            assert call.report().playout.underruns == 0
            assert len(call.report().barge_ins) > 100

    begun_s = time.process_time()  # not of the clock: others may be busy beside it
    conversation()
    assert time.process_time() - begun_s < 30, "2 s on a machine that has nothing else to do"
