# SPDX-License-Identifier: Apache-2.0
"""The one owner of what is said: utterances are begun, written, ended, cut and waited for in the order of asking.

The rules:

1. Plain writes go to the newest utterance of their lane; a speech has a lane of its own. Beginning a speech seals the
   plain one before it, so whatever is written plainly afterwards is said after the speech.
2. Whoever finds no room stands in the line of an utterance. The one in front is *granted* a piece at a time. A line
   that someone has left, or that a flush cut, goes on: nothing is owed to who is not there.
3. The utterance at the head has room of its own, since only what it says makes room for the others; those behind
   share as much again. So the queue is bounded by twice ``max_bytes`` and a piece for each line.
4. An end holds from when it was asked for: nobody joins the line any more, and whoever stands in it is heard first.
5. A flush cuts all that was asked for before it: audio, lines, and whoever waits to hear something.
6. A speech that is paused keeps its place, and what it says later goes on from what was heard. It ends, and what is
   behind it begins, only once it goes on.
7. Each ask to wait, and each piece with more behind it, is answered exactly once; whoever has left is not.

Time is an argument, and so is the format: until `settle` nothing is framed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import AudioDataError, PlaybackOverflow, UsageError
from audio_connector.playback.beside import BesideSpeech
from audio_connector.playback.schedule import NO_LIMIT, Schedule
from audio_connector.playback.speech import NO_ROOM, PLAIN, Answered, Finished, Flushed, Interrupted, Played
from audio_connector.playback.utterance import Mark, Utterance, Writer

STARVING_S = 10.0
"""Who has nothing to say and keeps others waiting for longer is named in a warning."""

SPEECH_STARVES = (
    f"a speech has been open for {STARVING_S:g} s without audio while others wait behind it; end it, by leaving its "
    "async with block, as soon as nothing more is to be said"
)
WRITE_STARVES = (
    f"a write was granted room {STARVING_S:g} s ago and has not used it, while others wait behind it: the event loop "
    "that it was made in does not run"
)

PAUSE_STARVES = (
    f"a speech has been paused for {STARVING_S:g} s while others wait behind it; go on with speech.resume(), or cut "
    "it with flush_buffer()"
)

PlaybackEvent = Answered | Finished | UsageError | PlaybackOverflow | str
"""What came to pass: an answer, an end, something to report, or a warning."""


class PlaybackQueue:
    """What one connection says: writers wait while more than ``max_bytes`` is queued.

    Plain writes that would be heard later than ``max_delay_s`` lose their oldest audio; None for any delay. What is
    cut by a pause, or goes on after one, fades for ``fade_s``; by a flush for ``flush_fade_s``. With ``can_clear``
    the router is told to drop what it has where that is cut.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        max_bytes: int,
        max_delay_s: float | None,
        fade_s: float = 0.0,
        flush_fade_s: float = 0.0,
        can_clear: bool = True,
    ) -> None:
        self.schedule = schedule
        self.beside = BesideSpeech(schedule)
        self._fade_s, self._flush_fade_s = fade_s, flush_fade_s
        self._can_clear = can_clear
        self.max_bytes = max_bytes
        self.max_delay_s = max_delay_s
        self.events: list[PlaybackEvent] = []
        self.accepted_bytes = 0  # all that ever came, as it came
        self.refused_bytes = 0  # what of it came for a speech that was over, or could not be audio
        self.skips = 0
        self.format: AudioFormat | None = None
        """None until it is known."""
        self.is_labelled = False
        """The router has told it: where it tells another one, what was written before is converted."""
        self._open: dict[int, Utterance] = {}
        """The utterance of each lane that may be written to: at most one plain one, and speeches."""
        self._writers: dict[int, Writer] = {}  # whoever stands in a line
        self._last_outcome = Played(0.0)
        self._warn_at: float | None = None
        """When a speech that starves others is named; infinity where it was."""

    @property
    def is_owed(self) -> bool:
        """Somebody stands in line or has begun a speech, and others may wait for that to go on."""
        return bool(self._writers) or any(lane != PLAIN for lane in self._open)

    # What the application asks.

    def begin(self, lane: int, now: float) -> None:
        """Begin a speech, behind all that was asked for before."""
        self.end(PLAIN, now)
        self._append(lane)

    def write(self, lane: int, pcm: bytes, rate_hz: int | None, now: float, *, is_end: bool = False) -> None:
        """Take audio that nobody has to wait for; the path of every outgoing frame."""
        self.accepted_bytes += len(pcm)
        utterance = self._open.get(lane) or self._begin_plain(lane)
        if utterance is None:
            self.refused_bytes += len(pcm)
            return
        if pcm:
            self._write(utterance, pcm, rate_hz, now)
        if is_end:
            self.end(lane, now)

    def ask(
        self, lane: int, token: int, now: float, *, is_end: bool = False, behind: int | None = None
    ) -> None:
        """Stand in line to write, as the last where ``is_end``; answered True where there is room, False if cut.

        Who asks is the only one who can end the open speech ``behind``: `NO_ROOM` where there is no other room.
        """
        utterance = self._open.get(lane) or self._begin_plain(lane)
        if utterance is None:
            self.events.append(Answered(token, False))
            return
        writer = self._writers[token] = Writer(token, utterance, behind)
        utterance.line.append(writer)
        if is_end:
            self.end(lane, now)
        self.grant(now)

    def write_granted(
        self, token: int, pcm: bytes, rate_hz: int | None, now: float, *, has_more: bool
    ) -> None:
        """Take the piece of whoever is in front of a line; with more to come, it goes on standing there."""
        self.accepted_bytes += len(pcm)
        writer = self._writers.get(token)
        if writer is None:
            self.refused_bytes += len(pcm)
            if has_more:
                self.events.append(Answered(token, False))  # cut while the grant was on its way
            return
        if pcm:
            self._write(writer.utterance, pcm, rate_hz, now)
        if has_more:
            writer.is_granted = False
            self.grant(now)
        else:
            self.leave(token, now)

    def leave(self, token: int, now: float) -> None:
        """Wait no more, in a line or for something to be heard. Nothing that was asked for later waits for it."""
        self.beside.leave(token)
        writer = self._writers.pop(token, None)
        for utterance in self.schedule.utterances() if writer is None else (writer.utterance,):
            utterance.forget(token)
        if writer is not None:
            self._line_moved(writer.utterance, now)
            self.grant(now)

    def end(self, lane: int, now: float) -> None:
        """End what is said in a lane, once all who stand in its line have written."""
        utterance = self._open.pop(lane, None)
        if utterance is not None:
            utterance.is_sealed = True
            self._line_moved(utterance, now)
            if not utterance.is_settled:
                self.schedule.drop_empty(utterance)

    def wait(self, token: int, now: float, *, inside: int | None = None, to_end: bool = False) -> None:
        """Answer once all until now, or up to the open speech ``inside``, has been heard, or was cut.

        With ``to_end`` an open speech is waited for until it has been heard to its end.
        """
        self.note(now)
        utterances = self.schedule.utterances()
        last = self._open.get(inside) if inside is not None else None
        if last is not None:
            utterances = utterances[: utterances.index(last) + 1]
        concerned = [
            u
            for u in utterances
            if u.is_sealed or u.line or u.last_write_at > -math.inf or (to_end and u.lane != PLAIN)
        ]  # a lane that nobody has used yet is nothing to wait for
        if not concerned:
            self.events.append(Answered(token, self._last_outcome))
        mark = Mark(token, pending=len(concerned))
        for utterance in concerned:
            if to_end and utterance.lane != PLAIN:
                utterance.end_marks.append(mark)
            else:
                utterance.line.append(mark)
                self._line_moved(utterance, now)

    def flush(self, now: float) -> Flushed:
        """Cut everything: what is queued, what the router was sent and has not played, and whoever stands in line."""
        schedule = self.schedule
        self.note(now)
        utterances = schedule.utterances()
        self._let_go(now)
        heard = schedule.cut(now)
        played_ms = discarded_ms = 0.0
        marks: list[Mark] = []
        for utterance in utterances:
            heard_ms = utterance.said_ms(utterance.heard(heard))
            unheard_ms = utterance.unheard_ms(heard, schedule.format)
            if unheard_ms or not utterance.is_complete:
                played_ms += heard_ms
                discarded_ms += unheard_ms
            if utterance.lane != PLAIN:
                self.events.append(Finished(utterance.lane, Interrupted(heard_ms, unheard_ms)))
            for entry in utterance.line:
                if isinstance(entry, Mark):
                    marks.append(entry)
                elif not entry.is_granted:
                    self.events.append(Answered(entry.token, False))
            marks += utterance.placed_marks()
        for token in dict.fromkeys(mark.token for mark in marks):
            self.events.append(Answered(token, Interrupted(played_ms, discarded_ms)))
        self._open.clear()
        self._writers.clear()
        self._warn_at = None
        self._last_outcome = Played(0.0)
        return Flushed(played_ms, discarded_ms)

    def pause(self, lane: int, token: int, now: float) -> bool:
        """Hold a speech where it is: answered with the milliseconds of it that were heard, or None where it is over.

        True where the router is to be told to drop what it has.
        """
        self.note(now)
        schedule = self.schedule
        utterance = next((u for u in schedule.utterances() if u.lane == lane), None)
        if utterance is None:
            self.events.append(Answered(token, None))
            return False
        is_recalled = False
        if utterance.paused_at is None:
            heard_in_all = schedule.clock.heard_in_all(now)
            is_in_flight = utterance.sent > utterance.heard(heard_in_all)
            if is_in_flight and self._can_clear and schedule.can_recall(now):
                is_recalled = True
                is_being_said = schedule.begun_in_all(now) > utterance.first
                self.beside.go_back(now)
                cut_off = schedule.recall(now)
                if is_being_said:
                    self.beside.fade(cut_off, self._samples(self._fade_s))
            schedule.pause(utterance, now)
            self.note(now)
        heard = utterance.heard(schedule.clock.heard_in_all(now))
        self.events.append(Answered(token, utterance.said_ms(heard)))
        return is_recalled

    def go_on(self, lane: int, now: float) -> None:
        """Say what a paused speech still has to say, and what is behind it."""
        self.note(now)
        utterance = next((u for u in self.schedule.utterances() if u.lane == lane), None)
        if utterance is not None and utterance.paused_at is not None:
            self.schedule.go_on(utterance, now, self._samples(self._fade_s))
            self.note(now)
            self.grant(now)

    def abandon(self, now: float) -> None:
        """Whoever asked so far is gone: what was written is heard, nobody is waited for, and nobody is answered."""
        self._writers.clear()
        self.beside.abandon(now)
        for utterance in self.schedule.utterances():
            if utterance.paused_at is not None:  # nobody else could have it go on
                self.schedule.go_on(utterance, now, self._samples(self._fade_s))
            utterance.line.clear()
            utterance.marks.clear()
            utterance.end_marks.clear()
        for lane in list(self._open):
            self.end(lane, now)
        self._lines_moved(list(self.schedule.waiting), now)  # also those that had ended before, with a line
        self.accepted_bytes = 0  # by who asks from now on

    # What is known, and when.

    def settle(self, audio_format: AudioFormat, now: float) -> None:
        """The router's format is known, or is another one than was thought."""
        self.format = audio_format
        if self.is_labelled:
            for utterance in self.schedule.waiting:
                utterance.is_labelled = True
        kept = [(utterance, utterance.settle(audio_format)) for utterance in self.schedule.waiting]
        self.schedule.settle(audio_format)
        self.beside.settle(audio_format)
        for utterance, early in kept:
            for pcm, rate_hz in early:
                self._write(utterance, pcm, rate_hz, now)
            utterance.aim_marks()
        self._lines_moved([utterance for utterance, _ in kept], now)

    def advance(self, now: float, limit: int = NO_LIMIT) -> list[Any]:
        """Return the frames that are due, see `Schedule.advance`; and each `Beside` them."""
        schedule, beside = self.schedule, self.beside
        tail = beside.take_tail(now, limit) if beside.is_on else None
        frames = schedule.advance(now, limit if tail is None else limit - len(tail))
        if schedule.ended or schedule.has_marks:
            self.note(now)
        if self._writers and frames:
            self.grant(now)
        if self._writers or len(schedule.waiting) > 1 or self._warn_at is not None:
            self._mind_the_starving(now, is_silent=not frames)
        return frames if tail is None else self._cover(tail, frames, now, limit)

    def _cover(self, tail: list[Any], frames: list[bytes], now: float, limit: int) -> list[Any]:
        sent = self.beside.cover(tail, frames, now, limit)
        self.take_answers()
        return sent

    def take_answers(self) -> None:
        """Tell who has waited for the end of a background."""
        answers, self.beside.answers = self.beside.answers, []
        self.events += answers

    def restart(self, now: float) -> None:
        """Another router plays on: what the one before was sent counts as heard, and this one holds nothing yet."""
        clock = self.schedule.clock
        self.note(now)
        clock.is_passed = False
        clock.correct(now, clock.sent_in_all)
        clock.busy_until_s = -math.inf
        self.note(now)

    def next_deadline(self) -> float:
        """When `advance` has something to do next; infinity where only the application can change that."""
        deadline = self.schedule.next_deadline()
        if self.beside.is_on:
            deadline = min(deadline, self.beside.next_deadline())
        return deadline if self._warn_at is None else min(deadline, self._warn_at)

    def grant(self, now: float) -> None:
        """Let whoever is in front of a line write, where there is room."""
        if not self._writers:
            return
        waiting = self.schedule.waiting
        head_bytes = waiting[0].queued_bytes
        room = self.max_bytes - head_bytes, self.max_bytes - (self.schedule.queued_bytes - head_bytes)
        stuck = []
        for index, utterance in enumerate(waiting):
            first = utterance.line[0] if utterance.line else None
            if not isinstance(first, Writer) or first.is_granted:
                continue
            if room[index > 0] >= 0:
                first.is_granted = True
                self.events.append(Answered(first.token, True))
            elif first.behind is not None and self._is_stuck(first.behind):
                stuck.append(first.token)
        for token in stuck:
            self.events.append(Answered(token, NO_ROOM))
            self.leave(token, now)

    def note(self, now: float) -> None:
        """Note what was heard by now, and tell who waits for it."""
        schedule = self.schedule
        schedule.note_heard(now)
        if schedule.has_marks:
            self._note_marks(now)
        if schedule.ended:
            ended, schedule.ended = schedule.ended, []
            for utterance in ended:
                outcome = self._last_outcome = Played(utterance.said_ms(utterance.sent))
                if utterance.lane != PLAIN:
                    self.events.append(Finished(utterance.lane, outcome))
                for mark in utterance.placed_marks():
                    self._reach(mark, outcome.played_ms)

    # Inside.

    def _is_stuck(self, behind: int) -> bool:
        """Whether there is no room behind an open speech, whatever is heard before it ends."""
        utterance = self._open.get(behind)
        if utterance is None or self.format is None:
            return False
        after = list(self.schedule.waiting)
        after = after[after.index(utterance) + 1 :]
        return sum(each.queued_bytes for each in after) > self.max_bytes

    def _let_go(self, now: float) -> None:
        """All that the router has is cut; where it drops that, what is beside goes on from what was heard."""
        beside, clock = self.beside, self.schedule.clock
        if not self._can_clear:
            clock.busy_until_s = clock.ends_at(now)
            return
        cut_off = self.schedule.next_frame(now) if self._flush_fade_s else b""
        if beside.is_on or cut_off:
            beside.go_back(now)
            clock.drop(now)
        beside.fade(cut_off, self._samples(self._flush_fade_s))

    def _samples(self, seconds: float) -> int:
        return round(self.schedule.format.rate_hz * seconds)

    def _append(self, lane: int) -> Utterance:
        utterance = self._open[lane] = Utterance(lane, self.format)
        self.schedule.waiting.append(utterance)
        return utterance

    def _begin_plain(self, lane: int) -> Utterance | None:
        """A plain utterance begins with its first write; a lane that is not open is a speech that is over."""
        return self._append(PLAIN) if lane == PLAIN else None

    def _write(self, utterance: Utterance, pcm: bytes, rate_hz: int | None, now: float) -> None:
        try:
            self.schedule.write(utterance, pcm, rate_hz, now)
        except AudioDataError as error:
            self.refused_bytes += len(pcm)
            self.events.append(error)
            return
        limit_s = self.max_delay_s
        if limit_s is None or utterance.lane != PLAIN or not self.schedule.skip(utterance, limit_s, now):
            return
        self.skips += 1
        if self.skips == 1:
            overflow = PlaybackOverflow(
                f"audio would have been heard more than {limit_s * 1000:g} ms after it was written, so the "
                "oldest is left out from now on; statistics() says how much. Playback.max_delay_ms sets the bound"
            )
            self.events.append(overflow)

    def _line_moved(self, utterance: Utterance, now: float) -> None:
        """Whoever is in front may have changed: place the marks that are, and complete it where nobody is left."""
        line = utterance.line
        while line and isinstance(mark := line[0], Mark):
            line.popleft()
            if utterance.is_sealed:
                utterance.end_marks.append(mark)
            else:
                utterance.marks.append((utterance.target, mark))
                self._note_marks(now)
        if utterance.may_complete:
            self._complete(utterance, now)
            self.note(now)
            self.grant(now)

    def _lines_moved(self, utterances: Sequence[Utterance], now: float) -> None:
        """The same of many: an application may have made any number, so none of them looks at all the others."""
        for utterance in utterances:
            if utterance.may_complete:
                self._complete(utterance, now)
            elif utterance.line:
                self._line_moved(utterance, now)
        self.note(now)
        self.grant(now)

    def _complete(self, utterance: Utterance, now: float) -> None:
        schedule = self.schedule
        schedule.note_heard(now)
        fault = schedule.complete(utterance)
        if fault is not None and utterance.lane == PLAIN:  # a speech says so itself, where it is ended
            self.events.append(fault)

    def _note_marks(self, now: float) -> None:
        utterances, heard_in_all = self.schedule.utterances(), self.schedule.clock.heard_in_all(now)
        for utterance in utterances:
            marks, heard = utterance.marks, utterance.heard(heard_in_all)
            while marks and marks[0][0] <= heard:
                self._reach(marks.popleft()[1], utterance.said_ms(heard) or utterance.rested_ms)
        self.schedule.has_marks = any(utterance.marks for utterance in utterances)

    def _reach(self, mark: Mark, heard_ms: float) -> None:
        mark.pending -= 1
        mark.played_ms += heard_ms
        if not mark.pending:
            self._last_outcome = Played(mark.played_ms)
            self.events.append(Answered(mark.token, self._last_outcome))

    def _mind_the_starving(self, now: float, *, is_silent: bool) -> None:
        """Is it a speech that says nothing which keeps the others waiting?"""
        waiting = self.schedule.waiting
        head = waiting[0] if waiting and is_silent else None
        if head is None:
            starves = ""
        elif head.paused_at is not None:
            starves = PAUSE_STARVES if len(waiting) > 1 else ""
        elif head.queued_bytes or (head.is_sealed and not head.line):
            starves = ""
        else:
            is_alone = len(waiting) <= 1 and len(head.line) <= 1
            starves = "" if is_alone else WRITE_STARVES if head.line else SPEECH_STARVES
        if not starves:
            self._warn_at = None
        elif self._warn_at is None:
            self._warn_at = now + STARVING_S
        elif now >= self._warn_at:
            self._warn_at = math.inf
            self.events.append(starves)
