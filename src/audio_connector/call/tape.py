# SPDX-License-Identifier: Apache-2.0
"""What was heard in a call lately, both ways, and what happened: the I/O side's part of a recording. No I/O.

The rules:

1. The caller's audio is kept with the time at which each message arrived, whether or not the application took it.
   What came before the application could ask for it may be there from the start.
2. Ours is kept once it was *heard*, by the router's clock (`playback.clock`), with the time at which it was, and with
   what is under it and beside it. A flush cuts what was sent and not heard by then, to the frame, as `Flushed` says
   it, and so does a pause.
3. Where the router corrects its clock, what it has not played yet moves along.
4. What exceeds ``keep_s``, or what a second of audio can be in bytes and in messages, is lost, the oldest first, and
   counted. Nothing moves by it: everything has its time.
5. A tape with ``batches`` tells what it has each ``tell_s`` and forgets it, so many times ahead of being asked for
   more. One without tells when it is asked, and keeps it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from audio_connector.audio.format import AudioFormat
from audio_connector.call.asks import TELL_S
from audio_connector.call.tells import Taped, TapedEvent
from audio_connector.playback.schedule import Schedule
from audio_connector.playback.speech import EPSILON_FRAMES, FRAME_S, Beside

PIECE_BYTES: Final = 1 << 18
"""Of audio in one tell: far below what a stream between two processes takes, and 4 s of both sides at 16 kHz."""

BYTES_PER_S: Final = 2 * 48_000
"""Twice the audio at 24 kHz, for one side: a peer that sends more than that loses its oldest."""

MESSAGES_PER_S: Final = 1000
"""Each is an object, however short."""

EVENTS: Final = 1000
DETAIL_CHARS: Final = 300

_EPSILON_S: Final = EPSILON_FRAMES * FRAME_S


class Tape:
    """One of them; ``token`` is the recorder's, ``batches`` is None for one that tells when it is asked.

    It begins with the audio that came ``early``, before the application did anything.
    """

    def __init__(
        self,
        token: int,
        keep_s: float,
        batches: int | None,
        now: float,
        early: Sequence[tuple[float, bytes]] = (),
        *,
        tell_s: float = TELL_S,
    ) -> None:
        self.token = token
        self._tell_s = tell_s
        self._since = min(now, early[0][0] - FRAME_S) if early else now
        self._keep_s = keep_s
        self._batches = batches
        self._told_at = now
        self._came: deque[tuple[float, bytes]] = deque()
        self._sent: deque[tuple[float, bool, bytes]] = deque()  # and not heard yet
        self._heard: deque[tuple[float, bool, bytes]] = deque()
        self._came_bytes = self._lost_bytes = 0
        self._events: deque[TapedEvent] = deque(maxlen=EVENTS)
        self._anchor_s: float | None = None
        self._heard_before = 0
        self._underruns = -1
        self._drops = 0
        self._underrun_ms = 0.0
        for at, payload in early:
            self.hear(payload, at)

    # What happens.

    def hear(self, payload: bytes, now: float) -> None:
        """A message of the caller's audio arrived."""
        came = self._came
        came.append((now, payload))
        self._came_bytes += len(payload)
        max_bytes, max_messages = self._keep_s * BYTES_PER_S, self._keep_s * MESSAGES_PER_S
        while came[0][0] < now - self._keep_s or (
            len(came) > 1 and (self._came_bytes > max_bytes or len(came) > max_messages)
        ):
            self._lose_oldest()

    def play(self, frames: list[bytes | Beside], schedule: Schedule, now: float) -> None:
        """These are sent, the last ones so far, and will be heard."""
        clock = schedule.clock
        self.follow(schedule, now)
        self._note_underruns(schedule, now)
        at = clock.sent - sum(type(frame) is bytes for frame in frames)
        for frame in frames:
            if isinstance(frame, Beside):
                is_first = not self._sent or frame.at_s > self._sent[-1][0] + FRAME_S + _EPSILON_S
                self._sent.append((frame.at_s, is_first, frame.pcm))
            else:
                self._sent.append((clock.time_of(clock.heard_before + at), at == 0, frame))
                at += 1
        self._settle(now)

    def follow(self, schedule: Schedule, now: float) -> None:
        """The router may have been told to drop what it has, or have corrected its clock."""
        clock = schedule.clock
        if schedule.drops != self._drops:
            self._drops = schedule.drops
            self._settle(now)
            until_s = schedule.kept_until_s + _EPSILON_S
            self._sent = deque(entry for entry in self._sent if entry[0] + FRAME_S <= until_s)
        was_s, anchor_s = self._anchor_s, clock.anchor_s
        is_same_run = was_s is not None and anchor_s is not None and clock.heard_before == self._heard_before
        if is_same_run and anchor_s != was_s:
            self._settle(now)
            delta_s = anchor_s - was_s  # type: ignore[operator]  # neither is None
            self._sent = deque(
                (start_s + delta_s, is_first, frame) for start_s, is_first, frame in self._sent
            )
        self._anchor_s, self._heard_before = anchor_s, clock.heard_before

    def cut(self, now: float) -> None:
        """What was sent and not heard by now never is."""
        self._settle(now)
        self._sent.clear()

    def note(self, at_s: float, source: str, name: str, detail: str = "", for_s: float = 0.0) -> None:
        """Something happened; what a peer wrote is cut."""
        self._events.append(TapedEvent(at_s, source, name[:DETAIL_CHARS], detail[:DETAIL_CHARS], for_s))

    # What is told.

    def grant(self) -> None:
        """One more batch may be told."""
        if self._batches is not None:
            self._batches += 1

    def next_deadline(self) -> float:
        """When there is something to tell; infinity for a tape that has to be asked."""
        return self._told_at + self._tell_s if self._batches else math.inf

    def wake(self, audio_format: AudioFormat, now: float) -> list[Taped]:
        """Return what is due."""
        if now < self.next_deadline():
            return []
        if self._batches is not None:
            self._batches -= 1
        return self.take(audio_format, now)

    def take(self, audio_format: AudioFormat, now: float, *, is_last: bool = False) -> list[Taped]:
        """Return what was kept, one piece at least; a tape that has to be asked keeps it for the next time."""
        self._settle(now)
        self._told_at = now
        pieces: list[Taped] = []
        came, heard, events, since = self._came, self._heard, self._events, self._since
        if self._batches is None:
            since = max(since, now - self._keep_s)
            while came and came[0][0] < since:
                self._lose_oldest()
            while events and events[0].at_s < since:
                events.popleft()
        lost_ms = audio_format.duration_ms(self._lost_bytes)
        for some_came, some_heard in _in_pieces(came, heard):
            pieces.append(
                Taped(
                    self.token, since, now, audio_format.rate_hz, some_came, some_heard,
                    () if pieces else tuple(events), 0.0 if pieces else lost_ms,
                )
            )  # fmt: skip
        pieces[-1] = pieces[-1]._replace(is_complete=True, is_last=is_last)
        if self._batches is not None:
            came.clear()
            heard.clear()
            events.clear()
            self._came_bytes = self._lost_bytes = 0
        return pieces

    def end(self, audio_format: AudioFormat, now: float, *, is_wanted: bool) -> list[Taped]:
        """Return the last: with nothing in it where a tape that has to be asked is not wanted at this end."""
        self.cut(now)
        if self._batches is None and not is_wanted:
            return [Taped(self.token, now, now, audio_format.rate_hz, (), (), (), 0.0, True, True)]
        return self.take(audio_format, now, is_last=True)

    # Inside.

    def _settle(self, now: float) -> None:
        """What has been heard by now is kept as such."""
        sent, heard = self._sent, self._heard
        while sent and sent[0][0] + FRAME_S <= now + _EPSILON_S:
            heard.append(sent.popleft())
        while heard and heard[0][0] < now - self._keep_s:
            self._lose(len(heard.popleft()[2]))

    def _lose_oldest(self) -> None:
        size_bytes = len(self._came.popleft()[1])
        self._came_bytes -= size_bytes
        self._lose(size_bytes)

    def _lose(self, size_bytes: int) -> None:
        if self._batches is not None:  # else that is what such a tape is for
            self._lost_bytes += size_bytes

    def _note_underruns(self, schedule: Schedule, now: float) -> None:
        if schedule.underruns > self._underruns >= 0:
            for_s = (schedule.underrun_ms - self._underrun_ms) / 1000
            self.note(now - for_s, "server", "underrun", for_s=for_s)
        self._underruns, self._underrun_ms = schedule.underruns, schedule.underrun_ms


def _in_pieces(
    came: Sequence[tuple[float, bytes]], heard: Sequence[tuple[float, bool, bytes]]
) -> list[tuple[tuple[tuple[float, bytes], ...], tuple[tuple[float, bool, bytes], ...]]]:
    """Cut both, each in its order; one piece at least."""
    came_at, heard_at = _cuts([len(entry[1]) for entry in came]), _cuts([len(entry[2]) for entry in heard])
    return [
        (tuple(came[i] for i in range(*of_came)), tuple(heard[i] for i in range(*of_heard)))
        for of_came, of_heard in zip_longest(came_at, heard_at, fillvalue=(0, 0))
    ]


def _cuts(sizes_bytes: list[int]) -> list[tuple[int, int]]:
    """From where to where a piece goes that has no more than `PIECE_BYTES`, or one message."""
    cuts = []
    begin = piece_bytes = 0
    for at, size_bytes in enumerate(sizes_bytes):
        if at > begin and piece_bytes + size_bytes > PIECE_BYTES:
            cuts.append((begin, at))
            begin, piece_bytes = at, 0
        piece_bytes += size_bytes
    return [*cuts, (begin, len(sizes_bytes))]
