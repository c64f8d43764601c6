# SPDX-License-Identifier: Apache-2.0
"""A call in the log, in three lines at INFO: who came; at which rate; and how it ended, and what was lost.

Where its connection broke off, that is one as well, and one that the router has dialled again.

Whatever the peer wrote is quoted and cut, and the query of its path is left out: some carry a token there. Each
record has the fields of the call, see `intake.log_fields`.
"""

from __future__ import annotations

import logging

from audio_connector.intake.faults import FaultLog
from audio_connector.intake.log_fields import log
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.statistics import ConnectionStatistics
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import named, quoted, without_secrets

logger = logging.getLogger("audio_connector.server")


class CallLog:
    """Says how a call goes, with the label and the fields of its `FaultLog`.

    Args:
        faults: What goes wrong in it.
        connection: The call.
        worker: The number of the worker that this is; None where there is one application.
    """

    def __init__(
        self, faults: FaultLog, connection: AudioConnectorConnection, worker: int | None = None
    ) -> None:
        self._label, self._fields = faults.label, faults.fields
        self._connection = connection
        self._where = "" if worker is None else f", in worker {worker}"
        if worker is not None:
            self._fields["worker"] = worker
        self._told_rate_hz: int | None = None
        self._since = " in this worker" if connection.is_resumed else ""
        self._note_session()

    def say(self, level: int, text: str, *values: object, error: BaseException | None = None) -> None:
        """Log something of this call."""
        text = f"connection %s: {text}"
        log(logger, level, text, self._label, *values, fields=self._fields, error=error)

    def open(self, what: str | None = None) -> None:
        """Say who came."""
        connection = self._connection
        self._told_rate_hz = None
        if what is None:
            what = "moved from another worker, opened" if connection.is_resumed else "opened"
        if logger.isEnabledFor(logging.INFO):
            host, port = connection.remote_address[:2]
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            text = "%s by %s with path %s, %s%s"
            self.say(
                logging.INFO,
                text,
                what,
                address,
                quoted(without_secrets(connection.path)),
                self._session(),
                self._where,
            )

    def settle(self) -> None:
        """Say which rate its audio has, once for each, and who it is where only the first message says that."""
        is_news = self._note_session()
        rate_hz = self._connection.format.rate_hz
        if not is_news and rate_hz == self._told_rate_hz:
            return
        self._told_rate_hz = rate_hz
        is_said = self._connection._line.first_message is not None
        guess = "" if is_said else ", as far as one can tell without a first message"
        session = f", {self._session()}" if is_news else ""
        self.say(logging.INFO, "its audio has %d Hz%s%s", rate_hz, guess, session)

    def lose(self, resume_s: float) -> None:
        """Say that the connection broke off: no warning, as it is none where nobody waits for the router either."""
        self.say(logging.INFO, "broke off; for %g s the router may dial again", resume_s)

    def end(self, how: Disconnected, duration_s: float) -> None:
        """Say how it ended, and what was lost."""
        if logger.isEnabledFor(logging.INFO):
            connection = self._connection
            figures = connection.statistics()
            has_said_anything = figures.text_messages_received or figures.audio_messages_received
            rate = f"{connection.format.rate_hz} Hz" if has_said_anything else "of no known rate"
            code = "no code" if how.code is None else f"{how.code}"
            self.say(
                logging.INFO,
                "closed by the %s with %s after %.1f s%s, %s; %.1f s of audio came and %.1f s were sent; %s",
                how.closed_by,
                f"{code} {quoted(how.reason)}" if how.reason else code,
                duration_s,
                self._since,
                rate,
                figures.audio_ms_received / 1000,
                figures.audio_ms_sent / 1000,
                losses_of(figures),
            )

    def _note_session(self) -> bool:
        """Take it up; True where it was not known before."""
        session_id = self._connection.session_id
        if session_id is None or "session" in self._fields:
            return False
        self._fields["session"] = named(session_id)
        return True

    def _session(self) -> str:
        session = self._fields.get("session")
        return "no session" if session is None else f"session {session}"


def losses_of(figures: ConnectionStatistics) -> str:
    """Say what was lost in a call, and what of it nobody misses."""
    unreadable = figures.unreadable_messages_received
    losses = {
        f"{figures.dropped_ms:.0f} ms of audio dropped unread": figures.dropped_messages,
        f"{figures.underrun_ms:.0f} ms of silence in {_counted(figures.underruns, 'underrun')}": figures.underruns,
        f"{figures.skipped_ms:.0f} ms of audio skipped to keep the delay": figures.skips,
        f"{_counted(figures.stalls, 'stall')} of the router": figures.stalls,
        f"{figures.unsent_ms:.0f} ms of audio not sent": figures.unsent_ms,
        _counted(unreadable, "unreadable message"): unreadable,
    }
    lost = ", ".join(text for text, is_so in losses.items() if is_so)
    unwanted = f", {_counted(figures.unwanted_messages, 'message')} unasked for"
    return (f"lost: {lost}" if lost else "nothing was lost") + (unwanted if figures.unwanted_messages else "")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
