# SPDX-License-Identifier: Apache-2.0
"""A call that goes from one application to another: what came is handled, what was written is heard, each once."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.audio import numbered, numbers_of
from support.call import VirtualCall

from audio_connector.call import asks, tells
from audio_connector.intake.items import TextItem
from audio_connector.playback.speech import PLAIN, Answered, Finished

FRAME_BYTES = 640
WINDOW = 6
CREDIT_BATCH = WINDOW // 2
REPLAY_MS, REPLAYED = 100, 5
"""The same in frames."""


@dataclass
class Application:
    """One that has the call, or had it."""

    number: int
    takes_up_anew: bool
    """What the one before was handed may come again."""
    is_over: bool = False
    handed: list[int] = field(default_factory=list)
    """The numbers of frames that it was told of, 0 for a text."""
    handled: int = 0
    has_begun: bool = False
    told: list[Any] = field(default_factory=list)
    is_releasing: bool = False

    def post(self, message: tuple[int, Any]) -> None:
        assert not self.is_over, f"{message} is for another one"
        tell = message[1]
        if isinstance(tell, bytes | TextItem):
            assert not self.is_releasing, "nothing more is handed over"
            self.handed += numbers_of([tell]) if isinstance(tell, bytes) else [0]
        else:
            self.told.append(tell)
            self.is_releasing |= type(tell) is tells.Release

    def note(self, link_id: int, tell: Any) -> None:
        assert not self.is_over, f"{tell} is for another one"
        if isinstance(tell, tells.Figures | Answered | Finished):
            self.told.append(tell)


class Takeover(RuleBasedStateMachine):
    @initialize(max_buffer_s=st.sampled_from([0.1, 30]))
    def connect(self, max_buffer_s: float) -> None:
        self.call = VirtualCall(
            intake={"window_messages": WINDOW, "replay_ms": REPLAY_MS, "max_buffer_ms": 600_000},
            playback={"max_buffer_s": max_buffer_s},
            is_movable=True,
        )
        self.arrived = 0
        self.written: list[int] = []
        """What is to be heard."""
        self.handled: list[int] = []
        """By all, in order; without what was handled by one that died and came again."""
        self.app = Application(0, takes_up_anew=False)
        self.tokens: set[int] = set()
        self.lane: int | None = None
        self.give(is_again=False)

    def give(self, *, is_again: bool, replays: bool = False) -> None:
        before = self.app
        # What comes again waits for the first one that takes anything.
        is_again |= before.takes_up_anew and not before.has_begun
        self.app = Application(before.number + 1, takes_up_anew=is_again)
        before.is_over = True
        self.tokens.clear()
        self.lane = None
        self.numbers = itertools.count(1 + (self.app.number << 32))
        self.call.link.hand_over(self.app, self.app.post, self.app.note, replays=replays)
        opened = next(tell for tell in self.app.told if not isinstance(tell, tells.Figures))
        assert isinstance(opened, tells.Opened)
        assert opened.takeovers == self.app.number - 1

    # The router.

    @rule(count=st.integers(1, 8))
    def frames_come(self, count: int) -> None:
        for _ in range(count):
            self.arrived += 1
            self.call.router_sends(numbered(self.arrived, FRAME_BYTES))

    @rule(seconds=st.floats(0, 0.5))
    def time_passes(self, seconds: float) -> None:
        self.call.run_for(seconds)

    # The application.

    @rule()
    def want(self) -> None:
        self.call.want()

    def handle(self, count: int) -> None:
        app = self.app
        for _ in range(min(count, len(app.handed) - app.handled)):
            number = app.handed[app.handled]
            app.handled += 1
            if number and not app.has_begun:
                app.has_begun = True
                last = len(self.handled)
                assert number <= last + 1, "none is left out"
                assert number == last + 1 or app.takes_up_anew, "none comes twice"
                assert number > last - max(REPLAYED, WINDOW + CREDIT_BATCH)
                del self.handled[number - 1 :]
            if number:
                self.handled.append(number)
            if not app.handled % CREDIT_BATCH:
                self.call.want(credit=CREDIT_BATCH)

    @rule(count=st.integers(1, WINDOW))
    def handle_some(self, count: int) -> None:
        self.handle(count)

    @rule(count=st.integers(1, 5), is_end=st.booleans())
    def write(self, count: int, is_end: bool) -> None:
        first = len(self.written) + 1
        numbers = range(first, first + count)
        pcm = b"".join(numbered(number, FRAME_BYTES) for number in numbers)
        lane = PLAIN if self.lane is None else self.lane
        self.written += numbers
        self.call.write(pcm, lane, is_end=is_end)
        self.lane = None if is_end else self.lane

    @precondition(lambda self: self.lane is None)
    @rule()
    def begin(self) -> None:
        self.lane = next(self.numbers)
        self.call.ask(asks.BeginSpeech(self.lane))

    @rule(is_end=st.booleans())
    def stand_in_line(self, is_end: bool) -> None:
        lane = PLAIN if self.lane is None else self.lane
        self.ask(lambda token: asks.StandInLine(lane, token, is_end))
        self.lane = None if is_end else self.lane

    @rule()
    def wait(self) -> None:
        self.ask(lambda token: asks.WaitPlayed(token, None))

    def ask(self, make: Any) -> None:
        token = next(self.numbers)
        self.tokens.add(token)
        self.call.ask(make(token))

    # From one to the other.

    @rule()
    def die(self) -> None:
        self.give(is_again=True, replays=True)

    @rule()
    def be_taken_away(self) -> None:
        """It was asked to release the call, and does not in time."""
        self.call.link.release()
        self.give(is_again=True)

    @rule(dies=st.sampled_from([False, False, True]))
    def retire(self, dies: bool) -> None:
        """In good order: all that was handed over is handled before it says so."""
        self.call.link.release()
        assert self.app.is_releasing
        self.frames_come(2)
        if dies:
            self.die()
            return
        self.handle(len(self.app.handed))
        self.call.ask(asks.Released())
        self.give(is_again=False)

    # What holds.

    @invariant()
    def every_frame_is_handled_in_order(self) -> None:
        if hasattr(self, "call"):
            assert self.handled == list(range(1, len(self.handled) + 1))

    @invariant()
    def what_was_written_is_heard_in_order(self) -> None:
        if hasattr(self, "call"):
            heard = numbers_of(self.call.router.frames)
            assert heard == self.written[: len(heard)]

    @invariant()
    def only_who_asked_is_answered_and_once(self) -> None:
        if hasattr(self, "call"):
            answers = [tell.token for tell in self.app.told if isinstance(tell, Answered)]
            assert len(answers) == len(set(answers))
            assert set(answers) <= self.tokens

    def teardown(self) -> None:
        if not hasattr(self, "call"):
            return
        self.be_taken_away()
        self.call.want(credit=2 * self.arrived + 1)
        self.handle(len(self.app.handed))
        assert self.handled == list(range(1, self.arrived + 1))
        self.call.run_for(2.0 + 0.02 * len(self.written))
        assert numbers_of(self.call.router.frames) == self.written
        assert self.call.machine.is_at_rest(self.call.clock.now)


TestTakeover = Takeover.TestCase
TestTakeover.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def test_plain_writes_are_at_rest_after_a_pause_and_a_speech_after_its_end() -> None:
    """A call moves then; an application that never begins a speech has it moved as well as others."""
    call = VirtualCall(is_movable=True)

    def is_at_rest(seconds: float) -> bool:
        call.run_for(seconds)
        return call.machine.is_at_rest(call.clock.now)

    assert is_at_rest(0.0)
    call.write(numbered(1, FRAME_BYTES) * 50)
    assert not is_at_rest(0.5)
    assert not is_at_rest(0.6), "more may come: it was written as it was made"
    call.write(numbered(2, FRAME_BYTES) * 10)
    assert not is_at_rest(0.5)
    assert is_at_rest(0.3)
    speech = call.begin()
    assert not is_at_rest(5.0)
    call.write(numbered(3, FRAME_BYTES) * 10, speech.lane)
    assert not is_at_rest(5.0)
    call.end_speech(speech)
    assert is_at_rest(0.1)
