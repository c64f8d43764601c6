# SPDX-License-Identifier: Apache-2.0
"""One stream of a session, as the application sees it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.wire.quoting import named

if TYPE_CHECKING:
    from audio_connector.server.session_tracks import Track

MAX_MUTES: Final = 100
"""Asked for and not heard of yet; the mix is 0.3 s behind, so that more are a mistake, of which the last counts."""


class SessionStream:
    """One stream of a session: one connection, from when it came until it ended."""

    def __init__(self, connection: AudioConnectorConnection, joined_s: float) -> None:
        self.connection = connection
        self.joined_s = joined_s
        """When it came, on the clock of the session."""
        self.left_s: float | None = None
        """When it ended; None while it is there."""
        self.is_muted = False
        """Whether `LiveSession.mute` leaves it out of the mix."""
        self.lost_ms = 0.0
        """Audio of its call, both ways, that was lost since the application's loop was held up for too long."""
        self._is_in_mix = True
        self._mutes: deque[tuple[float, bool]] = deque(maxlen=MAX_MUTES)
        """Asked for, and from when on: what is heard is behind the call."""
        self._track: Track | None = None
        self._token = 0
        self._was_active = True

    def __repr__(self) -> str:
        return f"<SessionStream {named(self.id)} from {self.joined_s:.2f} s>"

    @property
    def id(self) -> str:
        """The id of its connection."""
        return self.connection.id

    @property
    def is_active(self) -> bool:
        """False while its publisher has muted it, or it is lost, or has ended."""
        return self.connection.is_active

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks; known while the session is listened to."""
        return self._track is not None and self._track.is_speaking

    def _mute(self, is_muted: bool, at_s: float) -> None:
        self.is_muted = is_muted
        self._mutes.append((at_s, is_muted))

    def _is_mixed_at(self, at_s: float) -> bool:
        """Whether what was said then is in the mix; asked in the order of time."""
        while self._mutes and self._mutes[0][0] <= at_s:
            self._is_in_mix = not self._mutes.popleft()[1]
        return self._is_in_mix
