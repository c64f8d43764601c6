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
from audio_connector.wire.episodes import FIRST_S, Episodes, Word
from audio_connector.wire.quoting import named, printable

logger = logging.getLogger("audio_connector.server")

GOES_ON = "the connection goes on"
ERROR_CHARS = 300
"""A repr of an exception may hold a whole message."""

Kind = tuple[str, int]
"""What counts as the same, and its level in the log."""

OF_PEERS = (ProtocolError, LimitError, DeadlineError)
"""What a peer can bring about, in one call after the other."""


HANDLERS_AT_ONCE = 3
"""Calls that tell with a traceback how a handler failed there, and then one each `FIRST_S`."""

_OF_ONE = re.compile(r"['\"(0-9]")


class CommonFaults:
    """What goes wrong in all calls of a server: the first of a kind are told at once, the next ones rarely.

    A peer that dials again and again, with what a protocol does not allow or with audio that a handler does not bear,
    would fill the log otherwise, whatever each of the calls says but once.
    """

    def __init__(self) -> None:
        self._of_peers = Episodes[str]("others")
        # Whoever tries a program calls it again and again, and looks for what each of the calls has left.
        self._of_handlers = Episodes[str]("others", longest_s=FIRST_S, at_once=HANDLERS_AT_ONCE)

    def note_peer(self, error: Exception, now: float) -> str | None:
        """A peer has done wrong; returns what the line about it says besides, None where it is only counted."""
        # By how its text begins: what follows a quote, a bracket or a digit is of this one.
        kind = _OF_ONE.split(str(error), maxsplit=1)[0] or type(error).__name__
        return self._besides(self._of_peers.note(kind, now))

    def note_handler(self, what: str, error: BaseException, now: float) -> str | None:
        """A handler has failed for the first time in a call; returns the same."""
        return self._besides(self._of_handlers.note(f"{what}{_place_of(error)}", now))

    @staticmethod
    def _besides(word: Word[str] | None) -> str | None:
        if word is None:
            return None
        return (
            f"; {word.times - 1} more of the kind in all calls since the last line" if word.times > 1 else ""
        )

    def close(self) -> None:
        """Tell what was only counted so far."""
        for episodes, level in ((self._of_peers, logging.WARNING), (self._of_handlers, logging.ERROR)):
            for word in episodes.finish():
                logger.log(level, "%d more times in all calls: %s", word.times, word.kind.rstrip())


class FaultLog:
    """The faults of one connection, whose id a peer may have chosen; on the application's loop.

    ``count`` is given the class of each error; ``common_faults`` are those of all calls.
    """

    def __init__(
        self,
        connection_id: str,
        count: Callable[[str], None] = lambda _: None,
        common_faults: CommonFaults | None = None,
    ) -> None:
        self._count_kind = count
        self._common = common_faults or CommonFaults()
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
        text = f"{full}; {then}{where}"
        if not (isinstance(error, ConnectionClosed) or self._episodes.has((what, logging.ERROR))):
            # The first in this call, and perhaps of a kind that each call has.
            more = self._common.note_handler(what, error, _now())
            if more is None:
                return
            text += more
        self._note(what, text, error)

    def told(self, error: Exception) -> None:
        """Something else is wrong; the text of the error says what."""
        text = printable(str(error), 2 * ERROR_CHARS) or excerpt(error)
        level = logging.ERROR
        if isinstance(error, OF_PEERS):
            more = self._common.note_peer(error, _now())
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
        word = self._episodes.note((what, level), _now())
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


def _now() -> float:
    return asyncio.get_running_loop().time()


def _place_of(error: BaseException) -> str:
    """Where it was raised: two mistakes of one handler are two kinds."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"


def excerpt(error: BaseException) -> str:
    """The repr of an error, on one line and cut: it may hold what a peer wrote."""
    try:
        return printable(repr(error), ERROR_CHARS)
    except Exception:  # noqa: BLE001 - the repr is the application's, and fails as well
        return type(error).__name__
