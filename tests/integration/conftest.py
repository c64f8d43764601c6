# SPDX-License-Identifier: Apache-2.0
"""Which event loops the application side is tried on, and where the I/O side runs meanwhile."""

from __future__ import annotations

import asyncio
import os

import pytest
from support.loops import collected_transports, pytest_asyncio_loop_factories

from audio_connector.port.host import Deliver, IoHost, Note
from audio_connector.server import io_thread
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_process import IoProcess

__all__ = ["collected_transports", "pytest_asyncio_loop_factories"]

CARRIERS = ("thread", "process")
ON_BOTH = ("handle", "pausing", "stopping", "authentication_sides", "soak")
"""What is about the handle, what is decided on either side, and what lasts, runs over both, and all else over the
first."""

CHOSEN = os.environ.get("TEST_CARRIER")
"""With one of them, everything runs over that alone."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each test over one carrier or both."""
    assert CHOSEN in (None, *CARRIERS)
    if metafunc.definition.get_closest_marker("thread") is not None:
        return
    name = metafunc.module.__name__.rpartition("test_")[2]
    carriers = (CHOSEN,) if CHOSEN is not None else CARRIERS if name in ON_BOTH else CARRIERS[:1]
    if carriers != ("thread",):
        # What runs over both is everyday's over the first; the other one starts a process for each test.
        later = [pytest.mark.programs] if CHOSEN is None else []
        params = [pytest.param(each, marks=later if each != CARRIERS[0] else []) for each in carriers]
        metafunc.parametrize("carrier", params, indirect=True)


@pytest.fixture(autouse=True)
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the I/O side of every server of the test runs that says nothing about it; "thread" or "process"."""
    thread = io_thread.IoThread
    chosen: str = getattr(request, "param", "thread")
    if chosen == "process":

        def make(
            loop: asyncio.AbstractEventLoop, deliver: Deliver, note: Note, config: AudioConnectorServerConfig
        ) -> IoHost:
            can_cross = config.ssl is None
            return (IoProcess if can_cross else thread)(loop, deliver, note, config)

        monkeypatch.setattr(io_thread, "IoThread", make)
    return chosen
