# SPDX-License-Identifier: Apache-2.0
"""Speech without engines: each character is a frame of its own level, so that a recogniser reads it off the samples.

So what is tested is everything between the two: who says what when, over the real server, in virtual time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audio_connector import AudioConnectorConnection
from audio_connector.simulator import CallReport, RouterCall, Talk
from audio_connector.testing import router, serve

RATE_HZ = 16000
_FRAME_SAMPLES = RATE_HZ // 50
_LEAST, _STEP = 1000, 8


def spelled(text: str) -> bytes:
    """The speech of a text: 20 ms a character."""
    levels = [_LEAST + _STEP * ord(char) for char in text]
    return np.repeat(np.array(levels, "<i2"), _FRAME_SAMPLES).tobytes()


def frames_of(text: str) -> list[bytes]:
    """The same, frame by frame."""
    pcm, size = spelled(text), 2 * _FRAME_SAMPLES
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]


def read(pcm: bytes) -> str:
    """The text of a speech, silence left out; of speech that nobody spelled, anything."""
    frames = np.frombuffer(pcm, "<i2").reshape(-1, _FRAME_SAMPLES)
    return "".join(chr(max(0, int(frame[0]) - _LEAST) // _STEP) for frame in frames if frame.any())


@dataclass
class Spoken:
    text: str


@dataclass
class Speller:
    """A synthesiser; as many voices as one likes, all the same."""

    sample_rate: int = RATE_HZ
    said: list[str] = field(default_factory=list)
    is_open: bool = False
    missing: Exception | None = None
    pcm: Callable[[str], bytes] = spelled

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        self.said.append(text if language is None else f"{language}: {text}")
        pcm = self.pcm(text)
        for at in range(0, len(pcm), 1000):
            yield pcm[at : at + 1000]

    async def named(self, name: str | None) -> tuple[str, Speller]:
        return name or "usual", self

    async def warm(self) -> None:
        if self.missing is not None:
            raise self.missing
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False


@dataclass
class Reader:
    """A recogniser.

    Attributes:
        takes_s: How long each piece takes.
        fails_on: It fails on a piece with this in it.
    """

    takes_s: float = 0.0
    fails_on: str = "\0"
    heard: list[str] = field(default_factory=list)
    is_open: bool = False

    async def warm(self) -> None:
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Spoken:
        assert sample_rate == RATE_HZ
        text = read(audio)
        await asyncio.sleep(self.takes_s)
        if self.fails_on in text:
            raise RuntimeError("the recogniser broke")
        self.heard.append(text if language is None else f"{language}: {text}")
        return Spoken(text)


@dataclass
class ChatBox:
    """A chat model that says what is written down for it, and notes what it was told."""

    answers: list[str]
    told: list[list[tuple[str, str]]] = field(default_factory=list)
    takes_s: float = 0.0

    async def answer(self, messages: Sequence[Any]) -> AsyncIterator[str]:
        self.told.append([(message.role, message.text) for message in messages])
        await asyncio.sleep(self.takes_s)
        for word in re.split(r"(?<= )", self.answers.pop(0)):
            yield word


class Alike:
    """An embedder that knows which sentences mean the same: those of one group."""

    def __init__(self, *groups: Sequence[str]) -> None:
        self._groups = groups

    async def embed(self, texts: Sequence[str]) -> Any:
        rows = np.zeros((len(texts), len(self._groups) + len(texts)), np.float32)
        for place, text in enumerate(texts):
            found = [number for number, group in enumerate(self._groups) if text.strip(" .") in group]
            rows[place, found[0] if found else len(self._groups) + place] = 1.0
        return rows


Answers = Callable[[str], "str | None"]


def talking_bot(
    answers: Answers, *, greeting: str = "", thinks_s: float = 0.2
) -> Callable[..., Awaitable[None]]:
    """A bot that reads what the caller spells, and spells its answer; None hangs up.

    Args:
        answers: The answer to a text; empty for none.
        greeting: What it says first.
        thinks_s: Time from the end of the caller's speech to the answer.
    """

    async def on_connect(client: AudioConnectorConnection) -> None:
        if greeting:
            await client.send_audio_buffer(spelled(greeting))
        phrase, quiet = b"", 0
        async for frame in client.audio():
            if any(frame):
                if not phrase:
                    await client.flush_buffer()
                phrase, quiet = phrase + frame, 0
            elif phrase:
                quiet += 1
            if quiet * 0.02 < thinks_s:
                continue
            if phrase:
                answer = answers(read(phrase))
                phrase, quiet = b"", 0
                if answer is None:
                    await client.close()
                    return
                await client.send_audio_buffer(spelled(answer))

    return on_connect


def talk(**engines: Any) -> Talk:
    """Engines that spell and read, or others instead."""
    return Talk(**{"voices": Speller(), "recogniser": Reader(), **engines})


async def called(
    bot: Callable[..., Awaitable[None]], engines: Talk | None = None, **options: Any
) -> CallReport:
    """The report of a call to a bot, in whatever time the loop has."""
    async with serve(bot) as server, router(talk=engines or talk()) as phone:
        return await phone.run(RouterCall(**{"url": server.url, "tail_s": 1.0, **options}))
