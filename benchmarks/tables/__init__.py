# SPDX-License-Identifier: Apache-2.0
"""The tables that `python -m benchmarks` prints, one file each."""

from __future__ import annotations

from typing import Any

from benchmarks.common.table import Table
from benchmarks.tables import echo, imports, isolation, memory, opening, watching

TABLES: tuple[Table[Any], ...] = (
    echo.TABLE,
    opening.TABLE,
    memory.TABLE,
    imports.TABLE,
    isolation.TABLE,
    watching.TABLE,
)
