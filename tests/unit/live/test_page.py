# SPDX-License-Identifier: Apache-2.0
"""A page is told what is shown, what was shown before it came included, and nobody else's page is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from audio_connector import AudioConnectorStartServerError, UsageError
from audio_connector.live import LivePage
from audio_connector.live import page as pages
from audio_connector.live.page import MAX_BEHIND

LIMIT_S = 5.0


@pytest.fixture
def html(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text("<title>page</title>")
    (tmp_path / "page.js").write_text("// script")
    (tmp_path / "settings.toml").write_text("key = 'secret'")
    return tmp_path / "page.html"


@asynccontextmanager
async def watching(page: LivePage, seen: str | None = None) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {} if seen is None else {"Last-Event-ID": seen}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{page.url}events", headers=headers) as answer,
    ):
        assert answer.status == 200
        yield answer


async def told(answer: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    last = b""
    while len(found) < count:
        line = await asyncio.wait_for(answer.content.readline(), LIMIT_S)
        assert line, "hung up"
        if line.startswith(b"data: "):
            found.append({"id": last.decode(), **json.loads(line[6:])})
        last = line.removeprefix(b"id: ").strip()
    return found


async def fetch(page: LivePage, path: str, **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(page.url + path, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_who_looks_is_told_and_who_comes_later_too(html: Path) -> None:
    page = LivePage(html, port=0)
    page.show("line", text="before it is open")
    async with page, watching(page) as first:
        page.show("caption", key="1", text="so")
        page.show("caption", key="1", text="so far")
        got = await told(first, 3)
        assert [one["data"]["text"] for one in got] == ["before it is open", "so", "so far"]
        async with watching(page) as second:
            assert [one["data"]["text"] for one in await told(second, 2)] == ["before it is open", "so far"]
        async with watching(page, seen=got[1]["id"]) as again:
            assert [one["data"]["text"] for one in await told(again, 1)] == ["so far"]
    page.show("line", text="after")


@pytest.mark.parametrize("seen", ["2", "other-2", "other-0", "-", "x", "9" * 5000])
async def test_a_browser_that_has_seen_another_run_is_told_all_of_this_one(html: Path, seen: str) -> None:
    async with LivePage(html, port=0) as page:
        for number in range(4):
            page.show("line", number=number)
        async with watching(page, seen) as answer:
            assert [one["data"]["number"] for one in await told(answer, 4)] == [0, 1, 2, 3]


async def test_what_is_shown_in_a_burst_is_sent_together_and_what_comes_after_a_pause_at_once(
    html: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BATCH_S", 60.0)
    async with LivePage(html, port=0) as page, watching(page) as answer:
        page.show("line", number=1)
        page.show("line", number=2)
        assert [one["data"]["number"] for one in await told(answer, 2)] == [1, 2]
        assert await answer.content.readline() == b"\n"
        page.show("line", number=3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(answer.content.readline(), 0.2)
        leaving = asyncio.create_task(page.__aexit__(None, None, None))
        assert [one["data"]["number"] for one in await told(answer, 1)] == [3]  # before it hangs up
        await leaving


async def test_who_is_one_too_many_is_told_what_there_is_and_comes_again(
    html: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_VIEWERS", 2)
    async with LivePage(html, port=0) as page:
        page.show("line", number=1)
        async with watching(page), watching(page), watching(page) as third:
            text = await asyncio.wait_for(third.text(), LIMIT_S)
            assert text.startswith("retry: 10000\n\n")
            assert '"number": 1' in text
            assert page.viewers == 2


async def test_who_looks_where_nothing_happens_hears_that_we_are_alive(
    html: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "ALIVE_S", 0.02)
    async with LivePage(html, port=0) as page, watching(page) as answer:
        for _ in range(2):
            assert b": alive\n" in [
                await asyncio.wait_for(answer.content.readline(), LIMIT_S) for _ in range(4)
            ]


async def test_what_is_beside_the_page_is_served_and_what_is_none_of_a_page_is_not(html: Path) -> None:
    clips = html.parent / "clips"
    async with LivePage(html, port=0, folder=clips) as page:
        (clips / "one.wav").write_bytes(b"RIFF")
        assert (await fetch(page, "")) == (200, "<title>page</title>")
        assert (await fetch(page, "page.js")) == (200, "// script")
        assert "export function live" in (await fetch(page, "live.js"))[1]
        assert (await fetch(page, "live.css"))[0] == 200
        assert (await fetch(page, "files/one.wav")) == (200, "RIFF")
        for path in ("settings.toml", "nothing.js", "files/../settings.toml", "%2e%2e/x.js"):
            assert (await fetch(page, path))[0] == 404, path


async def test_a_page_of_somebody_else_gets_nothing(html: Path) -> None:
    async with LivePage(html, port=0) as page:
        assert (await fetch(page, "", Host="evil.example"))[0] == 421


async def test_a_viewer_that_does_not_read_is_hung_up_on_and_nothing_grows(html: Path) -> None:
    async with LivePage(html, port=0) as page:
        async with watching(page):
            assert page.viewers == 1
            for number in range(MAX_BEHIND + 1):
                page.show("line", number=number)
            assert page.viewers == 0
        async with watching(page, seen=f"{page._run}-{MAX_BEHIND}") as again:
            assert (await told(again, 1))[0]["data"] == {"number": MAX_BEHIND}


async def test_who_reads_nothing_at_all_holds_no_connection_open(html: Path) -> None:
    async with LivePage(html, port=0) as page:
        port = int(page.url.rsplit(":", 1)[1].strip("/"))
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(f"GET /events HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        for _ in range(200):
            if page.viewers:
                break
            await asyncio.sleep(0.01)
        text = "x" * 2000
        while page.viewers:  # more than the kernel takes, so that we wait for who does not read
            page.show("line", text=text)
            await asyncio.sleep(0)
        assert page._runner is not None
        assert page._runner.server is not None
        for _ in range(100):
            if not page._runner.server.connections:
                break
            await asyncio.sleep(0.01)
        assert not page._runner.server.connections
        writer.close()


async def test_leaving_hangs_up_and_the_port_is_free_again(html: Path) -> None:
    async with LivePage(html, port=0) as page:
        port = int(page.url.rsplit(":", 1)[1].strip("/"))
        async with watching(page) as answer:
            leaving = asyncio.create_task(page.__aexit__(None, None, None))
            await asyncio.wait_for(answer.content.read(), LIMIT_S)
            await asyncio.wait_for(leaving, LIMIT_S)
    async with LivePage(html, port=port):
        with pytest.raises(AudioConnectorStartServerError, match=f"127.0.0.1:{port}.*choose another port"):
            await LivePage(html, port=port).__aenter__()


async def test_what_is_wrong_is_said(html: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.html.*expected an HTML file"):
        LivePage(html.parent / "none.html")
    page = LivePage(html, port=0)
    async with page:
        with pytest.raises(UsageError, match="opened once"):
            await page.__aenter__()
    with pytest.raises(UsageError, match="opened once"):
        await page.__aenter__()


async def test_a_browser_that_asks_for_an_icon_finds_no_fault(html: Path) -> None:
    async with LivePage(html, port=0) as page:
        assert await fetch(page, "favicon.ico") == (204, "")


async def test_a_name_that_no_disk_takes_is_not_there_and_fills_no_log(
    html: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with LivePage(html, port=0, folder=tmp_path / "output") as page:
        for path in (f"{'a' * 300}.js", f"files/{'a' * 5000}", f"files/{'%C3%A9' * 128}", "%00.js"):
            status, _ = await fetch(page, path)
            assert status == 404, path[:20]
    assert caplog.records == []


async def test_events_are_for_who_reads_them(html: Path) -> None:
    async with (
        LivePage(html, port=0) as page,
        aiohttp.ClientSession() as session,
        session.head(f"{page.url}events") as answer,
    ):
        assert answer.status == 405
        assert page.viewers == 0


async def test_an_address_of_ipv6_is_one_that_a_browser_takes(html: Path) -> None:
    async with LivePage(html, host="::1", port=0) as page:
        assert page.url.startswith("http://[::1]:")
        assert (await fetch(page, ""))[0] == 200
