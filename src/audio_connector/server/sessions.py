# SPDX-License-Identifier: Apache-2.0
"""The live sessions of a server: several streams of one session on one timeline.

What each stream says comes from the tape of its connection (`call.tape`), so with the times of the I/O side, whatever
the application does meanwhile. Nothing is taped, and nothing computed, unless somebody listens to the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from audio_connector.call.asks import TakeTape, TapeMore, TapeOn
from audio_connector.call.tells import Taped
from audio_connector.errors import UsageError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.session_events import (
    ActiveSpeaker,
    SessionAudio,
    SessionEvent,
    StreamActive,
    StreamJoined,
    StreamLeft,
    StreamSpeaks,
)
from audio_connector.server.session_readers import Readers, SessionReader
from audio_connector.server.session_stream import SessionStream

if TYPE_CHECKING:
    from audio_connector.server.session_tracks import Mix

TELL_S: Final = 0.1
"""Between two batches of a stream: what is said is known so long after it is certain, for ten wake-ups a second."""

BATCHES: Final = 10
"""A second, told ahead of what was taken."""

KEEP_S: Final = 5.0
"""So much waits on the I/O side while the application is held up."""

AT_ONCE_S: Final = 0.25
"""As in `server.recorder`: a stream that is listened to so soon after it came is heard from its first frame."""

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
        self._apart: Readers[SessionAudio] = Readers()
        self._mixed: Readers[SessionAudio] = Readers()
        self._events: Readers[SessionEvent] = Readers()
        self._mix: Mix | None = None
        self._active: SessionStream | None = None
        self._open: set[int] = set()
        self._is_over = False

    def __repr__(self) -> str:
        return f"<LiveSession {self._id} with {len(self._streams)} streams>"

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
        self._check_heard()
        return [stream for stream in self._streams.values() if stream.is_speaking]

    @property
    def active_speaker(self) -> SessionStream | None:
        """Who has the floor: who speaks, until they fall silent; then who has spoken for the longest, or nobody.

        Raises:
            UsageError: Nobody listens to the session, so that is not known.
        """
        self._check_heard()
        return self._active

    def stream_of(self, connection: AudioConnectorConnection) -> SessionStream:
        """Return the stream of a connection.

        Raises:
            UsageError: It is none of this session's.
        """
        for stream in (*self._streams.values(), *self._left):
            if stream.connection is connection:
                return stream
        raise UsageError(
            f"{connection!r} is no stream of session {self._id!r}; handle.sessions[connection.session_id] has it"
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
        return self._add_reader(self._mixed if mixed else self._apart)

    def events(self) -> SessionReader[SessionEvent]:
        """Iterate over who comes, speaks and leaves, until the session is over."""
        return self._add_reader(self._events)

    def mute(self, stream: SessionStream) -> None:
        """Leave out of the mix what a stream says from now on; apart it is heard all the same."""
        stream._mute(True, self.now_s)

    def unmute(self, stream: SessionStream) -> None:
        """Have in the mix again what it says from now on."""
        stream._mute(False, self.now_s)

    # What happens, on the server's loop.

    def _enter(self, link_id: int, connection: AudioConnectorConnection) -> None:
        line = connection._line
        stream = SessionStream(connection, max(0.0, line.opened_at - self._zero))
        self._streams[link_id] = stream
        self._open.add(link_id)
        self._events.push(StreamJoined(stream, stream.joined_s))
        if self._is_heard():
            self._listen_to(link_id, stream)

    def _leave(self, link_id: int) -> None:
        """Its connection is over; where it is taped, the last of it may still come."""
        self._open.discard(link_id)
        stream = self._streams.get(link_id)
        if stream is not None and stream._track is None:
            self._finish(link_id, stream)

    def _add_reader(self, readers: Readers[T]) -> SessionReader[T]:
        reader: SessionReader[T] = SessionReader(self._id)
        if asyncio._get_running_loop() is self._loop:
            self._begin(readers, reader)
        else:
            self._loop.call_soon_threadsafe(self._begin, readers, reader)
        return reader

    def _begin(self, readers: Readers[T], reader: SessionReader[T]) -> None:
        if self._is_over:
            reader.end()
            return
        readers.add(reader)
        if readers is self._mixed and self._mix is None:
            # numpy, which only who listens needs.
            from audio_connector.server.session_tracks import Mix  # noqa: PLC0415

            self._mix = Mix()
        for link_id, stream in self._streams.items():
            if readers is self._events:
                reader.push(StreamJoined(stream, stream.joined_s))  # type: ignore[arg-type]  # it is one of events
            if stream._track is None:
                self._listen_to(link_id, stream)

    def _listen_to(self, link_id: int, stream: SessionStream) -> None:
        from audio_connector.server.session_tracks import Track  # noqa: PLC0415 - likewise

        stream._track = Track(self._zero)
        line = stream.connection._line
        stream._token = next(line.numbers)
        stream._was_active = stream.is_active
        is_from_start = line.clock() - line.handed_at < AT_ONCE_S
        line.post(TapeOn(stream._token, KEEP_S, BATCHES, is_from_start, TELL_S))

        def receive(taped: Taped | None) -> None:
            """In any thread, never blocking."""
            try:
                self._loop.call_soon_threadsafe(self._take, link_id, stream, taped)
            except RuntimeError:
                return  # the application's loop is closed

        line.record(stream._token, receive)

    def _take(self, link_id: int, stream: SessionStream, taped: Taped | None) -> None:
        track = stream._track
        if track is None or stream.left_s is not None:
            return
        if taped is not None:
            self._tell(stream, track.add(taped))
        if taped is None or taped.is_last:
            self._tell(stream, track.finish())
            self._stop_listening(link_id, stream)
        elif taped.is_complete:
            line = stream.connection._line
            line.post(TapeMore(stream._token) if self._is_heard() else TakeTape(stream._token, is_last=True))

    def _tell(self, stream: SessionStream, told: list[Any]) -> None:
        """Hand on what one stream said, and what follows from it."""
        from audio_connector.server.session_tracks import FRAMES_PER_S, Frame  # noqa: PLC0415

        for each in told:
            at_s = each.number / FRAMES_PER_S
            if isinstance(each, Frame):
                self._apart.push(SessionAudio(stream, at_s, each.pcm))
                if self._mix is not None and stream._is_mixed_at(at_s):
                    self._mix.add(each.number, each.pcm)
            else:
                self._events.push(StreamSpeaks(stream, at_s, each.is_speaking))
                self._choose_active(at_s)
        if stream.is_active != stream._was_active and stream.connection._line.closed is None:
            stream._was_active = stream.is_active
            self._events.push(StreamActive(stream, self.now_s, stream.is_active))
        self._tell_mix()

    def _tell_mix(self) -> None:
        from audio_connector.server.session_tracks import FRAMES_PER_S  # noqa: PLC0415

        if self._mix is None:
            return
        if not self._mixed.live():
            self._mix = None
            return
        tracks = [stream._track for stream in self._streams.values() if stream._track is not None]
        positions = [track.next_frame for track in tracks if track.next_frame is not None]
        for number, pcm in self._mix.take(positions):
            self._mixed.push(SessionAudio(None, number / FRAMES_PER_S, pcm))

    def _choose_active(self, at_s: float) -> None:
        from audio_connector.server.session_tracks import active_of  # noqa: PLC0415

        tracks = {stream: stream._track for stream in self._streams.values() if stream._track is not None}
        active = active_of(self._active, tracks)
        if active is not self._active:
            self._active = active
            self._events.push(ActiveSpeaker(active, at_s))

    def _stop_listening(self, link_id: int, stream: SessionStream) -> None:
        """Nothing more of it is taped: it has ended, or nobody listens."""
        stream._track = None
        self._choose_active(self.now_s)
        if stream.connection._line.closed is not None:
            self._finish(link_id, stream)
        elif self._is_heard():  # somebody began to listen meanwhile
            self._listen_to(link_id, stream)

    def _finish(self, link_id: int, stream: SessionStream) -> None:
        ended_at = stream.connection._line.ended_at
        stream.left_s = self.now_s if ended_at is None else max(stream.joined_s, ended_at - self._zero)
        del self._streams[link_id]
        self._left = [*self._left, stream][-MAX_LEFT:]
        self._events.push(StreamLeft(stream, stream.left_s))
        self._tell_mix()
        if not self._streams:
            self._is_over = True
            for readers in (self._apart, self._mixed, self._events):
                readers.end()

    def _is_heard(self) -> bool:
        return any(readers.live() for readers in (self._apart, self._mixed, self._events))

    def _check_heard(self) -> None:
        if not self._is_heard() and not self._is_over:
            raise UsageError(
                "who speaks is known only while the session is listened to; hold an iterator of session.events() or "
                "session.audio(), and read it"
            )


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
