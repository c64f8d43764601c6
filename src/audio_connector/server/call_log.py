# SPDX-License-Identifier: Apache-2.0
"""A call in the log, in two lines at INFO: who came; and how it ended, at which rate, and what was lost.

Whatever the peer wrote is quoted and cut, and the query of its path is left out: some carry a token there.
"""

from __future__ import annotations

import logging

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.statistics import ConnectionStatistics
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import named, quoted

logger = logging.getLogger("audio_connector.server")


def log_opening(label: str, connection: AudioConnectorConnection) -> None:
    """Say who came.

    Args:
        label: Names the connection.
        connection: It.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    host, port = connection.remote_address[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    session_id = connection.session_id
    logger.info(
        "connection %s: opened by %s with path %s, %s",
        label,
        address,
        quoted(connection.path),
        "no session" if session_id is None else f"session {named(session_id)}",
    )


def log_end(label: str, connection: AudioConnectorConnection, how: Disconnected, duration_s: float) -> None:
    """Say how it ended, and what was lost.

    Args:
        label: Names the connection.
        connection: It.
        how: Its end.
        duration_s: Since its opening.
    """
    if not logger.isEnabledFor(logging.INFO):
        return
    figures = connection.statistics()
    has_said_anything = figures.text_messages_received or figures.audio_messages_received
    logger.info(
        "connection %s: closed by the %s with %s%s after %.1f s, %s; %.1f s of audio came and %.1f s were sent; %s",
        label,
        how.closed_by,
        "no code" if how.code is None else how.code,
        f" {quoted(how.reason)}" if how.reason else "",
        duration_s,
        f"{connection.format.rate_hz} Hz" if has_said_anything else "of no known rate",
        figures.audio_ms_received / 1000,
        figures.audio_ms_sent / 1000,
        losses_of(figures),
    )


def losses_of(figures: ConnectionStatistics) -> str:
    """Say what was lost in a call, and what of it nobody misses."""
    losses = [
        text
        for is_so, text in (
            (figures.dropped_messages, f"{figures.dropped_ms:.0f} ms of audio dropped unread"),
            (
                figures.underruns,
                f"{figures.underrun_ms:.0f} ms of silence in {_counted(figures.underruns, 'underrun')}",
            ),
            (figures.stalls, _counted(figures.stalls, "stall") + " of the router"),
            (figures.queued_ms, f"{figures.queued_ms:.0f} ms of audio not sent"),
            (
                figures.unreadable_messages_received,
                _counted(figures.unreadable_messages_received, "unreadable message"),
            ),
        )
        if is_so
    ]
    text = f"lost: {', '.join(losses)}" if losses else "nothing was lost"
    if figures.unwanted_messages:
        text += f", {_counted(figures.unwanted_messages, 'message')} unasked for"
    return text


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
