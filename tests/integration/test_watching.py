# SPDX-License-Identifier: Apache-2.0
"""A server as who watches it sees it: counts that are what a load was, and checks that leave no line in a log."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from support.peers import UPGRADE, bare, calling, next_audio, request
from support.serving import DEADLINE_S, certificates, sawtooth, serving, tls_client, until
from support.watching import admin_in, calls_of, counts_in, counts_of, fetch

from audio_connector import (
    AudioConnectorConnection,
    AudioConnectorServerHandle,
    AudioConnectorStartServerError,
    Monitoring,
)

BOTH = pytest.mark.parametrize("isolation", ["thread", "process"])


@asynccontextmanager
async def watched(
    caplog: pytest.LogCaptureFixture, on_connect: Any = None, **options: Any
) -> AsyncIterator[tuple[AudioConnectorServerHandle, str]]:
    """A server, and the address of its admin port."""
    caplog.set_level(logging.INFO, "audio_connector")
    async with serving(on_connect, monitoring=Monitoring(admin_port=0), **options) as handle:
        await until(lambda: "are told at" in caplog.text, "the line of the admin port")
        yield handle, admin_in(caplog.text)


async def answer(client: AudioConnectorConnection) -> None:
    """Echoes audio; fails, or says something and cuts it, where a text asks for it."""

    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)
        elif message == '"fail"':
            raise ZeroDivisionError
        elif message == '"say"':
            async with client.speech() as speech:
                await speech.write(sawtooth(320))
            await speech.finished()
        elif message == '"cut"':
            async with client.speech() as speech:
                await speech.write(sawtooth(160_000))
            await client.flush_buffer()

    client.set_handler(on_message=on_message)


@BOTH
async def test_the_counts_are_what_the_load_was(isolation: str, caplog: pytest.LogCaptureFixture) -> None:
    async with watched(caplog, answer, isolation=isolation) as (handle, admin):
        address = handle.get_address()
        async with calling(address, rate_hz=8000) as first, calling(address, rate_hz=24000) as second:
            for frames, size, caller in ((10, 320, first), (20, 960, second)):
                for _ in range(frames):
                    await caller.send(b"\1\2" * (size // 2))
                await next_audio(caller, frames)
            await first.send('"fail"')
            await first.send('"say"')
            await first.send('"cut"')
            counts: dict[Any, float] = {}
            while counts.get(("barge_in_seconds", ())) != 1:  # which is the last
                counts = await counts_of(admin)
            assert counts["calls", ()] == counts["calls_opened", ()] == counts["upgrades", ("101",)] == 2
            assert counts["audio_received_messages", ()] == 30
            assert counts["audio_received_seconds", ()] == pytest.approx(30 * 0.02)
            assert counts["text_received_messages", ()] == 5
            assert counts["audio_sent_seconds", ()] == pytest.approx(counts["audio_sent_messages", ()] * 0.02)
            assert counts["audio_sent_messages", ()] >= 31
            assert counts["errors", ("ZeroDivisionError",)] == 1
            assert counts["speeches", ("played",)] == counts["speeches", ("interrupted",)] == 1
            rows = await calls_of(admin)
            assert sorted(row["received_s"] for row in rows) == pytest.approx([0.2, 0.4])
            assert sorted(row["rate_hz"] for row in rows) == [8000, 24000]
        async with bare(address, request({"Host": "localhost"})) as peer:
            assert (await peer.answer()).status == 426
        while counts["calls", ()]:
            counts, before = await counts_of(admin), counts
        assert counts["calls_ended", ("router", "1000")] == counts["call_seconds", ()] == 2
        assert counts["upgrades", ("426",)] == 1
        assert counts["audio_received_messages", ()] == 30, "a call that has ended is counted once"
        assert counts["audio_sent_messages", ()] == before["audio_sent_messages", ()]
        text = counts_in((await fetch(address, "/metrics")).body)
        for key, count in (await counts_of(admin)).items():
            if not key[0].startswith(("loop_", "port_", "process_")):  # which go on without calls
                assert text[key] == count, key


@BOTH
async def test_a_loop_that_is_blocked_is_seen_from_outside(
    isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    lags = [0.0]
    give_up_at = time.monotonic() + DEADLINE_S

    async def block(client: AudioConnectorConnection) -> None:
        def on_message(message: bytes | str) -> None:
            while lags[-1] < 0.3 and time.monotonic() < give_up_at:  # until it is seen
                with urllib.request.urlopen(f"{admin}/calls", timeout=DEADLINE_S) as page:
                    rows = json.load(page)["snapshot"]
                lags.append(next(value for name, _, value in rows if name == "port_lag_seconds_max"))

        client.set_handler(on_message=on_message)

    async with (
        watched(caplog, block, isolation=isolation) as (handle, admin),
        calling(handle.get_address()) as caller,
    ):
        await caller.send('"block"')
        await until(lambda: len(lags) > 1, "the end of the block")
        assert lags[-1] >= 0.3


@BOTH
async def test_it_is_not_ready_while_it_drains_and_well_all_the_same(
    isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def speak(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(sawtooth(320_000))  # which a drain lets come to its end

    async with watched(caplog, speak, isolation=isolation) as (handle, admin):
        address = handle.get_address()
        assert [(await fetch(where, "/readyz")).status for where in (address, admin)] == [200, 200]
        async with calling(address) as caller:
            await next_audio(caller, 1)
            asked = asyncio.ensure_future(handle.drain(20.0))
            while (page := await fetch(address, "/readyz")).status == 200:
                pass
            assert (page.status, page.body) == (503, "draining\n")
            assert (await fetch(address, "/healthz")).status == 200
            assert (await counts_of(admin))["ready", ()] == 0
            await caller.close()
            await asked


@pytest.mark.parametrize("form", ["thread", "process", "tls"])
@tls_client
async def test_checks_leave_no_line(form: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "audio_connector")
    options: dict[str, Any] = {"ssl": certificates().server} if form == "tls" else {"isolation": form}
    client: dict[str, Any] = {"ssl_context": certificates().client} if form == "tls" else {}
    async with serving(lambda _: None, **options) as handle:
        address = handle.get_address()
        await fetch(address, "/healthz", **client)
        caplog.clear()
        for path in ("/healthz", "/readyz"):
            for start in ("GET", "HEAD"):
                for version in ("1.0", "1.1"):
                    page = await fetch(address, path, start, version, **client)
                    assert (page.status, page.body) == (200, "" if start == "HEAD" else "ok\n")
        for how in ("shut", "reset"):  # a TCP probe
            async with bare(address, b"") as peer:
                getattr(peer, how)()
        await fetch(address, "/healthz", **client)
        await asyncio.sleep(0.05)  # for what a TLS connection's end would log
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
        assert lines == []


async def test_an_admin_port_that_is_taken_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for isolation in ("thread", "process"):
            with pytest.raises(
                AudioConnectorStartServerError, match=rf"the admin port: .*127\.0\.0\.1:{port}"
            ):
                async with serving(isolation=isolation, monitoring=Monitoring(admin_port=port)):
                    pass


async def test_the_admin_port_takes_no_calls(caplog: pytest.LogCaptureFixture) -> None:
    async with watched(caplog, lambda _: None) as (_handle, admin):
        async with bare(admin, request({"Host": "a", "Upgrade": "websocket"})) as peer:
            assert (await peer.answer()).status == 400
        assert (await fetch(admin, "/")).status == 404
        assert (await fetch(admin, "/healthz", "POST")).status == 405
        assert not any(name == "upgrades" for name, _ in await counts_of(admin))


async def test_the_calls_are_not_for_who_had_a_name_point_here(caplog: pytest.LogCaptureFixture) -> None:
    async with watched(caplog, lambda _: None) as (handle, admin):
        asks = b"GET %b HTTP/1.1\r\nHost: evil.example:9090\r\n\r\n"
        async with bare(admin, asks % b"/calls") as peer:
            assert (await peer.answer()).status == 421
        async with bare(handle.get_address(), asks % b"/healthz") as peer:
            assert (await peer.answer()).status == 200


async def test_who_has_said_all_gets_the_figures_as_well(caplog: pytest.LogCaptureFixture) -> None:
    async with watched(caplog, lambda _: None) as (handle, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", handle.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        writer.write_eof()
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_what_a_peer_writes_is_told_as_it_came(caplog: pytest.LogCaptureFixture) -> None:
    head = request(UPGRADE, "GET /a%1b[2J HTTP/1.1").removesuffix(b"\r\n")
    evil = b"x-opentok-ws-sessionid: " + 'a"\\b\u202ec'.encode() + b"\r\n\r\n"
    async with (
        watched(caplog, lambda _: None) as (handle, admin),
        bare(handle.get_address(), head + evil),
    ):
        rows: list[dict[str, Any]] = []
        while not rows:
            rows = await calls_of(admin)
        assert (rows[0]["path"], rows[0]["session"]) == ("/a%1b[2J", 'a"\\b\u202ec')
        assert rows[0]["remote"] == "127.0.0.1"


async def test_promtool_finds_nothing_to_say(caplog: pytest.LogCaptureFixture) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian: apt install prometheus")
    async with watched(caplog, answer) as (handle, admin), calling(handle.get_address()) as caller:
        await caller.send('"fail"')
        await caller.send('"cut"')
        while (await counts_of(admin)).get(("speeches", ("interrupted",))) != 1:
            pass
        text = (await fetch(admin, "/metrics")).body
    run = partial(subprocess.run, input=text, capture_output=True, text=True, check=False)
    found = await asyncio.to_thread(run, [promtool, "check", "metrics"])
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
