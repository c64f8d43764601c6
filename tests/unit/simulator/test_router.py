# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.disk import full_disk
from support.stage import about

from audio_connector.audio.wav import read_wav
from audio_connector.errors import AudioFileError, DialError
from audio_connector.simulator import (
    PROFILES,
    Impairments,
    LiveCall,
    Router,
    RouterCall,
    Step,
    TraceEvent,
    run_calls,
)
from audio_connector.testing.virtual_time import in_virtual_time, run_in_virtual_time
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.network import DIAL, DialOptions
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Receiver, Transport, Upgrade

FRAME = b"\x01\x02" * 320
URL = "ws://127.0.0.1:1/"
TEXTS = [
    '{"audio":"AAAAAA=="}',
    '{"audio":"AAAA"}',  # half a sample, so no audio after all
    '{"action":"clear"}',
    '{"event":"websocket:cleared","audio":"AAAAAA=="}',
    '{"audio":7}',
    "[1]",
]


class EchoTransport:
    """A socket whose other end echoes at once."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.write_buffer_bytes = 0
        self.is_closing = False
        self.closed_by: ClosedBy = "network"
        self.received: list[bytes] = []
        self.texts: list[str] = []

    def send_audio(self, frame: bytes) -> None:
        self.received.append(frame)
        self.receiver.on_audio(frame)

    def send_text(self, text: str) -> None:
        self.texts.append(text)
        if "chunk" in text:
            self.receiver.on_text(text)

    def send_ping(self, payload: bytes = b"") -> None:
        pass

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._end(Closed(code=code, reason=reason, closed_by="us"))

    def abort(self) -> None:
        self._end(Closed(code=1006, reason="", closed_by="network"))

    def reset(self) -> None:
        self.abort()

    def disown(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write_raw(self, data: bytes) -> None:
        pass

    def _end(self, closed: Closed) -> None:
        if not self.is_closing:
            self.is_closing = True
            asyncio.get_running_loop().call_soon(self.receiver.on_closed, closed)


class EchoDial:
    """Dials the echo; refuses URLs that end in /refused."""

    def __init__(self) -> None:
        self.headers: list[Sequence[tuple[str, str]]] = []
        self.transports: list[EchoTransport] = []

    async def __call__(self, url: str, receiver: Receiver, options: DialOptions = DIAL) -> Transport:
        if url.endswith("/refused"):
            raise DialError(f"{url} cannot be reached: Connection refused")
        self.headers.append(options.headers)
        transport = EchoTransport(receiver)
        self.transports.append(transport)
        upgrade = Upgrade(
            path="/", query="", headers=Headers(), remote_address=("127.0.0.1", 1), secure=False
        )
        receiver.on_open(transport, upgrade)
        return transport


async def test_a_call_runs_from_dial_to_close_and_records_both_sides(tmp_path: Path) -> None:
    dial = EchoDial()
    started: list[LiveCall] = []
    call = RouterCall(
        url=URL, speech=FRAME * 3, tail_s=0.02, heard=tmp_path / "heard.wav", spoken=tmp_path / "spoken.wav"
    )
    async with Router(dial=dial) as router:
        report = await router.run(call, on_start=started.append)
    assert dial.headers == [call.upgrade_headers()]
    assert [live.call for live in started] == [call]
    assert (report.frames_sent, report.frames_received, report.close_code) == (4, 4, 1000)
    assert report.hung_up
    spoken, rate_hz = read_wav(tmp_path / "spoken.wav")
    assert (spoken, rate_hz) == (FRAME * 3 + bytes(640), 16000)
    heard, _ = read_wav(tmp_path / "heard.wav")
    assert heard.count(FRAME) == 3


async def test_a_server_that_cannot_be_reached_raises_from_run_and_is_reported_by_run_calls() -> None:
    refused = RouterCall(url=URL + "refused", speech=FRAME)
    good = RouterCall(url=URL, speech=FRAME, tail_s=0.0)
    async with Router(dial=EchoDial()) as router:
        with pytest.raises(DialError, match="refused"):
            await router.run(refused)
    reports = await run_calls([refused, good], dial=EchoDial())
    assert [report.error is None for report in reports] == [False, True]
    assert reports[0].problems == (reports[0].error,)
    assert reports[0].connection_id == refused.connection_id
    assert reports[1].is_clean


async def test_speech_that_cannot_be_read_fails_before_anything_is_dialled(tmp_path: Path) -> None:
    dial = EchoDial()
    with pytest.raises(AudioFileError):
        await run_calls([RouterCall(url=URL), RouterCall(url=URL, speech=tmp_path / "no.wav")], dial=dial)
    assert dial.headers == []


async def test_a_recording_that_fails_ends_its_own_call_with_that_error() -> None:
    def full(pcm: bytes) -> None:
        raise OSError(28, "No space left on device")

    dial = EchoDial()
    async with Router(dial=dial) as router:
        other = asyncio.ensure_future(router.run(RouterCall(url=URL, speech=FRAME * 3, tail_s=0.0)))
        with pytest.raises(OSError, match="No space"):
            await router.run(RouterCall(url=URL, speech=FRAME, tail_s=100.0, spoken=full))
        report = await other
    assert all(transport.is_closing for transport in dial.transports)
    assert report.frames_sent == 3


@pytest.mark.parametrize("left_bytes", [10, 50], ids=["at its beginning", "at its end"])
async def test_a_recording_that_the_disk_refuses_is_said_with_its_name(
    tmp_path: Path, left_bytes: int
) -> None:
    call = RouterCall(url=URL, speech=FRAME, tail_s=0.0, spoken=tmp_path / "spoken.wav")
    with (
        full_disk(left_bytes),
        pytest.raises(AudioFileError, match=r"cannot write '.*spoken\.wav': File too large"),
    ):
        await run_calls([call], dial=EchoDial())


async def test_a_cancelled_call_drops_its_connection() -> None:
    dial = EchoDial()
    async with Router(dial=dial) as router:
        task = asyncio.ensure_future(router.run(RouterCall(url=URL, tail_s=100.0)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert dial.transports[0].is_closing


async def test_many_calls_keep_their_order() -> None:
    calls = [RouterCall(url=URL, speech=FRAME, tail_s=0.0) for _ in range(20)]
    reports = await run_calls(calls, dial=EchoDial(), ramp_s=0.02)
    assert [report.connection_id for report in reports] == [call.connection_id for call in calls]
    assert all(report.frames_received == 1 for report in reports)


async def test_no_calls_are_no_reports() -> None:
    assert await run_calls([], dial=EchoDial()) == []


# In virtual time.


@asynccontextmanager
async def routing(dial: EchoDial) -> AsyncIterator[Router]:
    """A router that lives by the clock of its loop."""
    async with Router(dial=dial, clock=asyncio.get_running_loop().time) as router:
        yield router


class RefusingDial(EchoDial):
    """Takes so many connections and refuses every other."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self._takes = takes

    async def __call__(self, url: str, receiver: Receiver, options: DialOptions = DIAL) -> Transport:
        if len(self.transports) == self._takes:
            raise DialError(f"{url} cannot be reached: Connection refused")
        return await super().__call__(url, receiver, options)


class ClosingDial(EchoDial):
    """The server hangs up before the dialling is over."""

    async def __call__(self, url: str, receiver: Receiver, options: DialOptions = DIAL) -> Transport:
        transport = await super().__call__(url, receiver, options)
        receiver.on_closed(Closed(code=1001, reason="busy", closed_by="peer"))
        return transport


@in_virtual_time
async def test_ten_minutes_take_no_time_and_are_exact() -> None:
    dial = EchoDial()
    async with routing(dial) as router:
        report = await router.run(
            RouterCall(url=URL, speech=FRAME, duration_s=600.0, tail_s=0.0, trace=False)
        )
    assert (report.frames_sent, report.frames_received, report.duration_s) == (
        30_000,
        30_000,
        about(600),
    )
    assert (report.latest_tick_ms, report.playout.underruns) == (about(0, 2), 0)


@in_virtual_time
async def test_the_connection_is_made_again_with_the_same_ids() -> None:
    dial = EchoDial()
    call = RouterCall(url=URL, tail_s=1.0, steps=[Step(at_s=1, reconnect_s=2.0), Step(at_s=5, reconnect_s=0)])
    async with routing(dial) as router:
        report = await router.run(call)
    assert dial.headers == [call.upgrade_headers()] * 3
    assert (report.reconnects, report.duration_s, report.is_clean) == (2, about(6.0), True)
    assert [len(transport.received) for transport in dial.transports] == [50, 100, 50]


@in_virtual_time
async def test_a_redial_that_is_refused_ends_the_call_and_says_why() -> None:
    async with routing(RefusingDial(1)) as router:
        report = await router.run(RouterCall(url=URL, tail_s=None, steps=[Step(at_s=1, reconnect_s=2.0)]))
    why = f"the connection could not be made again: {URL} cannot be reached: Connection refused"
    assert report.problems == (why,)
    assert (report.duration_s, report.error) == (about(3.0), None)


@in_virtual_time
async def test_a_server_that_closes_while_it_is_dialled_ends_the_call() -> None:
    started: list[LiveCall] = []
    async with routing(ClosingDial()) as router:
        report = await router.run(RouterCall(url=URL, tail_s=None), on_start=started.append)
    assert (report.close_code, report.close_reason, report.closed_by) == (1001, "busy", "peer")
    assert [live.is_open for live in started] == [False]


@in_virtual_time
async def test_who_hangs_up_between_two_connections_waits_for_no_other() -> None:
    dial, lives = EchoDial(), []
    loop = asyncio.get_running_loop()

    def start(live: LiveCall) -> None:
        lives.append(live)
        loop.call_later(5.0, live.hang_up)

    async with routing(dial) as router:
        call = RouterCall(url=URL, tail_s=None, steps=[Step(at_s=1, reconnect_s=3600.0)])
        report = await router.run(call, on_start=start)
    assert (report.duration_s, report.hung_up, len(dial.transports)) == (about(5.0), True, 1)


@in_virtual_time
async def test_who_hangs_up_while_it_is_dialled_again_gets_no_connection() -> None:
    class SlowDial(EchoDial):
        async def __call__(self, url: str, receiver: Receiver, options: DialOptions = DIAL) -> Transport:
            if self.transports:
                await asyncio.sleep(4.0)
            return await super().__call__(url, receiver, options)

    dial = SlowDial()
    loop = asyncio.get_running_loop()
    async with routing(dial) as router:
        call = RouterCall(url=URL, tail_s=None, steps=[Step(at_s=1, reconnect_s=1.0)])
        report = await router.run(call, on_start=lambda live: void(loop.call_later(3.0, live.hang_up)))
    assert (report.duration_s, report.hung_up, report.reconnects) == (about(3.0), True, 0)
    assert [transport.is_closing for transport in dial.transports] == [True, True]
    assert dial.transports[1].received == []


@pytest.mark.parametrize("what", ["heard", "spoken", "on_event", "on_start"])
def test_a_callback_that_fails_ends_its_own_call_and_no_other(what: str) -> None:
    calls: list[object] = []

    def fail(value: object) -> None:
        calls.append(value)
        if len(calls) == 3 or what == "on_start":
            raise LookupError(what)

    async def main() -> None:
        dial = EchoDial()
        async with routing(dial) as router:
            other = asyncio.ensure_future(
                router.run(RouterCall(url=URL, speech=FRAME, duration_s=10.0, tail_s=0))
            )
            options: dict[str, Any] = {what: fail}
            values = {name: options.pop(name) for name in ("heard", "spoken") if name in options}
            steps = [Step(at_s=1, dtmf="1"), Step(at_s=2, dtmf="2")]
            with pytest.raises(LookupError, match=what):
                await router.run(RouterCall(url=URL, tail_s=None, steps=steps, **values), **options)
            report = await other
        assert report.frames_sent == 500
        assert all(transport.is_closing for transport in dial.transports)

    run_in_virtual_time(main())
    assert len(calls) == (1 if what == "on_start" else 3)  # and never again


@in_virtual_time
async def test_a_failure_of_the_simulator_itself_is_raised_and_stops_nobody_else() -> None:
    def start(live: LiveCall) -> None:
        live._say = None  # type: ignore[assignment,method-assign]  # whatever it may be

    async with routing(EchoDial()) as router:
        other = asyncio.ensure_future(router.run(RouterCall(url=URL, duration_s=3.0, tail_s=0)))
        with pytest.raises(TypeError):
            await router.run(RouterCall(url=URL, tail_s=None), on_start=start)
        assert (await other).frames_sent == 150


@in_virtual_time
async def test_everything_is_told_as_it_happens() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    told: list[tuple[float, TraceEvent]] = []
    async with routing(EchoDial()) as router:
        report = await router.run(
            RouterCall(url=URL, tail_s=1.0, steps=[Step(at_s=2, dtmf="1")]),
            on_event=lambda event: told.append((loop.time() - begun, event)),
        )
    assert [(event.source, event.name) for _, event in told] == [
        ("router", "connected"), ("participant", "key"), ("router", "hang up"), ("router", "closed"),
    ]  # fmt: skip
    assert [at for at, _ in told] == about([event.at_s for _, event in told])
    assert report.trace is not None
    assert list(report.trace.events) == [event for _, event in told]


@pytest.mark.parametrize(("transport", "told"), [("binary", TEXTS), ("json", TEXTS[1:])])
def test_texts_are_told_when_they_are_read_but_for_those_that_are_audio(
    transport: str, told: list[str]
) -> None:
    texts: list[tuple[float, str]] = []

    async def main() -> None:
        loop, dial = asyncio.get_running_loop(), EchoDial()
        begun = loop.time()

        def say(live: LiveCall) -> None:
            live.network.stall(0.5)
            for text in TEXTS:
                dial.transports[0].receiver.on_text(text)

        async with routing(dial) as router:
            call = RouterCall(url=URL, tail_s=1.0, audio_transport=AudioTransport.of(transport))
            await router.run(
                call, on_start=say, on_text=lambda text: texts.append((loop.time() - begun, text))
            )

    run_in_virtual_time(main())
    assert [text for _, text in texts] == told
    assert [at for at, _ in texts] == about([0.5] * len(told))


@in_virtual_time
async def test_calls_begin_when_they_are_to() -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    at: list[float] = []
    calls = [RouterCall(url=URL, speech=FRAME, tail_s=0, dial_after_s=number) for number in (3.0, 0.0)]
    reports = await run_calls(
        calls,
        ramp_s=1.0,
        dial=EchoDial(),
        clock=loop.time,
        on_start=lambda live: at.append(loop.time() - begun),
    )
    assert at == about([0.5, 3.0])
    assert [report.connection_id for report in reports] == [call.connection_id for call in calls]


@in_virtual_time
async def test_hundreds_of_calls_with_everything_leave_nothing_behind() -> None:
    loop = asyncio.get_running_loop()
    impairments = Impairments(jitter_ms=50, clear_ack=100, slow_reader_ms=5)
    steps = [
        Step(at_s=0.2, mute=True, for_s=0.1),
        Step(at_s=0.5, stall=True, for_s=0.2),
        Step(at_s=1.0, reconnect_s=0.3),
        Step(at_s=1.1, half_open=True),
        Step(at_s=1.6, reset=True),
    ]
    calls = [RouterCall(url=URL, speech=FRAME * 50, steps=steps, impairments=impairments) for _ in range(300)]
    reports = await run_calls(calls, dial=EchoDial(), clock=loop.time, ramp_s=1.0)
    assert {report.reconnects for report in reports} == {1}
    assert {report.hung_up for report in reports} == {True}
    assert len({report.frames_sent for report in reports}) == 1


@pytest.mark.parametrize("profile", PROFILES)
def test_in_json_every_profile_echoes(profile: str) -> None:
    async def main() -> None:
        dial = EchoDial()
        async with routing(dial) as router:
            call = RouterCall(url=URL, profile=profile, speech=FRAME * 10, audio_transport=JSON, tail_s=0.2)
            report = await router.run(call)
        texts = [json.loads(text) for text in dial.transports[0].texts]
        audio = [base64.b64decode(values["chunk"]) for values in texts if "chunk" in values]
        assert b"".join(audio).replace(bytes(640), b"") == FRAME * 10
        assert dial.transports[0].received == []
        assert report.playout.wrong_size_messages == 0
        # The echo of a text that has the audio's field is audio.
        assert report.frames_received == len(audio) == report.frames_sent

    run_in_virtual_time(main())


@in_virtual_time
async def test_what_should_be_audio_in_json_and_is_none_is_a_problem() -> None:
    def start(live: LiveCall) -> None:
        socket = dial.transports[0].receiver
        socket.on_audio(FRAME)
        socket.on_text('{"chunk":"???"}')
        socket.on_text('{"chunk":5}')

    dial = EchoDial()
    async with routing(dial) as router:
        report = await router.run(
            RouterCall(url=URL, audio_transport=JSON, tail_s=0.02, silence="none"), on_start=start
        )
    assert report.bad_audio_messages == 2
    assert report.problems == (
        "2 messages of audio that is not in JSON, as this call's is; is the server's audio_transport binary?",
    )
    assert report.other_texts == ('{"chunk":"???"}', '{"chunk":5}')


JSON = AudioTransport(transport="json", audio_field="chunk")


def void(_: object) -> None:
    """What a timer returns is of no use here."""
