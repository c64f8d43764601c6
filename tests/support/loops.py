# SPDX-License-Identifier: Apache-2.0
"""Which event loops the application side is tried on."""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping

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


@pytest.fixture
def collected_transports() -> Iterator[None]:
    """Collect what asyncio's TLS leaves behind in Python 3.10, before it warns in a test that comes later."""
    yield
    if sys.version_info < (3, 11):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
