# SPDX-License-Identifier: Apache-2.0
"""Makes of the tapes of a session's connections what its readers get; only where somebody reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from audio_connector.call.asks import TakeTape, TapeMore, TapeOn
from audio_connector.call.tells import Taped
from audio_connector.server.session_events import ActiveSpeaker, SessionAudio, StreamActive, StreamSpeaks
from audio_connector.server.session_readers import Audience
from audio_connector.server.session_stream import SessionStream
from audio_connector.server.session_tracks import FRAMES_PER_S, Frame, Mix, Track, Turned, active_of
from audio_connector.wire.quoting import named

logger = logging.getLogger("audio_connector.session")

TELL_S: Final = 0.1
"""Between two batches of a stream: what is said is known so long after it is certain, for ten wake-ups a second."""

BATCHES: Final = 10
"""A second, told ahead of what was taken."""

KEEP_S: Final = 5.0
"""So much waits on the I/O side while the application is held up."""

AT_ONCE_S: Final = 0.25
"""As in `server.recorder`: a stream that is listened to so soon after it came is heard from its first frame."""


class SessionFeed:
    """Follows the streams of one session, on the loop that makes it.

    Args:
        zero: When the session began, by ``clock``.
        clock: That of the I/O side.
        audience: Who reads.
        streams: Those that are there.
        finish: Told of a stream of which nothing more comes, since its connection is over.
    """

    def __init__(
        self,
        zero: float,
        clock: Callable[[], float],
        audience: Audience,
        streams: Mapping[int, SessionStream],
        finish: Callable[[SessionStream], None],
    ) -> None:
        self.active: SessionStream | None = None
        """The active speaker."""
        self._zero = zero
        self._clock = clock
        self._audience = audience
        self._streams = streams
        self._finish = finish
        self._loop = asyncio.get_running_loop()
        self._mix: Mix | None = None

    def follow(self, stream: SessionStream) -> None:
        """Have a stream taped, unless it is, or nobody reads."""
        if stream._track is not None or not self._audience.is_there():
            return
        stream._track = Track(self._zero)
        stream._was_active = stream.is_active
        line = stream.connection._line
        token = stream._token = next(line.numbers)
        is_from_start = line.clock() - line.handed_at < AT_ONCE_S
        line.post(TapeOn(token, KEEP_S, BATCHES, is_from_start, TELL_S))

        def receive(taped: Taped | None) -> None:
            """In any thread, never blocking."""
            try:
                self._loop.call_soon_threadsafe(self._take, stream, token, taped)
            except RuntimeError:
                return  # the application's loop is closed

        line.record(token, receive)

    def _take(self, stream: SessionStream, token: int, taped: Taped | None) -> None:
        track, line = stream._track, stream.connection._line
        if track is None or token != stream._token:  # a tape that was given up
            return
        if taped is not None:
            if taped.lost_ms:
                self._lose(stream, taped.lost_ms)
            self._tell(stream, track.add(taped))
        if taped is None or taped.is_last:
            self._tell(stream, track.finish())
            self._stop(stream)
        elif taped.is_complete:
            is_read = self._audience.is_there()
            line.post(TapeMore(token) if is_read else TakeTape(token, is_last=True))

    def _lose(self, stream: SessionStream, lost_ms: float) -> None:
        if not stream.lost_ms:
            logger.warning(
                "stream %s: the application's loop was held up for more than %g s, so that the oldest audio of the "
                "session was lost, and is silence in it: do what takes long in a thread or a process",
                named(stream.id),
                KEEP_S,
            )
        stream.lost_ms += lost_ms

    def _stop(self, stream: SessionStream) -> None:
        """Nothing more of it is taped: it has ended, or nobody reads."""
        stream._track = None
        self._choose_active(self._clock() - self._zero)
        if stream.connection._line.closed is not None:
            self._finish(stream)
        else:
            self.follow(stream)  # where somebody has begun to read meanwhile

    def _tell(self, stream: SessionStream, told: list[Frame | Turned]) -> None:
        """Hand on what one stream said, and what follows from it."""
        events = self._audience.events
        if self._mix is None and self._audience.mixed.live():
            self._mix = Mix()
        for each in told:
            at_s = each.number / FRAMES_PER_S
            if isinstance(each, Frame):
                self._audience.apart.push(SessionAudio(stream, at_s, each.pcm))
                if self._mix is not None and stream._is_mixed_at(at_s):
                    self._mix.add(each.number, each.pcm)
            else:
                events.push(StreamSpeaks(stream, at_s, each.is_speaking))
                self._choose_active(at_s)
        if stream.is_active != stream._was_active and stream.connection._line.closed is None:
            stream._was_active = stream.is_active
            events.push(StreamActive(stream, self._clock() - self._zero, stream.is_active))
        self.tell_mix()

    def tell_mix(self) -> None:
        """Hand on what is complete of the mix, where somebody reads that."""
        if self._mix is None:
            return
        tracks = [stream._track for stream in self._streams.values() if stream._track is not None]
        positions = [track.next_frame for track in tracks if track.next_frame is not None]
        now_frame = int((self._clock() - self._zero) * FRAMES_PER_S)
        for number, pcm in self._mix.take(positions, now_frame):
            self._audience.mixed.push(SessionAudio(None, number / FRAMES_PER_S, pcm))
        if not self._audience.mixed.live():
            self._mix = None

    def _choose_active(self, at_s: float) -> None:
        tracks = {stream: stream._track for stream in self._streams.values() if stream._track is not None}
        active = active_of(self.active, tracks)
        if active is not self.active:
            self.active = active
            self._audience.events.push(ActiveSpeaker(active, at_s))
