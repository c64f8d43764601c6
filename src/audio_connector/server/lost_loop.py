# SPDX-License-Identifier: Apache-2.0
"""An application's loop that was closed while its server ran, and whether anybody is left who should be told of it.

A program that ends, by Ctrl-C above all, closes its loop first and comes to the interpreter's own end a moment later.
The calls are said goodbye to either way, and which of the two the I/O side finds first is chance: a word at once
would be printed once in a while, and mostly not.
"""

from __future__ import annotations

import logging
import threading
from typing import Final

logger = logging.getLogger("audio_connector.server")

GOES_ON_S: Final = 1.0
"""A program that is still there so long after its loop was closed goes on without it. From one to the other it takes
milliseconds, and more where the machine is busy."""


class LostLoop:
    """Of one server."""

    def __init__(self) -> None:
        self._is_lost = False
        self._is_settled = threading.Event()

    def note(self) -> None:
        """The loop is closed, and nobody had asked for the end; from any thread."""
        self._is_lost = True

    def settle(self) -> None:
        """Somebody has asked for the end after all, or the interpreter goes down; from any thread."""
        self._is_settled.set()

    def tell(self) -> None:
        """Log it where the program goes on; at the end of a thread, since it waits for that."""
        if self._is_lost and not self._is_settled.wait(GOES_ON_S):
            logger.warning(
                "the event loop that started the server has ended without handle.stop(); its connections were "
                "closed with 1001. Await handle.stop() before the loop ends, or let audio_connector.run() do it"
            )
