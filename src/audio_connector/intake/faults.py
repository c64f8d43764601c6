# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in one connection, in the log: once in full, and then counted.

A handler that fails with every message fails fifty times a second; a traceback for each would bury all else.
"""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple

from audio_connector.errors import ConnectionClosed
from audio_connector.intake.episodes import Episodes, Repeats
from audio_connector.validation.handlers import Handler, name_of
from audio_connector.wire.quoting import named, printable

logger = logging.getLogger("audio_connector.server")

GOES_ON = "the connection goes on"
ERROR_CHARS = 300
"""A repr of an exception may hold a whole message."""


class _Kind(NamedTuple):
    """What counts as the same."""

    what: str
    level: int


class FaultLog:
    """The faults of one connection; on the application's loop.

    Args:
        connection_id: As the peer may have chosen it.
    """

    def __init__(self, connection_id: str) -> None:
        self.label = named(connection_id)
        self._episodes: Episodes[_Kind] = Episodes(_Kind("other errors came", logging.ERROR))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def raised(self, name: str, handler: Handler, error: Exception, then: str = GOES_ON) -> None:
        """A handler has raised.

        Args:
            name: What it was set as: on_message and so on.
            handler: It.
            error: What it raised.
            then: What follows from it.
        """
        kind = f"{name} raised {type(error).__name__}"
        if isinstance(error, ConnectionClosed):
            # What every echo runs into when the caller hangs up: no mistake, so neither ERROR nor traceback.
            if self._is_new(_Kind(kind, logging.INFO)):
                logger.info("connection %s: %s: %s", self.label, kind, printable(str(error)))
        elif self._is_new(_Kind(kind, logging.ERROR)):
            logger.error(
                "connection %s: %s raised %s; %s. The handler is %s",
                self.label,
                name,
                excerpt(error),
                then,
                name_of(handler),
                exc_info=error,
            )

    def was_cancelled(self, name: str, handler: Handler, then: str = GOES_ON) -> None:
        """A handler was cancelled, but by nobody of the library."""
        kind = f"{name} was cancelled"
        if self._is_new(_Kind(kind, logging.ERROR)):
            logger.error("connection %s: %s; %s. The handler is %s", self.label, kind, then, name_of(handler))

    def told(self, error: Exception) -> None:
        """Something else is wrong; the text of the error says what."""
        text = printable(str(error), 2 * ERROR_CHARS) or excerpt(error)
        level = logging.INFO if isinstance(error, ConnectionClosed) else logging.ERROR
        if self._is_new(_Kind(f"{type(error).__name__}: {text}", level)):
            has_traceback = level > logging.INFO and error.__traceback__ is not None
            logger.log(
                level, "connection %s: %s", self.label, text, exc_info=error if has_traceback else None
            )

    def close(self) -> None:
        """Tell what was only counted so far; also where the loop has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None:
            self._tell(self._episodes.finish(self._loop.time()))

    def _is_new(self, kind: _Kind) -> bool:
        loop = self._loop = asyncio.get_running_loop()
        if self._episodes.note(kind, loop.time()):
            return True
        if self._timer is None:
            self._arm(loop)
        return False

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        at = self._episodes.next_deadline()
        self._timer = None if at is None else loop.call_at(at, self._on_time)

    def _on_time(self) -> None:
        loop = asyncio.get_running_loop()
        self._tell(self._episodes.due(loop.time()))
        self._arm(loop)

    def _tell(self, repeats: list[Repeats[_Kind]]) -> None:
        for said in repeats:
            logger.log(
                said.kind.level,
                "connection %s: %s %d more time%s in %.3g s",
                self.label,
                said.kind.what,
                said.times,
                "" if said.times == 1 else "s",
                said.seconds,
            )


def excerpt(error: BaseException) -> str:
    """The repr of an error, on one line and cut: it may hold what a peer wrote."""
    try:
        return printable(repr(error), ERROR_CHARS)
    except Exception:  # noqa: BLE001 - the repr is the application's, and fails as well
        return type(error).__name__
