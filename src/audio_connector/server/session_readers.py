# SPDX-License-Identifier: Apache-2.0
"""Those who listen to a session: bounded iterators, as long as somebody holds them."""

from __future__ import annotations

import logging
import weakref
from typing import Any, Final, Generic, TypeVar

from audio_connector.intake.streams import Stream
from audio_connector.server.session_events import SessionAudio, SessionEvent
from audio_connector.wire.quoting import named

logger = logging.getLogger("audio_connector.session")

MAX_WAITING: Final = 50 * 50 * 10
"""Frames, or events, that wait for one reader: ten seconds of the 50 streams that a session may have
(PROTOCOL 1.12)."""

T = TypeVar("T")


class SessionReader(Stream[T]):
    """Iterates over what happens in a session until it is over; made by `LiveSession.audio` and ``events``.

    Beyond ten seconds of a full session the oldest is dropped, and the log says so once.
    """

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self._session_id = session_id
        self.dropped = 0
        """How many were dropped since they were not read."""

    def _add(self, item: Any, is_last: bool) -> None:  # noqa: ANN401 - of T, or None at the end
        if is_last:
            return
        self._ready.append(item)
        if len(self._ready) > MAX_WAITING:
            self._ready.popleft()
            self.dropped += 1
            if self.dropped == 1:
                logger.warning(
                    "session %s: more than %d frames or events wait to be read, so the oldest are dropped: read them "
                    "in a loop that does nothing slow",
                    named(self._session_id),
                    MAX_WAITING,
                )


class Readers(Generic[T]):
    """Those who listen, as long as somebody holds them."""

    def __init__(self) -> None:
        self._all: list[weakref.ref[SessionReader[T]]] = []

    def live(self) -> list[SessionReader[T]]:
        """Return those who still read."""
        readers = [reader for each in self._all if (reader := each()) is not None and not reader.is_over]
        if len(readers) < len(self._all):
            self._all = [weakref.ref(reader) for reader in readers]
        return readers

    def add(self, reader: SessionReader[T]) -> None:
        """Hand things to one more."""
        self._all.append(weakref.ref(reader))

    def push(self, item: T) -> None:
        """Hand a thing to all of them."""
        for reader in self.live():
            reader.push(item)

    def end(self) -> None:
        """Nothing follows."""
        for reader in self.live():
            reader.end()


class Audience:
    """All who listen to one session."""

    def __init__(self) -> None:
        self.apart: Readers[SessionAudio] = Readers()
        self.mixed: Readers[SessionAudio] = Readers()
        self.events: Readers[SessionEvent] = Readers()

    def is_there(self) -> bool:
        """Whether anybody listens."""
        return bool(self.events.live() or self.apart.live() or self.mixed.live())

    def end(self) -> None:
        """The session is over."""
        for readers in (self.apart, self.mixed, self.events):
            readers.end()
