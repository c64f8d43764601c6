# SPDX-License-Identifier: Apache-2.0
"""Every button and key, seen from the bot's side; files; what goes wrong, in its place."""

from __future__ import annotations

import asyncio
import io
import socket
import time
import wave
from pathlib import Path

import pytest
from browser.conftest import Meet, NotingBot
from playwright.async_api import Page
from support.browser import chromium, visit
from support.pages import opened

from audio_connector import AudioConnectorConnection, AudioConnectorServer, Disconnected, Dtmf, MediaUpdate
from audio_connector.playground.bots import find_bot
from audio_connector.playground.run import playground
from audio_connector.playground.session import Settings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]
DROP = """
([name, bytes]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(bytes)], name));
  const drop = new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
  document.getElementById("drop").dispatchEvent(drop);
}
"""


def wav(seconds: float = 0.4, rate_hz: int = 22050) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(b"\x00\x20" * 2 * int(rate_hz * seconds))
    return file.getvalue()


def loud_s(pcm: bytes) -> float:
    """Seconds of samples that are loud: all of the files above, and some of a sentence."""
    return sum(sample > 4000 for sample in memoryview(pcm).cast("h")) / 16000


async def connect(page: Page) -> None:
    await page.click("#connect")
    await page.wait_for_selector('#state[data-state="open"]')


async def test_every_button_has_its_effect_at_the_bot(meet: Meet, noting: NotingBot) -> None:
    async with meet(noting.on_connect) as made:
        page = made.page
        await connect(page)
        await page.click("#mute")
        await noting.until(lambda: [event.active for event in noting.of(MediaUpdate)] == [False])
        await page.wait_for_selector('#mute[aria-pressed="true"]')
        assert await page.is_disabled("#barge")
        await page.click("#mute")
        await noting.until(lambda: [event.active for event in noting.of(MediaUpdate)] == [False, True])
        for digit in "05#":
            await page.click(f'#keypad [data-digit="{digit}"]')
        await noting.until(lambda: [event.digit for event in noting.of(Dtmf)] == ["0", "5", "#"])
        # The second participant: another connection of the same session, which speaks for itself.
        await page.click("#guest")
        await noting.until(lambda: len(noting.clients) == 2)
        first, second = noting.clients
        assert first.session_id == second.session_id
        assert first.connection_id != second.connection_id
        await page.click("label:has(input[name=speaker][value='2'])")
        await page.click('[data-sample="he-was-not.wav"]')
        await noting.until(lambda: loud_s(bytes(noting.audio[second.id])) > 0.02)
        assert loud_s(bytes(noting.audio[first.id])) == 0
        await page.click("#stop")
        await page.wait_for_selector("#saying", state="hidden")
        await page.click("#guest")
        await noting.until(
            lambda: [how for who, how in noting.events if who == second.id and isinstance(how, Disconnected)]
        )
        # Barging in is speech of the first one.
        await page.wait_for_selector('#guest[aria-pressed="false"]')
        await page.click("#barge")
        await noting.until(lambda: loud_s(bytes(noting.audio[first.id])) > 0.005)
        # The end, and a new beginning.
        await page.click("#connect")
        await noting.until(
            lambda: [how for who, how in noting.events if who == first.id and isinstance(how, Disconnected)]
        )
        await page.wait_for_selector("#connect-text:text-is('Connect again')")
        await connect(page)
        await noting.until(lambda: len(noting.clients) == 3)
        assert noting.clients[2].session_id != first.session_id


async def test_the_keyboard_is_enough(meet: Meet, noting: NotingBot) -> None:
    async with meet(noting.on_connect) as made:
        page = made.page
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        for _ in range(10):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.id") == "connect":
                break
        assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        await page.keyboard.press("Enter")
        await page.wait_for_selector('#state[data-state="open"]')
        await page.keyboard.press("m")
        await page.wait_for_selector('#mute[aria-pressed="true"]')
        # A space on a focused button is that button's; elsewhere it lets a muted participant talk while it is held.
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.down(" ")
        await page.wait_for_selector('#mute[aria-pressed="false"]')
        await page.keyboard.up(" ")
        await page.wait_for_selector('#mute[aria-pressed="true"]')
        await page.keyboard.press("m")
        await page.keyboard.press("7")
        await page.keyboard.press("*")
        await noting.until(lambda: [event.digit for event in noting.of(Dtmf)] == ["7", "*"])
        await page.keyboard.press("g")
        await noting.until(lambda: len(noting.clients) == 2)
        # Where keys mean something already, they keep their meaning.
        await page.focus("#microphone")
        await page.keyboard.press("d")
        await page.focus("#connect")
        await page.keyboard.press("Control+d")
        await page.wait_for_timeout(300)
        assert await page.get_attribute("#state", "data-state") == "open"
        await page.keyboard.press("d")
        await page.wait_for_selector('#state[data-state="over"]')
        assert [event.active for event in noting.of(MediaUpdate)] == [False, True, False, True]


async def test_files_are_said_and_what_is_none_is_refused_in_place(meet: Meet, noting: NotingBot) -> None:
    async with meet(noting.on_connect) as made:
        page = made.page
        await page.evaluate(DROP, ["early.wav", list(wav())])
        await page.wait_for_selector("#say-fault:has-text('connect first')")
        await connect(page)
        [heard] = noting.audio.values()
        await page.evaluate(DROP, ["holiday.wav", list(b"\xff\xd8 a picture")])
        await page.wait_for_selector("#say-fault:has-text('holiday.wav is no WAV file')")
        assert await page.get_attribute("#say-fault", "role") == "alert"
        made.errors[:] = [error for error in made.errors if "422" not in error]  # the browser's own line
        await page.evaluate(DROP, ["greeting.wav", list(wav())])
        await page.wait_for_selector("#saying-text:has-text('greeting.wav')")
        assert await page.is_hidden("#say-fault")
        await noting.until(lambda: loud_s(bytes(heard)) > 0.35)
        await page.wait_for_selector("#saying", state="hidden")
        await page.set_input_files("#file", {"name": "chosen.wav", "mimeType": "audio/wav", "buffer": wav()})
        await noting.until(lambda: loud_s(bytes(heard)) > 0.75)


async def test_a_bot_that_fails_is_told_in_place(meet: Meet) -> None:
    fails = [True]

    async def on_connect(client: AudioConnectorConnection) -> None:
        if fails.pop() if fails else False:
            raise RuntimeError("the model is gone")
        async for _ in client.audio():
            pass

    async with meet(on_connect) as made:
        page = made.page
        await page.click("#connect")
        await page.wait_for_selector("#call-fault:has-text('1011 by the server')")
        await page.wait_for_selector("#call-fault:has-text('RuntimeError: the model is gone')")
        await page.wait_for_selector("#events :text('RuntimeError: the model is gone')")
        await connect(page)  # the page goes on working
        assert await page.is_hidden("#call-fault")


async def test_a_server_that_is_not_there_is_told_in_place(meet: Meet, noting: NotingBot) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with meet(bot=find_bot(f"ws://127.0.0.1:{port}")) as made:
        page = made.page
        await page.click("#connect")
        await page.wait_for_selector(f"#call-fault:has-text('127.0.0.1:{port}')")
        assert await page.get_attribute("#state", "data-state") == "failed"
        config = {"host": "127.0.0.1", "port": port, "on_connect": noting.on_connect}
        async with AudioConnectorServer(config):
            await connect(page)
            await noting.until(lambda: noting.clients)
            assert await page.is_hidden("#call-fault")
        await page.wait_for_selector("#call-fault:has-text('1001 by the server')")


async def test_what_the_program_refuses_leaves_the_page_as_it_was(meet: Meet, noting: NotingBot) -> None:
    async with meet(noting.on_connect) as made:
        page = made.page
        await page.evaluate(
            "document.getElementById('rate').add(new Option('44.1 kHz', '44100', true, true))"
        )
        await page.click("#connect")
        await page.wait_for_selector("#call-fault:has-text('44100')")
        assert await page.get_attribute("#state", "data-state") == "idle"
        await page.select_option("#rate", "16000")
        await connect(page)
        assert await page.is_hidden("#call-fault")


async def test_without_a_microphone_the_call_goes_on(meet: Meet, noting: NotingBot) -> None:
    async with meet(noting.on_connect, is_allowed=False) as made:
        page = made.page
        await connect(page)
        await page.wait_for_selector("#microphone-note.fault:has-text('not allowed')")
        await page.click('[data-sample="he-was-not.wav"]')
        await noting.until(lambda: loud_s(bytes(noting.audio[noting.clients[0].id])) > 0.02)


async def test_a_page_that_is_closed_ends_its_call_within_a_second(silence: Path, noting: NotingBot) -> None:
    async with opened(noting.on_connect) as address, chromium(silence) as browser:
        async with visit(browser, address.url) as made:
            await connect(made.page)
            gone_at = time.monotonic()
        await noting.until(lambda: noting.of(Disconnected))
        assert time.monotonic() - gone_at < 1.0


async def test_a_program_that_ends_is_told_and_may_come_back(silence: Path, noting: NotingBot) -> None:
    bot = find_bot(None)
    settings = Settings(url="", label="")
    async with chromium(silence) as browser:
        async with playground(bot, settings, host="127.0.0.1", port=0) as address:
            made = visit(browser, address.url)
            visited = await made.__aenter__()
            page = visited.page
            await connect(page)
        await page.wait_for_selector("#banner:has-text('has ended')")
        assert await page.is_disabled("#connect")
        async with playground(bot, settings, host="127.0.0.1", port=address.port):
            await page.wait_for_selector("#connect:enabled")
            assert await page.is_hidden("#banner")
            await connect(page)
            await made.__aexit__(None, None, None)
    assert asyncio.all_tasks() == {asyncio.current_task()}
