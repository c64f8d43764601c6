# SPDX-License-Identifier: Apache-2.0
"""Real engines for tests: skipped, with the command that gets them, where they are not here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from audio_connector.engines import Engine
from audio_connector.engines.base.catalogue import OFFERS

E = TypeVar("E", bound=Engine)


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
