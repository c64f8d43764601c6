# SPDX-License-Identifier: Apache-2.0
"""Everything that can be done to a schedule, in any order, against a model that knows nothing of runs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.audio import counting_pcm
from support.player import Player, heard_until

SAMPLES = st.one_of(st.integers(0, 700), st.sampled_from([320, 320, 160, 1, 8000]))
TIMES_S = st.one_of(st.sampled_from([0.0, 0.005, 0.02, 0.1, 0.2]), st.floats(0.0, 1.0))


def content(frames: list[bytes]) -> bytes:
    """What frames carry beside padding: `counting_pcm` has no sample that is zero."""
    samples = np.frombuffer(b"".join(frames), dtype="<u2")
    return bytes(samples[samples != 0])


class ScheduleMachine(RuleBasedStateMachine):
    @initialize(
        lead_s=st.sampled_from([0.04, 0.2, 1.0]),
        prime_s=st.sampled_from([0.0, 0.02, 0.1]),
        pause_s=st.sampled_from([0.02, 0.4]),
    )
    def begin(self, lead_s: float, prime_s: float, pause_s: float) -> None:
        self.player = Player(lead_s=lead_s, prime_s=prime_s, pause_s=pause_s)
        self.said: dict[int, bytes] = {}  # since the last flush, in the order in which utterances began
        self.open_ids: list[int] = []
        self.explicit_ids: set[int] = set()
        self.last_id = -1
        self.dead_up_to = -1
        self.start = 1
        self.cleared_frames = 0  # sent before the last flush
        self.heard_before = 0
        self.played_ms = 0.0
        self.refused_bytes = 0
        self.cut_bytes = 0
        self.marks = 0
        self.is_held = False

    # What an application does.

    def pcm(self, samples: int) -> bytes:
        pcm = counting_pcm(2 * samples, start=self.start)
        self.start += samples
        return pcm

    @rule()
    def begin_an_utterance(self) -> None:
        self.last_id += 1
        assert self.player.schedule.begin(self.last_id) is not None
        self.said[self.last_id] = b""
        self.open_ids.append(self.last_id)
        self.explicit_ids.add(self.last_id)

    @rule(samples=SAMPLES, has_tail=st.booleans())
    def write_to_a_new_implicit_one(self, samples: int, has_tail: bool) -> None:
        self.last_id += 1
        self.said[self.last_id] = pcm = self.pcm(samples)
        self.open_ids.append(self.last_id)
        self.player.write(self.last_id, pcm, has_tail=has_tail)

    @precondition(lambda self: self.open_ids)
    @rule(which=st.integers(0, 99), samples=SAMPLES, has_tail=st.booleans())
    def write(self, which: int, samples: int, has_tail: bool) -> None:
        utterance_id = self.open_ids[which % len(self.open_ids)]
        pcm = self.pcm(samples)
        self.said[utterance_id] += pcm
        if self.player.schedule.pass_through(utterance_id, pcm, self.player.now):
            assert not self.is_held
            self.player.record(pcm)
        else:
            self.player.write(utterance_id, pcm, has_tail=has_tail)

    @precondition(lambda self: self.open_ids)
    @rule(which=st.integers(0, 99))
    def end(self, which: int) -> None:
        self.player.end(self.open_ids.pop(which % len(self.open_ids)))

    @precondition(lambda self: self.dead_up_to >= 0)
    @rule(which=st.integers(0, 99), samples=SAMPLES)
    def write_what_was_cut(self, which: int, samples: int) -> None:
        utterance_id = which % (self.dead_up_to + 1)
        assert self.player.schedule.begin(utterance_id) is None
        self.player.write(utterance_id, self.pcm(samples))
        self.refused_bytes += 2 * samples

    @rule()
    def flush(self) -> None:
        player = self.player
        self.heard_before += self.heard_since_flush()
        queued_bytes, in_flight_ms = player.schedule.queued_bytes, player.schedule.in_flight_ms(player.now)
        flushed = player.flush(self.last_id)
        assert flushed.discarded_ms == pytest.approx(queued_bytes / 32 + in_flight_ms)
        self.cut_bytes += queued_bytes
        self.cleared_frames = len(player.sent)
        self.dead_up_to = self.last_id
        self.said.clear()
        self.open_ids.clear()
        assert len(player.marks()) == self.marks
        assert player.schedule.next_deadline() is None

    @rule()
    def mark(self) -> None:
        self.marks += 1
        self.player.mark(self.marks)

    # What the I/O side does.

    @rule(seconds=TIMES_S)
    def time_passes(self, seconds: float) -> None:
        self.player.run_for(seconds)

    @rule(seconds=TIMES_S)
    def time_passes_and_nobody_looks(self, seconds: float) -> None:
        self.player.now += seconds

    @rule()
    def look(self) -> None:
        self.player.advance()
        assert self.player.advance() == []

    @rule()
    def hold(self) -> None:
        self.is_held = True
        self.player.schedule.hold()

    @rule()
    def release(self) -> None:
        self.is_held = False
        self.player.schedule.release()

    @rule(lead_s=st.sampled_from([0.0, 0.1, 2.0]))
    def set_lead(self, lead_s: float) -> None:
        self.player.schedule.set_lead(lead_s)

    # What holds at any time.

    def heard_since_flush(self) -> int:
        return heard_until(self.player.sent[self.cleared_frames :], self.player.now)

    @invariant()
    def bytes_in_are_bytes_out(self) -> None:
        schedule = self.player.schedule
        assert {len(frame) for frame in self.player.frames} <= {640}
        assert len(self.player.sent) == schedule.frames_sent
        assert schedule.discarded_bytes == self.refused_bytes + self.cut_bytes
        out_bytes = 640 * schedule.frames_sent + schedule.discarded_bytes + schedule.queued_bytes
        assert schedule.accepted_bytes + schedule.padded_bytes == out_bytes

    @invariant()
    def order_is_kept(self) -> None:
        sent = content(self.player.frames[self.cleared_frames :])
        assert b"".join(self.said.values()).startswith(sent)

    @invariant()
    def the_played_position_is_the_router_s_and_never_goes_back(self) -> None:
        played_ms = self.player.played_ms
        assert played_ms >= self.played_ms
        assert played_ms == 20.0 * (self.heard_before + self.heard_since_flush())
        self.played_ms = played_ms

    @invariant()
    def what_is_in_flight_was_sent_and_not_heard(self) -> None:
        schedule, now = self.player.schedule, self.player.now
        unheard = len(self.player.sent) - self.cleared_frames - self.heard_since_flush()
        assert schedule.in_flight_ms(now) == 20.0 * unheard
        assert schedule.frames_sent_total == self.heard_before + len(self.player.sent) - self.cleared_frames

    def teardown(self) -> None:
        if not hasattr(self, "player"):
            return
        for utterance_id in self.open_ids:
            self.player.end(utterance_id)
        self.player.schedule.release()
        self.player.advance()
        self.player.run_out()
        assert content(self.player.frames[self.cleared_frames :]) == b"".join(self.said.values())
        assert self.player.schedule.queued_bytes == 0
        assert sorted(map(int, map(str, self.player.marks()))) == list(range(1, self.marks + 1))
        assert self.explicit_ids <= set(self.player.ends())


TestSchedule = ScheduleMachine.TestCase
TestSchedule.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
