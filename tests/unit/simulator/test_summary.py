# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from support.reports import CLEAN, UNREACHED, busy_report

from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.summary import (
    Verdict,
    counted,
    how_closed,
    judge,
    label_of,
    problems_of,
    worst_first,
)
from audio_connector.simulator.trace import Turn

BROKEN = replace(CLEAN, close_code=1006, closed_by="network")


def with_playout(**counts: float) -> CallReport:
    return replace(CLEAN, playout=PlayoutReport(**counts))  # type: ignore[arg-type]


def test_without_conditions_a_run_passes_where_nothing_was_lost() -> None:
    assert judge([CLEAN, CLEAN]) == Verdict(True, "clean: nothing was lost")
    lost = judge([CLEAN, BROKEN])
    assert (lost.passed, lost.text) == (False, "failed: not clean")
    assert lost.reasons == ("1 call: the connection broke in the middle of the call: 1006",)


def test_conditions_decide_where_there_are_some() -> None:
    checked = ("turns<1", "underrun_ms>500")
    held = judge([BROKEN], conditions=checked)
    assert (held.passed, held.text, held.reasons) == (True, "passed: 2 conditions held", ())
    assert held.remarks == BROKEN.problems
    assert judge([CLEAN], conditions=checked[:1]).text == "passed: the condition held"
    why = [f"call 1: {BROKEN.problems[0]}"]
    for calls in ([BROKEN], [BROKEN, CLEAN]):
        assert judge(calls, conditions=checked, conditions_failed=why) == Verdict(False, "failed", (*why,)), (
            "once"
        )
    failed = judge([CLEAN], conditions=checked, conditions_failed=["turns<1: call 1: 0"])
    assert failed == Verdict(False, "failed", ("turns<1: call 1: 0",))


def test_the_problems_of_one_call_are_its_own() -> None:
    assert problems_of([busy_report()]) == list(busy_report().problems)
    assert problems_of([UNREACHED]) == [UNREACHED.error]


def test_the_problems_of_many_calls_are_one_line_per_kind() -> None:
    reports = [
        with_playout(underruns=1, underrun_ms=20.0, wrong_size_messages=2, wrong_size_lost_bytes=4),
        with_playout(underruns=1200, overflow_frames=5),
        replace(CLEAN, frames_dropped=1),
        UNREACHED,
        UNREACHED,
        BROKEN,
    ]
    assert problems_of(reports) == [
        "underruns (gaps shorter than a pause): 1,201, in 2 of 6 calls",
        "audio dropped because the playout buffer was full: 100 ms, in 1 of 6 calls",
        "messages of a wrong size: 2, in 1 of 6 calls",
        "frames not sent because the server did not read: 1, in 1 of 6 calls",
        "2 calls: ws://127.0.0.1:9: connection refused",
        "1 call: the connection broke in the middle of the call: 1006",
    ]


def test_every_problem_of_a_call_is_one_of_many_calls_as_well() -> None:
    everything = replace(BROKEN, frames_dropped=1, playout=PlayoutReport(underruns=1, overflow_frames=1))
    everything = replace(everything, playout=replace(everything.playout, wrong_size_messages=1))
    assert len(problems_of([everything, CLEAN])) == len(everything.problems) == 5


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (CLEAN, "1000 by the router"),
        (
            replace(CLEAN, closed_by="peer", close_code=1011, close_reason="\x1b[2J"),
            "1011 by the server (\\x1b[2J)",
        ),
        (BROKEN, "1006 by the network"),
        (replace(BROKEN, hung_up=True), "1006 by the router"),
        (UNREACHED, ""),
    ],
)
def test_an_end_in_a_few_words(report: CallReport, text: str) -> None:
    assert how_closed(report) == text


def test_a_call_is_named_by_its_number_and_its_participant() -> None:
    assert label_of(3, CLEAN) == "call 3"
    assert label_of(3, replace(CLEAN, name="Ann\n")) == "call 3 (Ann\\n)"


def test_the_worst_call_comes_first() -> None:
    slow = replace(CLEAN, turns=(Turn(1.0, 3.0),))
    slower = replace(CLEAN, turns=(Turn(1.0, 4.0),))
    lossy = with_playout(underruns=1, underrun_ms=20.0)
    reports = [CLEAN, slow, slower, lossy, BROKEN, UNREACHED, CLEAN]
    assert worst_first(reports) == [5, 4, 3, 2, 1, 0, 6]
    assert worst_first(reports, ["turn_latency_ms>1500: call 2: 2000 ms"]) == [5, 1, 4, 3, 2, 0, 6]


def test_a_number_and_its_noun() -> None:
    assert [counted(count, "call") for count in (0, 1, 1200)] == ["0 calls", "1 call", "1,200 calls"]
