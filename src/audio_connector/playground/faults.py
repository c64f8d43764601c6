# SPDX-License-Identifier: Apache-2.0
"""What an application did wrong, in one line that names the place in its own code."""

from __future__ import annotations

import inspect
import logging
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

LOGGER: Final = "audio_connector.server"
"""Where the server tells of an application's failures."""

_OURS: Final = (str(Path(__file__).parents[1]), str(Path(inspect.__file__).parent), "<frozen")
# A connection's id is as long as a line; the page shows the beginning of its own.
_ID: Final = re.compile(r"\bconnection ([0-9a-f]{8})[0-9a-f]{24}\b")
_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


def describe(error: BaseException) -> str:
    """Say what was raised, and where: the innermost line that is neither of this library nor of an installed one."""
    text = " ".join(str(error).split())
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    places = [place for place in traceback.extract_tb(error.__traceback__) if _is_users(place.filename)]
    return f"{what} ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else what


def _is_users(filename: str) -> bool:
    return not filename.startswith(_OURS) and not _INSTALLED & set(Path(filename).parts)


class FaultHandler(logging.Handler):
    """Hands on what the server logs of an application, a line each.

    Args:
        tell: Given each line, on whatever thread logged it.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one record."""
        text = _ID.sub(r"connection \1…", " ".join(record.getMessage().split()))
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {describe(record.exc_info[1])}"
        self._tell(text)
