# SPDX-License-Identifier: Apache-2.0
"""For tests that use asyncio's TLS."""

from __future__ import annotations

from support.loops import collected_transports

__all__ = ["collected_transports"]
