# SPDX-License-Identifier: Apache-2.0
"""The pages over real sockets: what a browser may ask for, what another site may not, and how a page ends."""

from __future__ import annotations

import asyncio
import io
import threading
import time
import wave
from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from support.pages import Page, opened, page_of

from audio_connector import AudioConnectorConnection
from audio_connector.playground import app as app_module
from audio_connector.playground.run import Address
from audio_connector.playground.speeches import Speech, read_speech
from audio_connector.simulator import sample_speech


class Bot:
    """Echoes, and notes what its connections saw."""

    def __init__(self) -> None:
        self.clients: list[AudioConnectorConnection] = []
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.ended_at: list[float] = []
        self._loop = asyncio.get_running_loop()

    def _tell(self, text: str) -> None:
        self._loop.call_soon_threadsafe(self.events.put_nowait, text)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        self.clients.append(client)
        client.set_handler(
            on_audio=client.send_audio_buffer,
            on_event=lambda event: self._tell(type(event).__name__),
            on_disconnect=lambda how: self.ended_at.append(time.monotonic()),
        )

    async def saw(self, name: str) -> None:
        async def look() -> None:
            while await self.events.get() != name:
                pass

        await asyncio.wait_for(look(), 10)


@pytest.fixture
async def bot() -> Bot:
    return Bot()


@pytest.fixture
async def address(bot: Bot) -> AsyncIterator[Address]:
    async with opened(bot.on_connect) as address:
        yield address


def wav(rate_hz: int = 8000, seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(b"\x00\x20" * int(rate_hz * seconds))
    return file.getvalue()


# Files and headers.


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("", "text/html"),
        ("index.html", "text/html"),
        ("css/base.css", "text/css"),
        ("js/main.js", "text/javascript"),
        ("worklets/playback.js", "text/javascript"),
        ("favicon.svg", "image/svg+xml"),
        ("icons.svg", "image/svg+xml"),
    ],
)
async def test_the_page_has_its_files(address: Address, path: str, content_type: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(address.url + path) as answer:
        assert answer.status == 200
        assert answer.content_type == content_type
        assert "SPDX-License-Identifier: Apache-2.0" in await answer.text()


@pytest.mark.parametrize(
    "path", ["nothing.js", "../app.py", "js/../../app.py", "%2e%2e/app.py", "js/", "page.html"]
)
async def test_nothing_else_is_there(address: Address, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(address.url + path) as answer:
        assert answer.status == 404
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_a_page_is_a_websocket_and_nothing_else(address: Address) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{address.url}page") as answer:
        assert answer.status == 400


async def test_every_answer_tells_the_browser_to_keep_to_this_page(address: Address) -> None:
    async with aiohttp.ClientSession() as session, session.get(address.url) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self'; connect-src 'self' ws://127.0.0.1:")
        assert "unsafe" not in policy
        assert "*" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        text = await answer.text()
    assert "://" not in text.replace("http://www.w3.org", "")
    assert " style=" not in text
    assert "<script>" not in text


# Who may not.


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", "localhost"])
@pytest.mark.parametrize("path", ["", "page", "js/main.js"])
async def test_a_foreign_name_gets_nothing(address: Address, host: str, path: str) -> None:
    headers = {"Host": host.format(port=address.port)}
    async with aiohttp.ClientSession() as session, session.get(address.url + path, headers=headers) as answer:
        assert answer.status == 421
        assert "evil" not in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "http://127.0.0.1:{port}.evil.example"},
    ],
)
async def test_another_origin_opens_no_page_and_sends_nothing(
    address: Address, headers: dict[str, str]
) -> None:
    headers = {name: value.format(port=address.port) for name, value in headers.items()}
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
            await session.ws_connect(f"{address.url}page", headers=headers)
        assert raised.value.status == 403
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            async with session.request(method, f"{address.url}pages/x/speech", headers=headers) as answer:
                assert answer.status == 403
    async with page_of(address) as page:
        assert (await page.post(wav(), headers=headers))[0] == 403


async def test_a_page_has_a_name_that_cannot_be_guessed(address: Address) -> None:
    async with page_of(address) as one, page_of(address) as two:
        assert one.id != two.id
        assert len(one.id) >= 20
        assert (await one.get(f"pages/{one.id[:-1]}x/recording.wav"))[0] == 404


# The call.


async def test_the_page_speaks_and_hears_through_the_bot(address: Address, bot: Bot) -> None:
    async with page_of(address) as page:
        await page.connect()
        await bot.saw("Connected")
        assert bot.clients[0].session_id == page.of("call")[-1]["session_id"]
        status, text = await page.post(wav(24000, 0.3), name="three tenths.wav")
        assert (status, text) == (204, "")
        said = await page.wait_for(
            lambda message: message["type"] == "saying" and message["name"] is not None
        )
        # The echo is some 100 ms behind.
        await page.wait_for(lambda message: message.get("at_s", 0) > said["until_s"] + 0.5)
        loud = np.abs(np.frombuffer(bytes(page.sound[1]), "<i2")) > 4000
        assert loud.sum() / 16000 == pytest.approx(0.3, abs=0.05)
        status, body, headers = await page.get(f"pages/{page.id}/recording.wav")
        assert status == 200
        assert headers["Content-Disposition"].startswith('attachment; filename="playground-')
    with wave.open(io.BytesIO(body)) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, 16000)
        sides = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    assert ((np.abs(sides) > 4000).sum(axis=0) / 16000).tolist() == pytest.approx([0.3, 0.3], abs=0.05)


async def test_the_microphone_reaches_the_bot_and_comes_back(address: Address) -> None:
    speech = sample_speech(("he-was-not.wav",))[16000:48000]
    async with page_of(address) as page:
        await page.connect()
        for at in range(0, len(speech), 640):
            await page.socket.send_bytes(speech[at : at + 640])
            await asyncio.sleep(0.019)
        await page.event("connected")
        await asyncio.sleep(0.5)
        heard = bytes(page.sound[1])
    # The bot echoes; gaps of a busy machine apart, what comes back is what was said.
    parts = [part.strip(b"\0") for part in heard.split(bytes(640))]
    assert sum(len(part) for part in parts if part in speech) > 16000
    assert heard.find(speech[6400:12800]) >= 0


async def test_every_button_reaches_the_bot(address: Address, bot: Bot) -> None:
    async with page_of(address) as page:
        await page.connect()
        await bot.saw("Connected")
        await page.say("mute", muted=True)
        await bot.saw("MediaUpdate")
        await page.say("mute", muted=False)
        await bot.saw("MediaUpdate")
        await page.say("press", digit="7")
        await bot.saw("Dtmf")
        await page.say("join")
        await bot.saw("Connected")
        assert len({client.session_id for client in bot.clients}) == 1
        assert len({client.connection_id for client in bot.clients}) == 2
        await page.say("disconnect")
        await bot.saw("Disconnected")
        await page.wait_for(lambda message: message.get("state") == "over" and message["speaker"] == 2)
        await page.connect()
        await bot.saw("Connected")
        assert len(bot.clients) == 3


async def test_two_pages_are_independent(address: Address, bot: Bot) -> None:
    async with page_of(address) as one, page_of(address) as two:
        await one.connect()
        await two.connect(8000)
        await bot.saw("Connected")
        await bot.saw("Connected")
        assert bot.clients[0].session_id != bot.clients[1].session_id
        await one.close()
        await two.say("press", digit="1")
        await bot.saw("Dtmf")


async def test_what_the_bot_does_wrong_is_told_on_the_page() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        raise RuntimeError("no key")

    async with opened(on_connect) as address, page_of(address) as page:
        await page.say("connect", rate_hz=16000, profile="video")
        notice = await page.wait_for(lambda message: message["type"] == "notice")
        assert "RuntimeError: no key (test_app.py, line" in notice["text"]
        over = await page.wait_for(lambda message: message.get("state") == "over")
        assert "1011 by the server" in over["text"]
        async with page_of(address) as later:
            await later.wait_for(lambda message: message["type"] == "notice")


# Bad input.


async def test_a_file_that_is_none_is_refused_by_name(address: Address) -> None:
    async with page_of(address) as page:
        assert await page.post(wav()) == (422, "nobody is connected: connect first")
        await page.connect()
        status, text = await page.post(b"RIFF but not really", name="holiday.wav")
        assert status == 422
        assert text.startswith("holiday.wav is no WAV file that can be read here")
        assert "\n" not in text
        assert (await page.post(wav(), speaker=3))[0] == 400
        assert (await page.post(wav(), speaker=2))[0] == 422
        assert (await page.post(wav()))[0] == 204  # the page goes on working


async def test_a_file_for_a_call_that_is_another_one_by_now_is_refused(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page_of(address) as page:
        reading, go_on = threading.Event(), threading.Event()

        def read(path: str, name: str, rate_hz: int) -> Speech:
            reading.set()
            assert go_on.wait(10)
            return read_speech(path, name, rate_hz)

        monkeypatch.setattr(app_module, "read_speech", read)
        await page.connect(16000)
        posting = asyncio.ensure_future(page.post(wav()))
        assert await asyncio.to_thread(reading.wait, 10)
        await page.say("disconnect")
        seen = len(page.messages)
        await page.say("connect", rate_hz=8000, profile="video")
        await page.wait_for(lambda message: message.get("state") == "open", after=seen)
        go_on.set()
        assert await posting == (422, "another call began while a.wav was sent; drop it again")


async def test_a_file_that_is_too_long_is_refused(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MAX_UPLOAD_BYTES", 1 << 20)
    async with page_of(address) as page:
        await page.connect()
        status, text = await page.post(bytes((1 << 20) + 1))
        assert (status, text) == (422, "a.wav is larger than 1 MiB; cut it")


async def test_a_message_that_is_too_long_ends_the_page(address: Address, bot: Bot) -> None:
    async with page_of(address) as page:
        await page.connect()
        await page.socket.send_bytes(bytes(app_module.MAX_MESSAGE_BYTES + 1))
        await bot.saw("Disconnected")


async def test_there_are_only_so_many_pages(address: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "MAX_PAGES", 1)
    async with page_of(address), aiohttp.ClientSession() as session:
        headers = {"Origin": address.url.rstrip("/")}
        async with session.ws_connect(f"{address.url}page", headers=headers) as socket:
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1008
    async with page_of(address):
        pass


async def test_a_recording_of_nothing_is_not_there(address: Address) -> None:
    async with page_of(address) as page:
        assert (await page.get(f"pages/{page.id}/recording.wav"))[0] == 404


# The end.


async def test_a_page_that_goes_away_ends_its_calls_within_a_second(address: Address, bot: Bot) -> None:
    async with aiohttp.ClientSession() as session:
        page = await Page(session, address).open()
        await page.connect()
        await page.say("join")
        await page.event("connected", 2)
        gone_at = time.monotonic()
        # As a browser that is killed: the TCP connection ends, and nobody says goodbye.
        page.socket._response.connection.transport.abort()  # type: ignore[union-attr]
        await bot.saw("Disconnected")
        await bot.saw("Disconnected")
        await page.close()
    assert time.monotonic() - gone_at < 1.0


async def test_the_end_of_the_program_ends_pages_and_calls(bot: Bot) -> None:
    async with aiohttp.ClientSession() as session:
        async with opened(bot.on_connect) as address:
            page = await Page(session, address).open()
            await page.connect()
        await bot.saw("Disconnected")
        await page.close()
    assert page.socket.close_code == 1001
    assert asyncio.all_tasks() == {asyncio.current_task()}
