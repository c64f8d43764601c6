# SPDX-License-Identifier: Apache-2.0
"""Engines made ready before the first call, and somebody who waits for it told how far it is."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from audio_connector.engines.base.ports import Engine


@dataclass(frozen=True)
class Warmed:
    """How far it is: told once at the beginning, with no name, and once for each engine that has loaded.

    Args:
        ready: Engines that have loaded.
        total: All of them.
        name: The one that has loaded now.
        took_s: What it took since the beginning.
    """

    ready: int
    total: int
    name: str = ""
    took_s: float = 0.0


Tell = Callable[[Warmed], object]


async def warm_all(*engines: Engine, progress: Tell | None = None) -> None:
    """Load all engines beside each other.

    Args:
        engines: Those that the application uses; the same one may come twice.
        progress: Told how far it is. `shown` shows it to a person.

    Raises:
        EngineError: One cannot be loaded, with `EngineMissing` where something is not there. The others are loaded to
            their end first.
    """
    tell = progress or (lambda _: None)
    # By identity: an engine need not be hashable.
    once = list({id(each): each for each in engines}.values())
    ready = 0
    began_at = time.monotonic()
    tell(Warmed(0, len(once)))

    async def warm(engine: Engine) -> None:
        nonlocal ready
        await engine.warm()
        ready += 1
        tell(Warmed(ready, len(once), name_of(engine), time.monotonic() - began_at))

    results = await asyncio.gather(*map(warm, once), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def name_of(engine: Engine) -> str:
    """What an engine calls itself, or its class."""
    return str(getattr(engine, "name", type(engine).__name__))


@contextmanager
def shown(what: str = "loading") -> Iterator[Tell]:
    """Show progress on standard error: a bar in a terminal where rich is installed, a line for each engine elsewhere.

    ``with shown() as progress: await warm_all(ears, voice, progress=progress)``
    """
    bar = _bar(what) if sys.stderr.isatty() else None
    if bar is None:
        yield _line
        return
    progress, task = bar
    with progress:
        yield lambda warmed: progress.update(
            task, completed=warmed.ready, total=warmed.total, description=f"{what} {warmed.name}"
        )


def _line(warmed: Warmed) -> None:
    said = f"{warmed.name} after {warmed.took_s:.1f} s" if warmed.name else "loading"
    sys.stderr.write(f"engines: {warmed.ready} of {warmed.total}, {said}\n")


def _bar(what: str) -> tuple[Any, Any] | None:
    try:
        from rich.console import Console  # noqa: PLC0415 - the extra cli
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415
    except ImportError:
        return None
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    return bar, bar.add_task(what, total=None)
