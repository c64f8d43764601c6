# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import pytest
from support.html_page import Element, parse_page
from support.reports import BARGE_IN, CLEAN, DURATION_S, HOLE, busy_report

from audio_connector.simulator.page.lanes import latencies
from audio_connector.simulator.page.picture import draw_call
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.trace import BargeIn, Envelope, Series, Trace, TraceEvent, Turn


def picture_of(report: CallReport) -> Element:
    assert report.trace is not None
    return parse_page(draw_call(report, report.trace, label="call 1", columns=1200))


def share(element: Element, name: str) -> float:
    value = element.attributes[name]
    assert value.endswith("%")
    return float(value[:-1]) / 100


def traced(*events: TraceEvent, duration_s: float = 10.0) -> CallReport:
    trace = Trace(Envelope(0.02), Envelope(0.02), Series(0.02), events)
    return replace(CLEAN, duration_s=duration_s, trace=trace)


def test_a_barge_in_stands_from_speech_over_clear_to_silence() -> None:
    [barge_in] = picture_of(busy_report()).all("g", "barge-in")
    speech, silence = barge_in.first("rect", "speech"), barge_in.first("rect", "silence")
    assert share(speech, "x") * DURATION_S == pytest.approx(BARGE_IN.speech_at_s, abs=0.001)
    assert share(silence, "x") * DURATION_S == pytest.approx(BARGE_IN.clear_at_s, abs=0.001)
    assert share(speech, "width") * DURATION_S == pytest.approx(0.5, abs=0.001)
    assert share(silence, "width") * DURATION_S == pytest.approx(0.04, abs=0.001)
    assert share(barge_in.first("rect", "band"), "width") * DURATION_S == pytest.approx(0.54, abs=0.001)
    assert barge_in.first("text").text == "500 + 40 ms"
    assert barge_in.first("title").text == (
        "speech at 13.00 s · clear at 13.50 s · silent at 13.54 s · 500 + 40 ms"
    )


@pytest.mark.parametrize(
    ("barge_in", "text"),
    [
        (BargeIn(1.0, 1.5, 1.54), "500 + 40 ms"),
        (BargeIn(None, 1.5, 1.54), "40 ms"),
        (BargeIn(1.0, 1.5, None), "500 + never silent"),
        (BargeIn(None, 1.5, None), "never silent"),
        (BargeIn(1.0, None, 2.5), "1,500 ms, no clear"),
        (BargeIn(1.0, None, None), "no clear"),
    ],
)
def test_a_barge_in_is_drawn_as_far_as_it_was_seen(barge_in: BargeIn, text: str) -> None:
    assert latencies(barge_in) == text
    [drawn] = picture_of(replace(traced(), barge_ins=(barge_in,))).all("g", "barge-in")
    assert drawn.first("text").text == text


def test_an_answer_stands_between_the_end_of_speech_and_its_first_sound() -> None:
    answers = picture_of(busy_report()).all("g", "answer")
    assert [answer.first("text").text for answer in answers] == ["700 ms", "900 ms", "1,200 ms"]
    bar = answers[2].first("rect", "bar")
    assert share(bar, "x") * DURATION_S == pytest.approx(15.0, abs=0.001)
    assert share(bar, "width") * DURATION_S == pytest.approx(1.2, abs=0.001)


def test_underruns_and_overflows_are_drawn_across_with_their_lengths() -> None:
    overflow, underrun = picture_of(busy_report()).all("g", "fault")[:2]
    band = underrun.first("rect", "band")
    assert share(band, "x") * DURATION_S == pytest.approx(HOLE.begin_s, abs=0.001)
    assert share(band, "width") * DURATION_S == pytest.approx(HOLE.end_s - HOLE.begin_s, abs=0.001)
    assert float(band.attributes["height"]) > 150
    assert [fault.first("text").text for fault in (overflow, underrun)] == [
        "overflow",
        "underrun 120 ms",
    ]


def test_events_stand_in_the_row_of_their_source() -> None:
    picture = picture_of(busy_report())
    assert [len(picture.all("g", source)) for source in ("participant", "router", "server", "network")] == [
        4,
        3,
        1,
        1,
    ]
    mute = picture.all("g", "participant")[3]
    assert share(mute.first("circle"), "cx") * DURATION_S == pytest.approx(21.5, abs=0.001)
    assert share(mute.first("rect", "lasts"), "width") * DURATION_S == pytest.approx(2.0, abs=0.001)
    assert mute.first("title").text == "21.50 s · participant: mute · lasted 2,000 ms"
    assert picture.all("g", "participant")[1].first("text").text == "dtmf 5"
    heights = {
        source: picture.first("g", source).first("circle").attributes["cy"] for source in ("router", "server")
    }
    assert float(heights["router"]) < float(heights["server"])


def test_marks_that_would_cover_each_other_are_one() -> None:
    events = [TraceEvent(5.0 + number / 1000, "server", f"n{number}") for number in range(9)]
    [mark] = picture_of(traced(*events, TraceEvent(5.0, "server", "first"))).all("g", "server")
    assert mark.first("text").text == "n0 +9"
    assert mark.first("title").text.splitlines()[-1] == "… and 4 more"
    many = [TraceEvent(number / 500, "server", "notify") for number in range(5000)]
    assert len(picture_of(traced(*many)).all("g", "server")) <= 241
    barge_ins = tuple(BargeIn(number / 500, number / 500 + 0.1, number / 500 + 0.2) for number in range(5000))
    drawn = picture_of(replace(traced(), barge_ins=barge_ins)).all("g", "barge-in")
    assert len(drawn) <= 241
    assert drawn[0].first("title").text.splitlines()[1] == "the longest of 21 barge-ins here"
    turns = tuple(Turn(number / 500, number / 500 + 0.5) for number in range(5000))
    answers = picture_of(replace(traced(), turns=turns)).all("g", "answer")
    assert len(answers) <= 241
    assert answers[0].first("title").text.splitlines()[1].startswith("the slowest of 21 answers")


def test_both_waveforms_have_one_scale_that_is_written() -> None:
    trace = Trace(Envelope(0.02, ((-16384, 16384),)), Envelope(0.02, ((-1638, 1638),)), Series(0.02, (40.0,)))
    picture = picture_of(replace(CLEAN, trace=trace))
    names = [text.text for text in picture.first("svg", "names").all("text")]
    assert names.count("50 %") == names.count("\N{MINUS SIGN}50 %") == 2
    assert "100 ms" in names
    trace = replace(
        trace, spoken=Envelope(0.02, ((-3, 3),)), heard=Envelope(0.02), depth_ms=Series(0.02, (5_100.0,))
    )
    names = [text.text for text in picture_of(replace(CLEAN, trace=trace)).first("svg", "names").all("text")]
    assert names.count("5 %") == 2
    assert "6 s" in names


def test_the_axis_ends_with_the_call_or_with_the_last_that_is_drawn() -> None:
    def duration_of(report: CallReport) -> str:
        return picture_of(report).first("svg", "rows").attributes["data-duration"]

    assert duration_of(traced()) == "10.000"
    assert duration_of(traced(TraceEvent(12.5, "router", "late"))) == "12.500"
    assert duration_of(traced(duration_s=0.0)) == "0.020"
    # The last bin of a recording may be longer than the call.
    long_bins = Trace(Envelope(4.0, ((-1, 1),) * 3), Envelope(4.0), Series(4.0))
    assert duration_of(replace(traced(), trace=long_bins)) == "10.000"


def test_the_picture_is_described_for_who_does_not_see_it() -> None:
    assert picture_of(busy_report()).first("svg", "rows").attributes["aria-label"] == (
        "call 1 over 24.0 seconds: what was spoken, what was heard, the router's buffer, 3 answers, 1 barge-in, "
        "11 events; tables follow"
    )
