# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from support.reports import CLEAN, UNREACHED, busy_report

from audio_connector.simulator.metrics import METRICS, figures, figures_in_sum
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.trace import BargeIn, Turn

EMPTY = CallReport(url="ws://127.0.0.1:8765")


def test_every_figure_of_a_call_in_which_everything_happens() -> None:
    assert figures(busy_report()) == pytest.approx(
        {
            "duration_s": 24.0,
            "audio_sent_ms": 22_000.0,
            "audio_received_ms": 16_020.0,
            "first_audio_delay_ms": 3200.0,
            "turn_latency_ms": 1200.0,
            "turn_latency_p50_ms": 900.0,
            "turns": 3,
            "barge_in_ms": 40.0,
            "speech_to_silence_ms": 540.0,
            "barge_ins": 1,
            "stale_ms": 40.0,
            "underruns": 1,
            "underrun_ms": 120.0,
            "overflow_ms": 200.0,
            "unreadable_audio": 0,
            "wrong_sizes": 0,
            "wrong_size_bytes": 0,
            "deepest_ms": 5040.0,
            "jitter_ms": 2.25,
            "jitter_peak_ms": 11.5,
            "frames_dropped": 0,
            "word_errors": None,
            "missed": 0,
            "clears": 1,
            "notifies": 0,
            "reconnects": 0,
            "bytes_sent": 704_000,
            "bytes_received": 512_640,
            "problems": 2,
            "own_lateness_ms": 1.25,
        }
    )


def test_a_call_in_which_nothing_happened_has_no_latencies_and_zeros() -> None:
    found = figures(EMPTY)
    assert found.pop("problems") == 1  # it was no call
    absent = {name for name, value in found.items() if value is None}
    assert absent == {
        "first_audio_delay_ms", "turn_latency_ms", "turn_latency_p50_ms", "barge_in_ms", "speech_to_silence_ms",
        "word_errors",
    }  # fmt: skip
    assert {value for value in found.values() if value is not None} == {0}
    assert figures(UNREACHED)["problems"] == 1


def test_figures_are_rounded_to_what_was_measured() -> None:
    report = replace(EMPTY, duration_s=1.23456, turns=(Turn(1.0, 1.0214741), Turn(2.0, 2.02)))
    assert METRICS["duration_s"].of(report) == 1.235
    assert METRICS["turn_latency_ms"].of(report) == METRICS["turn_latency_ms"].of_all([report]) == 21.47


def test_a_bot_that_speaks_first_is_told_from_one_that_says_nothing() -> None:
    metric = METRICS["first_audio_delay_ms"]
    assert metric.shown(metric.of(EMPTY), [EMPTY]) == "none came"
    first = replace(EMPTY, has_sound=True)
    assert metric.shown(metric.of(first), [first]) == "spoke first"


def test_the_slowest_of_a_call_is_of_those_that_were_seen() -> None:
    report = replace(
        EMPTY,
        barge_ins=(BargeIn(1.0, None, None), BargeIn(None, 2.0, 2.5), BargeIn(3.0, 3.25, 3.5)),
        turns=(Turn(1.0, 1.5), Turn(2.0, 2.75)),
    )
    assert METRICS["barge_in_ms"].of(report) == 500.0
    assert METRICS["speech_to_silence_ms"].of(report) == 500.0
    assert METRICS["turn_latency_ms"].of(report) == 750.0


def test_the_sum_is_the_total_or_the_worst_of_those_that_have_the_figure() -> None:
    one = replace(EMPTY, duration_s=3.0, bytes_sent=10, first_audio_delay_ms=100.0)
    two = replace(EMPTY, duration_s=2.0, bytes_sent=5)
    found = figures_in_sum([one, two])
    assert (found["duration_s"], found["bytes_sent"]) == (3.0, 15)
    assert found["first_audio_delay_ms"] == 100.0
    assert found["turn_latency_ms"] is None
    assert figures_in_sum([])["bytes_sent"] is None


def test_names_carry_their_unit() -> None:
    for name, metric in METRICS.items():
        assert name == metric.name
        if metric.unit:
            assert name.endswith(f"_{metric.unit}") or name in {"bytes_sent", "bytes_received", "word_errors"}
        assert metric.text
        assert metric.text[0].islower()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("underrun_ms", 0.0, "0 ms"),
        ("underrun_ms", 0.04, "0.0 ms"),
        ("underrun_ms", 19.96, "20.0 ms"),
        ("underrun_ms", 39.999999999, "40 ms"),
        ("underrun_ms", 120.4, "120 ms"),
        ("audio_sent_ms", 9_999.0, "9,999 ms"),
        ("audio_sent_ms", 22_000.0, "22.0 s"),
        ("duration_s", 0.1, "0.1 s"),
        ("underruns", 1200.0, "1,200"),
        ("bytes_sent", 9_999, "9,999 bytes"),
        ("bytes_sent", 704_000, "704.0 kB"),
        ("bytes_sent", 12_345_678, "12.3 MB"),
        ("turn_latency_ms", None, "no answer"),
        ("first_audio_delay_ms", None, "none came"),
        ("speech_to_silence_ms", None, "none"),
    ],
)
def test_a_value_is_shown_with_its_unit(name: str, value: float | None, shown: str) -> None:
    assert METRICS[name].shown(value) == shown


def test_a_clean_call_has_no_fault() -> None:
    assert {name for name, metric in METRICS.items() if metric.is_fault and metric.of(CLEAN)} == set()
    assert all(metric.is_fault for metric in METRICS.values() if metric.fault)
