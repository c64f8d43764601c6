# SPDX-License-Identifier: Apache-2.0
"""A recogniser that fails with an error that is none of the library's, at the methods that it is told; and a page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from audio_connector.engines import Transcript
from audio_connector.testing.scripted import ScriptedEars


class Page:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        del key
        if kind in ("trouble", "problem"):
            self.texts.append(data["text"])


class Hearing:
    def __init__(self, failing: str) -> None:
        self.failing = failing

    def fail(self, where: str) -> None:
        if where in self.failing.split(" and "):
            raise LookupError(f"no {where}")

    async def __aenter__(self) -> Hearing:
        self.fail("enter")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.fail("exit")

    async def write(self, audio: bytes) -> None:
        del audio
        self.fail("write")

    async def partials(self) -> AsyncIterator[Transcript]:
        self.fail("partials")
        yield Transcript("where", is_final=False)

    async def finish(self) -> Transcript:
        self.fail("finish")
        return Transcript("where is the shop?")


class Failing(ScriptedEars):
    def __init__(self, failing: str) -> None:
        super().__init__(["where is the shop?"] * 9)
        self.failing = failing

    def hear(self, *, sample_rate: int, language: str | None = None) -> Any:
        del sample_rate, language
        hearing = Hearing(self.failing)
        hearing.fail("hear")
        return hearing

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        del audio, sample_rate, language
        if self.failing == "finish":
            raise LookupError("no finish")
        return Transcript("where is the shop?")
