# SPDX-License-Identifier: Apache-2.0
"""Takes the pictures of docs/testing/playground.md: a conversation with the parrot, in light and dark.

``make pictures``; the speech comes from the fake microphone, and everything that the pictures show has happened.
"""

from __future__ import annotations

import asyncio
import io
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from support.browser import Visit, chromium, visit, write_microphone
from support.pages import opened

from audio_connector.simulator import sample_speech

ASSETS = Path(__file__).parents[2] / "docs" / "assets"
COLOURS = 240
COMMON = 100
MOST_BYTES = 120_000
SIZE = {"width": 1280, "height": 1040}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


async def converse(made: Visit) -> None:
    """Speak, be answered, speak over the answer, press a key, and let a second participant speak."""
    page = made.page
    await page.click("#connect")
    await page.wait_for_selector("#turns li")
    await made.seconds(6)
    await page.click("#barge")
    await page.wait_for_selector("#turns li.is-barge .took:not(:text('…'))")
    await made.until("document.querySelectorAll('#turns li').length >= 3")
    await made.seconds(9)
    await page.click('#keypad [data-digit="5"]')
    await page.click("#guest")
    await page.click("label:has(input[name=speaker][value='2'])")
    await page.click('[data-sample="he-was-not.wav"]')
    await made.until("document.querySelectorAll('#turns li').length >= 4")
    await page.wait_for_timeout(2500)
    await page.mouse.move(4, 4)
    await page.evaluate("document.activeElement.blur()")


def save(png: bytes, path: Path) -> None:
    """Write a picture with a palette, small enough for a repository."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # The commonest colours as they are, so that grounds keep their difference; the rest by the method that keeps rare
    # ones, because thin lines in a colour of their own are what the picture is about.
    pixels = np.asarray(picture).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    common = colours[np.argsort(-counts)[:COMMON]].reshape(-1).tolist()
    rare = picture.quantize(COLOURS - COMMON, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette(common + rare[: 3 * (COLOURS - COMMON)])
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise RuntimeError(f"{path} has {size} bytes; expected {MOST_BYTES} at most: take fewer colours")
    print(f"{path}: {size} bytes")  # noqa: T201 - it is a program


async def take() -> dict[str, bytes]:
    """One conversation, in both themes."""
    speech = bytes(32000) + sample_speech(("he-was-not.wav",)) + bytes(32000 * 40)
    taken: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        microphone = write_microphone(Path(folder) / "microphone.wav", speech)
        async with (
            opened() as address,
            chromium(microphone) as browser,
            visit(browser, address.url, viewport=SIZE, color_scheme="light") as made,
        ):
            await converse(made)
            for theme in THEMES:
                await made.page.emulate_media(color_scheme=theme)
                await made.page.wait_for_timeout(200)
                taken[theme] = await made.page.screenshot(full_page=True)
    return taken


def main() -> None:
    """Take the pictures, and write them once the conversation is over: both would want the same processor."""
    ASSETS.mkdir(parents=True, exist_ok=True)
    for theme, png in asyncio.run(take()).items():
        save(png, ASSETS / f"playground-{theme}.png")


if __name__ == "__main__":
    main()
