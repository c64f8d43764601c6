# SPDX-License-Identifier: Apache-2.0
"""What an attack is judged by: the budget, the log, and an attacker elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.attack.budget import Trial, read_log
from benchmarks.attack.catalogue import ATTACKS, BY_NAME, ELSEWHERE, UNDISTURBED, Attack
from benchmarks.attack.peers import PING, TEXT, frame
from benchmarks.attack.trial import judge
from benchmarks.servers.attacked import LOG_MARK

GOOD = Trial("x", "", 5.0, 0, 25.0, 0, 63.0, 0, 0.9, (), "", 0.0, 0.0)


def test_within_the_budget_nothing_is_missed() -> None:
    """Each bound at its inner edge."""
    assert GOOD.missed == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"underruns": 1}, "1 underruns"),
        ({"trip_p99_ms": 40.0}, "p99 40 ms"),
        ({"trip_p99_ms": float("nan")}, "p99 nan ms"),
        ({"missing": 1}, "1 frames or calls lost"),
        ({"grown_mib": 64.0}, "grew by 64 MiB"),
        ({"descriptors_left": 1}, "1 descriptors left"),
        ({"lines_a_second": 1.0, "example": "e"}, "1.0 lines/s a peer, such as 'e'"),
        ({"faults": ("odd",)}, "odd"),
    ],
)
def test_each_bound_can_be_missed(change: dict[str, Any], what: str) -> None:
    """And at its outer one."""
    assert replace(GOOD, **change).missed == [what]


def test_the_lines_of_calls_are_their_record() -> None:
    """And all others count."""
    log = read_log(
        f"{LOG_MARK}INFO a: connection 1: opened by 127.0.0.1:1 with path '/'\n"
        f"{LOG_MARK}INFO a: connection 1: closed by the router with 1000\n"
        f"{LOG_MARK}WARNING a: something\n".encode()
    )
    assert (log.lines, log.faults, log.example) == (1, (), f"{LOG_MARK}WARNING a: something")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("ERROR:root:forged", "1 lines of the log begin with no record"),
        (f"{LOG_MARK}INFO a: \x1b[2J", "control characters in the log"),
        (f"{LOG_MARK}INFO a: \x9b31m", "control characters in the log"),
        (f"{LOG_MARK}INFO a: \u2028", "control characters in the log"),
        (f"{LOG_MARK}INFO a: \r", "control characters in the log"),
        (f"{LOG_MARK}{'x' * 1000}", "a line of 1002 bytes in the log"),
    ],
)
def test_what_a_peer_has_written_shows(line: str, fault: str) -> None:
    """Beside a line that is as it should be."""
    assert read_log(f"{LOG_MARK}INFO a: fine\n{line}\n".encode()).faults == (fault,)


def _judge(trials: Iterator[Trial], attack: Attack) -> tuple[list[str], bool, int]:
    tried: list[str] = []

    def try_once(which: Attack) -> Trial:
        tried.append(which.name)
        return next(trials)

    judged = judge(try_once, attack, attempts=2, note=lambda _: None)
    return judged.missed, judged.is_noise, len(tried)


def test_a_miss_counts_on_a_quiet_machine_where_an_attacker_elsewhere_makes_none() -> None:
    """Else it is the machine's, but for what the server kept or wrote."""
    bad = replace(GOOD, underruns=3, descriptors_left=2)
    pings = BY_NAME["pings"]
    assert _judge(iter([GOOD]), pings) == ([], False, 1)
    assert _judge(iter([bad, GOOD]), pings) == (["3 underruns", "2 descriptors left"], False, 2)
    assert _judge(iter([bad, bad, GOOD]), pings) == ([], False, 3)
    assert _judge(iter([bad, bad, bad, bad]), pings) == (["2 descriptors left"], True, 4)
    busy = replace(bad, foreign_share=0.9)
    assert _judge(iter([busy, GOOD]), pings) == ([], False, 2)
    assert _judge(iter([busy, bad, GOOD]), pings) == (["3 underruns", "2 descriptors left"], False, 3)
    assert _judge(iter([busy, busy]), pings) == (["2 descriptors left"], True, 2)
    assert _judge(iter([bad, bad]), UNDISTURBED) == (["2 descriptors left"], True, 2)
    assert _judge(iter([bad, GOOD]), ELSEWHERE) == ([], False, 2)


def test_frames_are_what_the_rfc_says() -> None:
    """Every form of a length, with a mask of zeros."""
    assert frame(PING, b"") == b"\x89\x80\0\0\0\0"
    assert frame(TEXT, b"ab", fin=False) == b"\x01\x82\0\0\0\0ab"
    assert frame(TEXT, bytes(126))[:8] == b"\x81\xfe\x00\x7e\0\0\0\0"
    assert frame(TEXT, bytes(1 << 16))[:14] == b"\x81\xff\0\0\0\0\0\1\0\0\0\0\0\0"


def test_names_are_names() -> None:
    """Once each, and short enough for a table."""
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 16
    assert len({attack.run for attack in ATTACKS}) == len(ATTACKS)
