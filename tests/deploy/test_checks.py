# SPDX-License-Identifier: Apache-2.0
"""What asks all the time whether a server is there: it is content, and leaves no line in the server's log."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from support.proxies import proxying
from support.serving import until
from support.workers import guests, supervised

pytestmark = [pytest.mark.deploy, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]

BOT = """
from audio_connector import AudioConnectorServerConfig

async def on_connect(client):
    await client.send_json_packet({"pid": 0})

config = AudioConnectorServerConfig(host="127.0.0.1", port=0, on_connect=on_connect)
"""

OFTEN = {"check inter 2s": "check inter 20ms"}

OF_THE_PORT = {**OFTEN, "option httpchk GET /readyz": "", "http-check expect status 200": ""}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "bot", tmp_path / "proxy"
    for each in made:
        each.mkdir()
    return made


async def test_who_only_dials_the_port_leaves_no_line(folders: tuple[Path, Path]) -> None:
    of_bot, of_proxy = folders
    with (
        supervised(of_bot, "--log-level", "info", workers=1, bot=BOT) as served,
        proxying("haproxy", of_proxy, served.address, swaps=OF_THE_PORT) as proxy,
    ):
        served.forget_lines()
        await asyncio.sleep(1.5)  # 75 checks
        assert served.lines == []
        async with guests(proxy.address, "/", ssl=proxy.client, proxy=None):
            pass
        await until(lambda: served.lines, "the lines of a call")


@pytest.mark.parametrize("name", ["haproxy", "caddy"])
async def test_the_check_of_the_file_finds_the_server_ready(folders: tuple[Path, Path], name: str) -> None:
    of_bot, of_proxy = folders
    with (
        supervised(of_bot, "--log-level", "info", workers=1, bot=BOT) as served,
        proxying(name, of_proxy, served.address) as proxy,
    ):
        served.forget_lines()
        await asyncio.sleep(5)  # two checks and a half
        assert served.lines == []
        async with guests(proxy.address, "/", ssl=proxy.client, proxy=None):
            pass


async def test_one_that_drains_is_out_before_anybody_is_sent_there(folders: tuple[Path, Path]) -> None:
    bot = BOT.replace('{"pid": 0})', '{"pid": 0})\n    await client.send_audio_buffer(bytes(640 * 100))')
    of_bot, of_proxy = folders
    with (
        supervised(of_bot, workers=1, bot=bot) as served,
        proxying("haproxy", of_proxy, served.address, swaps=OFTEN) as proxy,
    ):
        async with guests(proxy.address, "/", ssl=proxy.client, proxy=None) as [guest]:
            served.process.terminate()
            await until(lambda: "is DOWN, reason: Layer7 wrong status, code: 503" in proxy.log, "its check")
            await until(lambda: guest.is_over, "the end of its call")
            assert len(guest.frames) == 100
