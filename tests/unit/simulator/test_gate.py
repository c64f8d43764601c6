# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import CLEAN, UNREACHED

from audio_connector.errors import UsageError
from audio_connector.simulator.gate import OPERATORS, failures, parse_condition
from audio_connector.simulator.metrics import METRICS
from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport

EXPECTED = "expected NAME SIGN NUMBER, for example 'underrun_ms>0'"
NAMES = ", ".join(METRICS)


def with_underruns(ms: float, name: str = "") -> CallReport:
    return replace(CLEAN, name=name, playout=PlayoutReport(underruns=1, underrun_ms=ms))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("underrun_ms>0", "underrun_ms>0"),
        (" underrun_ms  >=  12.50 ", "underrun_ms>=12.5"),
        ("sum.stale_ms!=0", "sum.stale_ms!=0"),
        ("turns<1", "turns<1"),
        ("bytes_sent>12345678", "bytes_sent>12345678"),
        ("duration_s<=-1e-3", "duration_s<=-0.001"),
        ("clears==3", "clears==3"),
    ],
)
def test_a_condition_is_read_and_written(text: str, shown: str) -> None:
    assert str(parse_condition(text)) == shown
    assert parse_condition(shown) == parse_condition(text)


@given(st.sampled_from(list(METRICS)), st.sampled_from(list(OPERATORS)), st.booleans(), st.integers())
def test_what_is_written_is_read_as_the_same(name: str, sign: str, in_sum: bool, limit: int) -> None:
    text = f"{'sum.' if in_sum else ''}{name} {sign} {limit}"
    condition = parse_condition(text)
    assert (condition.metric.name, condition.sign, condition.in_sum) == (name, sign, in_sum)
    assert parse_condition(str(condition)) == condition


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", f"'' is no condition: {EXPECTED}"),
        ("underrun_ms", f"'underrun_ms' is no condition: {EXPECTED}"),
        ("underrun_ms=0", f"'underrun_ms=0' is no condition: {EXPECTED}"),
        ("underrun_ms>", f"'underrun_ms>' is no condition: {EXPECTED}"),
        ("0<underrun_ms", f"'0<underrun_ms' is no condition: {EXPECTED}"),
        ("underrun_ms>1 ms", f"'underrun_ms>1 ms' is no condition: {EXPECTED}"),
        ("max.underrun_ms>1", f"'max.underrun_ms>1' is no condition: {EXPECTED}"),
        ("a>1\nb>1", f"'a>1\\nb>1' is no condition: {EXPECTED}"),
        ("underrun_ms>1ms", "'underrun_ms>1ms': '1ms' is not a number; expected one, without its unit"),
        ("underrun_ms>nan", "'underrun_ms>nan': 'nan' is not a number; expected one, without its unit"),
        ("underrun_ms>inf", "'underrun_ms>inf': 'inf' is not a number; expected one, without its unit"),
        ("underrun_ms=>1", f"'underrun_ms=>1' is no condition: {EXPECTED}"),
        ("underrun_ms>>1", "'underrun_ms>>1': '>1' is not a number; expected one, without its unit"),
        ("underun_ms>0", "'underun_ms>0': there is no figure 'underun_ms'; did you mean 'underrun_ms'?"),
        ("zzz>0", f"'zzz>0': there is no figure 'zzz'; there are {NAMES}"),
    ],
)
def test_a_bad_condition_says_in_one_line_what_is_wrong(text: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_condition(text)
    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("sign", "fails_at"),
    [(">", [21]), (">=", [20, 21]), ("<", [19]), ("<=", [19, 20]), ("==", [20]), ("!=", [19, 21])],
)
def test_every_sign_means_what_it_says(sign: str, fails_at: list[int]) -> None:
    condition = parse_condition(f"underrun_ms{sign}20")
    assert [ms for ms in (19, 20, 21) if condition.failures([with_underruns(ms)])] == fails_at


def test_each_call_is_judged_and_named() -> None:
    reports = [with_underruns(20.0), CLEAN, with_underruns(0.04, "Ann")]
    assert failures([parse_condition("underrun_ms>0")], reports) == [
        "underrun_ms>0: call 1: 20 ms",
        "underrun_ms>0: call 3 (Ann): 0.04 ms",
    ]


def test_all_calls_together_are_judged_by_their_sum_or_their_worst() -> None:
    reports = [with_underruns(20.0), with_underruns(30.5)]
    assert failures([parse_condition("underrun_ms>40")], reports) == []
    assert failures([parse_condition("sum.underrun_ms>40")], reports) == [
        "sum.underrun_ms>40: all calls: 50.5 ms"
    ]
    assert failures([parse_condition("sum.duration_s>=1")], reports) == ["sum.duration_s>=1: all calls: 1 s"]


def test_a_big_number_is_written_out() -> None:
    report = replace(CLEAN, bytes_sent=12_345_678)
    assert failures([parse_condition("bytes_sent>12345677")], [report]) == [
        "bytes_sent>12345677: call 1: 12345678 bytes"
    ]


def test_a_call_without_the_figure_fails() -> None:
    [line] = failures([parse_condition("turn_latency_ms>1500")], [CLEAN])
    text = METRICS["turn_latency_ms"].text
    assert line == f"turn_latency_ms>1500: call 1: there is no turn_latency_ms: {text}"


def test_a_call_that_was_never_made_fails_by_itself_and_keeps_its_number() -> None:
    assert failures([], [UNREACHED]) == ["call 1: ws://127.0.0.1:9: connection refused"]
    conditions = [parse_condition("underruns>0"), parse_condition("sum.underruns>0")]
    assert failures(conditions, [UNREACHED]) == ["call 1: ws://127.0.0.1:9: connection refused"]
    assert failures(conditions, [UNREACHED, with_underruns(5.0)]) == [
        "call 1: ws://127.0.0.1:9: connection refused",
        "underruns>0: call 2: 1",
        "sum.underruns>0: all calls: 1",
    ]


def test_nothing_fails_where_every_condition_holds() -> None:
    assert failures([parse_condition("problems>0"), parse_condition("duration_s>5")], [CLEAN, CLEAN]) == []
