# SPDX-License-Identifier: Apache-2.0
"""What the span of a call says: by the semantic conventions of OpenTelemetry (1.38) where these have a name for it.

What a peer wrote is as in the log: ids as they are where they are plain, all else quoted and cut, the query and
tokens left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import named, printable, quoted, without_secrets

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

    Values = dict[str, AttributeValue]

OWN = "audio_connector"

FAILURES = frozenset((1002, 1003, 1007, 1008, 1009, 1010, 1011, 1013))
"""Close codes that say that something was wrong; 1006 is how routers usually leave (PROTOCOL 1.22)."""


def at_opening(connection: AudioConnectorConnection, worker: int | None) -> Values:
    """Who came."""
    host, port = connection.remote_address[:2]
    values: Values = {
        "network.protocol.name": "websocket",
        "url.scheme": "wss" if connection.secure else "ws",
        "url.path": printable(without_secrets(connection.path), 200),
        "client.address": host,
        "client.port": port,
        f"{OWN}.connection.id": named(connection.id),
        f"{OWN}.is_resumed": connection.is_resumed,
    }
    if (agent := connection.headers.get("user-agent")) is not None:
        values["user_agent.original"] = printable(agent, 200)
    if worker is not None:
        values[f"{OWN}.worker"] = worker
    return values | at_settling(connection, is_known=False)


def at_settling(connection: AudioConnectorConnection, *, is_known: bool = True) -> Values:
    """Which audio it has, where that is known, and who it is."""
    values: Values = {f"{OWN}.audio.sample_rate_hz": connection.format.rate_hz} if is_known else {}
    ids = {"session": connection.session_id, "conference": connection.conference_id}
    return values | {f"{OWN}.{name}.id": named(value) for name, value in ids.items() if value is not None}


def at_end(connection: AudioConnectorConnection, how: Disconnected | None) -> Values:
    """How it ended, where it did, and what came of it."""
    figures = connection.statistics()
    values: Values = {
        f"{OWN}.audio.received_ms": figures.audio_ms_received,
        f"{OWN}.audio.sent_ms": figures.audio_ms_sent,
        f"{OWN}.audio.dropped_ms": figures.dropped_ms,
        f"{OWN}.audio.unsent_ms": figures.unsent_ms,
        f"{OWN}.underruns": figures.underruns,
    }
    if how is not None:
        values[f"{OWN}.close.by"] = how.closed_by
        if how.code is not None:
            values[f"{OWN}.close.code"] = how.code
        if how.reason:
            values[f"{OWN}.close.reason"] = quoted(how.reason)
    return values


def error_of(how: Disconnected | None) -> str | None:
    """The type of error that it ended with; None where it came to its end."""
    if how is None:
        return "abandoned"
    return str(how.code) if how.code in FAILURES else None
