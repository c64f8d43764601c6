# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import fields

import pytest

from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.observer import Observer
from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.tally import Tally
from audio_connector.wire.transport import Closed

CALL = RouterCall(url="ws://127.0.0.1:1/", name="Ann", rate_hz=8000, profile="voice")


def report_of(tally: Tally, playout: PlayoutReport | None = None, now: float = 110.0) -> CallReport:
    return tally.report(CALL, playout or PlayoutReport(), now, observer=Observer(), trace=None)


def test_a_call_that_never_began_has_a_report() -> None:
    report = report_of(Tally())
    assert (report.duration_s, report.closed, report.close_code, report.first_audio_delay_ms) == (
        0.0,
        False,
        0,
        None,
    )
    assert (report.name, report.rate_hz, report.profile, report.url) == ("Ann", 8000, "voice", CALL.url)
    assert (report.session_id, report.connection_id) == (CALL.session_id, CALL.connection_id)


def test_every_count_reaches_the_report() -> None:
    tally = Tally(opened_at=100.0)
    counts = [each.name for each in fields(Tally) if type(getattr(tally, each.name)) is int]
    assert len(counts) > 10
    for number, name in enumerate(counts, start=1):
        setattr(tally, name, number)
    report = report_of(tally)
    for number, name in enumerate(counts, start=1):
        assert getattr(report, name) == number, name
    assert report.duration_s == 10.0


def test_the_end_reaches_the_report() -> None:
    tally = Tally(opened_at=100.0, closed=Closed(1011, "why", "peer"), hung_up=True, router_ended="size")
    tally.redial_error = "refused"
    report = report_of(tally)
    assert (report.closed, report.close_code, report.close_reason, report.closed_by) == (
        True,
        1011,
        "why",
        "peer",
    )
    assert (report.hung_up, report.router_ended, report.redial_error) == (True, "size", "refused")


@pytest.mark.parametrize(
    ("spoke_at", "heard_at", "delay_ms"),
    [(101.0, 101.25, 250.0), (101.0, 100.5, None), (None, 101.0, None), (101.0, None, None)],
)
def test_the_delay_of_the_first_audio(
    spoke_at: float | None, heard_at: float | None, delay_ms: float | None
) -> None:
    tally = Tally(opened_at=100.0, first_speech_at=spoke_at)
    observer = Observer()
    if heard_at is not None:
        observer.received(bytes(640), heard_at - 0.1)  # silence is no answer
        observer.received(b"\x01\x02" * 320, heard_at)
    report = tally.report(CALL, PlayoutReport(), 110.0, observer=observer, trace=None)
    assert report.first_audio_delay_ms == (None if delay_ms is None else pytest.approx(delay_ms))
    assert report.has_sound == (heard_at is not None)
    assert report.spoke_first == (heard_at is not None and delay_ms is None)


def test_what_is_kept_is_bounded() -> None:
    tally = Tally()
    for number in range(5000):
        tally.keep_event(str(number))
        tally.keep_text("x" * number)
    report = report_of(tally)
    assert len(report.events_sent) == 1000
    assert report.events_sent[-1] == "999"
    assert [len(text) for text in report.other_texts] == list(range(10))
    tally.other_texts.clear()
    tally.keep_text("y" * 1000)
    assert report_of(tally).other_texts == ("y" * 200,)
