# SPDX-License-Identifier: Apache-2.0
"""The documentation's picture of a report: a parrot that is interrupted, over a network that jitters and stalls."""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from support.browser import ARGUMENTS, find_chromium

from audio_connector.playground.parrot import parrot
from audio_connector.simulator import CallReport, failures, parse_scenario, render_page, run_calls
from audio_connector.testing import run_in_virtual_time, serve
from audio_connector.testing.network import dial

SCENARIO = """\
name: A caller who interrupts
participants:
  - name: Ann
    steps:
      - { at_s: 0.5, say: "sample:unless-to-be" }
      - { at_s: 7.5, say: "sample:he-was-not" }   # while the bot is answering
      - { at_s: 9.5, dtmf: "5" }
      - { at_s: 12.3, stall: true, for_s: 0.32 }  # the network carries nothing
impairments: { jitter_ms: 12, seed: 4 }
tail_s: 4
fail_on:
  - turns<2
  - barge_in_ms>60
"""
WIDTH_PX = 1100
COLOURS = 160
"""Enough for the edges of letters; in all colours the file would be three times as large."""


def run_scenario() -> list[CallReport]:
    """Make the call, in virtual time; always the same one but for its ids."""

    async def run() -> list[CallReport]:
        async with serve(parrot) as server:
            calls = parse_scenario(SCENARIO).calls(server.url)
            return await run_calls(calls, dial=dial, clock=asyncio.get_running_loop().time)

    return run_in_virtual_time(run())


def page_of(reports: list[CallReport]) -> str:
    """The page of the call, as the command writes it."""
    scenario = parse_scenario(SCENARIO)
    return render_page(
        reports,
        title=scenario.name,
        conditions=[str(condition) for condition in scenario.conditions],
        conditions_failed=failures(scenario.conditions, reports),
        scenario=SCENARIO,
    )


def take_report_picture(path: Path) -> None:
    """Write what the page looks like, as a small PNG."""
    page = page_of(run_scenario())
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page, encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        screen = browser.new_page(viewport={"width": WIDTH_PX, "height": 600}, device_scale_factor=1.5)
        screen.goto(file.as_uri())
        picture = screen.screenshot(full_page=True)
        browser.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, kmeans=COLOURS)
    image.save(path, optimize=True)


if __name__ == "__main__":
    take_report_picture(Path(sys.argv[1]))
