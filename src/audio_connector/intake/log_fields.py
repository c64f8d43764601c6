# SPDX-License-Identifier: Apache-2.0
"""Which call a record of the log is about: as fields of the record, for whatever formatter there is.

What the library says of a call has them by ``extra``. What an application says in its handlers gets them by a filter,
from the context that these run in: it is entered once for a call, so that a frame costs nothing.
"""

from __future__ import annotations

import contextvars
import logging

from audio_connector.wire.identity import identity_of
from audio_connector.wire.quoting import named
from audio_connector.wire.transport import Upgrade

Fields = dict[str, object]
"""``connection``; ``session`` once that is known; ``worker``, its number, where there are several;
``trace_id`` where calls are traced."""

NAMES = ("connection", "session", "worker", "trace_id")

_current: contextvars.ContextVar[Fields | None] = contextvars.ContextVar("audio_connector_call", default=None)


def fields_of(connection_id: str, session_id: str | None = None) -> Fields:
    """Those of a call, whose names a peer may have chosen."""
    fields: Fields = {"connection": named(connection_id)}
    if session_id is not None:
        fields["session"] = named(session_id)
    return fields


def fields_of_link(number: int, upgrade: Upgrade | None) -> Fields:
    """Those of a call on the I/O side, which has a number instead of an id where the router says none."""
    if upgrade is None:
        return fields_of(str(number))
    headers = upgrade.headers
    connection_id = headers.get("connectionid") or identity_of("connection", headers, None)
    return fields_of(connection_id or str(number), identity_of("session", headers, None))


def log(
    logger: logging.Logger,
    level: int,
    text: str,
    *values: object,
    fields: Fields,
    error: BaseException | None = None,
) -> None:
    """Log something about a call. Fields that the application's own record factory sets are left to that.

    The logging module refuses a record then, and the call would end with the line about it.
    """
    try:
        logger.log(level, text, *values, exc_info=error, extra=fields, stacklevel=2)
    except KeyError:
        made = logging.getLogRecordFactory()(logger.name, level, "", 0, "", (), None)
        free = {name: value for name, value in fields.items() if name not in made.__dict__}
        logger.log(level, text, *values, exc_info=error, extra=free, stacklevel=2)


def enter(fields: Fields) -> None:
    """The current context is that of this call; what is added to ``fields`` later holds too."""
    _current.set(fields)


class ConnectionLogFilter(logging.Filter):
    """Gives what is logged inside the handlers of a call its fields; lets every record pass.

    Add it to a handler, and name the fields in the format:

        handler.addFilter(ConnectionLogFilter())
        handler.setFormatter(
            logging.Formatter("%(connection)s %(message)s", defaults={"connection": "-", "session": "-"})
        )

    ``record.connection`` is the id of the connection, ``record.session`` that of its session where it is known,
    ``record.worker`` the number of the worker where there are several, ``record.trace_id`` the call's where calls are
    traced. The ids of the call are as in the lines of this library: as they are where they are plain, and else quoted
    and cut. Tasks that a handler starts have them too; threads of its own have not, unless by `asyncio.to_thread`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add what is not there yet."""
        fields = _current.get()
        if fields is not None:
            for name, value in fields.items():
                record.__dict__.setdefault(name, value)
        return True
