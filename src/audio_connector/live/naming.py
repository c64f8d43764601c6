# SPDX-License-Identifier: Apache-2.0
"""How applications name what they make of a call: a label that is safe in paths and pages, a folder, a speaker."""

from __future__ import annotations

import errno
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

LABEL_CHARS: Final = 12
"""Of an id, from its end: those of one account begin alike."""

NAME_CHARS: Final = 40

MAX_NAMESAKES: Final = 100
"""Folders of one session that began within a second."""


def label_of(id_: str) -> str:
    """Shorten the id of a call or a session, which a peer has written, to some letters and digits."""
    return re.sub(r"[^A-Za-z0-9]", "", id_)[-LABEL_CHARS:] or "session"


def dated(label: str, began: datetime) -> str:
    """Put a time before a label, so that names sort by it: ``20261129-184501-label``."""
    return f"{began:%Y%m%d-%H%M%S}-{label}"


def new_folder(wanted: Path) -> Path:
    """Make a folder, under another name where there is one by that name already; blocks.

    Raises:
        OSError: The disk refuses, or there are `MAX_NAMESAKES`.
    """
    names = (wanted.name, *(f"{wanted.name}-{number}" for number in range(2, MAX_NAMESAKES + 1)))
    for folder in map(wanted.with_name, names):
        with suppress(FileExistsError):  # the same session again, within a second
            folder.mkdir(parents=True)
            return folder
    raise FileExistsError(errno.EEXIST, f"there are {MAX_NAMESAKES} of that name", str(wanted))


def speaker_name(
    headers: Mapping[str, str], others: Collection[str], *, there: Collection[str] | None = None
) -> str:
    """Return how somebody is to be called: as the header ``name`` says, or by number, and like nobody else.

    Args:
        headers: Of the connection; a peer has written them.
        others: The names of those who came before.
        there: Those of them who have not left, all where it is None: who comes by the name of one who has left is
            back.
    """
    name = re.sub(r"[^\w .'-]", "", headers.get("name", ""))[:NAME_CHARS].strip()
    taken = there if name and there is not None else others
    number = len(others) + 1
    unique = name or f"speaker {number}"
    while unique in taken:
        unique = f"{name or 'speaker'} {number}"
        number += 1
    return unique
