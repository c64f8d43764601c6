# SPDX-License-Identifier: Apache-2.0
"""Light and dark, wide and narrow, still and moving; and the parts in the browser that can be measured alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.conftest import Meet
from playwright.async_api import Page
from support.browser import Visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

RESAMPLE = """
async ([from, to, hz]) => {
  const { Resampler } = await import("/worklets/resampler.js");
  const resampler = new Resampler(from, to);
  const out = [];
  const input = Float32Array.from({ length: from }, (_, n) => Math.sin((2 * Math.PI * hz * n) / from));
  // Pieces of the size that worklets get.
  for (let at = 0; at < from; at += 128) resampler.push(input.subarray(at, at + 128), (sample) => out.push(sample));
  // The tone that fits best, and what is left without it.
  const [first, last] = [Math.floor(to / 4), Math.floor(to / 2)];
  let [sine, cosine] = [0, 0];
  for (let n = first; n < last; n++) {
    sine += (2 * out[n] * Math.sin((2 * Math.PI * hz * n) / to)) / (last - first);
    cosine += (2 * out[n] * Math.cos((2 * Math.PI * hz * n) / to)) / (last - first);
  }
  let [power, rest] = [0, 0];
  for (let n = first; n < last; n++) {
    const tone = sine * Math.sin((2 * Math.PI * hz * n) / to) + cosine * Math.cos((2 * Math.PI * hz * n) / to);
    power += out[n] ** 2;
    rest += (out[n] - tone) ** 2;
  }
  const snr = 10 * Math.log10(power / rest);
  return { count: out.length, gain: Math.hypot(sine, cosine), power: power / (last - first), snr };
}
"""


async def overflow(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.scrollWidth - innerWidth"))


async def is_theme(made: Visit, name: str) -> None:
    """Wait for a theme, and see that the page's ground has its colour."""
    await made.until("name => document.documentElement.dataset.theme === name", name)
    ground = await made.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == {"light": "rgb(246, 244, 239)", "dark": "rgb(17, 21, 27)"}[name]


async def test_light_and_dark_wide_and_narrow(meet: Meet, microphone: Path, tmp_path: Path) -> None:
    async with meet(microphone=microphone, color_scheme="light") as made:
        page = made.page
        await is_theme(made, "light")
        await page.screenshot(path=tmp_path / "empty.png", full_page=True)
        assert await page.is_visible("#plot-empty")
        await page.click("#connect")
        await page.wait_for_selector("#turns li")
        assert await page.is_hidden("#plot-empty")
        await page.screenshot(path=tmp_path / "light.png", full_page=True)
        await page.emulate_media(color_scheme="dark")
        await is_theme(made, "dark")
        await page.screenshot(path=tmp_path / "dark.png", full_page=True)
        # The choice on the page goes before the system's: the system's, light, dark.
        await page.keyboard.press("t")
        await is_theme(made, "light")
        await page.keyboard.press("t")
        await is_theme(made, "dark")
        await page.reload()
        await is_theme(made, "dark")
        await page.emulate_media(color_scheme="light")
        await is_theme(made, "dark")
        for width in (360, 520, 760, 1100, 2200):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await overflow(page) <= 0, width
        await page.set_viewport_size({"width": 360, "height": 800})
        await page.screenshot(path=tmp_path / "narrow.png", full_page=True)


async def test_the_timeline_shows_the_waveforms(meet: Meet, microphone: Path) -> None:
    ink = """
    ([r, g, b]) => {
      const canvas = document.getElementById("timeline");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let at = 0; at < data.length; at += 4) {
        count += data[at] === r && data[at + 1] === g && data[at + 2] === b && data[at + 3] === 255;
      }
      return count;
    }
    """
    spoken, heard = [0x2C, 0x66, 0xC4], [0xB8, 0x56, 0x0F]
    async with meet(microphone=microphone, color_scheme="light") as made:
        page = made.page
        assert await page.evaluate(ink, spoken) == 0
        await page.click("#connect")
        await made.seconds(1)
        quiet = await page.evaluate(ink, heard)
        await page.wait_for_selector("#turns li")
        await page.wait_for_timeout(1500)
        assert await page.evaluate(ink, spoken) > 2000
        assert await page.evaluate(ink, heard) > quiet + 2000
        made.errors[:] = [
            error for error in made.errors if "getImageData" not in error
        ]  # our own reading of it


async def test_where_motion_is_not_wanted_the_axis_stands_still(meet: Meet, silence: Path) -> None:
    async def axis(page: Page) -> bytes:
        box = await page.locator("#timeline").bounding_box()
        assert box is not None
        top = box["y"] + box["height"] - 20
        return await page.screenshot(clip={"x": box["x"], "y": top, "width": box["width"], "height": 20})

    async with meet(reduced_motion="reduce") as made:
        page = made.page
        await page.click("label:has(input[name=window][value='10'])")
        await page.click("#connect")
        await made.seconds(11)
        still = await axis(page)
        await made.seconds(13)
        assert await axis(page) == still
        await page.emulate_media(reduced_motion="no-preference")
        await page.wait_for_timeout(300)
        moving = await axis(page)
        await page.wait_for_timeout(700)
        assert await axis(page) != moving


async def test_everything_has_a_name_for_who_does_not_see_it(meet: Meet) -> None:
    nameless = """
    () => [...document.querySelectorAll("button, a[href], input, select, canvas, [role]")]
      .filter((element) => !["alert", "status"].includes(element.getAttribute("role")))
      .filter((element) => {
        const ids = (element.getAttribute("aria-labelledby") ?? "").split(" ");
        const by = ids.map((id) => document.getElementById(id));
        const parts = [element, ...(element.labels ?? []), ...by].map((part) => part?.textContent ?? "");
        return !(parts.join("") + (element.getAttribute("aria-label") ?? "")).trim();
      })
      .map((element) => element.outerHTML)
    """
    async with meet() as made:
        assert await made.page.evaluate(nameless) == []
        assert await made.page.get_attribute("#events", "aria-live") == "polite"
        assert await made.page.get_attribute("html", "lang") == "en"


@pytest.mark.parametrize(
    ("from_hz", "to_hz"),
    [
        (48000, 16000),
        (44100, 16000),
        (48000, 8000),
        (44100, 24000),
        (16000, 48000),
        (8000, 44100),
        (24000, 48000),
    ],
)
async def test_the_worklets_resampler_is_clean(meet: Meet, from_hz: int, to_hz: int) -> None:
    async with meet() as made:
        tone = await made.page.evaluate(RESAMPLE, [from_hz, to_hz, 1000])
        assert tone["count"] == pytest.approx(to_hz, abs=2)
        assert tone["gain"] == pytest.approx(1, abs=0.001)
        assert tone["snr"] > 65
        if to_hz < from_hz:
            # What the lower rate cannot hold must not come back as something else.
            alias = await made.page.evaluate(RESAMPLE, [from_hz, to_hz, to_hz * 0.6])
            assert alias["power"] < 1e-6


async def test_at_one_rate_nothing_is_changed(meet: Meet) -> None:
    script = """async () => {
      const { Resampler } = await import("/worklets/resampler.js");
      const out = [];
      new Resampler(16000, 16000).push(Float32Array.of(0.5, -1, 0.25), (sample) => out.push(sample));
      return out;
    }"""
    async with meet() as made:
        assert await made.page.evaluate(script) == [0.5, -1, 0.25]
