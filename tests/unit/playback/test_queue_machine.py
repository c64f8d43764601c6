# SPDX-License-Identifier: Apache-2.0
"""Everything that can be asked of a queue, in any order, at any time, against a model that knows nothing of runs."""

from __future__ import annotations

import math

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.playback_model import (
    PIECE_BYTES,
    RATES_HZ,
    ROUTER_RATES_HZ,
    SIZES,
    TIMES_S,
    WHICH,
    Said,
    content,
    pcm_at,
    waiting_bytes,
)
from support.player import FRAME_S, ROUNDING_S, Player, Sent, heard_until

from audio_connector.playback.queue import PlaybackEvent
from audio_connector.playback.schedule import NO_LIMIT
from audio_connector.playback.speech import PLAIN, Answered, Finished, Interrupted, Played
from audio_connector.playback.utterance import Writer


class QueueMachine(RuleBasedStateMachine):
    @initialize(
        lead_s=st.sampled_from([0.04, 0.2, 1.0]),
        prime_s=st.sampled_from([0.0, 0.02, 0.1]),
        pause_s=st.sampled_from([0.02, 0.4]),
        max_bytes=st.sampled_from([0, 640, 5000, 1 << 40]),
        has_corrections=st.booleans(),
        has_rates=st.booleans(),
        is_polite=st.booleans(),
        is_known=st.booleans(),
        has_background=st.booleans(),
    )
    def connect(
        self,
        lead_s: float,
        prime_s: float,
        pause_s: float,
        max_bytes: int,
        has_corrections: bool,
        has_rates: bool,
        is_polite: bool,
        is_known: bool,
        has_background: bool,
    ) -> None:
        rate_hz = 16000 if is_known else None
        self.player = Player(rate_hz, lead_s=lead_s, prime_s=prime_s, pause_s=pause_s, max_bytes=max_bytes)
        self.queue, self.schedule = self.player.queue, self.player.schedule
        self.has_corrections, self.has_rates = has_corrections, has_rates
        self.is_polite = is_polite and not has_rates
        self.is_settled = is_known
        self.said: list[Said] = []  # since the last flush, in the order in which they began
        self.plain: Said | None = None
        self.speeches: dict[int, Said] = {}
        self.numbers = 0
        self.paused: set[int] = set()
        self.has_background = has_background
        if has_background:  # a silent one, so that what is said can be compared
            self.player.play_under(bytes(64_000), volume=0.0)
        self.at = 0
        self.writers: dict[int, Said] = {}
        self.granted: set[int] = set()
        self.awaited: dict[int, type] = {}
        self.unfinished: set[int] = set()
        self.gone: list[int] = [10**6]
        self.faults = 0
        # Sent or cut before the last flush.
        self.cleared = self.heard_before = self.cut_bytes = self.lost_bytes = 0
        self.accepted_before = 0  # of whoever went away
        self.played_ms = 0.0

    # The model.

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def pcm(self, size_bytes: int) -> bytes:
        self.at, pcm = pcm_at(self.at, size_bytes)
        return pcm

    def lane_of(self, which: int) -> int:
        """Plain writes as often as any speech; a speech that is over now and then."""
        lanes = [PLAIN, *self.speeches, PLAIN, *self.gone[-1:]]
        return lanes[which % len(lanes)]

    def utterance(self, lane: int) -> Said | None:
        if lane != PLAIN:
            return self.speeches.get(lane)
        if self.plain is None:
            self.plain = Said(PLAIN)
            self.said.append(self.plain)
        return self.plain

    def add(self, said: Said | None, pcm: bytes, rate_hz: int | None) -> None:
        if said is not None:
            said.pcm += pcm
            said.duration_s += len(pcm) / 2 / (rate_hz or 24000)

    def seal(self, said: Said | None) -> None:
        if said is None or said.is_sealed:
            return
        said.is_sealed = True
        if said is self.plain:
            self.plain = None
        elif self.speeches.pop(said.lane, None):
            self.gone.append(said.lane)

    def leave_line(self, token: int) -> None:
        said = self.writers.pop(token, None)
        if said is not None:
            said.line.remove(token)
        self.granted.discard(token)

    def give_up(self, token: int) -> None:
        self.look()
        self.leave_line(token)
        self.awaited.pop(token, None)
        self.queue.leave(token, self.player.now)
        self.look()

    def look(self) -> None:
        """Every answer was asked for, and comes once."""
        events, self.queue.events = self.queue.events, []
        self.player.events += [(self.player.now, event) for event in events]
        for event in [event for _, event in self.player.events]:
            self.note(event)
        self.player.events.clear()

    def note(self, event: PlaybackEvent) -> None:
        if isinstance(event, Answered):
            kind = self.awaited.pop(event.token)
            assert isinstance(event.value, kind)
            if event.value is True and event.token:  # that is who stops the background
                assert self.writers[event.token].line[0] == event.token, "granted out of turn"
                self.granted.add(event.token)
            elif event.value is False:
                assert event.token not in self.writers
        elif isinstance(event, Finished):
            self.unfinished.remove(event.lane)
        elif isinstance(event, Exception):
            self.faults += 1

    # What an application asks.

    @rule(which=st.sampled_from([True, True, False]))
    def begin(self, which: bool) -> None:
        lane = self.number()
        self.seal(self.plain)
        self.speeches[lane] = said = Said(lane)
        self.said.append(said)
        self.unfinished.add(lane)
        self.queue.begin(lane, self.player.now)
        if which:
            self.player.advance()
            self.look()

    @rule(which=WHICH, size_bytes=SIZES, rate_hz=RATES_HZ, is_end=st.sampled_from([False] * 4 + [True]))
    def write(self, which: int, size_bytes: int, rate_hz: int | None, is_end: bool) -> None:
        if self.is_polite and (self.queue._writers or self.schedule.queued_bytes > self.queue.max_bytes):
            return
        self.write_to(self.lane_of(which), size_bytes, rate_hz if self.has_rates else None, is_end=is_end)

    def write_to(self, lane: int, size_bytes: int, rate_hz: int | None, *, is_end: bool) -> None:
        said, pcm = self.utterance(lane), self.pcm(size_bytes)
        self.add(said, pcm, rate_hz)
        self.queue.write(lane, pcm, rate_hz, self.player.now, is_end=is_end)
        if is_end:
            self.seal(said)
        self.look()

    @rule(which=WHICH, is_end=st.sampled_from([False] * 4 + [True]))
    def stand_in_line(self, which: int, is_end: bool) -> None:
        lane, token = self.lane_of(which), self.number()
        said = self.utterance(lane)
        self.awaited[token] = bool
        if said is not None:
            said.line.append(token)
            self.writers[token] = said
            if is_end:
                self.seal(said)
        self.queue.ask(lane, token, self.player.now, is_end=is_end)
        self.look()

    @precondition(lambda self: self.granted)
    @rule(which=WHICH, size_bytes=SIZES, rate_hz=RATES_HZ, has_more=st.booleans())
    def write_a_piece(self, which: int, size_bytes: int, rate_hz: int | None, has_more: bool) -> None:
        token = sorted(self.granted)[which % len(self.granted)]
        pcm, rate_hz = self.pcm(size_bytes), rate_hz if self.has_rates else None
        self.granted.discard(token)
        self.add(self.writers.get(token), pcm, rate_hz)
        if has_more:
            self.awaited[token] = bool
        else:
            self.leave_line(token)
        self.queue.write_granted(token, pcm, rate_hz, self.player.now, has_more=has_more)
        self.look()

    @precondition(lambda self: self.numbers)
    @rule(which=WHICH, is_waiting=st.sampled_from([True, True, False]))
    def leave(self, which: int, is_waiting: bool) -> None:
        waiting = sorted({*self.writers, *self.awaited, *self.granted})
        if is_waiting and waiting:
            self.give_up(waiting[which % len(waiting)])
        else:
            self.give_up(1 + which % (self.numbers + 1))  # also nobody, and twice

    @rule(which=WHICH)
    def pause(self, which: int) -> None:
        """Of a speech, open or not; what the router drops of it is said again."""
        lanes = sorted(self.unfinished) or self.gone[:1]
        lane, token = lanes[which % len(lanes)], self.number()
        self.awaited[token] = float | None  # type: ignore[assignment]
        self.player.advance()
        self.look()
        before = self.schedule.queued_bytes
        has_paused = self.queue.pause(lane, token, self.player.now)
        dropped = (self.schedule.queued_bytes - before) // self.schedule.frame_bytes
        if has_paused and self.has_corrections:  # what the router says is not what it does here
            self.player.drop_last(dropped)
        elif has_paused:
            count = len(self.player.frames)
            self.player.clear(self.cleared)
            assert count - len(self.player.frames) == dropped
        if lane in self.unfinished:
            self.paused.add(lane)
        self.player.advance()
        self.look()
        self.paused &= self.unfinished

    @precondition(lambda self: self.paused)
    @rule(which=WHICH)
    def go_on(self, which: int) -> None:
        lane = sorted(self.paused)[which % len(self.paused)]
        self.paused.discard(lane)
        self.player.go_on(lane)
        self.look()

    @rule(which=WHICH)
    def end(self, which: int) -> None:
        lane = self.lane_of(which)
        if lane != PLAIN:
            self.seal(self.speeches.get(lane))
            self.queue.end(lane, self.player.now)

    @rule()
    def wait(self) -> None:
        token = self.number()
        self.awaited[token] = Played | Interrupted  # type: ignore[assignment]  # isinstance() takes it
        self.queue.wait(token, self.player.now)
        self.look()

    @rule()
    def flush(self) -> None:
        self.queue.note(self.player.now)
        cut_bytes = sum(map(waiting_bytes, self.schedule.waiting))
        known_ms = sum(
            self.schedule.format.duration_ms(u.queued_bytes + u.ingest.held_bytes)
            for u in self.schedule.waiting
        ) + self.schedule.in_flight_ms(self.player.now)
        self.heard_before += self.heard_since_flush()
        has_background = self.queue.beside.is_on
        flushed = self.queue.flush(self.player.now)
        assert flushed.discarded_ms == pytest.approx(known_ms)
        lost_bytes = sum(len(said.pcm) % 2 for said in self.said if said.is_complete and self.is_settled)
        self.writers.clear()
        self.look()
        assert not self.awaited, "a flush answers everybody"
        assert not self.unfinished, "and ends everything"
        assert has_background or self.queue.next_deadline() == math.inf
        in_play: list[Sent] = []
        if has_background:
            said_bytes = len(content(self.player.frames))
            ends_at = self.player.clear(self.cleared)
            cut_bytes += said_bytes - len(content(self.player.frames))
            if ends_at > self.player.now:  # what comes is heard behind that
                in_play = [Sent(ends_at - FRAME_S, bytes(self.player.frame_bytes), is_beside=True)]
        self.paused.clear()
        self.lost_bytes += lost_bytes
        self.cut_bytes += cut_bytes
        self.cleared = len(self.player.sent)
        self.player.sent += in_play
        self.gone += self.speeches
        self.said.clear()
        self.speeches.clear()
        self.plain = None

    @rule()
    def go_away(self) -> None:
        """Another application takes the place of this one: what was written is heard, and nobody is answered."""
        self.look()
        self.accepted_before += self.queue.accepted_bytes
        self.queue.abandon(self.player.now)
        self.writers.clear()
        self.granted.clear()
        self.awaited.clear()
        for said in self.said:
            said.line.clear()
        for open_ in (self.plain, *list(self.speeches.values())):
            self.seal(open_)
        self.paused.clear()
        self.has_background = False  # it stops by itself, after a while
        self.unfinished -= {event.lane for event in self.queue.events if isinstance(event, Finished)}
        assert not any(isinstance(event, Answered) for event in self.queue.events)
        self.queue.events.clear()

    # What the I/O side does.

    @rule(seconds=TIMES_S)
    def time_passes(self, seconds: float) -> None:
        self.player.advance()
        self.player.run_for(seconds)
        self.look()

    @rule(seconds=TIMES_S)
    def time_passes_and_nobody_looks(self, seconds: float) -> None:
        self.player.now += seconds

    @rule(limit=st.sampled_from([1, 2, 7, NO_LIMIT, NO_LIMIT]))
    def advance(self, limit: int) -> None:
        frames = self.player.advance(limit)
        assert len(frames) <= limit
        sent = self.player.sent[len(self.player.sent) - len(frames) :]
        assert {len(one.frame) for one in sent} <= {self.schedule.frame_bytes}
        clock = self.schedule.clock
        if not all(one.is_beside for one in sent):
            assert clock.anchor_s is not None
            due_at = clock.anchor_s + (clock.sent - 1) * FRAME_S - self.schedule.lead_s
            assert self.player.now >= due_at - ROUNDING_S
            assert not self.schedule.is_held
        if limit == NO_LIMIT:
            self.look()
            assert self.player.advance() == []
            assert self.player.events == []
        self.look()

    @rule()
    def note_what_was_heard(self) -> None:
        self.queue.note(self.player.now)
        self.look()

    @rule(rate_hz=ROUTER_RATES_HZ)
    def settle(self, rate_hz: int) -> None:
        self.is_settled = True
        self.player.settle(rate_hz)
        self.look()

    @precondition(lambda self: self.is_settled)
    @rule(is_held=st.booleans())
    def hold_or_release(self, is_held: bool) -> None:
        self.schedule.is_held = is_held

    @rule(lead_s=st.sampled_from([0.0, 0.1, 2.0]))
    def set_lead(self, lead_s: float) -> None:
        self.schedule.set_lead(lead_s)

    @precondition(lambda self: self.has_corrections and not self.is_polite)
    @rule(seconds=st.floats(0.0, 0.5), off=st.sampled_from([-3, -2, -1, 0, 1, 5, 30]))
    def hear_from_the_router(self, seconds: float, off: int) -> None:
        self.write_to(PLAIN, PIECE_BYTES, None, is_end=True)  # for a run to be on
        self.time_passes(seconds)
        self.the_played_position_never_goes_back()
        index = int(self.played_ms / 20) + off
        self.schedule.clock.correct(self.player.now, index)

    # What holds at any time.

    def heard_since_flush(self) -> int:
        return heard_until(self.player.sent[self.cleared :], self.player.now)

    def expected(self) -> bytes:
        """What may have been said by now: an utterance waits for the one before it to be complete."""
        pcm = b""
        for said in self.said:
            pcm += said.pcm[: len(said.pcm) // 2 * 2]
            if not said.is_complete:
                break
        return pcm

    @invariant()
    def what_is_sent_is_what_was_asked_for_in_order(self) -> None:
        if not self.has_rates:
            assert self.expected().startswith(content(self.player.frames_from(self.cleared)))

    @invariant()
    def bytes_in_are_bytes_sent_and_cut_and_waiting(self) -> None:
        queue, schedule = self.queue, self.schedule
        assert schedule.queued_bytes == sum(u.queued_bytes for u in schedule.waiting)
        if self.has_rates:
            return
        lost_bytes = self.lost_bytes
        if self.is_settled:
            lost_bytes += sum(len(said.pcm) % 2 for said in self.said if said.is_complete)
        waiting = sum(map(waiting_bytes, schedule.waiting))
        out_bytes = len(content(self.player.frames)) + self.cut_bytes + lost_bytes + waiting
        accepted_bytes = self.accepted_before + queue.accepted_bytes
        assert accepted_bytes - queue.refused_bytes == out_bytes

    @invariant()
    def the_played_position_never_goes_back(self) -> None:
        # Without what is foretold, since the one who drives this does not always come in time.
        played_ms = self.schedule.progress()._replace(run_coming=0).played_ms(self.player.now)
        assert played_ms >= self.played_ms
        self.played_ms = played_ms
        if not self.has_corrections:
            heard = self.heard_since_flush()
            since = self.player.frames_from(self.cleared)
            in_flight = int(self.schedule.in_flight_ms(self.player.now) / 20)
            # The frame at which a pause came counts as heard then.
            assert len(since) - heard - in_flight in ((0, 1) if self.schedule.drops else (0,))
            heard_in_all = self.schedule.clock.heard_in_all(self.player.now)
            live = sum(u.heard(heard_in_all) for u in self.schedule.utterances())
            assert live <= len(since) - in_flight

    @invariant()
    def the_queue_is_bounded(self) -> None:
        if self.is_polite:
            lines = len(self.schedule.waiting) + 1
            most_bytes = 2 * self.queue.max_bytes + lines * (PIECE_BYTES + 960)
            most_bytes += len(self.schedule.flown) * 960 * bool(self.schedule.drops)  # taken back
            assert self.schedule.queued_bytes <= most_bytes
        assert len(self.queue._writers) == len(self.writers)

    @invariant()
    def whoever_is_in_front_at_the_head_may_write_where_there_is_room(self) -> None:
        waiting = self.schedule.waiting
        if waiting and waiting[0].queued_bytes <= self.queue.max_bytes:
            tokens = [entry.token for entry in waiting[0].line if isinstance(entry, Writer)]
            assert not tokens or tokens[0] in self.granted

    # In the end.

    def teardown(self) -> None:
        if not hasattr(self, "player"):
            return
        if not self.is_settled:
            self.settle(16000)
        self.player.release()
        for lane in self.paused:
            self.player.go_on(lane)
        if self.has_background:
            self.awaited[0] = bool
            self.player.stop_under(0)
        for lane in list(self.speeches):
            self.seal(self.speeches[lane])
            self.queue.end(lane, self.player.now)
        if self.numbers % 2:
            for token in list(self.writers):
                self.give_up(token)
        self.finish()
        assert not self.awaited
        assert not self.unfinished
        assert self.schedule.queued_bytes == 0
        heard = self.player.frames_from(self.cleared)
        if not self.has_rates:
            assert (
                content(heard) == self.expected() == b"".join(u.pcm[: len(u.pcm) // 2 * 2] for u in self.said)
            )
        elif not self.faults and not self.queue.refused_bytes:
            assert len(heard) * FRAME_S >= sum(said.duration_s for said in self.said) - 0.001 * (
                self.numbers + 1
            )

    def finish(self) -> None:
        """Write what is granted until nobody waits for room any more, waking only at the deadlines."""
        self.player.advance()
        self.look()
        while True:
            self.player.run_out()
            self.look()
            if not self.writers:
                return
            assert self.granted, "somebody waits for room that never comes"
            for token in sorted(self.granted):
                pcm = self.pcm(642)
                self.add(self.writers.get(token), pcm, None)
                self.leave_line(token)
                self.queue.write_granted(token, pcm, None, self.player.now, has_more=False)
            self.player.advance()
            self.look()


# Explaining takes longer than shrinking.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=250, stateful_step_count=40, deadline=None, phases=PHASES, report_multiple_bugs=False
)
