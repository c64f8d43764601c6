# SPDX-License-Identifier: Apache-2.0
"""The three kinds of router: our server is clean with each; and what each does to a server that is not."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from support.audio import frames_of, padded, real_speech
from support.foreign_server import Seen, foreign_servers
from support.impaired import App, Noted, in_memory, saying, sound_of
from support.serving import joined, sawtooth
from websockets.asyncio.server import ServerConnection, serve

from audio_connector import AudioConnectorConnection, Cleared, Disconnected, Notified, testing
from audio_connector.playback.speech import Played
from audio_connector.playground.parrot import parrot
from audio_connector.simulator import PROFILES, CallReport, Router, RouterCall, Step
from audio_connector.testing.network import dial, listen
from audio_connector.testing.virtual_time import in_virtual_time
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.transport import Closed, Receiver, Transport, Upgrade, WireLimits

RATES_HZ = (8000, 16000, 24000)
ENDS = {
    "video": Disconnected(code=1000, reason="", closed_by="router"),
    # It says goodbye and drops the socket, which is a normal end (PROTOCOL 1.22).
    "wsbridge": Disconnected(code=1006, reason="websocket:disconnected", closed_by="router"),
    "voice": Disconnected(code=1000, reason="", closed_by="router"),
}
EVERY = pytest.mark.parametrize("profile", PROFILES)


async def echo(client: AudioConnectorConnection, noted: Noted) -> None:
    async for frame in client.audio():
        await client.send_audio_buffer(frame)


# Our server.


@EVERY
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("transport", ["binary", "json"])
@in_virtual_time
async def test_our_echo_is_clean_with_every_router(profile: str, rate_hz: int, transport: Any) -> None:
    speech, heard = real_speech(rate_hz), bytearray()
    audio_transport = AudioTransport(transport=transport)
    app = App(echo)
    async with in_memory(app, audio_transport=audio_transport) as line:
        report = await line.call(
            profile=profile,
            rate_hz=rate_hz,
            speech=speech,
            tail_s=1.0,
            audio_transport=audio_transport,
            heard=heard.extend,
        )
    assert report.is_clean, report.problems
    assert report.playout.wrong_size_messages == 0
    assert sound_of(heard) == sound_of(speech)
    assert app.call.end == ENDS[profile]
    assert app.call.errors == []
    statistics = app.call.client.statistics()
    assert statistics.audio_messages_received == report.frames_sent
    assert statistics.odd_messages_received == statistics.unreadable_messages_received == 0
    # In its silence wsbridge sends nothing, and the others frames of zeros.
    frames = frames_of(speech, 2 * rate_hz // 50)
    silence = 0 if profile == "wsbridge" else 50
    assert report.frames_sent == sum(map(any, frames)) + (
        silence and silence + sum(not any(f) for f in frames)
    )


@EVERY
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@in_virtual_time
async def test_our_parrot_is_clean_with_every_router(profile: str, rate_hz: int) -> None:
    sentences: list[bytes] = []

    async def say_back(client: AudioConnectorConnection, noted: Noted) -> None:
        await parrot(client, sentences.append)

    heard = bytearray()
    app = App(say_back)
    async with in_memory(app) as line:
        report = await line.call(
            profile=profile, rate_hz=rate_hz, speech=real_speech(rate_hz), tail_s=5.0, heard=heard.extend
        )
    assert report.is_clean, report.problems
    assert len(sentences) == 1
    assert sound_of(heard) == sound_of(sentences[0])
    assert (app.call.errors, app.call.failures, app.call.end) == ([], [], ENDS[profile])
    [turn] = report.turns
    # The parrot waits for 600 ms of what it takes for silence, which begins before the last loud frame has ended.
    assert 300 < turn.latency_ms < 1000
    assert report.barge_ins == ()


@pytest.mark.parametrize("profile", ["video", "voice"])
@in_virtual_time
async def test_the_parrot_falls_silent_with_every_router_that_knows_clear(profile: str) -> None:
    async with testing.serve(parrot) as server, server.call(profile=profile) as talk:
        await talk.say("sample:he-was-not")
        barge_in = await talk.interrupt("sample:he-was-not", after_s=1.0)
        assert barge_in.latency_ms is not None
        assert barge_in.latency_ms <= 20.001
        assert barge_in.stale_ms == 0


@in_virtual_time
async def test_a_router_that_reads_no_text_hears_what_was_under_way_and_no_more() -> None:
    async with testing.serve(parrot) as server, server.call(profile="wsbridge") as talk:
        await talk.say("sample:he-was-not")
        await talk.until_speaking()
        await talk.say("sample:he-was-not")
        await talk.reply()
        report = await talk.hang_up()
    assert (report.texts_ignored, report.clears) == (2, 0)  # the clear, in two forms
    [barge_in] = report.barge_ins
    assert barge_in.clear_at_s is None
    assert barge_in.speech_to_silence_ms is not None
    assert barge_in.speech_to_silence_ms < 1000  # the lead, and what it takes to know a voice


@EVERY
@in_virtual_time
async def test_a_flush_is_understood_as_far_as_a_router_does(profile: str) -> None:
    answer = sawtooth(320 * 150)

    async def be_interrupted(client: AudioConnectorConnection, noted: Noted) -> None:
        async with client.speech() as speech:
            await speech.write(answer)
            await asyncio.sleep(1.0)
            await client.flush_buffer()
        noted.outcomes.append(await speech.finished())
        await asyncio.sleep(1.0)
        await saying(answer[: 640 * 50])(client, noted)

    app, heard = App(be_interrupted), bytearray()
    async with in_memory(app) as line:
        report = await line.call(profile=profile, silence="frames", tail_s=4.0, heard=heard.extend)
    assert (app.call.errors, app.call.failures, app.call.end) == ([], [], ENDS[profile])
    second = app.call.outcomes[1]
    assert isinstance(second, Played)
    assert second.played_ms == pytest.approx(1000)
    clears, ignored, others, acknowledged = {
        "video": (2, 0, (), 2),
        "wsbridge": (0, 2, (), 0),
        "voice": (1, 0, (CLEAR_FORMS["event"],), 1),
    }[profile]
    assert (report.clears, report.texts_ignored, report.other_texts) == (clears, ignored, others)
    assert sum(isinstance(event, Cleared) for event in app.call.events) == acknowledged
    # The lead of 200 ms is dropped, or played to its end where no clear is understood.
    first = report.frames_received - 50
    dropped = 0 if profile == "wsbridge" else 10
    assert report.playout.cleared_frames == pytest.approx(dropped, abs=1)
    assert sound_of(heard) == answer[: 640 * (first - report.playout.cleared_frames)] + answer[: 640 * 50]
    assert report.is_clean, report.problems


@EVERY
@in_virtual_time
async def test_a_notify_comes_back_when_the_audio_before_it_was_heard_or_never(profile: str) -> None:
    answered_after: list[float] = []

    async def ask(client: AudioConnectorConnection, noted: Noted) -> None:
        begun = asyncio.get_running_loop().time()
        async with client.speech() as speech:
            await speech.write(sawtooth(320 * 50))
        await asyncio.sleep(0.1)  # until the first message has come, nothing is sent
        await client.send_json_packet({"action": "notify", "payload": {"mark": 1}})
        for _ in range(200):
            await asyncio.sleep(0.01)
            if not answered_after and any(isinstance(event, Notified) for event in noted.events):
                answered_after.append(asyncio.get_running_loop().time() - begun)

    app = App(ask)
    async with in_memory(app) as line:
        report = await line.call(profile=profile, tail_s=3.0)
    answers = [event.payload for event in app.call.events if isinstance(event, Notified)]
    assert answers == ([{"mark": 1}] if profile == "voice" else [])
    assert (report.notifies, report.texts_ignored) == ((0, 1) if profile == "wsbridge" else (1, 0))
    # The text overtakes what waits in our queue, and not what was sent: 100 ms, and 200 ms of lead.
    assert answered_after == ([pytest.approx(0.32, abs=0.05)] if profile == "voice" else [])


# Servers that are not clean.


def bad(*messages: bytes | str) -> Any:
    """A server that says this, and then nothing."""

    async def say(connection: ServerConnection, seen: Seen) -> None:
        for message in messages:
            await connection.send(message)
        async for message in connection:
            seen.note(message)

    return say


async def heard_from(profile: str, *messages: bytes | str, tail_s: float = 0.3) -> tuple[CallReport, bytes]:
    heard = bytearray()
    async with foreign_servers(bad(*messages)) as (url, _), Router() as router:
        call = RouterCall(url=url, profile=profile, tail_s=tail_s, heard=heard.extend, silence="none")
        report = await asyncio.wait_for(router.run(call), 20)
    return report, sound_of(heard)


FRAMES = [sawtooth(320, start=320 * number) for number in range(6)]


async def test_video_cuts_what_is_too_long_and_drops_what_is_too_short() -> None:
    report, heard = await heard_from(
        "video", FRAMES[0], FRAMES[1] + FRAMES[2], FRAMES[3][:638], b"", FRAMES[4] + b"!", FRAMES[5]
    )
    assert heard == FRAMES[0] + FRAMES[1] + FRAMES[4] + FRAMES[5]
    assert report.playout.wrong_size_messages == 4
    assert report.playout.wrong_size_lost_bytes == 640 + 638 + 0 + 1
    assert report.problems[0] == "4 messages of a wrong size, 1279 bytes lost"
    assert (report.close_code, report.closed_by, report.router_ended) == (1000, "us", None)


async def test_wsbridge_cuts_what_is_too_long_and_appends_what_is_too_short() -> None:
    report, heard = await heard_from(
        "wsbridge",
        FRAMES[0] + FRAMES[1],
        FRAMES[2][:200],
        FRAMES[2][200:],
        FRAMES[3],
        FRAMES[4][:320],
        FRAMES[4][320:],
    )
    assert heard == FRAMES[0] + FRAMES[2] + FRAMES[3] + FRAMES[4]
    assert (report.playout.wrong_size_messages, report.playout.wrong_size_lost_bytes) == (5, 640)
    assert (report.close_code, report.router_ended) == (1006, None)


async def test_at_wsbridge_an_odd_byte_shifts_every_later_sample() -> None:
    """What was a voice is noise: each sample is made of halves of two (PROTOCOL 4.7)."""
    speech = real_speech()[640 * 20 : 640 * 40]
    heard = bytearray()
    async with foreign_servers(bad(b"\x7f", *frames_of(speech, 640))) as (url, _), Router() as router:
        report = await router.run(RouterCall(url=url, profile="wsbridge", tail_s=0.6, heard=heard.extend))
    shifted = b"\x7f" + speech[: 640 * 20 - 1]
    assert sound_of(heard) == sound_of(shifted)
    assert report.playout.wrong_size_messages == 1
    assert report.playout.wrong_size_lost_bytes == 0  # nothing is lost, and all of it is spoilt
    loudness = [
        np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2").astype(float)))) for pcm in (speech, shifted)
    ]
    assert loudness[1] > 5 * loudness[0]


@pytest.mark.parametrize(
    ("size", "transport"), [(638, "binary"), (642, "binary"), (0, "binary"), (1280, "binary"), (320, "json")]
)
@in_virtual_time
async def test_voice_ends_the_call_for_any_other_size(size: int, transport: Any) -> None:
    """And says why; the server sees 1006, as one user has reported (PROTOCOL 4.8)."""
    messages = (FRAMES[0], sawtooth(size // 2), FRAMES[1])
    async with badly_served(*messages, transport=transport) as (url, router, ends):
        call = RouterCall(
            url=url, profile="voice", tail_s=60.0, audio_transport=AudioTransport(transport=transport)
        )
        report = await router.run(call)
    why = f"the router ended the call: a message of {size} bytes; it takes frames of 640 (PROTOCOL 4.8)"
    assert report.router_ended == why
    assert report.problems[-1] == report.how_it_broke == why
    assert report.duration_s < 0.1
    assert not report.hung_up
    assert [closed.code for closed in ends] == [1006]


@in_virtual_time
async def test_at_8_khz_the_frame_is_another_one() -> None:
    async with badly_served(sawtooth(320)) as (url, router, _):
        reports = {
            profile: await router.run(RouterCall(url=url, profile=profile, rate_hz=8000, tail_s=0.3))
            for profile in PROFILES
        }
    assert {
        profile: report.playout.wrong_size_lost_bytes for profile, report in reports.items()
    } == dict.fromkeys(PROFILES, 320)
    assert reports["voice"].router_ended is not None
    assert reports["voice"].router_ended.startswith(
        "the router ended the call: a message of 640 bytes; it takes frames of 320"
    )


class Burster:
    """A server in memory that sends all it has as soon as it is called, whatever comes of it."""

    def __init__(self, messages: Sequence[bytes], closed: list[Closed]) -> None:
        self._messages = messages
        self._closed = closed

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        for message in self._messages:
            transport.send_audio(message)

    def on_audio(self, payload: bytes) -> None: ...
    def on_text(self, text: str) -> None: ...
    def on_pong(self, payload: bytes) -> None: ...
    def on_writable(self, writable: bool) -> None: ...

    def on_closed(self, closed: Closed) -> None:
        self._closed.append(closed)


@asynccontextmanager
async def badly_served(
    *messages: bytes, transport: Any = "binary"
) -> AsyncIterator[tuple[str, Router, list[Closed]]]:
    """A bad server in virtual time, a router to call it, and how its connections ended."""
    ends: list[Closed] = []

    def accept(_: object) -> Receiver:
        burster = Burster(messages, ends)
        if transport == "binary":
            return burster
        return JsonAudio(
            burster,
            AudioTransport(transport="json"),
            role="server",
            on_fault=lambda fault: pytest.fail(str(fault)),
        )

    loop = asyncio.get_running_loop()
    listening = await listen(
        accept, host="127.0.0.1", port=0, ssl_context=None, limits=WireLimits(), handshake_timeout_s=5.0
    )
    async with Router(dial=dial, clock=loop.time) as router:
        yield f"ws://127.0.0.1:{listening.address[1]}", router, ends
    listening.stop()


@pytest.mark.parametrize(("profile", "bound"), [("video", 3000), ("voice", 3072)])
@in_virtual_time
async def test_a_burst_beyond_the_buffer_is_dropped_at_its_end(profile: str, bound: int) -> None:
    """The newest frames are (PROTOCOL 4.12); one more than the bound fits, because the first plays at once."""
    frames = [struct.pack("<H", 1 + number) * 320 for number in range(bound + 50)]
    heard = bytearray()
    async with badly_served(*frames) as (url, router, _):
        report = await router.run(RouterCall(url=url, profile=profile, tail_s=63.0, heard=heard.extend))
    assert sound_of(heard) == b"".join(frames[: bound + 1])
    playout = report.playout
    assert (playout.overflow_frames, playout.deepest_ms, playout.played_frames) == (49, bound * 20, bound + 1)
    assert (report.overflow_ms, report.frames_received) == (980, bound + 50)
    assert report.problems == ("49 frames dropped because the playout buffer was full",)


@in_virtual_time
async def test_a_burst_at_wsbridge_waits_outside_and_overflows_in_the_end() -> None:
    """It reads twice as fast as it plays, so its 1,024 frames are full when 2,048 have come (PROTOCOL 4.14)."""
    frames = [struct.pack("<H", 1 + number) * 320 for number in range(2400)]
    heard = bytearray()
    async with badly_served(*frames) as (url, router, _):
        report = await router.run(RouterCall(url=url, profile="wsbridge", tail_s=50.0, heard=heard.extend))
    playout = report.playout
    assert playout.deepest_ms == 1024 * 20
    assert (playout.underruns, report.frames_received) == (0, 2400)
    # From then on every other frame finds no room; the last ones come at 24 s.
    assert playout.overflow_frames == pytest.approx((2400 - 2 * 1024) / 2, abs=3)
    assert sound_of(heard).startswith(b"".join(frames[:2000]))


@in_virtual_time
async def test_our_server_sends_a_minute_ahead_and_waits_for_wsbridge() -> None:
    """With a lead of a minute it sends all it has; the router's pace is felt, and nothing is lost or given up."""
    answer = sawtooth(320 * 1000)
    app, heard = App(saying(answer)), bytearray()
    async with in_memory(app, playback={"lead_ms": 60_000}) as line:
        report = await line.call(profile="wsbridge", tail_s=25.0, heard=heard.extend)
    assert report.is_clean, report.problems
    assert sound_of(heard) == answer
    assert 9_000 < report.playout.deepest_ms <= 10_020  # of 20 s, half was played while it was read
    assert app.call.errors == []
    assert app.call.client.statistics().stalls >= 1


async def test_the_throttle_of_wsbridge_makes_a_bursting_server_wait() -> None:
    """Measured where a user feels it: at the server's send."""
    taken: dict[str, float] = {}

    async def burst(connection: ServerConnection) -> None:
        begun = time.monotonic()
        for _ in range(200):
            await connection.send(FRAMES[0])
        assert connection.request is not None
        taken[connection.request.path] = time.monotonic() - begun
        await connection.wait_closed()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else the kernel takes megabytes, and nobody waits (PROTOCOL 1.26).
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        async with serve(burst, sock=listening, compression=None, write_limit=4096), Router() as router:
            video, wsbridge = await asyncio.gather(
                router.run(RouterCall(url=f"{url}/video", tail_s=2.3, silence="none")),
                router.run(RouterCall(url=f"{url}/wsbridge", profile="wsbridge", tail_s=2.3)),
            )
    assert video.frames_received == wsbridge.frames_received == 200
    assert taken["/video"] < 0.5
    # 128 kB at 64 kB/s take 2 s; the kernels, the library and the router hold up to 90 kB of it.
    assert 0.5 < taken["/wsbridge"] < 2.2
    assert video.playout.deepest_ms > 3500
    assert 1500 < wsbridge.playout.deepest_ms <= 2020


async def test_wsbridge_reads_no_text() -> None:
    texts = [*CLEAR_FORMS.values(), '{"action":"notify","payload":1}', "hello"]
    report, heard = await heard_from("wsbridge", *FRAMES, *texts)
    assert heard == joined(FRAMES)
    assert (report.texts_received, report.texts_ignored) == (5, 5)
    assert (report.clears, report.notifies, report.other_texts) == (0, 0, ())
    assert report.events_sent == ("Connected", "Disconnected")


async def test_voice_obeys_one_form_of_clear_and_answers_notifies() -> None:
    notify = '{"action":"notify","payload":{"n":1}}'
    report, heard = await heard_from(
        "voice", *FRAMES, CLEAR_FORMS["event"], CLEAR_FORMS["legacy"], notify, tail_s=0.4
    )
    assert heard == joined(FRAMES)
    assert (report.clears, report.notifies) == (0, 1)
    assert report.other_texts == (CLEAR_FORMS["event"], CLEAR_FORMS["legacy"])
    assert report.events_sent == ("Connected", "Notified", "Disconnected")
    report, heard = await heard_from("voice", *FRAMES, notify, CLEAR_FORMS["action"])
    assert report.clears == 1
    assert report.events_sent == ("Connected", "Cleared", "Disconnected")  # what was cleared is never played
    assert heard == FRAMES[0]


@EVERY
@in_virtual_time
async def test_the_last_frame_of_a_speech_is_padded_and_no_message_is_odd(profile: str) -> None:
    """A tail that is no frame ends a call at the Voice API (PROTOCOL 4.8)."""
    pcm = sawtooth(321)
    app, heard = App(saying(pcm)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            profile=profile, tail_s=0.5, heard=heard.extend, steps=[Step(at_s=0.1, dtmf="1")]
        )
    assert report.is_clean, report.problems
    assert (report.frames_received, sound_of(heard)) == (2, pcm)
    assert len(padded(pcm, 640)) == 1280
