# SPDX-License-Identifier: Apache-2.0
"""A call in the log, in two lines at INFO: who came; and how it ended, at which rate, and what was lost.

Where its connection broke off, that is one as well, and one that the router has dialled again.

Whatever the peer wrote is quoted and cut, and the query of its path is left out: some carry a token there.
"""

from __future__ import annotations

import logging

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.statistics import ConnectionStatistics
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import named, quoted, without_secrets

logger = logging.getLogger("audio_connector.server")


def log_opening(label: str, connection: AudioConnectorConnection, what: str = "opened") -> None:
    """Say who came."""
    if logger.isEnabledFor(logging.INFO):
        host, port = connection.remote_address[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        session = "no session" if connection.session_id is None else f"session {named(connection.session_id)}"
        text = "connection %s: %s by %s with path %s, %s"
        logger.info(text, label, what, address, quoted(without_secrets(connection.path)), session)


def log_loss(label: str, resume_s: float) -> None:
    """Say that the connection broke off; no warning, since where nobody waits for the router it is none either."""
    logger.info("connection %s: broke off; for %g s the router may dial again", label, resume_s)


def log_end(label: str, connection: AudioConnectorConnection, how: Disconnected, duration_s: float) -> None:
    """Say how it ended, and what was lost."""
    if logger.isEnabledFor(logging.INFO):
        figures = connection.statistics()
        has_said_anything = figures.text_messages_received or figures.audio_messages_received
        rate = f"{connection.format.rate_hz} Hz" if has_said_anything else "of no known rate"
        code = "no code" if how.code is None else f"{how.code}"
        logger.info(
            "connection %s: closed by the %s with %s after %.1f s, %s; %.1f s of audio came and %.1f s were sent; %s",
            label,
            how.closed_by,
            f"{code} {quoted(how.reason)}" if how.reason else code,
            duration_s,
            rate,
            figures.audio_ms_received / 1000,
            figures.audio_ms_sent / 1000,
            losses_of(figures),
        )


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
