# SPDX-License-Identifier: Apache-2.0
"""Takes measurements in turns, again where something else disturbed them, and says where it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Report(Protocol):
    """What a measurement says."""

    @property
    def foreign_share(self) -> float:
        """The share of a core that others took meanwhile."""

    @property
    def lost(self) -> int:
        """What got lost: frames, calls."""

    def brief(self) -> str:
        """Say the most in a line."""


R = TypeVar("R", bound=Report)
Tick = Callable[[], None]
Key = tuple[str, ...]
Results = Mapping[Key, Sequence[R]]
"""Per key of a step, one report for each round."""


@dataclass(frozen=True, slots=True)
class Step(Generic[R]):
    """One measurement.

    Attributes:
        key: What it is a measurement of; steps of one key are its rounds.
        label: What is said of it meanwhile.
        expected_s: How long it takes.
        measure: Makes it, and calls what it is given now and then.
        may_lose: Whether what gets lost is somebody else's affair.
    """

    key: Key
    label: str
    expected_s: float
    measure: Callable[[Tick], R]
    may_lose: bool = False


class Progress:
    """A line for each finished step, and, on a terminal, one that changes while a step runs.

    Args:
        expected_s: How long everything takes.
    """

    def __init__(self, expected_s: float) -> None:
        self._expected_s = expected_s
        self._done_s = self._took_s = 0.0
        self._began_s = 0.0
        self._label = ""

    def begin(self, label: str) -> None:
        """Say what is going on."""
        self._label, self._began_s = label, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Say it again."""
        if sys.stdout.isatty():
            left_s = max(0.0, self._seconds_left() - (time.monotonic() - self._began_s))
            print(f"\r\x1b[K{self._label} ... {left_s:.0f} s left", end="", flush=True)

    def end(self, text: str, expected_s: float) -> None:
        """Say how a step ended.

        Args:
            text: What came out.
            expected_s: How long it was expected to take; 0 for a repetition, which nobody expected.
        """
        self._done_s += expected_s
        self._took_s += time.monotonic() - self._began_s
        clear = "\r\x1b[K" if sys.stdout.isatty() else ""
        print(f"{clear}{self._label}: {text}; {self._seconds_left():.0f} s left", flush=True)

    def _seconds_left(self) -> float:
        pace = self._took_s / self._done_s if self._done_s else 1.0  # repetitions included
        return max(0.0, (self._expected_s - self._done_s) * pace)


class Runner:
    """Runs steps.

    Args:
        progress: Where to say so.
        max_foreign: A measurement during which others took more of a core than this is repeated.
        attempts: So often at most; then the least disturbed one counts.
    """

    def __init__(self, progress: Progress, *, max_foreign: float, attempts: int) -> None:
        self._progress = progress
        self._max_foreign = max_foreign
        self._attempts = attempts
        self.measured = 0
        self.disturbed: list[float] = []
        """The foreign share of each measurement that stayed disturbed."""
        self.lost: list[str] = []
        """What was lost, by a server that must not lose anything."""

    def run(self, steps: Sequence[Step[R]]) -> dict[Key, list[R]]:
        """Run all steps in their order."""
        results: dict[Key, list[R]] = {}
        for step in steps:
            results.setdefault(step.key, []).append(self._run_quietly(step))
        return results

    def _run_quietly(self, step: Step[R]) -> R:
        """Measure, and again while others use the cores; return the least disturbed measurement.

        A server that is kept waiting finds more frames per wake-up and seems cheaper, some more than others.
        """
        best = self._run_once(step, step.expected_s)
        for _ in range(self._attempts - 1):
            if best.lost or best.foreign_share <= self._max_foreign:
                break
            one = self._run_once(step, 0.0)
            # One that lost something is never outdone by a better one: it has to show.
            if one.lost or one.foreign_share < best.foreign_share:
                best = one
        self.measured += 1
        if best.lost and not step.may_lose:
            self.lost.append(f"{step.label}: {best.lost} lost")
        if best.foreign_share > self._max_foreign:
            self.disturbed.append(best.foreign_share)
        return best

    def _run_once(self, step: Step[R], expected_s: float) -> R:
        self._progress.begin(step.label)
        one = step.measure(self._progress.tick)
        lost = f", {one.lost} LOST" if one.lost else ""
        self._progress.end(f"{one.brief()}{lost} (others {one.foreign_share:.0%})", expected_s)
        return one
