# SPDX-License-Identifier: Apache-2.0
"""Real engines for tests: skipped, with the command that gets them, where they are not here."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from audio_connector.engines import Engine
from audio_connector.engines.base.catalogue import OFFERS

E = TypeVar("E", bound=Engine)

HELD_S = 30.0
"""For what comes at once, however busy the machine is."""


class Held:
    """Work in the thread of an engine that is kept from its end: who returns meanwhile has not waited for it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.is_over = False
        self._begun = threading.Event()

    @contextmanager
    def work(self, *, where: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """What is done within ends when it is let go on; with ``where``, only if that holds by then."""
        self._begun.set()
        try:
            yield
        finally:
            if where():
                self.go_on.wait(HELD_S)
                self.is_over = True

    async def has_begun(self) -> None:
        """Wait until somebody is at it."""
        assert await asyncio.to_thread(self._begun.wait, HELD_S)


def need(name: str) -> None:
    """Skip where something that an engine needs is missing."""
    (offer,) = [each for each in OFFERS if each.name == name]
    missing = offer.missing()
    if missing:
        pytest.skip("; ".join(f"{each.what}: {each.mend}" for each in missing))


@contextmanager
def ready(name: str, engine: E) -> Iterator[E]:
    """An engine, loaded; for a fixture of a whole session, since an engine serves any loop."""
    need(name)
    asyncio.run(engine.warm())
    yield engine
    asyncio.run(engine.close())
