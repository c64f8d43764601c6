# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from audio_connector.audio.wav import read_wav
from audio_connector.errors import AudioFileError, DialError
from audio_connector.simulator import LiveCall, Router, RouterCall, run_calls
from audio_connector.wire.transport import Closed, Headers, Receiver, Transport, Upgrade, WireLimits

FRAME = b"\x01\x02" * 320
URL = "ws://127.0.0.1:1/"


class EchoTransport:
    """A socket whose other end echoes at once."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.write_buffer_bytes = 0
        self.is_closing = False
        self.received: list[bytes] = []

    def send_audio(self, frame: bytes) -> None:
        self.received.append(frame)
        self._receiver.on_audio(frame)

    def send_text(self, text: str) -> None:
        pass

    def send_ping(self, payload: bytes = b"") -> None:
        pass

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._end(Closed(code=code, reason=reason, closed_by="us"))

    def abort(self) -> None:
        self._end(Closed(code=1006, reason="", closed_by="network"))

    def reset(self) -> None:
        self.abort()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write_raw(self, data: bytes) -> None:
        pass

    def _end(self, closed: Closed) -> None:
        if not self.is_closing:
            self.is_closing = True
            asyncio.get_running_loop().call_soon(self._receiver.on_closed, closed)


class EchoDial:
    """Dials the echo; refuses URLs that end in /refused."""

    def __init__(self) -> None:
        self.headers: list[Sequence[tuple[str, str]]] = []
        self.transports: list[EchoTransport] = []

    async def __call__(
        self,
        url: str,
        receiver: Receiver,
        *,
        headers: Sequence[tuple[str, str]],
        ssl_context: ssl.SSLContext | None,
        timeout_s: float,
        limits: WireLimits | None,
    ) -> Transport:
        if url.endswith("/refused"):
            raise DialError(f"{url} cannot be reached: Connection refused")
        self.headers.append(headers)
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
