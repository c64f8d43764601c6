# SPDX-License-Identifier: Apache-2.0
"""nginx, HAProxy and Caddy in front of ``audio-connector serve``, each with its file of deploy/: no call is cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.peers import calling
from support.processes import is_running
from support.proxies import PROXIES, Proxy, proxying
from support.serving import DEADLINE_S, until
from support.workers import Guest, Served, guests, supervised
from websockets.exceptions import ConnectionClosed, InvalidStatus

pytestmark = [pytest.mark.deploy, pytest.mark.skipif(os.name != "posix", reason="there are no workers")]

BOT = """
import asyncio
from audio_connector import AudioConnectorServerConfig, Limits, Timeouts

VERSION = 1
PING_S = 20

async def tell(client):
    who = {"version": VERSION, "is_resumed": client.is_resumed, "path": client.path, "query": client.query,
        "address": client.remote_address[0]}
    await client.send_json_packet({**who, "headers": {name: client.headers.get_all(name) for name in client.headers}})

async def on_connect(client):
    client.set_handler(on_audio=client.send_audio_buffer)
    await tell(client)
    if client.path == "/hang-up":
        await client.close(4001, "enough")
    elif client.path == "/speak":
        async with client.speech() as speech:
            for number in range(1, 1 + int(client.query)):
                await speech.write(number.to_bytes(2, "little") * 320)

config = AudioConnectorServerConfig(
    host="127.0.0.1",
    port=0,
    on_connect=on_connect,
    limits=Limits(trusted_proxies=("127.0.0.1",)),
    timeouts=Timeouts(ping_interval_s=PING_S),
)
"""
"""Says how it was called, and echoes; or does what the path says."""


class Front(NamedTuple):
    """A proxy and what it stands in front of."""

    proxy: Proxy
    served: Served


@pytest.fixture(scope="module", params=PROXIES)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """One for all tests of a proxy; none of them changes more than which processes there are."""
    folder = tmp_path_factory.mktemp(request.param)
    with (
        supervised(tmp_path_factory.mktemp("bot"), "--log-level", "info", bot=BOT) as served,
        proxying(request.param, folder, served.address) as proxy,
    ):
        yield Front(proxy, served)


@asynccontextmanager
async def callers(proxy: Proxy, *paths: str, **options: Any) -> AsyncIterator[list[Guest]]:
    """Call through the proxy, by TLS."""
    async with guests(proxy.address, *paths, ssl=proxy.client, proxy=None, **options) as made:
        yield made


async def test_frames_come_back_bit_for_bit(front: Front) -> None:
    frames = [random.Random(at).randbytes(640) for at in range(150)]
    async with callers(front.proxy, "/") as [guest]:
        for frame in frames:
            await guest.socket.send(frame)
        await until(lambda: len(guest.frames) >= len(frames), "every frame")
        assert guest.frames == frames


async def test_what_the_router_says_of_a_call_arrives_and_what_it_says_of_its_address_does_not(
    front: Front,
) -> None:
    said = [
        ("x-opentok-ws-sessionid", "1_MX4"),
        ("x-custom", "one"),
        ("x-custom", "two, three"),
        ("authorization", "Bearer token"),
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
    ]
    elsewhere = ("127.0.0.2", 0)
    async with callers(front.proxy, "/room?a=b%20c&d=", additional_headers=said, local_addr=elsewhere) as [
        guest
    ]:
        [told] = guest.told
    headers = told["headers"]
    assert (told["path"], told["query"]) == ("/room", "a=b%20c&d=")
    assert ", ".join(headers["x-custom"]) == "one, two, three"
    assert headers["x-opentok-ws-sessionid"] == ["1_MX4"]
    assert headers["authorization"] == ["Bearer token"]
    assert headers["x-forwarded-for"] == ["127.0.0.2"]
    assert "forwarded" not in headers
    assert told["address"] == "127.0.0.2"
    assert "Bearer" not in front.proxy.log
    assert "room" not in front.proxy.log, "a token may be in the path"


async def test_how_a_call_ends_crosses_both_ways(front: Front) -> None:
    async with callers(front.proxy, "/hang-up", rate_hz=None) as [guest]:
        await until(lambda: guest.is_over, "the end")
        assert guest.how == (4001, "enough")
    async with callers(front.proxy, "/") as [guest]:
        await guest.socket.close(1000, "bye")
    await until(lambda: "bye" in front.served.log, "its end in the log")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/%6detrics", "/metrics?x"])
async def test_what_tells_about_the_server_stays_inside(front: Front, path: str) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with calling(front.proxy.address, path, ssl=front.proxy.client, proxy=None):
            pass
    assert caught.value.response.status_code == 404
    assert await status_of_page(front.proxy, path) == 404


async def test_what_is_no_upgrade_goes_no_further_than_the_proxy(front: Front) -> None:
    front.served.forget_lines()
    assert await status_of_page(front.proxy, "/") == 426
    assert front.served.lines == []


async def status_of_page(proxy: Proxy, path: str) -> int:
    """What a plain GET is answered."""
    reader, writer = await asyncio.open_connection("localhost", proxy.port, ssl=proxy.client)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), DEADLINE_S)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return int(answer.split(b" ")[1])


async def test_a_reload_of_the_proxy_cuts_no_call(front: Front) -> None:
    """Its old process goes on with the calls that it has, and ends with them."""
    proxy, frames = front.proxy, 200
    before = proxy.carriers()
    async with callers(proxy, *["/"] * 20) as talking:
        speaking = [asyncio.create_task(guest.talk(frames)) for guest in talking]
        await until(lambda: len(talking[0].frames) > 50, "a second of echo")
        await asyncio.to_thread(proxy.reload)
        async with callers(proxy, "/") as [newcomer]:
            await newcomer.talk(20)
            await until(lambda: len(newcomer.frames) == 20, "the echo of a new call")
        await asyncio.gather(*speaking)
        await until(lambda: all(len(guest.frames) >= frames for guest in talking), "every frame")
        assert [guest.numbers for guest in talking] == [list(range(1, 1 + frames))] * 20
    if proxy.name != "caddy":  # which does it in one process
        await until(lambda: not any(map(is_running, before)), "the end of the old processes")


CUTTING = {
    "nginx": {"events {": "worker_shutdown_timeout 100ms;\nevents {"},
    "haproxy": {"    maxconn 20000": "    hard-stop-after 100ms\n    maxconn 20000"},
    "caddy": {"stream_close_delay 2h": "stream_close_delay 100ms"},
}
"""What the files leave out, or say, for the sake of calls during a reload."""


async def test_a_reload_would_cut_calls_otherwise(front: Front, tmp_path: Path) -> None:
    swaps = CUTTING[front.proxy.name]
    with proxying(front.proxy.name, tmp_path, front.served.address, swaps=swaps) as proxy:
        async with callers(proxy, "/", "/") as talking:
            await asyncio.to_thread(proxy.reload)
            await until(lambda: all(guest.is_over for guest in talking), "the end of the calls")


async def test_a_reload_of_the_server_cuts_no_call(front: Front) -> None:
    proxy, frames = front.proxy, 200
    async with callers(proxy, *["/"] * 5) as talking:
        version = talking[0].told[0]["version"] + 1
        front.served.change(BOT.replace("VERSION = 1", f"VERSION = {version}"))
        speaking = [asyncio.create_task(guest.talk(frames)) for guest in talking]
        await until(lambda: len(talking[0].frames) > 20, "some echo")
        os.kill(front.served.pid, signal.SIGHUP)
        await asyncio.gather(*speaking)
        await until(lambda: all(len(guest.told) == 2 for guest in talking), "new workers")
        await until(lambda: all(len(guest.frames) >= frames for guest in talking), "every frame")
        assert [guest.numbers for guest in talking] == [list(range(1, 1 + frames))] * 5
        assert {(guest.told[1]["version"], guest.told[1]["is_resumed"]) for guest in talking} == {
            (version, True)
        }


async def refused(address: str) -> None:
    """Call until that is answered with 503."""
    for _ in range(1000):
        try:
            async with calling(address, proxy=None):
                await asyncio.sleep(0.01)
        except ConnectionClosed:  # it was let in just before
            continue
        except InvalidStatus as error:
            if error.response.status_code == 503:
                return
            raise
    pytest.fail(f"{address} goes on")


# How long it may be silent.

SILENCE = {"nginx": {"2h": "1s"}, "haproxy": {"timeout tunnel 2h": "timeout tunnel 1s"}}
"""A second in place of two hours. Caddy does not limit it."""


@pytest.mark.parametrize("name", SILENCE)
@pytest.mark.parametrize("pings", [True, False])
async def test_the_pings_of_the_server_keep_a_silent_call(tmp_path: Path, name: str, pings: bool) -> None:
    """A proxy that allows for more than `Timeouts.ping_interval_s` cuts no call that nobody speaks in."""
    (tmp_path / "bot").mkdir()
    (tmp_path / "proxy").mkdir()
    bot = BOT.replace("PING_S = 20", f"PING_S = {0.3 if pings else None}")
    with (
        supervised(tmp_path / "bot", workers=1, bot=bot) as served,
        proxying(name, tmp_path / "proxy", served.address, swaps=SILENCE[name]) as proxy,
    ):
        async with callers(proxy, "/") as [guest]:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(guest.socket.wait_closed(), 3 if pings else DEADLINE_S)
            assert guest.socket.close_code == (None if pings else 1006)
            if pings:
                await guest.talk(10)
                await until(lambda: len(guest.frames) == 10, "the echo")


# Several servers.


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
async def test_who_calls_while_one_of_two_servers_drains_gets_the_other(tmp_path: Path, name: str) -> None:
    for each in ("one", "two", "proxy"):
        (tmp_path / each).mkdir()
    with (
        supervised(tmp_path / "one", workers=1, bot=BOT) as one,
        supervised(tmp_path / "two", workers=1, bot=BOT.replace("VERSION = 1", "VERSION = 2")) as two,
        proxying(name, tmp_path / "proxy", one.address, two.address) as proxy,
    ):
        async with callers(proxy, "/speak?100", "/speak?100") as both:
            assert {guest.told[0]["version"] for guest in both} == {1, 2}, (
                "the one with the fewest calls is taken"
            )
            [speaking] = [guest for guest in both if guest.told[0]["version"] == 1]
            one.process.terminate()
            await refused(one.address)
            async with callers(proxy, *["/"] * 6) as newcomers:
                assert [guest.told[0]["version"] for guest in newcomers] == [2] * 6
                await until(lambda: speaking.is_over, "the end of its call")
        assert speaking.numbers[:100] == list(range(1, 101)), "it was heard to its end"
        assert speaking.how[0] == 1001
        assert await one.ended() == 0
