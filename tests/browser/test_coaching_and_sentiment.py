# SPDX-License-Identifier: Apache-2.0
"""The pages of two applications in a real browser: what they are told stands on them, of each call apart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from support.browser import chromium, visit

from audio_connector.live import LivePage

pytestmark = pytest.mark.browser

EXAMPLES = Path(__file__).parents[2] / "examples"
NO_ICON = "404"  # a browser asks for /favicon.ico, which no page has
BEGAN = "2026-03-01T10:00:00+00:00"
FIGURES = {
    "elapsed_s": 95.0,
    "share": {"agent": 0.25, "customer": 0.75},
    "words_per_minute": {"agent": 150, "customer": None},
    "turns": {"agent": 2, "customer": 3},
    "interruptions": {"agent": 1, "customer": 0},
    "overlap_s": 1.25,
    "silence_s": 7.0,
}
MEAN = "<img src=x onerror=\"document.title='taken'\">"
"""What a caller may say, and a page must not take for its own."""


@asynccontextmanager
async def opened(name: str, tmp_path: Path, *, width: int = 1100) -> AsyncIterator[tuple[LivePage, Page]]:
    """The page of an application, and a browser on it; nothing on it may fail."""
    async with (
        LivePage(EXAMPLES / name / "page.html", port=0, folder=tmp_path) as shown,
        chromium() as browser,
        visit(browser, shown.url, viewport={"width": width, "height": 800}) as made,
    ):
        await expect(made.page.locator("#live")).to_have_text("live")
        yield shown, made.page
        assert [error for error in made.errors if NO_ICON not in error] == []
        assert await made.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def utterance(call: str, at_s: float, label: str, **more: Any) -> dict[str, Any]:
    tone = {"pitch_hz": None, "level_db": -20.4, "spread_st": 0.0, "voiced_s": 0.0, "speech_s": 2.0}
    told = {"arousal": 0.5, "mood": -0.5, "curve": -0.25, "pace": 120.0, "valence": -0.5, "tone": tone}
    return {"call": call, "start_s": at_s, "end_s": at_s + 2, "text": "words", "label": label, **told, **more}


@pytest.mark.parametrize("width", [1100, 400])
async def test_the_agents_page(tmp_path: Path, width: int) -> None:
    (tmp_path / "one.json").write_text("{}")
    async with opened("coaching", tmp_path, width=width) as (shown, page):
        shown.show("call", key="one", call="one", began=BEGAN, is_over=False)
        for number, name in enumerate(("Greet", "Apologise")):
            shown.show("item", key=f"one {number}", call="one", number=number, name=name, is_said=False)
        shown.show("span", key="a", call="one", role="agent", start_s=1.0, end_s=2.0)
        shown.show("span", key="a", call="one", role="agent", start_s=1.0, end_s=5.0)  # goes on
        shown.show("span", key="c", call="one", role="customer", start_s=4.0, end_s=9.0)
        shown.show("figures", key="one", call="one", figures=FIGURES)
        shown.show("line", call="one", role="customer", start_s=4.0, end_s=9.0, text=MEAN)
        shown.show("line", call="one", role="agent", start_s=10.0, end_s=11.0, text="One moment.")
        shown.show("line", call="one", role="agent", start_s=1.0, end_s=2.0, text="Hello.")  # understood last
        said = {"name": "Greet", "is_said": True, "at_s": 1.0, "sentence": "Good morning.", "likeness": 0.8}
        shown.show("item", key="one 0", call="one", number=0, **said)
        shown.show("hint", call="one", rule="fast", text="Slow down.", cause_s=5.0, shown_s=6.3, late_s=1.3)
        shown.show("trouble", call="one", text="an utterance was not understood")

        await expect(page.locator(".latest")).to_have_text("Slow down.")
        await expect(page.locator(".now")).to_have_class("card now is-hint")
        await expect(page.locator(".hints li")).to_have_text("0:06Slow down.")
        await expect(page.locator(".timeline .agent")).to_have_attribute("width", "4")
        await expect(page.locator(".timeline")).to_have_attribute("viewBox", "0 0 120 4")  # of 95 s
        lines = ["0:01agent: Hello.", f"0:04customer: {MEAN}", "0:10agent: One moment."]
        await expect(page.locator(".transcript li")).to_have_text(lines)
        await expect(page.locator(".figures tr").nth(2)).to_have_text("words a minute150\N{EN DASH}")
        await expect(page.locator(".checklist li")).to_have_count(2)
        await expect(page.locator(".checklist .is-said")).to_have_text("Greet Good morning.")
        await expect(page.locator(".trouble li")).to_be_visible()
        await expect(page).to_have_title("Coaching")

        shown.show("call", key="one", call="one", began=BEGAN, is_over=True, file="one.json")
        await expect(page.locator(".latest")).to_have_text("The call is over. Summary")
        answer = await page.request.get(f"{shown.url}{await page.locator('.latest a').get_attribute('href')}")
        assert answer.ok
        # What a second call shows goes to its own view; the first one can be chosen again, and is as it was.
        shown.show("call", key="two", call="two", began=BEGAN, is_over=False)
        await expect(page.locator(".latest:visible")).to_have_text("All is well.")
        await page.locator("#calls").select_option("one")
        await expect(page.locator(".latest:visible")).to_have_text("The call is over. Summary")
        # So does who comes later.
        await page.reload()
        await page.locator("#calls").select_option("one")
        await expect(page.locator(".checklist:visible li")).to_have_count(2)
        await expect(page.locator(".hints:visible li")).to_have_count(1)


@pytest.mark.parametrize("width", [1100, 400])
async def test_the_curve(tmp_path: Path, width: int) -> None:
    async with opened("sentiment", tmp_path, width=width) as (shown, page):
        shown.show("call", key="one", call="one", began=BEGAN, is_over=False)
        shown.show("utterance", **utterance("one", 1.0, "angry", text=MEAN))
        shown.show("utterance", **utterance("one", 50.0, "neutral", curve=0.1))
        await expect(page.locator(".utterances tr")).to_have_count(2)
        await expect(page.locator("td.angry")).to_have_text("angry")
        await expect(page.locator(".utterances tr").first).to_contain_text(MEAN)
        await expect(page.locator(".curve rect.angry")).to_have_attribute("y", "0.43")
        await expect(page.locator(".curve polyline")).to_have_attribute("points", "0,0 3,0.25 52,-0.1")
        await expect(page.locator(".curve")).to_have_attribute("viewBox", "0 -1.1 60 2.2")
        shown.show("call", key="one", call="one", began=BEGAN, is_over=True, files=["a.svg", "a.json"])
        await expect(page.locator(".over a")).to_have_text(["a.svg", "a.json"])
        await expect(page).to_have_title("Sentiment")


async def test_a_page_that_is_open_for_days_forgets_the_oldest_calls(tmp_path: Path) -> None:
    async with opened("sentiment", tmp_path) as (shown, page):
        for number in range(53):
            shown.show("call", key=str(number), call=str(number), began=BEGAN, is_over=False)
        await expect(page.locator("#calls option")).to_have_count(50)
        await expect(page.locator("body > main:not(#empty)")).to_have_count(50)
        await expect(page.locator("#calls")).to_have_value("52")
