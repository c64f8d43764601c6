# SPDX-License-Identifier: Apache-2.0
"""Files that applications write anew as a whole, and that somebody may read meanwhile."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file at once or not at all, in UTF-8: who reads it has the one before, or this one; blocks.

    Args:
        path: In a folder that is there. ``path`` with ``.part`` is written first, so one writer at a time.
        text: What has no place in UTF-8, half a pair of a peer's making, becomes a question mark.

    Raises:
        OSError: The disk refused: the one before is as it was, and nothing else is left.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="replace")
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
