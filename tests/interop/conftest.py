# SPDX-License-Identifier: Apache-2.0
"""Which event loops the application side is tried on."""

from __future__ import annotations

from support.loops import pytest_asyncio_loop_factories

__all__ = ["pytest_asyncio_loop_factories"]
