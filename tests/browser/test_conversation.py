# SPDX-License-Identifier: Apache-2.0
"""Somebody speaks into the microphone, and what the browser plays of the bot is measured."""

from __future__ import annotations

import re
import wave
from pathlib import Path

import numpy as np
import pytest
from browser.conftest import SENTENCE, Meet
from playwright.async_api import Page
from support.listening import at_16_khz, likeness_in_parts, loud_frames, loud_s

from audio_connector import AudioConnectorConnection

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
SAID = np.frombuffer(SENTENCE, "<i2").astype(np.float64)


async def number_at(page: Page, selector: str) -> float:
    """The figure that a part of the page shows."""
    text = await page.inner_text(selector)
    found = re.match(r"[\d,.]+", text)
    assert found, text
    return float(found.group().replace(",", ""))


async def download(page: Page) -> tuple[np.ndarray, str]:
    async with page.expect_download() as started:
        await page.click("#recording")
    made = await started.value
    with wave.open(str(await made.path())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 16000)
        sides = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return sides.astype(np.float64), made.suggested_filename


async def test_what_is_spoken_comes_back_and_is_measured(meet: Meet, microphone: Path) -> None:
    async with meet(microphone=microphone) as made:
        page = made.page
        await page.uncheck("#clean")
        await page.click("#connect")
        await page.wait_for_selector("#turns li")
        await made.seconds(10)
        samples, rate_hz = await made.heard()
        heard = at_16_khz(samples, rate_hz)
        # What really left the page's worklet is the sentence, by length, by likeness, and once.
        assert loud_s(heard, level=100) == pytest.approx(loud_s(SAID), rel=0.1)
        assert likeness_in_parts(heard, SAID) > 0.9
        latency_ms = await number_at(page, "#answer")
        assert (await page.inner_text("#turns li .took")).split()[0] == f"{latency_ms:.0f}"
        sides, name = await download(page)
        assert re.fullmatch(r"playground-\d{8}-\d{6}\.wav", name)
        # The recording says the same as the figure.
        spoken, answered = (loud_frames(side).nonzero()[0] for side in sides.T)
        first = spoken[spoken < answered[0]]
        assert latency_ms == pytest.approx((answered[0] - first[-1] - 1) * 20, abs=60)
        assert 400 < latency_ms < 1500  # the parrot waits 600 ms, from what it takes for the end
        assert likeness_in_parts(sides[:, 0], SAID) > 0.9
        # Whatever the microphone made of it: the bot gave it back bit for bit.
        left, right = sides.astype("<i2").T
        said_back = right[right.nonzero()[0][0] : right.nonzero()[0][-1] + 1]
        assert said_back.tobytes() in left.tobytes()
        assert await number_at(page, "#underruns") == 0
        assert await number_at(page, "#page-underruns") < 10
        assert "Listening to" in await page.inner_text("#microphone-note")


@pytest.mark.parametrize("rate", ["8000", "24000"])
async def test_other_rates_are_converted_in_the_page(meet: Meet, microphone: Path, rate: str) -> None:
    async with meet(microphone=microphone) as made:
        page = made.page
        await page.uncheck("#clean")
        await page.select_option("#rate", rate)
        await page.click("#connect")
        await page.wait_for_selector("#turns li")
        await made.seconds(9)
        samples, rate_hz = await made.heard()
        heard = at_16_khz(samples, rate_hz)
        assert loud_s(heard, level=100) == pytest.approx(loud_s(SAID), rel=0.12)
        assert likeness_in_parts(heard, SAID) > 0.85


async def test_barging_in_cuts_the_reply_short(meet: Meet) -> None:
    async with meet() as made:
        page = made.page
        await page.click("#connect")
        await page.wait_for_selector("#sentences button:enabled")
        await page.click('[data-sample="unless-to-be.wav"]')
        await page.wait_for_selector("#turns li")  # the parrot has begun its answer of five seconds
        await page.click("#barge")
        await page.wait_for_selector("#turns .is-barge .took:not(:text('…'))")
        assert "clear after" in await page.inner_text("#silence-note")
        assert "dropped" in await page.inner_text("#silence-note")
        assert 0 < await number_at(page, "#silence") < 500
        assert "clear" in await page.inner_text("#events")
        await made.until("document.querySelectorAll('#turns li').length >= 3")
        await page.wait_for_timeout(1500)
        samples, rate_hz = await made.heard()
        # Less than a second of the answer, and the interruption said back.
        assert 0.8 < loud_s(at_16_khz(samples, rate_hz), level=100) < 3.0


async def test_a_bot_that_cannot_be_interrupted_is_told(meet: Meet) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        noise = np.random.default_rng(1).integers(-6000, 6000, 16000 * 3, dtype=np.int16)
        async with client.speech() as speech:
            await speech.write(noise.tobytes())
        async for _ in client.audio():
            pass

    async with meet(on_connect) as made:
        page = made.page
        await page.click("#connect")
        await made.until("parseFloat(document.getElementById('depth').textContent) > 100")
        await made.seconds(1)
        await page.keyboard.press("b")
        await page.wait_for_selector("#silence-note:has-text('no clear yet')")
        await page.wait_for_selector("#turns .is-barge:has-text('no clear came')")
        assert await number_at(page, "#silence") > 1000
