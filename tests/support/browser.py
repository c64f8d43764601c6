# SPDX-License-Identifier: Apache-2.0
"""A real Chromium whose microphone is a file, and an ear at what it really plays."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from playwright.async_api import Browser, Page, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
MISSING = (
    "no Chromium was found; install one (Debian: apt install chromium), or name it: "
    "CHROMIUM=/path/to/chromium make browser"
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)
ALLOWED = "--use-fake-ui-for-media-stream"  # says yes to whoever asks for the microphone

# What is connected to the speakers goes to this ear as well; the page knows nothing of it. Not a worklet, because its
# module would have to come from the page's own server. The long block forgives a page that is busy for 300 ms.
EAR = """
globalThis.ear = { rateHz: 0, blocks: [] };
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    ear.rateHz = this.context.sampleRate;
    ear.node = this.context.createScriptProcessor(16384, 1, 1);
    ear.node.onaudioprocess = ({ inputBuffer }) => ear.blocks.push(inputBuffer.getChannelData(0).slice());
    connect.call(this, ear.node);
    connect.call(ear.node, target);
  }
  return connect.call(this, target, ...rest);
};
"""
EARS_OWN = "ScriptProcessorNode is deprecated"
CLOCK = """
(seconds) => {
  const [whole, rest] = document.getElementById("clock").textContent.split(":");
  return 60 * whole + Number(rest) >= seconds;
}
"""
TAKE = """
() => {
  const samples = ear.blocks.flatMap((block) => [...block]).map((sample) => Math.round(sample * 32767));
  const bytes = new Uint8Array(Int16Array.from(samples).buffer);
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return [ear.rateHz, btoa(text)];
}
"""


def find_chromium() -> str:
    """Where Chromium is; raises where there is none, so that no test is left out in silence."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None or not Path(found).exists():
        raise FileNotFoundError(f"CHROMIUM={named}: there is no such file" if named else MISSING)
    return found


def write_microphone(path: Path, pcm: bytes, rate_hz: int = 16000) -> Path:
    """What the microphone hears, again and again."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


@contextlib.asynccontextmanager
async def chromium(microphone: Path | None = None, *, is_allowed: bool = True) -> AsyncIterator[Browser]:
    """A browser; with ``is_allowed`` False it refuses the microphone to everybody."""
    arguments = [*ARGUMENTS, *([ALLOWED] if is_allowed else [])]
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


class Visit:
    """One page in a browser, and what it did that it should not have done.

    Attributes:
        page: The page.
        errors: Errors of its scripts and of the console.
        origins: Where it sent requests to.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.origins: set[str] = set()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda request: self.origins.add("/".join(request.url.split("/")[:3])))

    def _hear(self, message: Any) -> None:
        if message.type in {"error", "warning"} and EARS_OWN not in message.text:
            self.errors.append(f"{message.type}: {message.text}")

    async def listen(self) -> None:
        """Put the ear in place; before the page is loaded."""
        await self.page.add_init_script(EAR)

    async def until(self, script: str, argument: object = None, *, within_s: float = 30.0) -> None:
        """Wait until a script in the page says yes. Asked from here, because the page's policy forbids ``eval``."""

        async def ask() -> None:
            while not await self.page.evaluate(script, argument):  # noqa: ASYNC110 - the page cannot call us
                await asyncio.sleep(0.1)

        await asyncio.wait_for(ask(), within_s)

    async def seconds(self, seconds: float) -> None:
        """Wait until the call has lasted so long."""
        await self.until(CLOCK, seconds, within_s=seconds + 20)

    async def heard(self) -> tuple[npt.NDArray[np.int16], int]:
        """What went to the speakers so far, and its rate in Hz."""
        rate_hz, text = await self.page.evaluate(TAKE)
        return np.frombuffer(base64.b64decode(text), "<i2"), int(rate_hz)


@contextlib.asynccontextmanager
async def visit(browser: Browser, url: str, **options: Any) -> AsyncIterator[Visit]:
    """Open a page with the ear in place; ``options`` are those of a new page."""
    made = Visit(await browser.new_page(**options))
    await made.listen()
    await made.page.goto(url)
    try:
        yield made
    finally:
        await made.page.close()
