# SPDX-License-Identifier: Apache-2.0
"""What the server tells of an application's failures, in one line each."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final

from audio_connector.validation.places import describe

LOGGER: Final = "audio_connector.server"
"""Where the server tells of an application's failures."""

# A connection's id is as long as a line; the page shows the beginning of its own.
_ID: Final = re.compile(r"\bconnection ([0-9a-f]{8})[0-9a-f]{24}\b")


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
