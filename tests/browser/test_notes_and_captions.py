# SPDX-License-Identifier: Apache-2.0
"""The pages of captions and notes: who comes late sees the same as who was there, and no text is taken for HTML."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from support.browser import Visit, chromium, visit

from audio_connector.audio.wav import WavWriter
from audio_connector.live import LivePage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXTS = "(selector) => [...document.querySelectorAll(selector)].map((each) => each.textContent.trim())"
NO_ICON = "404"  # a browser asks for /favicon.ico, which no page has
FIRST, SECOND = "20261129-100000-one", "20261129-110000-two"
FILES = ["captions.vtt", "captions.de.vtt", "captions.jsonl"]


@contextlib.asynccontextmanager
async def seen(page: LivePage, *, before: bool) -> AsyncIterator[Visit]:
    async with (
        chromium() as browser,
        visit(browser, page.url, viewport={"width": 400, "height": 700}) as made,
    ):
        if before:
            await made.until("() => document.getElementById('live').classList.contains('is-there')")
        yield made
        assert [error for error in made.errors if NO_ICON not in error] == []
        assert made.origins == {page.url.rstrip("/")}
        assert await made.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def caption(page: LivePage, number: int, text: str, *, is_final: bool, translation: str = "") -> None:
    page.show(
        "caption", key=f"{FIRST}/{number}", session="one", number=number, speaker="<i>Ann", place=number % 2,
        start_s=float(number), text=text, is_final=is_final, language="en", translation=translation,
    )  # fmt: skip


def show_captions(page: LivePage) -> None:
    page.show("session", key=f"{FIRST}/", session="one", folder=FIRST, files=FILES, is_over=False)
    caption(page, 1, "he was", is_final=False)
    caption(page, 2, "a cough", is_final=False)
    caption(page, 3, "Bueno.", is_final=True, translation="<b>Good.")
    caption(page, 1, "He was not.", is_final=True)
    caption(page, 2, "", is_final=True)
    caption(page, 4, "still", is_final=False)
    page.show("session", key=f"{FIRST}/", session="one", folder=FIRST, files=FILES, is_over=True)


@pytest.mark.parametrize("before", [True, False])
async def test_captions_stand_in_the_order_in_which_they_were_said(before: bool) -> None:
    async with LivePage(EXAMPLES / "captions" / "page.html", port=0) as page:
        if not before:
            show_captions(page)
        async with seen(page, before=before) as made:
            if before:
                show_captions(page)
            await made.until("() => document.querySelector('h2')?.textContent.includes('over')")
            assert await made.page.evaluate(TEXTS, ".text") == ["He was not.", "Bueno.", "still"]
            assert await made.page.evaluate(TEXTS, ".partial .text") == ["still"]
            assert await made.page.evaluate(TEXTS, ".translation") == ["", "<b>Good.", ""]
            assert await made.page.evaluate(TEXTS, ".who") == ["<i>Ann"] * 3
            assert await made.page.evaluate(TEXTS, "h2 a") == FILES


def line(page: LivePage, folder: str, number: int, start_s: float, text: str) -> None:
    page.show(
        "line", key=f"{folder}/{number}", session=folder[-3:], number=number, speaker="Ann", place=0,
        start_s=start_s, text=text,
    )  # fmt: skip


def show_notes(page: LivePage) -> None:
    for folder in (FIRST, SECOND):
        page.show("session", key=f"{folder}/", session=folder[-3:], folder=folder, is_over=False)
    line(page, FIRST, 1, 5.0, "Later.")
    line(page, SECOND, 1, 0.0, "Another <b>session.")
    line(page, FIRST, 2, 1.5, "Sooner.")
    action = {"task": "Call.", "owner": None, "due": "by Friday", "due_on": "2026-12-04", "start_s": 1.5}
    page.show("minutes", key=f"{FIRST}/minutes", session="one", summary="", decisions=[], actions=[action])
    for folder in (FIRST, SECOND):
        page.show("session", key=f"{folder}/", session=folder[-3:], folder=folder, is_over=True)


@pytest.mark.parametrize("before", [True, False])
async def test_notes_are_of_the_latest_session_or_the_one_that_is_chosen(
    before: bool, tmp_path: Path
) -> None:
    (tmp_path / FIRST).mkdir()
    with WavWriter(tmp_path / FIRST / "audio.wav", 16000) as audio:
        audio.write(np.zeros(16000 * 8, "<i2").tobytes())
    async with LivePage(EXAMPLES / "notes" / "page.html", port=0, folder=tmp_path) as page:
        if not before:
            show_notes(page)
        async with seen(page, before=before) as made:
            if before:
                show_notes(page)
            await made.until("() => document.querySelector('option')?.textContent === 'session two, over'")
            assert await made.page.evaluate(TEXTS, "#lines li") == ["0:00AnnAnother <b>session."]
            await made.page.select_option("#sessions", FIRST)
            assert await made.page.evaluate(TEXTS, "#lines li") == ["0:01AnnSooner.", "0:05AnnLater."]
            assert await made.page.evaluate(TEXTS, "#actions li") == [
                "0:01 nobody named: Call. by Friday, 2026-12-04"
            ]
            await made.page.click("#lines li:last-child .at")
            await made.until("() => document.getElementById('audio').currentTime >= 5")
