# SPDX-License-Identifier: Apache-2.0
"""pytest's plugin of audio-connector: fixtures for testing a bot of your own; see `audio_connector.testing`.

A package of its own, because pytest imports the plugins of everything that is installed, in every run and before it
starts to measure coverage. So this module imports nothing of audio_connector until a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from audio_connector.simulator import Router
    from audio_connector.testing import Audio, Server

__all__ = ["audio_connector_router", "audio_connector_server", "audio_connector_speech"]


@pytest.fixture
def audio_connector_server() -> Callable[..., AbstractAsyncContextManager[Server]]:
    """What runs a bot for a test, `testing.serve`."""
    from audio_connector.testing import serve  # noqa: PLC0415 - see above, here and below

    return serve


@pytest.fixture
def audio_connector_router() -> Callable[..., Router]:
    """What makes a simulated media router for the loop of a test, `testing.router`."""
    from audio_connector.testing import router  # noqa: PLC0415

    return router


@pytest.fixture
def audio_connector_speech() -> Audio:
    """A sentence of real speech, three seconds at 16 kHz."""
    from audio_connector.testing import Audio  # noqa: PLC0415

    return Audio.of("sample:he-was-not")
