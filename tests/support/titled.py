# SPDX-License-Identifier: Apache-2.0
"""Blocks of a page of the documentation that are files: they have a title, which is the file's name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"

_BLOCK: Final = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)


def titled_blocks(page: str) -> dict[str, str]:
    """The blocks of a page by their titles."""
    return dict(_BLOCK.findall((DOCS / page).read_text(encoding="utf-8")))
