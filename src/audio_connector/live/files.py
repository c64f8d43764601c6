# SPDX-License-Identifier: Apache-2.0
"""Files that applications write anew as a whole, and that somebody may read meanwhile; and folders of one's own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from audio_connector.errors import UsageError
from audio_connector.live.settings import make_folder

MAX_OWNERS: Final = 100
"""Programs that want one folder at the same time."""

_TAKEN: Final = (errno.EAGAIN, errno.EACCES)


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


@contextmanager
def own_folder(wanted: Path) -> Iterator[Path]:
    """Have a folder for oneself: the one that is wanted, or ``wanted-2`` and so on where another program has that.

    The lock is the folder's own, so nothing is left of it, whatever ends the program. Where there are none, as on
    Windows, the wanted one is given.

    Raises:
        UsageError: It cannot be made, or `MAX_OWNERS` have one.
    """
    names = (wanted.name, *(f"{wanted.name}-{number}" for number in range(2, MAX_OWNERS + 1)))
    with ExitStack() as stack:
        for folder in map(wanted.with_name, names):
            make_folder(folder)
            if _is_free(folder, stack):
                yield folder
                return
        raise UsageError(
            f"{MAX_OWNERS} programs write below {str(wanted.parent)!r}; expected fewer, or another folder"
        )


def _is_free(folder: Path, stack: ExitStack) -> bool:
    """Whether nobody has it; then it is ours until the stack is left."""
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return True
    try:
        opened = os.open(folder, os.O_RDONLY)
    except OSError:  # what is to be written there fails with words of its own
        return True
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(opened)
        return error.errno not in _TAKEN  # some disks of a network have no locks
    stack.callback(os.close, opened)
    return True
