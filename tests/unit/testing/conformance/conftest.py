# SPDX-License-Identifier: Apache-2.0
"""Which event loops the bare client is tried on."""

from __future__ import annotations

from support.loops import collected_transports, pytest_asyncio_loop_factories

__all__ = ["collected_transports", "pytest_asyncio_loop_factories"]
