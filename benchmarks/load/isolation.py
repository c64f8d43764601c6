# SPDX-License-Identifier: Apache-2.0
"""Listens to speaking, echoing and relaying calls, and tells how late their frames are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.common.statistics import percentile
from benchmarks.common.usage import Watch
from benchmarks.frames import FRAME_S, Matched, match
from benchmarks.load.caller import Caller, dial_all, hang_up_all, load_arguments, report
from benchmarks.load.playout import lateness_s, play_out
from benchmarks.load.sender import Sender

_TAIL_S = 1.0


@dataclass(frozen=True, slots=True)
class GroupReport:
    """The calls of one kind.

    Attributes:
        kind: What they do.
        frames: That arrived.
        lost: Frames missing, out of order or twice; and calls that the server ended. Relayed audio has no
            numbers to tell.
        late_p99_ms: Of a hundred frames, one was later than this. See `lateness_s`.
        late_max_ms: The latest frame.
        underruns: Times at which a router would have had nothing to play.
    """

    kind: str
    frames: int
    lost: int
    late_p99_ms: float
    late_max_ms: float
    underruns: int


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """All groups.

    Attributes:
        groups: One for each kind that had calls.
        cpu_share: CPU seconds of the server per second.
        foreign_share: See `Window`.
    """

    groups: Sequence[GroupReport]
    cpu_share: float
    foreign_share: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> IsolationReport:
        """Take what JSON left of one."""
        groups = [GroupReport(**group) for group in values["groups"]]
        return cls(groups, values["cpu_share"], values["foreign_share"])

    @property
    def lost(self) -> int:
        """Frames and calls, of all groups."""
        return sum(group.lost for group in self.groups)

    def brief(self) -> str:
        """Say the most in a line."""
        return "; ".join(
            f"{group.kind}: latest {group.late_max_ms:.0f} ms, {group.underruns} underruns"
            for group in self.groups
        )


async def load(
    address: str, pid: int, *, speaking: int, echoing: int, relaying: int, rate_hz: int, seconds: float
) -> IsolationReport:
    """Make the calls and listen."""
    echo = await dial_all(f"{address}/echo", echoing)
    speech = await dial_all(f"{address}/speak", speaking)
    relay = await dial_all(f"{address}/relay/{rate_hz}", relaying)
    watch = Watch(pid)
    if echo:
        sender = Sender(echo, seconds=seconds)
        await sender.sent()
        await sender.drained()
    else:
        await asyncio.sleep(seconds)
    window = watch.window()
    if speech:
        await asyncio.sleep(_TAIL_S)  # it began a little after it was asked for
    groups = [
        _group("speech", speech, [_match_speech(call, seconds) for call in speech]),
        _group("echo", echo, [call.matched() for call in echo]),
        _group(f"relay of {rate_hz} Hz", relay, []),
    ]
    await hang_up_all(speech + echo + relay)
    return IsolationReport(
        [group for group, calls in zip(groups, (speech, echo, relay), strict=True) if calls],
        window.server_cpu_s / window.elapsed_s,
        window.foreign_share,
    )


def _match_speech(call: Caller, seconds: float) -> Matched:
    never_sent_s = [0.0] * round(seconds / FRAME_S)
    return match(never_sent_s, call.numbers(), call.arrived_at_s)


def _group(kind: str, calls: Sequence[Caller], matched: Sequence[Matched]) -> GroupReport:
    late_s = sorted(late for call in calls for late in lateness_s(call.arrived_at_s))
    return GroupReport(
        kind=kind,
        frames=sum(len(call.arrived_at_s) for call in calls),
        lost=sum(one.missing + one.misplaced for one in matched) + sum(call.is_cut for call in calls),
        late_p99_ms=1000 * percentile(late_s, 99),
        late_max_ms=1000 * percentile(late_s, 100),
        underruns=sum(play_out(call.arrived_at_s).underruns for call in calls),
    )


if __name__ == "__main__":
    parser = load_arguments(__doc__)
    for name in ("speaking", "echoing", "relaying"):
        parser.add_argument(f"--{name}", type=int, default=0, help="calls")
    parser.add_argument("--rate-hz", type=int, default=16000, help="of what is relayed")
    parser.add_argument("--seconds", type=float, required=True, help="of speech and of echoes")
    report(load, parser.parse_args())
