# SPDX-License-Identifier: Apache-2.0
"""Which event loops the application side is tried on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping

import pytest

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Both, where a test asks for them with its mark; else asyncio's own."""
    factories: dict[str, LoopFactory] = {"asyncio": asyncio.new_event_loop}
    mark = item.get_closest_marker("asyncio")
    if mark is not None and "loop_factories" in mark.kwargs and sys.platform != "win32":
        import uvloop  # noqa: PLC0415 - does not exist on Windows

        factories["uvloop"] = uvloop.new_event_loop
    return factories
