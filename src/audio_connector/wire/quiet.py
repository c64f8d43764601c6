# SPDX-License-Identifier: Apache-2.0
"""A logger for a library that says more than it should."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

logger = logging.getLogger("audio_connector.wire")

if TYPE_CHECKING:
    _LoggerAdapter = logging.LoggerAdapter[logging.Logger]
else:
    _LoggerAdapter = logging.LoggerAdapter  # cannot be subscripted before Python 3.11


class QuietLogger(_LoggerAdapter):
    """picows logs every connect at INFO and every broken peer at ERROR; here both are DEBUG.

    What matters of it reaches the receiver as `Closed`, and a server must not be made to write logs by
    whoever connects to it.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:  # noqa: ANN401 - as the base
        """Log at DEBUG, whatever the level."""
        if logger.isEnabledFor(logging.DEBUG):
            super().log(logging.DEBUG, msg, *args, **kwargs)
