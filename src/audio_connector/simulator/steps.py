# SPDX-License-Identifier: Apache-2.0
"""Does the steps of a scenario to a call, each on its tick."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from audio_connector.audio.format import FRAME_MS
from audio_connector.simulator.actions import ACTIONS, UNDO, Steered
from audio_connector.simulator.script import Step, in_chains
from audio_connector.simulator.talk.ear import Ear
from audio_connector.simulator.talk.words import Wanted
from audio_connector.wire.quoting import quoted

_FRAME_S = FRAME_MS / 1000

_ENDS: Final = frozenset({"hang_up", "reset"})
"""After these there is no call any more."""

_QUOTED_CHARS: Final = 160
"""How much of what was heard instead a miss shows."""


@dataclass(slots=True)
class _Chain:
    """Steps that follow each other.

    Attributes:
        places: Of those that are not planned yet.
        is_fixed: One step whose end is known beforehand; nothing waits for it.
        since_s: When the last one that was planned begins.
    """

    places: deque[int]
    is_fixed: bool
    since_s: float


@dataclass(frozen=True, slots=True)
class _Hearing:
    """A step that waits for words, said after ``since_s``, and begun by ``until_s``."""

    chain: _Chain
    step: Step
    wanted: Wanted
    since_s: float
    until_s: float


class StepRunner:
    """The steps of one call.

    Args:
        call: Does them.
        steps: In any order; those that follow by ``after_s`` behind the one that they follow.
        says: The frames of each ``say``, in the order of the steps; empty for other steps.
        speech_ticks: How long the call speaks before it says the first of them.
        ear: Knows what the bot has said; needed where a step waits for words.
    """

    def __init__(
        self,
        call: Steered,
        steps: Sequence[Step],
        says: Sequence[Sequence[bytes]],
        *,
        speech_ticks: int = 0,
        ear: Ear | None = None,
    ) -> None:
        self._call = call
        self._steps = tuple(steps)
        self._says = [tuple(frames) for frames in says]
        self._ear = ear
        self._waiting: list[tuple[int, int, int, Callable[[], None]]] = []
        """By tick, and by place: steps of one tick are done in the order in which they are written."""
        self._hearing: list[_Hearing] = []
        self._to_hear: dict[int, Callable[[], None] | None] = {
            place: None for place, step in enumerate(self._steps) if step.verb == "hear"
        }
        """What has not begun to wait for its words, with what begins it where it is the next of its chain."""
        self._undone = {place for place, step in enumerate(self._steps) if step.verb != "hear"}
        self._order = self._now = 0
        self._lasts_until: dict[str, float] = {}
        self._last_tick = self._open_chains = 0
        self.next_tick: float = math.inf
        """When there is something to do; infinity for never."""
        self.missed: list[str] = []
        """What was waited for and never heard, one line each."""
        self.has_ended = False
        """Whether one of them has ended the call."""
        chains = sorted(in_chains(steps), key=lambda chain: self._begins_s(chain[0]))
        self.planned_tick = self._planned(chains, speech_ticks)
        """When everything will be done and said, where all words that are waited for come at the last moment."""
        for places in chains:
            is_fixed = len(places) == 1 and self._steps[places[0]].verb != "hear"
            self._open_chains += not is_fixed
            begins_s = self._begins_s(places[0])
            self._plan_next(_Chain(deque(places), is_fixed, begins_s), begins_s)
        fixed = [places for places in chains if len(places) == 1 and self._steps[places[0]].verb != "hear"]
        self._last_tick = self._planned(fixed, speech_ticks)
        self._look_ahead()

    @property
    def last_tick(self) -> float:
        """When everything has been done and said, in ticks; infinity while nobody knows."""
        return math.inf if self._open_chains else self._last_tick

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not done so far, one line each; but for the end of a call, which is over once nobody asks."""
        left = [self._steps[place] for place in sorted(self._undone)]
        return tuple(f"{step.verb} {step.when}" for step in left if step.verb != "hang_up")

    def run(self, tick: int) -> None:
        """Do what is due by a tick."""
        self._now = tick
        while True:
            while self._waiting and self._waiting[0][0] <= tick:
                heapq.heappop(self._waiting)[-1]()
            ended = [each for each in self._hearing if self._is_over(each)]
            if not ended:
                break
            self._hearing = [each for each in self._hearing if each not in ended]
        self._look_ahead()

    def finish(self) -> None:
        """The call is over: what is waited for never comes, unless it was understood at the last moment."""
        for begin in [begin for begin in self._to_hear.values() if begin is not None]:
            begin()
        while self._hearing:
            hearing = self._hearing.pop(0)
            places = hearing.chain.places
            if not self._is_heard(hearing):
                self._miss(hearing, "before the call ended")
            elif places and places[0] in self._to_hear:  # the bot may have said these as well
                self._hear(places.popleft(), hearing.since_s, hearing.chain)
        for place in self._to_hear:
            wanted = Wanted.of(self._steps[place].hear)
            self.missed.append(f"did not hear {wanted}: the call ended before that step")
        self._to_hear.clear()

    def _begins_s(self, place: int) -> float:
        step = self._steps[place]
        return (step.after_s or 0.0) if step.at_s is None else step.at_s

    def _planned(self, chains: Sequence[Sequence[int]], speech_ticks: int) -> int:
        speech_end, last = speech_ticks, 0
        for chain in chains:
            end_s = 0.0  # of what stands before the first of a chain: the connection
            for place in chain:
                step = self._steps[place]
                end_s += self._begins_s(place)
                if step.verb == "say":
                    # Each begins when the one before has ended.
                    speech_end = max(_tick(end_s), speech_end) + len(self._says[place])
                    end_s = speech_end * _FRAME_S
                else:
                    end_s += step.heard_within_s if step.verb == "hear" else step.for_s or 0.0
            last = max(last, _tick(end_s))
        return last

    def _look_ahead(self) -> None:
        first = self._waiting[0][0] if self._waiting else math.inf
        self.next_tick = min(first, self._now + 1) if self._hearing else first

    def _plan_next(self, chain: _Chain, at_s: float) -> None:
        """Plan the next step of a chain; it plans the one behind it when it has ended."""
        place = chain.places.popleft()
        step = self._steps[place]
        verb, end_s = step.verb, at_s + (step.for_s or 0.0)
        since_s, chain.since_s = chain.since_s, at_s
        if verb == "say":
            self._at(at_s, place, lambda: self._say(place, chain))
            return
        if verb == "hear":
            self._to_hear[place] = begin = partial(self._hear, place, since_s, chain)
            self._at(at_s, place, begin)
            return
        self._at(at_s, place, lambda: self._do(place, end_s))
        if verb in UNDO and step.for_s is not None:
            self._at(end_s, place, lambda: self._undo(verb, end_s))
        if not chain.is_fixed:
            self._at(end_s, place, lambda: self._go_on(chain))

    def _at(self, at_s: float, place: int, action: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._waiting, (_tick(at_s), place, self._order, action))

    def _go_on(self, chain: _Chain) -> None:
        """A step of a chain has ended now."""
        if chain.places:
            self._plan_next(chain, self._now * _FRAME_S + self._begins_s(chain.places[0]))
        else:
            self._open_chains -= 1
            self._last_tick = max(self._last_tick, self._now)

    def _do(self, place: int, end_s: float) -> None:
        if self.has_ended:
            return
        self._undone.discard(place)
        step = self._steps[place]
        verb = step.verb
        value = getattr(step, verb)
        self.has_ended |= verb in _ENDS
        if verb in UNDO:
            # Of two that overlap, the later end counts; without an end, only an unmute ends it.
            until = math.inf if step.for_s is None else end_s
            self._lasts_until[verb] = max(self._lasts_until.get(verb, 0.0), until) if value else 0.0
        ACTIONS[verb](self._call, value, step)

    def _undo(self, verb: str, end_s: float) -> None:
        if end_s >= self._lasts_until[verb]:
            self._lasts_until[verb] = 0.0
            UNDO[verb](self._call)

    def _say(self, place: int, chain: _Chain) -> None:
        if self.has_ended:
            return
        self._undone.discard(place)
        self._call.say_line(self._steps[place].say, self._says[place])
        if not chain.is_fixed:
            end_s = (self._now + self._call.unsaid_ms // FRAME_MS) * _FRAME_S
            self._at(end_s, place, lambda: self._go_on(chain))

    def _hear(self, place: int, since_s: float, chain: _Chain) -> None:
        step = self._steps[place]
        del self._to_hear[place]
        until_s = self._now * _FRAME_S + step.heard_within_s
        self._hearing.append(_Hearing(chain, step, Wanted.of(step.hear), since_s, until_s))

    def _is_over(self, hearing: _Hearing) -> bool:
        """Go on where the words were said; note it where they cannot come any more."""
        if self._is_heard(hearing):
            self._call.note("participant", "heard", str(hearing.wanted))
            self._go_on(hearing.chain)
            return True
        if self._ear is not None and self._ear.settled_s >= hearing.until_s:
            self._miss(hearing, f"within {hearing.step.heard_within_s:g} s")
            return True
        return False

    def _is_heard(self, hearing: _Hearing) -> bool:
        return self._ear is not None and hearing.wanted.found_in(self._ear.text_since(hearing.since_s))

    def _miss(self, hearing: _Hearing, when: str) -> None:
        text = "" if self._ear is None else self._ear.text_since(hearing.since_s)
        instead = f"heard {quoted(text, _QUOTED_CHARS)} instead" if text else "nothing was heard"
        left_out = len(hearing.chain.places)
        rest = f"; {left_out} step{'s' * (left_out > 1)} after it left out" if left_out else ""
        self.missed.append(f"did not hear {hearing.wanted} {when}: {instead}{rest}")
        self._call.note("participant", "missed", f"{hearing.wanted} {when}: {instead}")
        for place in hearing.chain.places:
            self._to_hear.pop(place, None)
            self._undone.discard(place)
        hearing.chain.places.clear()
        self._go_on(hearing.chain)


def _tick(at_s: float) -> int:
    return round(at_s / _FRAME_S)
