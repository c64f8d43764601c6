# SPDX-License-Identifier: Apache-2.0
"""One attack on a server of its own: calls that mean well on one core with the attacker, the server on another."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.attack.budget import DESCRIPTORS_BACK_S, LINES_WINDOW_S, Trial, read_log
from benchmarks.attack.catalogue import ELSEWHERE, UNDISTURBED, Attack
from benchmarks.common.cores import two_cores
from benchmarks.common.processes import Child, environment
from benchmarks.common.usage import Meter, cpu_s, resident_bytes, tree_of

CALLS = 50

_START_LIMIT_S = 30.0
_REPORT_LIMIT_S = 60.0
_SAMPLE_S = 0.05
_LOG_SETTLES_S = 0.2


class _Peak:
    """The most memory that a server takes, looked at 20 times a second while the block lasts."""

    def __init__(self, server_pid: int) -> None:
        self._server_pid = server_pid
        self._is_over = threading.Event()
        self._before_bytes = self._most_bytes = resident_bytes(tree_of(server_pid))
        self._watching = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> _Peak:
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._watching.join()

    @property
    def grown_mib(self) -> float:
        """By how much it has grown at most."""
        return (self._most_bytes - self._before_bytes) / (1 << 20)

    def _watch(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            with suppress(OSError):  # one of its processes has just ended
                self._most_bytes = max(self._most_bytes, resident_bytes(tree_of(self._server_pid)))


def try_attack(
    attack: Attack,
    *,
    isolation: str,
    seconds: float,
    calls: int = CALLS,
    tick: Callable[[], None] = lambda: None,
) -> Trial:
    """Start a server and calls, attack it, and measure.

    Args:
        attack: Which one.
        isolation: Where the server's sockets are: "thread" or "process".
        seconds: How long it is attacked.
        calls: That mean well.
        tick: Called now and then meanwhile.

    Raises:
        BenchmarkError: One of the processes failed.
    """
    server_core, load_core = two_cores()

    def start(title: str, core: int, module: str, *arguments: str) -> Child:
        command = [sys.executable, "-m", module, *arguments]
        return Child(command, title=title, core=core, environment=environment(), quiet=False)

    with start(
        "the server", server_core, "benchmarks.servers.attacked", f"--isolation={isolation}", *attack.server
    ) as server:
        address = server.read_line(limit_s=_START_LIMIT_S, what="address", tick=tick)
        with (
            start(
                "the calls",
                load_core,
                "benchmarks.attack.calls",
                address,
                str(server.pid),
                f"--calls={calls}",
            ) as good,
            start(
                "the attacker", load_core, "benchmarks.attack.attacker", attack.name, address, str(seconds)
            ) as bad,
        ):
            return _measure(attack, server, good, bad, seconds=seconds, tick=tick)


def _measure(
    attack: Attack, server: Child, good: Child, bad: Child, *, seconds: float, tick: Callable[[], None]
) -> Trial:
    good.read_line(limit_s=_START_LIMIT_S, what="calls", tick=tick)
    descriptors_before = _descriptors_of(server.pid)
    logged_before = len(server.error_output())
    with _Peak(server.pid) as peak:
        busy = _Busy(server.pid, (good.pid, bad.pid))
        good.write_line("begin")
        bad.write_line("begin")
        began_s = time.monotonic()
        outcome: dict[str, Any] = json.loads(
            bad.read_line(limit_s=seconds + _REPORT_LIMIT_S, what="outcome", tick=tick)
        )
        attacked_s = time.monotonic() - began_s
        good.write_line("end")
        foreign_share = busy.foreign_share()
        left = _left_of(server.pid, descriptors_before)
        report: dict[str, Any] = json.loads(good.read_line(limit_s=_REPORT_LIMIT_S, what="report", tick=tick))
    time.sleep(_LOG_SETTLES_S)
    logged = read_log(server.error_output(after=logged_before))
    return Trial(
        name=attack.name,
        did=outcome["did"],
        seconds=attacked_s,
        underruns=report["underruns"],
        trip_p99_ms=report["trip_p99_ms"],
        missing=report["missing"] + report["cut"],
        grown_mib=peak.grown_mib,
        descriptors_left=left,
        lines_a_second=logged.lines / max(attacked_s, LINES_WINDOW_S) / attack.peers,
        faults=(*outcome["faults"], *logged.faults),
        example=logged.example,
        foreign_share=foreign_share,
        generator_late_ms=report["generator_late_ms"],
    )


class _Busy:
    """What others take of the two cores from now on."""

    def __init__(self, server_pid: int, load_pids: tuple[int, ...]) -> None:
        server_core, load_core = two_cores()
        self._groups = {server_core: tree_of(server_pid)}
        self._groups[load_core] = [*self._groups.get(load_core, []), *load_pids]
        self._meters = {core: Meter(core) for core in self._groups}
        self._before_s = {core: cpu_s(pids) for core, pids in self._groups.items()}

    def foreign_share(self) -> float:
        """Return the larger of their shares."""
        return max(
            self._meters[core].foreign_share(cpu_s(pids) - self._before_s[core])
            for core, pids in self._groups.items()
        )


def _descriptors_of(server_pid: int) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in tree_of(server_pid))


def _left_of(server_pid: int, before: int) -> int:
    give_up_at_s = time.monotonic() + DESCRIPTORS_BACK_S
    while (left := _descriptors_of(server_pid) - before) > 0 and time.monotonic() < give_up_at_s:
        time.sleep(_SAMPLE_S)
    return max(0, left)


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one attack.

    Attributes:
        trial: Its figures.
        is_noise: What the calls noticed is no fault of the server: without an attack on it they noticed as much.
    """

    trial: Trial
    is_noise: bool = False

    @property
    def missed(self) -> list[str]:
        """What of the budget the server did not keep."""
        return self.trial.missed_by_server if self.is_noise else self.trial.missed


def judge(
    try_once: Callable[[Attack], Trial], attack: Attack, *, attempts: int, note: Callable[[str], None]
) -> Judged:
    """Try an attack until it can be told what the calls notice of it.

    Where they notice something, it counts if the machine had nothing else to do meanwhile, and if they notice nothing
    while the attacker is busy with somebody else.

    Args:
        try_once: Makes a trial.
        attack: Which one.
        attempts: How often it is tried on a machine that is too busy.
        note: Is told of each attempt that says nothing.
    """
    for attempt in range(1, attempts + 1):
        trial = try_once(attack)
        if not trial.missed_by_calls:
            return Judged(trial)
        late = f"a frame was sent {trial.generator_late_ms:.0f} ms late"
        why = f"others took {trial.foreign_share:.0%} of a core, {late}"
        if not trial.is_disturbed and attack not in (UNDISTURBED, ELSEWHERE):
            control = try_once(ELSEWHERE)
            if not control.missed_by_calls:
                return Judged(trial)
            why = f"while nobody attacked the server, {', '.join(control.missed_by_calls)}"
        note(f"{attack.name}, attempt {attempt} of {attempts}: {', '.join(trial.missed_by_calls)}; {why}")
    return Judged(trial, is_noise=True)
