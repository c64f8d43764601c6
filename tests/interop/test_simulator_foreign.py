# SPDX-License-Identifier: Apache-2.0
"""The simulated router against servers of another library, websockets, so that it does not only agree with ours."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import pytest
from support.foreign_server import Seen, foreign_servers, listen, raw_server
from support.serving import sawtooth
from websockets.asyncio.server import ServerConnection

from audio_connector.simulator import (
    PROFILES,
    Impairments,
    LiveCall,
    Router,
    RouterCall,
    Step,
    run_calls,
    sample_speech,
)
from audio_connector.wire.audio_transport import AudioTransport

pytestmark = pytest.mark.programs  # calls in real time

FRAME = b"\x01\x02" * 320

BUSY_S = 0.08
"""How late a message may be on loopback while the machine does something else; what is measured is far longer."""


async def run(call: RouterCall, **options: Any) -> Any:
    async with Router() as router:
        return await asyncio.wait_for(router.run(call, **options), 20)


# A call as it is.


async def test_a_foreign_echo_gives_back_every_frame() -> None:
    speech = sample_speech()[640 * 20 : 640 * 40]
    heard = bytearray()
    async with foreign_servers() as (url, all_seen):
        call = RouterCall(
            url=f"{url}/room/1?lang=en",
            speech=speech,
            tail_s=0.2,
            silence="none",
            headers={"caller": "Ann"},
            heard=heard.extend,
        )
        report = await run(call)
    [seen] = all_seen
    assert seen.path == "/room/1?lang=en"
    assert seen.headers["x-opentok-ws-sessionid"] == call.session_id
    assert seen.headers["x-opentok-ws-connectionid"] == call.connection_id
    assert seen.headers["x-opentok-ws-conferenceid"] == call.conference_id
    assert seen.headers["caller"] == "Ann"
    assert b"".join(seen.audio) == speech
    assert {len(message) for message in seen.audio} == {640}
    first, last = seen.texts[0], seen.texts[-1]
    assert first[0] == " "
    assert json.loads(first)["content-type"] == "audio/l16;rate=16000"
    assert json.loads(first)["caller"] == "Ann"
    assert json.loads(last)["event"] == "websocket:disconnected"
    assert seen.close_code == 1000
    assert report.frames_received == 20
    assert report.playout.wrong_size_messages == 0
    assert (report.close_code, report.closed_by, report.hung_up) == (1000, "us", True)
    # An echo has no lead, so jitter may leave holes; the samples are all there nevertheless.
    assert bytes(heard).replace(b"\0\0", b"") == speech.replace(b"\0\0", b"")


async def test_twenty_calls_at_once_lose_nothing() -> None:
    speech = sample_speech()[: 640 * 15]
    async with foreign_servers() as (url, _):
        calls = [RouterCall(url=url, speech=speech, tail_s=0.3, silence="none") for _ in range(20)]
        reports = await run_calls(calls, ramp_s=0.2)
    assert [report.frames_received for report in reports] == [15] * 20
    assert {report.close_code for report in reports} == {1000}


async def test_wrong_sizes_are_counted() -> None:
    async def sloppy(connection: ServerConnection, seen: Seen) -> None:
        await connection.send(FRAME + b"12")
        await connection.send(FRAME[:100])
        await connection.wait_closed()

    async with foreign_servers(sloppy) as (url, _):
        report = await run(RouterCall(url=url, tail_s=0.2))
    assert report.problems == ("2 messages of a wrong size, 102 bytes lost",)


@pytest.mark.parametrize(
    ("profile", "close_code", "announced"),
    [("video", 1000, True), ("wsbridge", 1006, True), ("voice", 1000, True)],
)
async def test_how_each_router_ends_a_call(profile: str, close_code: int, announced: bool) -> None:
    async with foreign_servers(listen) as (url, all_seen):
        report = await run(RouterCall(url=url, profile=profile, tail_s=0.1))
    [seen] = all_seen
    assert seen.close_code == close_code
    assert (json.loads(seen.texts[-1])["event"] == "websocket:disconnected") is announced
    assert report.is_clean
    assert ("x-opentok-ws-sessionid" in seen.headers) is (profile == "video")
    assert (seen.headers.get("sec-websocket-protocol") == "WSBRIDGE") is (profile == "wsbridge")


async def test_an_abrupt_end_is_1006_on_the_other_side() -> None:
    async with foreign_servers(listen) as (url, all_seen):
        await run(RouterCall(url=url, speech=FRAME, tail_s=0.0, close="abrupt"))
    assert all_seen[0].close_code == 1006
    assert len(all_seen[0].texts) == 1


async def test_a_server_that_hangs_up_ends_the_call() -> None:
    async def leave(connection: ServerConnection, seen: Seen) -> None:
        await connection.recv()
        await connection.close(1001, "going away")

    async with foreign_servers(leave) as (url, _):
        report = await run(RouterCall(url=url, tail_s=60.0))
    assert (report.close_code, report.close_reason, report.closed_by) == (1001, "going away", "peer")
    assert not report.hung_up
    assert report.problems == (
        "the server ended the call before it was over: 1001 'going away' (--allow-hangup, where it may)",
    )


# Steps, as they cross the wire.


async def test_every_step_is_on_the_wire_as_it_was_written() -> None:
    steps = [
        Step(at_s=0.04, dtmf="5", duration_ms=260),
        Step(at_s=0.06, notify={"mark": 1}),
        Step(at_s=0.08, notify=None),
        Step(at_s=0.10, stream="created"),
        Step(at_s=0.12, stream="destroyed"),
        Step(at_s=0.14, event={"event": "websocket:hangup", "why": ["\N{SNOWMAN}", None]}),
        Step(at_s=0.16, text="\N{SNOWMAN} verbatim\n"),
        Step(at_s=0.18, mute=True, for_s=0.06),
        Step(at_s=0.26, garbage="not-json"),
        Step(at_s=0.28, garbage="empty"),
        Step(at_s=0.30, garbage="odd-audio"),
    ]
    async with foreign_servers(listen) as (url, all_seen):
        call = RouterCall(url=url, steps=steps, tail_s=0.04, silence="none", headers={"n": "1"})
        report = await run(call)
    [seen] = all_seen
    assert seen.messages == [
        ' {"content-type":"audio/l16;rate=16000","event":"websocket:connected","n":"1"}',
        ' {"event":"websocket:dtmf","digit":"5","duration":260}',
        ' {"event":"websocket:notify","payload":{"mark":1}}',
        ' {"event":"websocket:notify","payload":null}',
        f' {{"event":"websocket:stream:created","streamId":"{call.connection_id}"}}',
        f' {{"event":"websocket:stream:destroyed","streamId":"{call.connection_id}"}}',
        ' {"event":"websocket:hangup","why":["\\u2603",null]}',
        "\N{SNOWMAN} verbatim\n",
        ' {"event":"websocket:media:update","method":"update","active":false}',
        ' {"event":"websocket:media:update","method":"update","active":true}',
        ' {"event": websocket:garbage',
        b"",
        b"\x01" * 641,
        ' {"event":"websocket:disconnected","method":"delete"}',
    ]
    at = [moment - seen.times[0] for moment in seen.times]
    due = [0, *(step.at_s or 0.0 for step in steps[:8]), 0.24, 0.26, 0.28, 0.30, 0.34]
    assert all(-0.005 <= came - planned <= BUSY_S for came, planned in zip(at, due, strict=True)), at
    assert report.bytes_sent == sum(len(message) for message in seen.messages)


async def test_muted_and_silent_there_are_no_frames() -> None:
    steps = [Step(at_s=0.1, mute=True, for_s=0.2), Step(at_s=0.5, silence=True, for_s=0.2)]
    speech = sawtooth(320 * 20)
    async with foreign_servers(listen) as (url, all_seen):
        report = await run(RouterCall(url=url, speech=speech, steps=steps, tail_s=0.2))
    [seen] = all_seen
    silence = bytes(640)
    # 5 frames, 10 muted and gone, 5 more, 5 of silence, 10 that are not sent, 10 of silence.
    said = [speech[at : at + 640] for at in range(0, len(speech), 640)]
    assert seen.audio == [*said[:5], *said[15:20], *[silence] * 5, *[silence] * 10]
    assert (report.frames_sent, report.speech_frames_sent) == (25, 10)


@pytest.mark.parametrize(
    ("garbage", "code", "reason"),
    [
        ("bad-utf8", 1007, "invalid start byte at position 0"),
        ("bad-frame", 1002, "invalid opcode"),
        ("oversized", 1009, "frame with 2097152 bytes exceeds limit of 1048576 bytes"),
    ],
)
async def test_a_foreign_server_finds_the_garbage_bad(garbage: Any, code: int, reason: str) -> None:
    async with foreign_servers(listen) as (url, _):
        report = await run(RouterCall(url=url, steps=[Step(at_s=0.1, garbage=garbage)], tail_s=60.0))
    assert (report.close_code, report.closed_by, report.hung_up) == (code, "peer", False)
    assert report.close_reason == reason
    # Frames that wait behind the two megabytes may be dropped before the server has found them too many.
    assert report.problems[-1] == f"the connection broke in the middle of the call: {code} {reason!r}"
    assert len(report.problems) == 1 or garbage == "oversized"


async def test_the_bytes_on_the_wire_are_those_of_rfc_6455() -> None:
    """Read by hand; what is put beside the frames stands between them, and nothing overtakes it."""
    steps = [
        Step(at_s=0.02, garbage="bad-utf8"),
        Step(at_s=0.04, garbage="bad-frame"),
        Step(at_s=0.06, hang_up=True),
    ]
    async with raw_server() as (url, seen):
        await run(RouterCall(url=url, speech=sawtooth(960), steps=steps, close="goodbye", headers={"a": "b"}))
    lines = seen.request.decode().split("\r\n")
    assert lines[0] == "GET / HTTP/1.1"
    assert "a: b" in lines
    kinds = [(frame.first, frame.payload) for frame in seen.frames]
    speech = sawtooth(960)
    assert kinds == [
        (0x81, b' {"content-type":"audio/l16;rate=16000","event":"websocket:connected","a":"b"}'),
        (0x82, speech[:640]),
        (0x81, b"\xff\xfe\xfd"),
        (0x82, speech[640:1280]),
        (0x83, b"?"),
        (0x82, speech[1280:]),
        (0x81, b' {"event":"websocket:disconnected","method":"delete"}'),
    ]


async def test_a_reconnect_is_a_second_connection_with_the_same_ids() -> None:
    async with foreign_servers(listen) as (url, all_seen):
        call = RouterCall(
            url=url,
            speech=sawtooth(320 * 30),
            steps=[Step(at_s=0.2, reconnect_s=0.2)],
            tail_s=0.1,
            allow_silence=True,
        )
        report = await run(call)
    first, second = all_seen
    assert first.close_code == 1006
    assert second.close_code == 1000
    ids = [name for name in first.headers if name.startswith("x-opentok-ws-")]
    assert len(ids) == 3
    assert [first.headers[name] for name in ids] == [second.headers[name] for name in ids]
    assert first.texts == second.texts[:1]
    assert 0.15 < second.begun_at - first.ended_at < 0.2 + BUSY_S
    # What was said meanwhile is lost, and the rest is where it belongs.
    said = [call.speech[at : at + 640] for at in range(0, len(call.speech), 640)]  # type: ignore[index,arg-type]
    assert first.audio == said[:10]
    lost = said.index(second.audio[0]) - 10
    assert 9 <= lost <= 10 + round(BUSY_S * 50)
    assert second.audio == [*said[10 + lost :], *[bytes(640)] * 5]
    assert (report.reconnects, report.frames_sent, report.is_clean) == (1, 35 - lost, True)


# Audio in JSON.


async def test_in_json_the_messages_are_those_of_the_documentation() -> None:
    body = {
        "transport": "json", "encoding": "base64", "audio_field": "up", "receive_audio_field": "down",
        "static_fields": {"kind": "audio", "n": 1},
    }  # fmt: skip
    speech = sawtooth(320 * 20)

    async def echo_in_json(connection: ServerConnection, seen: Seen) -> None:
        async for message in connection:
            seen.note(message)
            assert isinstance(message, str)
            values = json.loads(message)
            if "up" in values:
                pcm = base64.b64decode(values.pop("up"), validate=True)
                assert values == {"kind": "audio", "n": 1}
                seen.audio.append(pcm)
                await connection.send(
                    json.dumps({"down": base64.b64encode(pcm).decode(), "other": [1]}, indent=1)
                )

    heard = {profile: bytearray() for profile in PROFILES}
    async with foreign_servers(echo_in_json) as (url, all_seen):
        calls = [
            RouterCall(
                url=url,
                profile=profile,
                speech=speech,
                silence="none",
                tail_s=0.3,
                audio_transport=AudioTransport.of(body),
                heard=heard[profile].extend,
            )
            for profile in PROFILES
        ]
        reports = await run_calls(calls)
    for seen, report in zip(all_seen, reports, strict=True):
        assert b"".join(seen.audio) == speech
        assert bytes(heard[report.profile]).replace(b"\0\0", b"") == speech
        assert (report.frames_received, report.bad_audio_messages) == (20, 0)
        assert report.playout.wrong_size_messages == 0


async def test_binary_audio_of_a_server_that_should_send_json_is_not_played() -> None:
    async def wrong(connection: ServerConnection, seen: Seen) -> None:
        await connection.send(FRAME)
        await connection.send(json.dumps({"audio": "not base64"}))
        await connection.send(json.dumps({"payload": base64.b64encode(FRAME).decode()}))
        await connection.wait_closed()

    async with foreign_servers(wrong) as (url, _):
        report = await run(RouterCall(url=url, audio_transport=AudioTransport(transport="json"), tail_s=0.2))
    assert report.frames_received == 0
    assert report.problems == (
        "2 messages of audio that is not in JSON, as this call's is; is the server's audio_transport binary?",
    )
    assert report.trace is not None
    assert [event.detail[:60] for event in report.trace.events if event.name == "bad audio"] == [
        "got a binary message of 640 bytes as audio; expected base64 ",
        "got 'not base64' of 10 characters, which is not base64, as a",
    ]


# Figures, against a server whose times are known.


class Origin:
    """When a call began, on the clock that server and simulator share."""

    def __init__(self) -> None:
        self.at = 0.0

    def note(self, live: LiveCall) -> None:
        self.at = time.monotonic() - live.now_s


async def test_the_latency_of_a_turn_is_the_servers() -> None:
    """The server answers 0.4 s after the last word; 20 ms of that are the length of the last frame."""
    replied_at = 0.0

    async def answer(connection: ServerConnection, seen: Seen) -> None:
        nonlocal replied_at
        async for message in connection:
            seen.note(message)
            if isinstance(message, bytes) and len(seen.audio) == 25:
                await asyncio.sleep(0.42)
                replied_at = time.monotonic()
                for _ in range(10):
                    await connection.send(FRAME)

    origin = Origin()
    async with foreign_servers(answer) as (url, _):
        call = RouterCall(url=url, speech=FRAME * 25, silence="none", tail_s=0.7)
        report = await run(call, on_start=origin.note)
    [turn] = report.turns
    assert turn.speech_end_s == pytest.approx(0.5)  # by the frames' plan, whatever the machine does
    assert turn.latency_ms == pytest.approx(400, abs=BUSY_S * 1000)
    # And against the server's own clock: what lies between is one message on loopback.
    assert 0 <= turn.reply_at_s - (replied_at - origin.at) < BUSY_S
    assert report.first_audio_delay_ms == pytest.approx((turn.reply_at_s) * 1000, abs=BUSY_S * 1000)
    assert report.barge_ins == ()


async def test_a_barge_in_is_measured_by_what_the_server_did() -> None:
    """It says three seconds at once, clears 0.1 s after the first word, and sends as many frames as the path says."""
    cleared_at: dict[str, float] = {}

    async def talk(connection: ServerConnection, seen: Seen) -> None:
        for _ in range(150):
            await connection.send(FRAME)
        async for message in connection:
            if isinstance(message, bytes) and seen.path not in cleared_at:
                await asyncio.sleep(0.1)
                cleared_at[seen.path] = time.monotonic()
                await connection.send('{"action":"clear"}')
                for _ in range(int(seen.path[1:])):
                    await connection.send(FRAME)

    async with foreign_servers(talk) as (url, _), Router() as router:

        async def measure(stale_frames: int) -> None:
            origin = Origin()
            steps = [Step(at_s=0.4, say=FRAME * 10)]
            call = RouterCall(url=f"{url}/{stale_frames}", steps=steps, silence="none", tail_s=0.6)
            report = await router.run(call, on_start=origin.note)
            [barge_in] = report.barge_ins
            assert barge_in.speech_at_s == pytest.approx(0.4)
            assert barge_in.clear_at_s is not None
            assert 0 <= barge_in.clear_at_s - (cleared_at[f"/{stale_frames}"] - origin.at) < BUSY_S
            assert barge_in.clear_at_s == pytest.approx(0.5, abs=BUSY_S)
            # To the end of the frame that was playing, and of what came late; both by the buffer's own clock.
            assert barge_in.latency_ms is not None
            assert stale_frames * 20 <= barge_in.latency_ms <= 20 + stale_frames * 20 + 0.001
            assert barge_in.stale_ms == report.stale_ms == stale_frames * 20
            playout = report.playout
            assert barge_in.dropped_ms == playout.cleared_frames * 20
            assert playout.played_frames + playout.cleared_frames == 150 + stale_frames
            assert playout.deepest_ms <= 2980
            assert (report.clears, report.events_sent[1]) == (1, "Cleared")

        await asyncio.gather(measure(0), measure(5))


async def test_jitter_is_that_of_the_servers_sending() -> None:
    """Frames in pairs, a pair per 40 ms: each is 20 ms off its time, by turns early and late."""

    async def pairs(connection: ServerConnection, seen: Seen) -> None:
        begun = time.monotonic()
        for number in range(20):
            await asyncio.sleep(max(0.0, begun + number * 0.04 - time.monotonic()))
            await connection.send(FRAME)
            await connection.send(FRAME)
        await connection.wait_closed()

    async with foreign_servers(pairs) as (url, _):
        report = await run(RouterCall(url=url, tail_s=0.9, silence="none"))
    # 1 - (15/16) ** 39 of 20 ms; a machine that is busy only adds.
    assert 17 < report.jitter_ms < 20 + BUSY_S * 1000
    assert report.playout.deepest_ms >= 20


async def test_a_clear_is_acknowledged_late_or_not_at_all() -> None:
    async def clear(connection: ServerConnection, seen: Seen) -> None:
        seen.note(str(await connection.recv()))
        await connection.send('{"action":"clear"}')
        async for message in connection:
            seen.note(message)

    async with foreign_servers(clear) as (url, all_seen):
        kinds: dict[str, Any] = {"/late": 300, "/missing": "missing", "/prompt": "prompt"}
        calls = [
            RouterCall(
                url=url + path, tail_s=0.5, silence="none", impairments=Impairments(clear_ack=clear_ack)
            )
            for path, clear_ack in kinds.items()
        ]
        await run_calls(calls)
    late, missing, prompt = sorted(all_seen, key=lambda seen: seen.path)
    assert [json.loads(text)["event"] for text in late.texts[1:]] == [
        "websocket:cleared",
        "websocket:disconnected",
    ]
    assert 0.29 < late.times[1] - late.times[0] < 0.3 + BUSY_S
    assert [json.loads(text)["event"] for text in missing.texts[1:]] == ["websocket:disconnected"]
    assert prompt.times[1] - prompt.times[0] < BUSY_S
