# SPDX-License-Identifier: Apache-2.0
"""What an attack may do to the others and to the server, and what was measured of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.servers.attacked import LOG_MARK

MAX_TRIP_P99_MS = 40.0
"""Of the calls that mean well; undisturbed it is some 25 ms."""

MAX_GROWTH_MIB = 64.0
"""Of the server, all its processes."""

DESCRIPTORS_BACK_S = 2.0

MAX_LINES_A_SECOND = 1.0
"""For each peer."""

LINES_WINDOW_S = 10.0
"""Over which lines are counted at least: some first ones, before the rest is only counted, are meant."""

MAX_LINE_BYTES = 1000
"""Whatever a peer has written is cut."""

MAX_FOREIGN_SHARE = 0.15
"""Of a core, that others took during a measurement; what they took more of says nothing."""

MAX_GENERATOR_LATE_MS = 10.0
"""How late the calls may send a frame: half of its length."""

_CALL_LINE = re.compile(r"connection \S+: (opened by|its audio has|closed by the) ")
"""A call is told in three lines at INFO. They are the record of calls, whose number other limits bound."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Logged:
    """What the server has logged.

    Attributes:
        lines: How many, without those that tell a call.
        faults: Lines that a peer has written in, so to say.
        example: The first line.
    """

    lines: int
    faults: tuple[str, ...]
    example: str


def read_log(raw: bytes) -> Logged:
    """Judge what a server has written to its stderr."""
    text = raw.decode("utf-8", "replace")
    lines = text.split("\n")[: text.count("\n")]
    counted = [line for line in lines if not _CALL_LINE.search(line)]
    faults = []
    if forged := sum(not line.startswith(LOG_MARK) for line in lines):
        faults.append(f"{forged} lines of the log begin with no record")
    if _CONTROLS.search(text):
        faults.append("control characters in the log")
    longest = max((len(line.encode()) for line in lines), default=0)
    if longest > MAX_LINE_BYTES:
        faults.append(f"a line of {longest} bytes in the log")
    return Logged(len(counted), tuple(faults), counted[0] if counted else "")


@dataclass(frozen=True, slots=True)
class Trial:
    """One attack, beside calls that mean well.

    Attributes:
        name: Of the attack.
        did: What the attacker says that it did.
        seconds: How long it attacked.
        underruns: Of the calls.
        trip_p99_ms: Of the calls.
        missing: Frames of the calls that did not come back, and calls that were cut.
        grown_mib: Of the server, at the peak.
        descriptors_left: More than before, so long after the end as they may take.
        lines_a_second: Of the log, for each peer.
        faults: What else should not have been.
        example: A line of the log.
        foreign_share: Of a core, the worse of the two: what others took.
        generator_late_ms: How late the calls sent a frame at worst.
    """

    name: str
    did: str
    seconds: float
    underruns: int
    trip_p99_ms: float
    missing: int
    grown_mib: float
    descriptors_left: int
    lines_a_second: float
    faults: tuple[str, ...]
    example: str
    foreign_share: float
    generator_late_ms: float

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine was busy with something else, so that the calls' figures say nothing."""
        return self.foreign_share > MAX_FOREIGN_SHARE or self.generator_late_ms > MAX_GENERATOR_LATE_MS

    @property
    def missed(self) -> list[str]:
        """What of the budget was not kept."""
        return [*self.missed_by_calls, *self.missed_by_server]

    @property
    def missed_by_calls(self) -> list[str]:
        """What the calls noticed; the machine may have its part in it."""
        return [
            text
            for text, is_missed in (
                (f"{self.underruns} underruns", self.underruns > 0),
                # Not a number where nothing came back at all.
                (f"p99 {self.trip_p99_ms:.0f} ms", not self.trip_p99_ms < MAX_TRIP_P99_MS),
                (f"{self.missing} frames or calls lost", self.missing > 0),
            )
            if is_missed
        ]

    @property
    def missed_by_server(self) -> list[str]:
        """What the server kept, wrote or let pass; a busy machine is no excuse."""
        return [
            *(
                text
                for text, is_missed in (
                    (f"grew by {self.grown_mib:.0f} MiB", self.grown_mib >= MAX_GROWTH_MIB),
                    (f"{self.descriptors_left} descriptors left", self.descriptors_left > 0),
                    (
                        f"{self.lines_a_second:.1f} lines/s a peer, such as {self.example[:160]!r}",
                        self.lines_a_second >= MAX_LINES_A_SECOND,
                    ),
                )
                if is_missed
            ),
            *self.faults,
        ]
