# SPDX-License-Identifier: Apache-2.0
"""Which frame is due when. Time is an argument; nothing here reads a clock or waits.

The rules:

1. Frames that play one after another without a gap are a *run*. The router starts on a run when its first
   frame arrives, at the *anchor*, and hears frame k of it at ``anchor + k * frame``. Frame k is due
   ``lead`` before that. Both are one multiplication from the anchor, never a running sum: counted from the
   last wake-up, a 20 ms schedule was 854 ms late after 30 s; from the anchor, 0.1 ms.
2. A run starts when ``prime`` worth of audio waits, when an utterance is complete, or when its first audio has
   waited for ``prime``. It ends when all that was sent has been heard. Only then is there a new anchor.
3. A run that ends in the middle of an utterance is an underrun, counted when the utterance goes on. In an
   implicit utterance a gap longer than ``pause`` is a pause of the speaker instead, and ends it.
4. Utterances play in the order in which they began; a later one waits until the earlier one is ended.
5. A remainder shorter than a frame is padded when its utterance ends; in an implicit one also just before the
   router would run dry.
6. `advance` may be called at any time, early or late, any number of times. `next_deadline` says when it has
   something to do; between calls nothing changes but the clock.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Iterator

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.framing import Framer
from audio_connector.playback.clock import RunClock
from audio_connector.playback.speech import (
    FRAME_S,
    Flushed,
    Interrupted,
    MarkReached,
    Played,
    Progress,
    ScheduleEvent,
    TailWanted,
    Utterance,
    UtteranceEnded,
)

MIN_LEAD_S = 0.04
"""Two frames: below that, the jitter of any scheduler is heard. A smaller lead is raised to it."""

TAIL_BEFORE_DRY_S = 0.04
"""The writer is asked for what it holds back this long before the router runs dry."""

PAD_BEFORE_DRY_S = 0.02
"""The remainder is padded and sent this long before the router runs dry."""


class Schedule:
    """The playback of one connection.

    Args:
        audio_format: The connection's format.
        lead_s: How far ahead of the router's clock frames are sent.
        prime_s: How much audio is gathered before a run starts.
        pause_s: The longest gap in an implicit utterance that still is a gap and not a pause.
    """

    def __init__(self, audio_format: AudioFormat, *, lead_s: float, prime_s: float, pause_s: float) -> None:
        self.format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._bytes_per_ms = audio_format.bytes_per_second / 1000
        self.prime_s = prime_s
        self.pause_s = pause_s
        self.set_lead(lead_s)
        self.events: list[ScheduleEvent] = []
        self.underruns = 0
        self.underrun_ms = 0.0
        self.frames_sent = 0
        self.accepted_bytes = 0
        self.discarded_bytes = 0
        self.padded_bytes = 0
        self.queued_bytes = 0
        self.queued_peak_bytes = 0
        self._waiting: deque[Utterance] = deque()  # not fully sent, oldest first
        self._landing: deque[Utterance] = deque()  # ended and fully sent, not heard to the end
        self._clock = RunClock()
        self._first_waiting_at: float | None = None
        self._dead_up_to = -1
        self._marks: list[tuple[int, int, object]] = []
        self._mark_count = 0
        self._is_held = False

    # Written by the application.

    def begin(self, utterance_id: int, *, is_implicit: bool = False) -> Utterance | None:
        """Begin an utterance; None where a flush has overtaken it."""
        if utterance_id <= self._dead_up_to:
            return None
        utterance = Utterance(utterance_id, self.format.frame_bytes, is_implicit=is_implicit)
        self._waiting.append(utterance)
        return utterance

    def write(self, utterance_id: int, pcm: bytes, now: float, *, has_tail: bool = False) -> None:
        """Take PCM of an utterance: whole samples, any number of bytes.

        An id that is not known begins an implicit utterance. What belongs to a flushed one is discarded.
        """
        size_bytes = len(pcm)
        self.accepted_bytes += size_bytes
        waiting = self._waiting
        utterance: Utterance | None = waiting[-1] if waiting else None
        if utterance is None or utterance.id != utterance_id:
            utterance = self._find(utterance_id) or self.begin(utterance_id, is_implicit=True)
        if utterance is None or not utterance.is_open:
            self.discarded_bytes += size_bytes
            return
        if not utterance.frames:
            self._end_run_if_dry(now)
            if utterance.starved_at is not None and pcm:
                self._resume_or_rest(utterance, now)
        utterance.last_write_at = now
        utterance.has_tail = has_tail
        utterance.asked_for_tail = False
        utterance.frames.extend(utterance.framer.push(pcm))
        self.queued_bytes += size_bytes
        self.queued_peak_bytes = max(self.queued_peak_bytes, self.queued_bytes)
        if self._clock.anchor_s is None and self._first_waiting_at is None and pcm:
            self._first_waiting_at = now

    def pass_through(self, utterance_id: int, pcm: bytes, now: float) -> bool:
        """Take one frame that may be sent at once: the steady state of an echo or a relay.

        Does what `write` and `advance` would do, in a quarter of the time, where all of this holds: a run is
        on, nothing is queued or awaited, the chunk is exactly one frame, and it is due.

        Returns:
            True where the frame was taken and is to be sent now; False where nothing was done.
        """
        clock = self._clock
        anchor_s = clock.anchor_s
        waiting = self._waiting
        is_busy = self.queued_bytes or self._is_held or self._landing or self._marks
        if anchor_s is None or is_busy or not waiting:
            return False
        head = waiting[0]
        frame_bytes = self._frame_bytes
        sent = clock.sent
        if (
            head.id != utterance_id
            or len(pcm) != frame_bytes
            or not head.is_open
            or now >= anchor_s + sent * FRAME_S
            or now < anchor_s + sent * FRAME_S - self.lead_s
        ):
            return False
        if not head.run_sent:
            head.run_start = sent
        head.run_sent += 1
        head.last_write_at = now
        head.has_tail = head.asked_for_tail = False
        clock.sent = sent + 1
        self.frames_sent += 1
        self.accepted_bytes += frame_bytes
        return True

    def end(self, utterance_id: int, now: float) -> None:
        """End an utterance: its remainder is padded with silence, and nothing more may be written to it."""
        utterance = self._find(utterance_id)
        if utterance is None:
            return
        self._end_run_if_dry(now)
        self._pad(utterance)
        utterance.is_open = False
        if utterance.starved_at is not None and utterance.frames:
            self._resume_or_rest(utterance, now)
        if self._clock.anchor_s is None and self._first_waiting_at is None and utterance.frames:
            self._first_waiting_at = now
        self._land_done()

    def mark(self, token: object, now: float) -> None:
        """Ask for `MarkReached` once all that was written until now has been heard."""
        self._end_run_if_dry(now)
        target = self._clock.heard_before + self._clock.sent
        target += sum(len(u.frames) + bool(u.framer.pending_bytes) for u in self._waiting)
        self._mark_count += 1
        bisect.insort(self._marks, (target, self._mark_count, token))
        self._settle(now)

    def flush(self, now: float, *, up_to_id: int) -> Flushed:
        """Cut everything: what is queued, and what the router was sent and has not played.

        Args:
            now: Seconds of the monotonic clock.
            up_to_id: Later writes to utterances up to this id are discarded.
        """
        self._end_run_if_dry(now)
        self._settle(now)
        if self._clock.anchor_s is None and self._waiting:
            self._rest_if_paused(now)
        run_heard = self._clock.heard(now)
        played_ms = discarded_ms = 0.0
        for utterance in (*self._landing, *self._waiting):
            heard_ms = float(utterance.heard(run_heard) * FRAME_MS)
            unheard_ms = utterance.unheard_ms(run_heard)
            if unheard_ms or utterance.is_open:
                played_ms += heard_ms
                discarded_ms += unheard_ms
            self.events.append(UtteranceEnded(utterance.id, Interrupted(heard_ms, unheard_ms)))
        for _, _, token in self._marks:
            self.events.append(MarkReached(token, Interrupted(played_ms, discarded_ms)))
        self._marks.clear()
        self._landing.clear()
        self._waiting.clear()
        self.discarded_bytes += self.queued_bytes
        self.queued_bytes = 0
        self._clock.end(run_heard)
        self._first_waiting_at = None
        self._dead_up_to = max(self._dead_up_to, up_to_id)
        return Flushed(played_ms, discarded_ms)

    # Told by the I/O side.

    def set_lead(self, lead_s: float) -> None:
        """Change how far ahead of the router's clock frames are sent, from now on."""
        self.lead_s = max(lead_s, MIN_LEAD_S)

    def hold(self) -> None:
        """Send nothing until `release`: the router does not read, or its format is not known yet."""
        self._is_held = True

    def release(self) -> None:
        """Send again."""
        self._is_held = False

    def change_format(self, audio_format: AudioFormat, convert: Callable[[bytes], bytes]) -> None:
        """Take the router's real format, and convert what was queued under the assumed one."""
        self.format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._bytes_per_ms = audio_format.bytes_per_second / 1000
        for utterance in self._waiting:
            pcm = b"".join(utterance.frames)
            pending_bytes = utterance.framer.pending_bytes
            pcm += (utterance.framer.finish() or b"")[:pending_bytes]
            utterance.framer = Framer(audio_format.frame_bytes)
            utterance.frames = deque(utterance.framer.push(convert(pcm)) if pcm else ())
            if not utterance.is_open:
                self._pad(utterance)
        self.queued_bytes = sum(
            len(u.frames) * audio_format.frame_bytes + u.framer.pending_bytes for u in self._waiting
        )

    def heard_at(self, frame_index: int, now: float) -> None:
        """Correct the clock: the router says that, now, it has played the first ``frame_index`` frames."""
        self._clock.correct(now, frame_index - self._clock.heard_before)

    def advance(self, now: float) -> list[bytes]:
        """Return the frames that are due, each exactly one frame long, and note what came to pass.

        Args:
            now: Seconds of the monotonic clock.
        """
        if self._clock.anchor_s is not None:
            self._end_run_if_dry(now)
        if self._landing or self._marks:
            self._settle(now)
        waiting = self._waiting
        if not waiting:
            return []
        if self._clock.anchor_s is None:
            self._rest_if_paused(now)
        if self._is_held:
            return []
        if self._clock.anchor_s is None:
            self._mind_the_tail(now)
            if not self._may_start(now):
                return []
            self._start_run(now)
        frames = self._take_due(now)
        if waiting and waiting[0].is_implicit and not waiting[0].frames and self._mind_the_tail(now):
            frames += self._take_due(now)
        return frames

    def next_deadline(self) -> float | None:
        """When `advance` has something to do next; None where only a write can change that."""
        head = self._waiting[0] if self._waiting else None
        times: list[float] = []
        clock = self._clock
        if clock.anchor_s is None:
            if head is not None:
                self._deadlines_while_idle(head, times)
            return min(times) if times else None
        dry_at = clock.dry_at_s
        if head is not None and not self._is_held:
            if head.frames:
                times.append(dry_at - self.lead_s)
            elif head.is_implicit:
                self._tail_deadlines(head, times)
        if self._landing:
            landing = self._landing[0]
            times.append(clock.anchor_s + (landing.run_start + landing.run_sent) * FRAME_S)
        if self._marks:
            times.append(clock.anchor_s + max(0, self._marks[0][0] - clock.heard_before) * FRAME_S)
        # Running dry by itself is nothing to wake up for: the next write finds that it has happened.
        return min(times) if times else None

    # Asked by anyone on the I/O side.

    @property
    def queued_ms(self) -> float:
        """Audio that waits to be sent."""
        return self.queued_bytes / self._bytes_per_ms

    @property
    def frames_sent_total(self) -> int:
        """Index of the next frame to be sent, counted over what was heard and what is on its way."""
        return self._clock.heard_before + self._clock.sent

    def in_flight_ms(self, now: float) -> float:
        """Audio that was sent and has not been heard."""
        return float((self._clock.sent - self._clock.heard(now)) * FRAME_MS)

    def utterances(self) -> Iterator[Utterance]:
        """Utterances that were not heard to the end yet."""
        yield from self._landing
        yield from self._waiting

    def progress(self) -> Progress:
        """The whole connection's progress, valid until the next call that changes something."""
        queued_bytes = self.queued_bytes
        values = (
            self._clock.heard_before,
            self._clock.anchor_s,
            0,
            self._clock.sent,
            queued_bytes / self._bytes_per_ms,
            self.accepted_bytes - queued_bytes,
            self.underruns,
        )
        # Once per frame: half the cost of calling Progress.
        return tuple.__new__(Progress, values)

    def progress_of(self, utterance: Utterance) -> Progress:
        """One utterance's progress, valid until the next call that changes something."""
        frame_bytes = self.format.frame_bytes
        queued_bytes = len(utterance.frames) * frame_bytes + utterance.framer.pending_bytes
        queued_ms = self.format.duration_ms(queued_bytes)
        return Progress(
            utterance.heard_before, self._clock.anchor_s, utterance.run_start, utterance.run_sent, queued_ms
        )

    # The machine.

    def _start_run(self, now: float) -> None:
        self._clock.start(now)
        self._first_waiting_at = None
        head = self._waiting[0]
        if head.starved_at is not None:
            self.underruns += 1
            self.underrun_ms += (now - head.starved_at) * 1000
            head.starved_at = None
        head.start_run()

    def _end_run_if_dry(self, now: float) -> None:
        clock = self._clock
        if clock.anchor_s is None or not clock.is_dry(now):
            return
        self._settle(now)
        dry_at = clock.dry_at_s
        clock.end(clock.sent)
        if self._waiting:
            head = self._waiting[0]
            if head.run_sent:
                # Even where frames wait: we, or the router's reading, were too late for them.
                head.starved_at = dry_at
            head.start_run()
            if head.frames:
                self._first_waiting_at = dry_at

    def _settle(self, now: float) -> None:
        run_heard = self._clock.heard(now)
        landing = self._landing
        while landing and run_heard >= landing[0].run_start + landing[0].run_sent:
            done = landing.popleft()
            self.events.append(UtteranceEnded(done.id, Played(float(done.sent * FRAME_MS))))
        while self._marks and self._marks[0][0] <= self._clock.heard_before + run_heard:
            self.events.append(MarkReached(self._marks.pop(0)[2], Played(0.0)))

    def _may_start(self, now: float) -> bool:
        playable = 0
        for utterance in self._waiting:
            playable += len(utterance.frames)
            if utterance.is_open:
                break
            if playable:
                return True
        if not playable:
            return False
        since = self._first_waiting_at
        return playable * FRAME_S >= self.prime_s or since is None or now >= since + self.prime_s

    def _take_due(self, now: float) -> list[bytes]:
        count = self._clock.due(now, self.lead_s)
        frames: list[bytes] = []
        waiting = self._waiting
        while count > 0 and waiting:
            head = waiting[0]
            take = min(count, len(head.frames))
            if take:
                if not head.run_sent:
                    head.run_start = self._clock.sent
                frames += [head.frames.popleft() for _ in range(take)]
                head.run_sent += take
                self._clock.sent += take
                count -= take
            if head.frames or head.is_open:
                break
            self._land_done()
        if frames:
            self.frames_sent += len(frames)
            self.queued_bytes -= len(frames) * self._frame_bytes
        return frames

    def _land_done(self) -> None:
        """Move utterances on that are ended and wholly sent."""
        waiting = self._waiting
        while waiting and not waiting[0].is_open and not waiting[0].frames:
            utterance = waiting.popleft()
            if utterance.run_sent:
                self._landing.append(utterance)
            else:
                # Heard already, or empty from the start.
                self.events.append(UtteranceEnded(utterance.id, Played(float(utterance.sent * FRAME_MS))))

    def _find(self, utterance_id: int) -> Utterance | None:
        return next((u for u in self._waiting if u.id == utterance_id), None)

    def _pad(self, utterance: Utterance) -> None:
        pending_bytes = utterance.framer.pending_bytes
        last = utterance.framer.finish()
        if last is not None:
            utterance.frames.append(last)
            self.padded_bytes += len(last) - pending_bytes
            self.queued_bytes += len(last) - pending_bytes

    def _resume_or_rest(self, utterance: Utterance, now: float) -> None:
        """Audio comes again after the router ran dry."""
        assert utterance.starved_at is not None
        if utterance.is_implicit and now > utterance.starved_at + self.pause_s:
            utterance.rest()
        if self._first_waiting_at is None:
            self._first_waiting_at = now

    def _rest_if_paused(self, now: float) -> None:
        head = self._waiting[0]
        if head.starved_at is None or not head.is_implicit or head.frames:
            return
        if now >= head.starved_at + self.pause_s:
            head.rest()

    def _mind_the_tail(self, now: float) -> bool:
        """Ask for what the writer holds back, and pad the remainder, before the router runs dry.

        Returns:
            True where there is a frame now.
        """
        head = self._waiting[0]
        if not head.is_implicit or not head.is_open or head.frames:
            return False
        ask_at, pad_at = self._tail_times(head)
        if head.has_tail and not head.asked_for_tail and now >= ask_at:
            head.asked_for_tail = True
            self.events.append(TailWanted(head.id))
        if head.framer.pending_bytes and now >= pad_at:
            self._pad(head)
            self._first_waiting_at = pad_at - self.prime_s if self._clock.anchor_s is None else None
            return True
        return False

    def _tail_times(self, head: Utterance) -> tuple[float, float]:
        if self._clock.anchor_s is None:
            ask_at = head.last_write_at + self.prime_s
            return ask_at, ask_at + PAD_BEFORE_DRY_S
        dry_at = self._clock.dry_at_s
        return dry_at - TAIL_BEFORE_DRY_S, dry_at - PAD_BEFORE_DRY_S

    def _tail_deadlines(self, head: Utterance, times: list[float]) -> None:
        ask_at, pad_at = self._tail_times(head)
        if head.has_tail and not head.asked_for_tail:
            times.append(ask_at)
        if head.framer.pending_bytes:
            times.append(pad_at)

    def _deadlines_while_idle(self, head: Utterance, times: list[float]) -> None:
        if head.frames and not self._is_held:
            since = self._first_waiting_at
            since = head.last_write_at if since is None else since
            times.append(since if self._may_start(since) else since + self.prime_s)
        elif head.is_implicit and head.is_open and not head.frames:
            if not self._is_held:
                self._tail_deadlines(head, times)
            if head.starved_at is not None:
                times.append(head.starved_at + self.pause_s)
