# SPDX-License-Identifier: Apache-2.0
"""Engines made ready beside each other, and who waits told."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest

from audio_connector.engines import EngineError, EngineMissing
from audio_connector.engines.base.warm import Warmed, shown, warm_all


class Slow:
    def __init__(self, name: str = "", error: Exception | None = None) -> None:
        if name:
            self.name = name
        self.error = error
        self.gate = asyncio.Event()
        self.warmed = 0

    async def warm(self) -> None:
        self.warmed += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        pass


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_load_at_once_and_each_is_told() -> None:
    told: list[Warmed] = []
    ears, voice = Slow("ears"), Slow()
    warming = asyncio.ensure_future(warm_all(ears, voice, ears, progress=told.append))
    await settle()
    assert (ears.warmed, voice.warmed) == (1, 1)
    voice.gate.set()
    await settle()
    ears.gate.set()
    await warming
    assert [(each.ready, each.total, each.name) for each in told] == [
        (0, 2, ""),
        (1, 2, "Slow"),
        (2, 2, "ears"),
    ]


async def test_one_that_fails_is_raised_when_the_others_are_done() -> None:
    missing = EngineMissing("no model", mend="pip install it")
    ears, voice = Slow("ears", missing), Slow("voice", EngineError("later"))
    ears.gate.set()
    warming = asyncio.ensure_future(warm_all(voice, ears))
    await settle()
    assert not warming.done()
    voice.gate.set()
    with pytest.raises(EngineError, match="later"):
        await warming


async def test_nothing_is_ready_at_once() -> None:
    told: list[Warmed] = []
    await warm_all(progress=told.append)
    assert told == [Warmed(0, 0)]


async def test_without_a_terminal_there_is_a_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Slow("ears")
    engine.gate.set()
    with shown() as progress:
        await warm_all(engine, progress=progress)
    assert capsys.readouterr().err == "engines: 0 of 1, loading\nengines: 1 of 1, ears after 0.0 s\n"


async def test_in_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with shown("loading engines") as progress:
        progress(Warmed(1, 2, "ears"))
    assert "1/2" in terminal.getvalue()


async def test_a_terminal_without_rich_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with shown() as progress:
        progress(Warmed(1, 2, "ears", 0.25))
    assert terminal.getvalue() == "engines: 1 of 2, ears after 0.2 s\n"
