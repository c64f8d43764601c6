# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in one connection, in the log: once in full, and then counted.

A handler that fails with every message fails fifty times a second; a traceback for each would bury all else.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable

from audio_connector.errors import ConnectionClosed, DeadlineError, LimitError, ProtocolError
from audio_connector.intake.log_fields import fields_of, log
from audio_connector.validation.handlers import Handler, name_of
from audio_connector.wire.episodes import Episodes, Word
from audio_connector.wire.quoting import named, printable

logger = logging.getLogger("audio_connector.server")

GOES_ON = "the connection goes on"
ERROR_CHARS = 300
"""A repr of an exception may hold a whole message."""

Kind = tuple[str, int]
"""What counts as the same, and its level in the log."""

OF_PEERS = (ProtocolError, LimitError, DeadlineError)
"""What a peer can bring about, in one call after the other."""


_OF_ONE = re.compile(r"['\"(0-9]")


class PeerFaults:
    """What peers do wrong in all calls of a server: the first of a kind is told at once, the next ones rarely.

    Who dials again and again would fill the log otherwise, whatever each of the calls says but once.
    """

    def __init__(self) -> None:
        self._episodes = Episodes("others")

    def note(self, error: Exception, now: float) -> str | None:
        """There is one; returns what the line about it says besides, None where it is only counted."""
        # By how its text begins: what follows a quote, a bracket or a digit is of this one.
        word = self._episodes.note(_OF_ONE.split(str(error), maxsplit=1)[0] or type(error).__name__, now)
        if word is None:
            return None
        return (
            f"; {word.times - 1} more of the kind in other calls since the last line"
            if word.times > 1
            else ""
        )

    def close(self) -> None:
        """Tell what was only counted so far."""
        for word in self._episodes.finish():
            logger.warning("%d more times in other calls: %s", word.times, word.kind.rstrip())


class FaultLog:
    """The faults of one connection, whose id a peer may have chosen; on the application's loop.

    ``count`` is given the class of each error; ``peer_faults`` are those of all calls.
    """

    def __init__(
        self,
        connection_id: str,
        count: Callable[[str], None] = lambda _: None,
        peer_faults: PeerFaults | None = None,
    ) -> None:
        self._count_kind = count
        self._peer_faults = peer_faults or PeerFaults()
        self.label = named(connection_id)
        self.fields = fields_of(connection_id)
        """Of every record; more of them are added once they are known."""
        self._episodes = Episodes[Kind](("other errors came", logging.ERROR))

    def raised(self, name: str, handler: Handler | None, error: BaseException, then: str = GOES_ON) -> None:
        """A handler, set as ``name``, or what runs them all, has raised or was cancelled, and what follows."""
        if isinstance(error, asyncio.CancelledError):
            what = full = f"{name} was cancelled"
        else:
            what, full = f"{name} raised {type(error).__name__}", f"{name} raised {excerpt(error)}"
        where = "" if handler is None else f". The handler is {name_of(handler)}"
        self.count(error)
        self._note(what, f"{full}; {then}{where}", error)

    def told(self, error: Exception) -> None:
        """Something else is wrong; the text of the error says what."""
        text = printable(str(error), 2 * ERROR_CHARS) or excerpt(error)
        level = logging.ERROR
        if isinstance(error, OF_PEERS):
            more = self._peer_faults.note(error, asyncio.get_running_loop().time())
            if more is None:
                return
            text += more
            level = logging.WARNING  # nothing of the program has failed, and no peer is to wake anybody
        self._note(f"{type(error).__name__}: {text}", text, error, level)

    def count(self, error: BaseException) -> None:
        """Have it counted: once for each error, on its way to on_error or to the log."""
        if not isinstance(error, ConnectionClosed):
            self._count_kind(type(error).__name__)

    def close(self) -> None:
        """Tell what was only counted so far; also where the loop has ended."""
        for word in self._episodes.finish():
            self._count(word)

    def _note(self, what: str, text: str, error: BaseException, level: int = logging.ERROR) -> None:
        # What every echo runs into when the caller hangs up is no mistake, and a call is a few lines at INFO.
        level = logging.DEBUG if isinstance(error, ConnectionClosed) else level
        word = self._episodes.note((what, level), asyncio.get_running_loop().time())
        if word is not None and word.times > 1:
            self._count(word)
        elif word is not None:
            has_trace = level == logging.ERROR and isinstance(error, Exception) and bool(error.__traceback__)
            trace = error if has_trace else None
            log(logger, level, "connection %s: %s", self.label, text, fields=self.fields, error=trace)

    def _count(self, word: Word[Kind]) -> None:
        what, level = word.kind
        times = f"{word.times} more time{'' if word.times == 1 else 's'} in {word.seconds:.3g} s"
        log(logger, level, "connection %s: %s %s", self.label, what, times, fields=self.fields)


def excerpt(error: BaseException) -> str:
    """The repr of an error, on one line and cut: it may hold what a peer wrote."""
    try:
        return printable(repr(error), ERROR_CHARS)
    except Exception:  # noqa: BLE001 - the repr is the application's, and fails as well
        return type(error).__name__
