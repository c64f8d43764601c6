# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from support.reports import CLEAN, UNREACHED, busy_report

from audio_connector.simulator.playout import PlayoutReport
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.trace import BargeIn


def test_everything_is_in_the_dictionary_and_survives_json() -> None:
    report = busy_report()
    values = report.to_dict()
    assert {field.name for field in fields(CallReport)} | {"problems", "remarks", "is_clean"} == set(values)
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["playout"]["underrun_ms"] == 120.0
    assert again["barge_ins"] == [
        {
            "speech_at_s": 13.0,
            "clear_at_s": 13.5,
            "silent_at_s": 13.54,
            "dropped_ms": 2400,
            "stale_ms": 40,
            "latency_ms": pytest.approx(40.0),
            "speech_to_silence_ms": pytest.approx(540.0),
        }
    ]
    assert [turn["latency_ms"] for turn in again["turns"]] == pytest.approx([700.0, 900.0, 1200.0])
    trace = again["trace"]
    assert set(trace) == {"spoken", "heard", "depth_ms", "events", "events_lost", "holes"}
    assert len(trace["heard"]["peaks"]) * trace["heard"]["bin_s"] == pytest.approx(24.0)
    assert max(trace["depth_ms"]["values"]) == 5040
    assert trace["events"][5] == {
        "at_s": 13.5, "source": "server", "name": "clear", "detail": "2400 ms dropped", "for_s": 0.0,
    }  # fmt: skip
    assert trace["holes"] == [{"at_s": 17.4, "for_s": pytest.approx(0.12)}]
    assert again["problems"] == list(report.problems)


def test_a_call_without_a_picture_or_a_connection_has_a_dictionary_as_well() -> None:
    assert json.loads(json.dumps(CLEAN.to_dict()))["trace"] is None
    assert json.loads(json.dumps(UNREACHED.to_dict()))["problems"] == [UNREACHED.error]


def test_the_problems_of_a_call_are_one_line_each() -> None:
    playout = PlayoutReport(
        wrong_size_messages=1, wrong_size_lost_bytes=638, underruns=2, underrun_ms=60.25, overflow_frames=3
    )
    report = replace(
        CLEAN, playout=playout, frames_dropped=1, hung_up=False, close_code=1011, close_reason="out of\norder"
    )
    assert report.problems == (
        "1 message of a wrong size, 638 bytes lost",
        "2 underruns (gaps shorter than a pause), 60.2 ms in sum",
        "3 frames dropped because the playout buffer was full",
        "1 frame not sent because the server did not read",
        "the connection broke in the middle of the call: 1011 'out of\\norder'",
    )
    assert not report.is_clean
    assert report.overflow_ms == 60.0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, None),
        ({"close_code": 1001, "closed_by": "peer", "allow_hangup": True}, None),
        ({"close_code": 1005, "closed_by": "peer", "allow_hangup": True}, None),
        ({"closed": False, "close_code": 0}, None),
        ({"close_code": 1006, "hung_up": True}, None),
        ({"close_code": 1006}, "the connection broke in the middle of the call: 1006"),
        ({"router_ended": "a message of 638 bytes", "hung_up": True}, "a message of 638 bytes"),
        ({"redial_error": "refused"}, "refused"),
        ({"redial_error": "refused", "router_ended": "why"}, "why"),
    ],
)
def test_how_a_call_broke(changes: dict[str, object], why: str | None) -> None:
    report = replace(CLEAN, **changes)  # type: ignore[arg-type]
    assert report.how_it_broke == why
    assert report.is_clean == (why is None)


def test_stale_audio_is_the_sum_over_the_barge_ins() -> None:
    barge_in = busy_report().barge_ins[0]
    assert replace(CLEAN, barge_ins=(barge_in, barge_in)).stale_ms == 80.0


def test_what_may_be_meant_is_remarked_on() -> None:
    assert CLEAN.remarks == ()
    assert CallReport(url="ws://a", error="refused").remarks == ()
    stale = CallReport(url="ws://a", barge_ins=(BargeIn(clear_at_s=1.0, stale_ms=40.0),))
    assert stale.remarks == ("what was cleared went on after the clear: see stale_ms",)
    left = replace(CLEAN, closed_by="peer", playout=PlayoutReport(buffered_frames=5), allow_hangup=True)
    assert left.remarks == ("the server ended the call with 100 ms of its audio unheard",)


SILENT = "the bot said nothing, though it was spoken to (--allow-silence, where it only listens)"
SPOKEN_TO = replace(CLEAN, speech_frames_sent=10, playout=PlayoutReport())


@pytest.mark.parametrize(
    ("report", "shortfalls"),
    [
        (CLEAN, ()),
        (SPOKEN_TO, (SILENT,)),
        # A bot that sends nothing but zeros.
        (replace(SPOKEN_TO, playout=PlayoutReport(frames_received=50)), (SILENT,)),
        (replace(SPOKEN_TO, has_sound=True), ()),
        (replace(SPOKEN_TO, allow_silence=True), ()),
        (UNREACHED, (UNREACHED.error,)),
        (
            replace(SPOKEN_TO, closed_by="peer", close_reason="bye"),
            ("the server ended the call before it was over: 1000 'bye' (--allow-hangup, where it may)",),
        ),
        (replace(SPOKEN_TO, closed_by="peer", allow_hangup=True), (SILENT,)),
        (
            replace(CLEAN, closed_by="peer", close_code=1006, allow_hangup=True),
            ("the connection broke in the middle of the call: 1006",),
        ),
        (CallReport(url="ws://a"), ("there was no call: it was over before anything was said",)),
    ],
)
def test_a_call_that_was_not_the_planned_one_is_not_clean(
    report: CallReport, shortfalls: tuple[str, ...]
) -> None:
    assert report.shortfalls == report.problems == shortfalls
    assert report.is_clean == (not shortfalls)


def test_audio_in_a_form_that_is_not_this_calls_is_a_problem() -> None:
    text = replace(CLEAN, speech_frames_sent=10, json_audio_texts=1)
    assert text.remarks == ()
    assert text.problems == (
        "1 text of audio in JSON, which this call does not read; is the server's audio_transport json?",
    )
