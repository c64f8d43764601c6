# SPDX-License-Identifier: Apache-2.0
"""Which frame is due when. Time is an argument; nothing here reads a clock or waits.

The rules:

1. Frames that play one after another without a gap are a *run*. The router starts on a run when its first
   frame arrives, at the *anchor*, and hears frame k of it at ``anchor + k * frame``. Frame k is due
   ``lead`` before that. Both are one multiplication from the anchor, never a running sum: counted from the
   last wake-up, a 20 ms schedule was 854 ms late after 30 s; from the anchor, 0.1 ms.
2. A run starts when ``prime`` worth of audio waits, when an utterance is complete, or when its first audio has
   waited for ``prime``. It ends when all that was sent has been heard. Only then is there a new anchor.
3. A run that ends in the middle of an utterance is an underrun, counted when the utterance goes on. In plain writes
   a gap longer than ``pause`` is a pause of the speaker instead.
4. Utterances play in the order in which they began; a later one waits until the earlier one is complete.
5. Just before the router would run dry, what an utterance holds back is played: the resampler's part, and a
   remainder shorter than a frame, padded with silence.
6. A paused utterance stays where it is, and so does all behind it. What the router has not begun to play is taken
   back where it is told to drop that (`recall`): it is sent again, so that all is heard, and once.
7. Where the router has other audio, of no utterance, a run is heard behind that; and where such audio was sent behind
   a run, the run ends with what was sent.
8. `advance` may be called at any time, early or late, any number of times. `next_deadline` says when it has
   something to do; between calls nothing changes but the clock.
"""

from __future__ import annotations

import math
from collections import deque

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.mixing import crossfade, fade_in
from audio_connector.errors import AudioDataError
from audio_connector.playback.clock import RunClock
from audio_connector.playback.speech import EPSILON_FRAMES, FRAME_S, PLAIN, Progress
from audio_connector.playback.utterance import Utterance

MIN_LEAD_S = 0.04
"""Two frames: below that, the jitter of any scheduler is heard. A smaller lead is raised to it."""

DRAIN_BEFORE_DRY_S = 0.015
"""What is held back is played this long before the router runs dry: three times the grid of the pacer."""

NO_LIMIT = 1 << 30


IN_PLAY_FRAMES = 2
"""More than the lead that a router may have: the one that it plays, and the one that is sent early by a rounding."""


class Schedule:
    """The timing of one connection's utterances; ``lead``, ``prime`` and ``pause`` are those of the rules."""

    def __init__(self, *, lead_s: float, prime_s: float, pause_s: float) -> None:
        self.format = AudioFormat()
        self.frame_bytes = self.format.frame_bytes
        self.prime_s = prime_s
        self.pause_s = pause_s
        self.drain_before_s = DRAIN_BEFORE_DRY_S
        self.flown: deque[bytes] = deque()
        """The frames that were sent last, as many as the router may have of them: what `recall` takes back."""
        self.set_lead(lead_s)
        self.is_held = True
        """Nothing is sent: the format is not known yet, the router does not read, or the call ends."""
        self.waiting: deque[Utterance] = deque()  # not wholly sent, the oldest first
        self.finishing: deque[Utterance] = deque()  # complete and wholly sent, not heard to the end
        self.ended: list[Utterance] = []  # heard to the end; whoever drives this takes them
        self.has_marks = False  # somebody waits for a frame in the middle of an utterance to be heard
        self.queued_bytes = self.queued_peak_bytes = 0
        self.underruns = self.skipped_frames = 0
        self.underrun_ms = 0.0
        self.drops = 0
        """How often the router was told to drop what it has."""
        self.kept_until_s = -math.inf
        """What it was to play until then it has played all the same, the last time."""
        self.clock = RunClock()

    # What is written.

    def write(self, utterance: Utterance, pcm: bytes, rate_hz: int | None, now: float) -> None:
        """Take audio of an open utterance; the path of every outgoing frame. Refuses what `PcmFrames.write` does."""
        if not utterance.frames and now >= self.clock.dry_at_s:
            self.note_heard(now)
        if utterance.padded_bytes:  # a gap, or part of one that is counted when the run starts
            self.underruns += utterance.starved_at is None
            self.underrun_ms += self.format.duration_ms(utterance.padded_bytes)
            utterance.padded_bytes = 0
        self.queued_bytes += utterance.write(pcm, rate_hz)
        utterance.last_write_at = now
        if self.queued_bytes > self.queued_peak_bytes:
            self.queued_peak_bytes = self.queued_bytes
        if utterance.waiting_since is None:
            utterance.waiting_since = now

    def complete(self, utterance: Utterance) -> AudioDataError | None:
        """Nothing more comes of an utterance; returns what was wrong where half a sample is left.

        One of plain writes with nothing to be heard is over at once, since an application may leave any number of
        these; a speech ends in its turn.
        """
        before = utterance.queued_bytes
        fault = utterance.complete()
        self._note_more(utterance.queued_bytes - before)
        if utterance.lane == PLAIN and not utterance.frames and utterance is not self.waiting[0]:
            self._forget(utterance)
            self.ended.append(utterance)
        self._finish_sent()
        return fault

    def drop_empty(self, utterance: Utterance) -> None:
        """Forget an utterance of plain writes that has ended with nothing in it before the format is known."""
        if utterance.lane == PLAIN and not (utterance.early or utterance.line or utterance.end_marks):
            self._forget(utterance)

    def _note_more(self, added_bytes: int) -> None:
        self.queued_bytes += added_bytes
        if self.queued_bytes > self.queued_peak_bytes:
            self.queued_peak_bytes = self.queued_bytes

    def _forget(self, utterance: Utterance) -> None:
        if self.waiting[-1] is utterance:  # as a rule, and then the others need not be looked at
            self.waiting.pop()
        else:
            self.waiting.remove(utterance)

    def skip(self, utterance: Utterance, max_delay_s: float, now: float) -> bool:
        """Where an utterance at the head is heard too late, drop its oldest frames, down to half of the bound."""
        frames = utterance.frames
        delay_s = (self.in_flight_ms(now) + self.queued_ms) / 1000
        count = min(int((delay_s - max(self.prime_s, max_delay_s / 2)) / FRAME_S), len(frames) - 1)
        if self.waiting[0] is not utterance or delay_s <= max_delay_s or count <= 0:
            return False
        first = frames[0]
        for _ in range(count):
            frames.popleft()
        frames[0] = crossfade(first, frames[0])  # no click at the cut
        utterance.marks = deque((max(utterance.sent, at - count), mark) for at, mark in utterance.marks)
        self.skipped_frames += count
        self.queued_bytes -= count * self.frame_bytes
        return True

    def cut(self, now: float) -> int:
        """End everything; return how many frames of all were heard. The utterances are the caller's to end."""
        self._note_drop(now)
        self.clock.end(self.clock.heard(now))
        self.finishing.clear()
        self.waiting.clear()
        self.queued_bytes = 0
        self.has_marks = False
        return self.clock.heard_before

    def pause(self, utterance: Utterance, now: float) -> None:
        """Nothing more of it is sent, nor of what comes behind it; what the router has is heard, or see `recall`."""
        utterance.paused_at = now
        while utterance in self.finishing:  # wholly sent: what is behind it waits for it all the same
            self.waiting.appendleft(self.finishing.pop())

    def go_on(self, utterance: Utterance, now: float, fade_samples: int) -> None:
        """It is paused no longer, and fades in over so many samples where it was cut."""
        paused_at, utterance.paused_at = utterance.paused_at, None
        if utterance.starved_at is not None and paused_at is not None:
            had_gap = utterance.starved_at < paused_at  # which goes on now; a later one is the pause itself
            utterance.starved_at = utterance.starved_at + now - paused_at if had_gap else None
        if utterance.frames:
            utterance.waiting_since = now
            if utterance.is_cut and fade_samples:
                utterance.frames[0] = fade_in(utterance.frames[0], fade_samples)
        utterance.is_cut = False
        self._finish_sent()

    def recall(self, now: float) -> bytes:
        """The router is told to drop what it has: all of it that it has not begun to play waits to be sent again.

        Only where `can_recall` says so.

        Returns:
            The frame that would have been heard next; nothing where there was none.
        """
        self.note_heard(now)
        clock, flown = self.clock, self.flown
        count = self._not_begun(now)
        back = [flown.pop() for _ in range(count)][::-1]
        first = back[0] if back else b""
        clock.drop(now)
        self._note_drop(now)
        clock.end(clock.sent - count)
        while back:
            if not (self.waiting and self.waiting[0].sent and self.waiting[0].end > clock.heard_before):
                self.waiting.appendleft(self.finishing.pop())
            last = self.waiting[0]
            take = min(len(back), last.sent, last.end - clock.heard_before)
            last.take_back(back[-take:])
            del back[-take:]
        self.ended += self.finishing  # whose last frame is being played
        self.finishing.clear()
        self._note_more(count * self.frame_bytes)
        if self.waiting and self.waiting[0].frames:
            self.waiting[0].waiting_since = now
        return first

    def can_recall(self, now: float) -> bool:
        """Whether all that the router has not begun to play could be sent again."""
        return self._not_begun(now) <= len(self.flown)

    def begun_in_all(self, now: float) -> int:
        """How many frames of all that was sent the router has begun to play."""
        return self.clock.sent_in_all - self._not_begun(now)

    def next_frame(self, now: float) -> bytes:
        """What the router plays next, behind the frame that it is at; nothing where it has none."""
        count = self._not_begun(now)
        return self.flown[-count] if 0 < count <= len(self.flown) else b""

    def _note_drop(self, now: float) -> None:
        self.drops += 1
        self.kept_until_s = max(now, self.clock.busy_until_s)

    def _not_begun(self, now: float) -> int:
        """How many of the frames that were sent the router has not begun to play."""
        anchor_s = self.clock.anchor_s
        if anchor_s is None:
            return 0
        return max(0, self.clock.sent - self.clock.heard(now) - (now >= anchor_s - EPSILON_FRAMES * FRAME_S))

    def settle(self, audio_format: AudioFormat) -> None:
        """The format is known, and what waits is in it."""
        if audio_format != self.format:
            # As many seconds as before, though they have another number of bytes now.
            self.queued_peak_bytes = -(-self.queued_peak_bytes * audio_format.rate_hz // self.format.rate_hz)
            self.flown.clear()  # of another format: what the router has of these cannot be sent again
        self.format = audio_format
        self.frame_bytes = audio_format.frame_bytes
        self.queued_bytes = 0
        self._note_more(sum(utterance.queued_bytes for utterance in self.waiting))
        self._finish_sent()

    def set_lead(self, lead_s: float) -> None:
        """Change how far ahead of the router's clock frames are sent, from now on."""
        self.lead_s = max(lead_s, MIN_LEAD_S)
        most = int(self.lead_s / FRAME_S) + IN_PLAY_FRAMES
        # Never less: the router may still have what an older lead has let go.
        if most > (self.flown.maxlen or 0):
            self.flown = deque(self.flown, maxlen=most)

    # What is sent.

    def advance(self, now: float, limit: int = NO_LIMIT) -> list[bytes]:
        """Return the frames that are due, each exactly one frame long and at most ``limit``; note what was heard."""
        waiting, clock = self.waiting, self.clock
        if self.finishing or now >= clock.dry_at_s:
            self.note_heard(now)
        frames: list[bytes] = []
        if not waiting or self.is_held or (clock.anchor_s is None and not self._start_run(now)):
            return frames
        count = clock.due(now, self.lead_s)
        if count > limit:
            count = limit
        while count > 0 and waiting and waiting[0].paused_at is None:
            head = waiting[0]
            queued = head.frames
            if queued:
                if not head.sent:
                    head.first = clock.heard_before + clock.sent
                take = len(queued) if len(queued) < count else count
                for _ in range(take):
                    frames.append(queued.popleft())  # noqa: PERF401 - mostly it is one, for which that costs more
                head.sent += take
                clock.send(take)
                count -= take
            if head.is_complete and not queued:
                self._finish_sent()
            elif queued or not head.has_remainder or not self._drain(now):
                break
        self.queued_bytes -= len(frames) * self.frame_bytes
        self.flown.extend(frames)
        return frames

    def note_heard(self, now: float) -> None:
        """Note which utterances were heard to their end, whether the run is over, and whether the speaker rests."""
        clock, finishing = self.clock, self.finishing
        head = self.waiting[0] if self.waiting else None
        if clock.anchor_s is not None:
            while finishing and clock.heard_in_all(now) >= finishing[0].end:
                self.ended.append(finishing.popleft())
            if now < clock.dry_at_s:
                return
            if head is not None and head.end > clock.heard_before:
                # Even where frames wait: we, or the router's reading, were too late for them.
                head.starved_at = clock.dry_at_s
                head.waiting_since = head.starved_at if head.frames else None
            clock.end(clock.sent)
        if head is not None and not head.frames and now >= self._rests_at(head):
            head.rest()  # a pause in plain writes is no gap: what was said is over

    def next_deadline(self) -> float:
        """When `advance` has something to do next; infinity where only a write can change that."""
        clock = self.clock
        # Running dry by itself is nothing to wake up for: the next write finds that it has happened.
        times: list[float] = []
        if self.waiting and not self.is_held:
            times.append(self._deadline_of_head(self.waiting[0]))
        if clock.anchor_s is not None and self.finishing:
            times.append(clock.time_of(self.finishing[0].end))
        if clock.anchor_s is not None and self.has_marks:
            marked = [u for u in self.utterances() if u.marks and u.end > clock.heard_before]
            times += [clock.time_of(u.first + u.marks[0][0]) for u in marked]
        return min(times, default=math.inf)

    # Asked by anyone on the I/O side.

    @property
    def goes_on(self) -> bool:
        """Whether there is something to be sent behind what is being said."""
        head = self.waiting[0] if self.waiting else None
        return head is not None and head.paused_at is None and bool(head.frames)

    @property
    def queued_ms(self) -> float:
        """Audio that waits to be sent."""
        return self.format.duration_ms(self.queued_bytes)

    def in_flight_ms(self, now: float) -> float:
        """Audio that was sent and has not been heard."""
        return float((self.clock.sent - self.clock.heard(now)) * FRAME_MS)

    def is_at_rest(self, now: float) -> bool:
        """Whether all was heard, and what may go on has not for so long that the speaker rests."""
        if self.queued_bytes or now < self.clock.dry_at_s:
            return False
        head = self.waiting[0] if self.waiting else None
        if head is None:
            return True
        return now >= (self.clock.dry_at_s if head.starved_at is None else head.starved_at) + self.pause_s

    def utterances(self) -> tuple[Utterance, ...]:
        """Utterances that were not heard to the end yet, in order."""
        return (*self.finishing, *self.waiting)

    def progress(self) -> Progress:
        """The whole connection's progress, valid until the next call that changes something."""
        coming = 0
        for utterance in () if self.is_held or self.clock.is_passed else self.waiting:
            if utterance.paused_at is not None:
                break
            coming += len(utterance.frames)
            if not utterance.is_complete:
                break
        return self._progress(0, self.clock.sent_in_all, self.queued_bytes, coming)

    def progress_of(self, utterance: Utterance) -> Progress:
        """One utterance's progress, valid until the next call that changes something."""
        can_send = not self.is_held and not self.clock.is_passed and utterance.paused_at is None
        is_sending = can_send and bool(self.waiting) and self.waiting[0] is utterance
        coming = len(utterance.frames) if is_sending else 0
        first = utterance.first if utterance.sent else self.clock.sent_in_all
        return self._progress(first, utterance.sent, utterance.queued_bytes, coming)

    def _progress(self, first: int, sent: int, queued_bytes: int, coming: int) -> Progress:
        clock, queued_ms = self.clock, self.format.duration_ms(queued_bytes)
        run_start = max(0, first - clock.heard_before)
        heard_before = min(sent, max(0, clock.heard_before - first))
        run_sent = sent - heard_before
        return Progress(
            heard_before, clock.anchor_s, run_start, run_sent, clock.floor, queued_ms, coming, self.lead_s
        )

    # The machine.

    def _start_run(self, now: float) -> bool:
        """Start a run, where there is enough to play; False where not."""
        head = self.waiting[0]
        if head.paused_at is not None:
            return False
        self._drain(now)
        if now < self._starts_at(head):
            return False
        self.clock.start(now)
        if head.starved_at is not None:
            self.underruns += 1
            self.underrun_ms += (max(now, self.clock.busy_until_s) - head.starved_at) * 1000
            head.starved_at = None
        return True

    def _starts_at(self, head: Utterance) -> float:
        """When a run may start with it; infinity while there is nothing to play."""
        if not head.frames:
            return math.inf
        if head.waiting_since is None:
            return head.last_write_at
        is_enough = head.is_complete or len(head.frames) * FRAME_S >= self.prime_s
        return head.waiting_since + (0.0 if is_enough else self.prime_s)

    def _finish_sent(self) -> None:
        """Move utterances on that are complete and wholly sent."""
        waiting = self.waiting
        while waiting and waiting[0].is_complete and not waiting[0].frames and waiting[0].paused_at is None:
            utterance = waiting.popleft()
            if utterance.end > self.clock.heard_before:
                self.finishing.append(utterance)
            else:  # it was heard before the present run, or was empty from the start
                self.ended.append(utterance)

    def _drain(self, now: float) -> bool:
        """Just before the router runs dry, play what the head holds back. True where there is a frame now."""
        head = self.waiting[0]
        if head.frames or not head.remainder_bytes or now < self._drain_at(head):
            return False
        self.queued_bytes += head.drain()
        if self.clock.anchor_s is None:
            head.waiting_since = now - self.prime_s
        return bool(head.frames)

    def _drain_at(self, head: Utterance) -> float:
        is_idle = self.clock.anchor_s is None
        return head.last_write_at + self.prime_s if is_idle else self.clock.dry_at_s - self.drain_before_s

    def _rests_at(self, head: Utterance) -> float:
        """When a pause in plain writes is one of the speaker; infinity where there is none."""
        return math.inf if head.starved_at is None or head.lane != PLAIN else head.starved_at + self.pause_s

    def _deadline_of_head(self, head: Utterance) -> float:
        """When something of it is to be sent, or its speaker rests; infinity for never."""
        if head.paused_at is not None:
            return math.inf
        is_idle = self.clock.anchor_s is None
        if self.clock.is_passed:  # what was sent is heard to its end first
            return self.clock.dry_at_s if head.frames or head.remainder_bytes else math.inf
        if not head.frames:
            drain_at = self._drain_at(head) if head.remainder_bytes else math.inf
            return min(drain_at, self._rests_at(head)) if is_idle else drain_at
        return self._starts_at(head) if is_idle else self.clock.dry_at_s - self.lead_s
