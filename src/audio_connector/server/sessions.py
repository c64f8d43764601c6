# SPDX-License-Identifier: Apache-2.0
"""The live sessions of a server: several streams of one session on one timeline.

What each stream says comes from the tape of its connection (`call.tape`), so with the times of the I/O side, whatever
the application does meanwhile. Nothing is taped, and nothing computed, unless somebody listens to the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from audio_connector.errors import UsageError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.session_events import SessionAudio, SessionEvent, StreamJoined, StreamLeft
from audio_connector.server.session_readers import Audience, Readers, SessionReader
from audio_connector.server.session_stream import SessionStream
from audio_connector.wire.quoting import named, quoted

if TYPE_CHECKING:
    from audio_connector.server.session_feed import SessionFeed

MAX_LEFT: Final = 100
"""Streams that have ended and are still listed."""

T = TypeVar("T")


class LiveSession:
    """One Vonage session, as far as this process has its streams: from the first that came to the last that ended.

    Its clock shows 0 when the first stream came, and runs by the I/O side's; the application's delays do not count.
    """

    def __init__(self, session_id: str, zero: float, clock: Callable[[], float]) -> None:
        self._id = session_id
        self._zero = zero
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, SessionStream] = {}
        self._left: list[SessionStream] = []
        self._audience = Audience()
        self._feed: SessionFeed | None = None
        """What makes something of the streams, once somebody has asked for it."""
        self._open: set[int] = set()
        self._is_over = False

    def __repr__(self) -> str:
        return f"<LiveSession {named(self._id)} with {len(self._streams)} streams>"

    @property
    def id(self) -> str:
        """The session's id."""
        return self._id

    @property
    def is_over(self) -> bool:
        """True once its last stream has ended: another one of the same id begins another `LiveSession`."""
        return self._is_over

    @property
    def streams(self) -> list[SessionStream]:
        """Those that are there, the oldest first."""
        return list(self._streams.values())

    @property
    def left(self) -> list[SessionStream]:
        """Those that have ended, the latest hundred."""
        return list(self._left)

    @property
    def now_s(self) -> float:
        """What the clock of the session shows."""
        return self._clock() - self._zero

    @property
    def speaking(self) -> list[SessionStream]:
        """Who speaks now.

        Raises:
            UsageError: Nobody listens to the session, so that is not known.
        """
        self._followed()
        return [stream for stream in self.streams if stream.is_speaking]

    @property
    def active_speaker(self) -> SessionStream | None:
        """Who has the floor: who speaks, until they fall silent; then who has spoken for the longest, or nobody.

        Raises:
            UsageError: Nobody listens to the session, so that is not known.
        """
        return self._followed().active

    def stream_of(self, connection: AudioConnectorConnection) -> SessionStream:
        """Return the stream of a connection.

        Raises:
            UsageError: It is none of this session's.
        """
        for stream in (*self._streams.values(), *self._left):
            if stream.connection is connection:
                return stream
        raise UsageError(
            f"{connection!r} is no stream of session {quoted(self._id)}; "
            "handle.sessions[connection.session_id] has it"
        )

    # What is said.

    def audio(self, *, mixed: bool = False) -> SessionReader[SessionAudio]:
        """Iterate over what is said, in frames of 20 ms at 16 kHz, until the session is over.

        What comes is some 0.3 s behind the call: so long it takes to be certain where audio belongs that the network
        held up. A frame that did not come is silence. A stream that joins later begins at its own time.

        Args:
            mixed: All streams in one, without those that `mute` leaves out; else one frame of each stream after the
                other, in the order in which they are certain.
        """
        return self._add_reader(self._audience.mixed if mixed else self._audience.apart)

    def events(self) -> SessionReader[SessionEvent]:
        """Iterate over who comes, speaks and leaves, until the session is over."""
        return self._add_reader(self._audience.events)

    def mute(self, stream: SessionStream) -> None:
        """Leave out of the mix what a stream says from now on; apart it is heard all the same.

        Raises:
            UsageError: It is no stream, but a connection for example.
        """
        _checked(stream)._mute(True, self.now_s)

    def unmute(self, stream: SessionStream) -> None:
        """Have in the mix again what it says from now on.

        Raises:
            UsageError: As `mute`.
        """
        _checked(stream)._mute(False, self.now_s)

    # What happens, on the server's loop.

    def _enter(self, link_id: int, connection: AudioConnectorConnection) -> None:
        line = connection._line
        stream = SessionStream(connection, max(0.0, line.opened_at - self._zero))
        self._streams[link_id] = stream
        self._open.add(link_id)
        self._audience.events.push(StreamJoined(stream, stream.joined_s))
        if self._feed is not None:
            self._feed.follow(stream)

    def _leave(self, link_id: int) -> None:
        """Its connection is over; where it is taped, the last of it may still come."""
        self._open.discard(link_id)
        stream = self._streams.get(link_id)
        if stream is not None and stream._track is None:
            self._finish(stream)

    def _add_reader(self, readers: Readers[T]) -> SessionReader[T]:
        reader: SessionReader[T] = SessionReader(self._id)
        if asyncio._get_running_loop() is self._loop:
            self._begin(readers, reader)
            return reader
        try:
            self._loop.call_soon_threadsafe(self._begin, readers, reader)
        except RuntimeError:
            reader.end()  # the server's loop is closed, and all its sessions are over
        return reader

    def _begin(self, readers: Readers[T], reader: SessionReader[T]) -> None:
        if self._is_over:
            reader.end()
            return
        # It imports numpy, which only who listens needs.
        from audio_connector.server.session_feed import SessionFeed  # noqa: PLC0415

        readers.add(reader)
        if self._feed is None:
            self._feed = SessionFeed(self._zero, self._clock, self._audience, self._streams, self._finish)
        for stream in self._streams.values():
            if readers is self._audience.events:
                reader.push(StreamJoined(stream, stream.joined_s))  # type: ignore[arg-type]  # it reads events
            self._feed.follow(stream)

    def _finish(self, stream: SessionStream) -> None:
        """Nothing more comes of a stream."""
        line = stream.connection._line
        stream.left_s = max(stream.joined_s, (line.ended_at or self._clock()) - self._zero)
        del self._streams[line.link_id]
        self._left = [*self._left, stream][-MAX_LEFT:]
        self._audience.events.push(StreamLeft(stream, stream.left_s))
        if self._feed is not None:
            self._feed.tell_mix()
        if not self._streams:
            self._is_over = True
            self._audience.end()

    def _followed(self) -> SessionFeed:
        """What knows who speaks."""
        if self._feed is None or not (self._audience.is_there() or self._is_over):
            raise UsageError(
                "who speaks is known only while the session is listened to; hold an iterator of session.events() or "
                "session.audio(), and read it"
            )
        return self._feed


class Sessions(Mapping[str, LiveSession]):
    """The live sessions by id, a view that changes as they come and go.

    A session whose connections are spread over several workers is in each of them with its own streams only.
    """

    def __init__(self) -> None:
        self._live: dict[str, LiveSession] = {}
        self._of: dict[int, LiveSession] = {}

    def __getitem__(self, session_id: str) -> LiveSession:
        return self._live[session_id]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._live))

    def __len__(self) -> int:
        return len(self._live)

    def _enter(self, link_id: int, connection: AudioConnectorConnection) -> None:
        """A connection came, or says now whose it is; once is enough."""
        session_id = connection.session_id
        if link_id in self._of or not session_id:
            return
        session = self._live.get(session_id)
        if session is None or session.is_over:
            line = connection._line
            session = self._live[session_id] = LiveSession(session_id, line.opened_at, line.clock)
        self._of[link_id] = session
        session._enter(link_id, connection)

    def _leave(self, link_id: int) -> None:
        """A connection is over."""
        session = self._of.pop(link_id, None)
        if session is None:
            return
        session._leave(link_id)
        if not session._open and self._live.get(session.id) is session:
            del self._live[session.id]


def _checked(stream: SessionStream) -> SessionStream:
    if not isinstance(stream, SessionStream):
        raise UsageError(
            f"got {type(stream).__name__}; expected a stream of the session, such as session.stream_of(client)"
        )
    return stream
