# SPDX-License-Identifier: Apache-2.0
"""What was heard in a call lately, both ways, and what happened: the I/O side's part of a recording. No I/O.

The rules:

1. The caller's audio is kept with the time at which each message arrived, whether or not the application took it.
   What came before the application could ask for it may be there from the start.
2. Ours is kept once it was *heard*, by the router's clock (`playback.clock`), with the time at which it was, and with
   what is under it and beside it. A flush cuts what was sent and not heard by then, to the frame, as `Flushed` says
   it, and so does a pause. Where the router dials again, what it is sent cuts what the lost connection had brought it
   and it was still to play.
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
from typing import Any, Final

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

STEP: Final = 64
"""Messages or frames of a side that may stay beyond what is kept: it is not looked at for each."""

EVENTS: Final = 1000
DETAIL_CHARS: Final = 300

_EPSILON_S: Final = EPSILON_FRAMES * FRAME_S


class _Stretch:
    """Frames that are heard one right after the other, the first from ``start_s`` on."""

    __slots__ = ("frames", "is_first", "start_s")

    def __init__(self, start_s: float, is_first: bool, frames: list[bytes]) -> None:
        self.start_s = start_s
        self.is_first = is_first
        """A run of the router's clock began with it."""
        self.frames = frames

    @property
    def end_s(self) -> float:
        return self.start_s + len(self.frames) * FRAME_S

    def ended_by(self, at_s: float) -> int:
        """How many were heard to their end by then."""
        return min(len(self.frames), max(0, math.floor((at_s + _EPSILON_S - self.start_s) / FRAME_S)))

    def take(self, count: int) -> _Stretch:
        """Remove so many, the first ones."""
        taken = _Stretch(self.start_s, self.is_first, self.frames[:count])
        del self.frames[:count]
        self.start_s += count * FRAME_S
        self.is_first = self.is_first and not count
        return taken


class Tape:
    """One of them; ``token`` is the recorder's, ``batches`` is None for one that tells when it is asked.

    It begins with the audio that came ``early``, before the application did anything.

    A frame of either side costs a reference to it. When ours was heard follows from the start of its stretch, and
    what is older than is kept goes `STEP` by `STEP`.
    """

    __slots__ = (
        "_anchor_s",
        "_batches",
        "_came",
        "_came_at",
        "_came_bytes",
        "_drops",
        "_events",
        "_going_on",
        "_heard_before",
        "_keep_s",
        "_lost_bytes",
        "_max_bytes",
        "_max_messages",
        "_ours",
        "_sent",
        "_since",
        "_tell_s",
        "_told_at",
        "_underrun_ms",
        "_underruns",
        "_unlooked_came",
        "_unlooked_ours",
        "token",
    )

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
        self._max_bytes = keep_s * BYTES_PER_S
        self._max_messages = int(keep_s * MESSAGES_PER_S)
        self._batches = batches
        self._told_at = now
        self._came: deque[bytes] = deque()
        self._came_at: deque[float] = deque()
        self._came_bytes = self._lost_bytes = 0
        self._unlooked_came = self._unlooked_ours = (
            0  # messages, and frames, since it was looked for old ones
        )
        self._ours: deque[_Stretch] = deque()  # heard, or sent and to be heard
        self._going_on: _Stretch | None = None
        """The last one, where the next frame of the run belongs to it."""
        self._sent = 0
        self._anchor_s: float | None = None
        self._heard_before = 0
        self._events: deque[TapedEvent] = deque(maxlen=EVENTS)
        self._underruns = -1
        self._drops = 0
        self._underrun_ms = 0.0
        for at, payload in early:
            self.hear(payload, at)

    # What happens.

    def hear(self, payload: bytes, now: float) -> None:
        """A message of the caller's audio arrived: the path of every incoming frame."""
        self._came.append(payload)
        self._came_at.append(now)
        self._came_bytes += len(payload)
        self._unlooked_came += 1
        if self._unlooked_came > STEP or self._came_bytes > self._max_bytes:
            self._lose_came(now)

    def play(self, writes: list[Any], schedule: Schedule, now: float) -> None:
        """These are written; what is a frame will be heard behind all so far: the path of every outgoing one."""
        stretch, clock = self._going_on, schedule.clock
        if (
            stretch is not None
            and clock.sent == self._sent + len(writes)  # so that each is a frame of the run
            and clock.anchor_s == self._anchor_s
            and clock.heard_before == self._heard_before
            and schedule.drops == self._drops
            and schedule.underruns == self._underruns
        ):
            stretch.frames.extend(writes)
            self._sent = clock.sent
            self._unlooked_ours += len(writes)
            if self._unlooked_ours > STEP:
                self._lose_ours(now)
        else:
            self._play(writes, schedule, now)

    def _play(self, writes: list[Any], schedule: Schedule, now: float) -> None:
        """Whatever they are, and whatever has happened before."""
        self.follow(schedule, now)
        self._note_underruns(schedule, now)
        clock = schedule.clock
        at = clock.sent - sum(type(write) is bytes for write in writes)
        for write in writes:
            if isinstance(write, Beside):
                is_behind = self._ours and write.at_s <= self._ours[-1].end_s + _EPSILON_S
                self._put(write.at_s, not is_behind, write.pcm)
            elif type(write) is bytes:
                self._put(clock.time_of(clock.heard_before + at), at == 0, write)
                at += 1
        goes_on = bool(writes) and type(writes[-1]) is bytes
        self._going_on = self._ours[-1] if goes_on else None
        self._sent, self._anchor_s, self._heard_before = clock.sent, clock.anchor_s, clock.heard_before
        self._lose_ours(now)

    def follow(self, schedule: Schedule, now: float) -> None:
        """The router may have been told to drop what it has, or have corrected its clock."""
        clock = schedule.clock
        if schedule.drops != self._drops:
            self._drops = schedule.drops
            self._cut(max(now, schedule.kept_until_s))
            self._sent = 0  # the run has ended so
        was_s, anchor_s = self._anchor_s, clock.anchor_s
        if anchor_s == was_s and clock.heard_before == self._heard_before:
            return
        # Of a run of which nothing was sent, nothing is here to be moved.
        is_same = clock.heard_before == self._heard_before and self._sent > 0
        if was_s is not None and anchor_s is not None and is_same:
            self._move(anchor_s - was_s, now)
        self._anchor_s, self._heard_before, self._sent = anchor_s, clock.heard_before, clock.sent
        self._going_on = None

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
        self._told_at = now
        events, since = self._events, self._since
        if self._batches is None:
            since = max(since, now - self._keep_s)
            while events and events[0].at_s < since:
                events.popleft()
        if self._came:  # what came early is kept, however late one asks for all
            self._lose_came(now if self._batches is None else self._came_at[-1])
        self._lose_ours(now)
        lost_ms = audio_format.duration_ms(self._lost_bytes)
        pieces: list[Taped] = []
        all_came = list(zip(self._came_at, self._came, strict=True))
        for came, heard in _in_pieces(all_came, self._heard_by(now)):
            pieces.append(
                Taped(
                    self.token, since, now, audio_format.rate_hz, came, heard,
                    () if pieces else tuple(events), 0.0 if pieces else lost_ms,
                )
            )  # fmt: skip
        pieces[-1] = pieces[-1]._replace(is_complete=True, is_last=is_last)
        if self._batches is not None:
            self._came.clear()
            self._came_at.clear()
            self._lose_heard(now)
            events.clear()
            self._came_bytes = self._lost_bytes = 0
        return pieces

    def end(self, audio_format: AudioFormat, now: float, *, is_wanted: bool) -> list[Taped]:
        """Return the last: with nothing in it where a tape that has to be asked is not wanted at this end."""
        self._cut(now)
        if self._batches is None and not is_wanted:
            return [Taped(self.token, now, now, audio_format.rate_hz, (), (), (), 0.0, True, True)]
        return self.take(audio_format, now, is_last=True)

    # Ours.

    def _put(self, start_s: float, is_first: bool, frame: bytes) -> None:
        last = self._ours[-1] if self._ours else None
        if last is not None and start_s < last.end_s - _EPSILON_S:  # another router plays on: rule 2
            self._cut(start_s)
            last = self._ours[-1] if self._ours else None
        if last is None or is_first or abs(last.end_s - start_s) > _EPSILON_S:
            self._ours.append(_Stretch(start_s, is_first, [frame]))
        else:
            last.frames.append(frame)

    def _cut(self, at_s: float) -> None:
        """What is not heard to its end by then never is."""
        ours = self._ours
        self._going_on = None
        while ours and (keeps := ours[-1].ended_by(at_s)) < len(ours[-1].frames):
            if keeps:
                del ours[-1].frames[keeps:]
                return
            ours.pop()

    def _move(self, by_s: float, now: float) -> None:
        """What is not heard to its end yet is heard so much later."""
        ours, moved = self._ours, deque[_Stretch]()
        while ours and (ended := ours[-1].ended_by(now)) < len(ours[-1].frames):
            stretch = ours.pop()
            if ended:
                ours.append(stretch.take(ended))
            stretch.start_s += by_s
            moved.appendleft(stretch)
            if ended:
                break
        ours.extend(moved)

    def _heard_by(self, now: float) -> list[tuple[float, bool, bytes]]:
        return [
            (stretch.start_s + at * FRAME_S, stretch.is_first and not at, stretch.frames[at])
            for stretch in self._ours
            for at in range(stretch.ended_by(now))
        ]

    def _lose_heard(self, before_s: float) -> int:
        """Forget what was heard by then; returns the size of it."""
        ours, lost_bytes = self._ours, 0
        while ours and (count := ours[0].ended_by(before_s)):
            lost_bytes += sum(map(len, ours[0].take(count).frames))
            if ours[0].frames:
                break
            if ours.popleft() is self._going_on:
                self._going_on = None
        return lost_bytes

    def _lose_ours(self, now: float) -> None:
        self._unlooked_ours = 0
        self._lose(self._lose_heard(now - self._keep_s))

    # The caller's.

    def _lose_came(self, now: float) -> None:
        """The oldest, where there is too much of it."""
        self._unlooked_came = 0
        came, came_at = self._came, self._came_at
        while came and (
            came_at[0] < now - self._keep_s
            or (len(came) > 1 and (self._came_bytes > self._max_bytes or len(came) > self._max_messages))
        ):
            came_at.popleft()
            size_bytes = len(came.popleft())
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
