# SPDX-License-Identifier: Apache-2.0
"""The live connections of a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from audio_connector.server.connection import AudioConnectorConnection


class Connections(Mapping[str, AudioConnectorConnection]):
    """The live connections by id, a view that changes as they come and go. One that is lost is among them.

    Two connections may name the same id, for example after the router dialled again; the later one is found
    under it, and `all` has both.
    """

    def __init__(self) -> None:
        self._live: dict[int, AudioConnectorConnection] = {}

    def __getitem__(self, connection_id: str) -> AudioConnectorConnection:
        for connection in reversed(self.all()):
            if connection.id == connection_id:
                return connection
        raise KeyError(connection_id)

    def __iter__(self) -> Iterator[str]:
        return iter({connection.id: None for connection in self.all()})

    def __len__(self) -> int:
        return len({connection.id for connection in self.all()})

    def all(self) -> list[AudioConnectorConnection]:
        """Return every live connection, the oldest first."""
        return list(self._live.values())

    def by_session(self, session_id: str) -> list[AudioConnectorConnection]:
        """Return the live connections of one Vonage session; a session may have up to 50 (PROTOCOL 1.12)."""
        return [connection for connection in self.all() if connection.session_id == session_id]
