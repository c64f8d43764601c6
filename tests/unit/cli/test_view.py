# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.reports import CLEAN, UNREACHED, busy_report, many_reports

from audio_connector.cli.view import show_summary
from audio_connector.simulator import CallReport, PlayoutReport
from audio_connector.simulator.talk.persona import Outcome
from audio_connector.simulator.talk.transcript import TranscriptLine
from audio_connector.simulator.trace import BargeIn, Turn

WIDTH = 80


def lines_of(
    reports: Sequence[CallReport],
    recordings: Sequence[Path] = (),
    *,
    conditions: Sequence[str] = (),
    conditions_failed: Sequence[str] = (),
) -> list[str]:
    """What is shown, line by line; a table's row has single blanks."""
    console = Console(file=io.StringIO(), width=WIDTH)
    show_summary(console, reports, recordings, conditions=conditions, conditions_failed=conditions_failed)
    file = console.file
    assert isinstance(file, io.StringIO)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= WIDTH
    return [" ".join(line.split()) for line in lines]


def test_one_call_shows_its_figures_and_what_happened() -> None:
    assert lines_of([busy_report()]) == [
        "duration_s 24.0 s call",
        "audio_sent_ms 22.0 s audio sent",
        "audio_received_ms 16.0 s audio received",
        "first_audio_delay_ms 3,200 ms first answer after",
        "turn_latency_ms 1,200 ms slowest answer",
        "turn_latency_p50_ms 900 ms answer, median",
        "turns 3 answers",
        "barge_in_ms 40 ms clear to silence",
        "speech_to_silence_ms 540 ms speech to silence",
        "barge_ins 1 barge-ins",
        "stale_ms 40 ms stale audio",
        "underruns 1 underruns",
        "underrun_ms 120 ms underruns, in sum",
        "overflow_ms 200 ms overflows",
        "wrong_sizes 0 wrong sizes",
        "deepest_ms 5,040 ms deepest buffer",
        "jitter_ms 2.2 ms jitter",
        "jitter_peak_ms 11.5 ms jitter, greatest",
        "clears 1 clear commands",
        "bytes_sent 704.0 kB bytes sent",
        "bytes_received 512.6 kB bytes received",
        "closed 1000 by the router",
        "answers after 700, 900, 1200 ms of silence",
        "barge-ins speech at 13.00 s, cleared after 500 ms, silent 40 ms later, 40 ms",
        "stale",
        "✗ 1 underrun (gaps shorter than a pause), 120.0 ms in sum",
        "✗ 10 frames dropped because the playout buffer was full",
        "! what was cleared went on after the clear: see stale_ms",
    ]


def test_a_call_in_which_nothing_happened_says_so() -> None:
    shown = lines_of([replace(CLEAN, playout=PlayoutReport())])
    assert "first_audio_delay_ms none came first answer after" in shown
    assert "underruns 0 underruns" in shown
    assert "closed 1000 by the router" in shown
    assert shown[-1] == "✓ clean: nothing was lost"
    assert not any("barge-in" in line or "answers" in line for line in shown)
    assert "closed its end was not seen" in lines_of([replace(CLEAN, closed=False)])


@pytest.mark.parametrize(
    ("barge_in", "line"),
    [
        (BargeIn(None, 2.0, 2.5), "barge-ins cleared at 2.00 s, silent 500 ms later"),
        (BargeIn(1.0, None, 2.5), "barge-ins speech at 1.00 s, never cleared, silent 1,500 ms later"),
        (BargeIn(1.0, 1.2, None), "barge-ins speech at 1.00 s, cleared after 200 ms, never silent"),
        (BargeIn(1.0), "barge-ins speech at 1.00 s, never cleared, never silent"),
    ],
)
def test_a_barge_in_is_told_as_far_as_it_was_seen(barge_in: BargeIn, line: str) -> None:
    assert line in lines_of([replace(CLEAN, barge_ins=(barge_in,))])


def test_many_turns_and_barge_ins_are_told_briefly() -> None:
    turns = tuple(Turn(1.0 * number, 1.0 * number + 0.5) for number in range(8))
    shown = lines_of([replace(CLEAN, turns=turns, barge_ins=(BargeIn(1.0, 1.1, 1.2),) * 9)])
    assert "answers after 500, 500, 500, 500, 500, 500 and 2 more ms of silence" in shown
    assert shown.count("speech at 1.00 s, cleared after 100 ms, silent 100 ms later") == 5
    assert "… and 3 more" in shown


def test_many_calls_show_the_sum_the_greatest_and_whose_it_is() -> None:
    shown = lines_of([*many_reports(30), UNREACHED])
    assert shown[0] == "all calls greatest of"
    assert "duration_s 24.0 s 30 calls" in shown
    assert "turn_latency_ms 1,229 ms call 30 (caller 29)" in shown
    assert "underrun_ms 600 ms 40 ms 10 calls" in shown
    assert "wrong_sizes 0 0" in shown
    assert "connected 30 of 31" in shown
    assert "closed 30 calls with 1000 by the router" in shown
    assert "worst call 31: ws://127.0.0.1:9: connection refused" in shown
    assert "call 30 (caller 29): 2 underruns (gaps shorter than a pause), 40.0" in " ".join(shown)
    assert shown[-3:] == [
        "✗ underruns (gaps shorter than a pause): 30, in 20 of 31 calls",
        "✗ 1 call: ws://127.0.0.1:9: connection refused",
        "! 30 calls: what was cleared went on after the clear: see stale_ms",
    ]


def test_a_long_line_of_the_worst_calls_says_that_it_goes_on() -> None:
    why = "ws://127.0.0.1:9 answered with HTTP 503 instead of a WebSocket (101); " * 3
    [worst] = [line for line in lines_of([CLEAN, replace(UNREACHED, error=why)]) if line.startswith("worst")]
    assert worst.startswith("worst call 2: ws://127.0.0.1:9 answered with HTTP 503")
    assert worst.endswith("…")


def test_many_clean_calls_have_no_worst() -> None:
    shown = lines_of([CLEAN, CLEAN])
    assert not any("worst" in line for line in shown)
    assert shown[-1] == "✓ clean: nothing was lost"


def test_conditions_decide_and_problems_remain_to_be_seen() -> None:
    passed = lines_of([busy_report()], conditions=["underrun_ms>500"])
    assert passed[-4:] == [
        "! 1 underrun (gaps shorter than a pause), 120.0 ms in sum",
        "! 10 frames dropped because the playout buffer was full",
        "! what was cleared went on after the clear: see stale_ms",
        "✓ passed: the condition held",
    ]
    failed = lines_of(
        [CLEAN], conditions=["turns<1"], conditions_failed=[f"turns<1: call {n}: 0" for n in range(9)]
    )
    assert failed[-7:] == [
        *(f"✗ turns<1: call {n}: 0" for n in range(6)),
        "… and 3 more; --json has all of them",
    ]


def test_a_machine_that_was_late_itself_is_named_where_something_was_lost() -> None:
    warning = "! this machine was 45 ms late itself; underruns may be its own"
    assert lines_of([replace(busy_report(), latest_tick_ms=45.0)])[-1] == warning
    assert warning not in lines_of([replace(CLEAN, latest_tick_ms=45.0)])


def test_what_a_peer_says_cannot_act_on_the_terminal() -> None:
    nasty = "\x1b[2J\x07[red]bold[/red]\u202e"
    report = replace(CLEAN, name=nasty, close_code=1011, closed_by="peer", close_reason=nasty)
    for reports in ([report], [report, report]):
        shown = "\n".join(lines_of(reports, conditions_failed=[f"x: {nasty}"]))
        assert "\x1b" not in shown
        assert "\x07" not in shown
        assert "\u202e" not in shown
        assert "[red]bold[/red]" in shown


def test_recordings_are_named_briefly() -> None:
    assert lines_of([CLEAN], [Path("a.wav")])[-1] == "recorded: a.wav"
    assert lines_of([CLEAN], [Path(f"{n}.wav") for n in range(5)])[-1] == "recorded: 0.wav, 1.wav and 3 more"


def test_what_was_said_is_shown_and_cannot_act() -> None:
    lines = (
        TranscriptLine("participant", 1.0, 2.0, "A table, please."),
        TranscriptLine("bot", 4.25, 2.0, "\x1b[31mHello [bold]you[/bold] " + "very " * 200),
    )
    outcome = Outcome("Book a table", True, (), "words", 1, "rule")
    shown = lines_of([replace(busy_report(), transcript=lines, outcome=outcome)])
    assert "goal reached after 1 turn, by words: Book a table" in shown
    assert "1.0 s Ann A table, please." in shown
    [first] = [line for line in shown if line.startswith("4.2 s bot")]
    assert first.startswith("4.2 s bot \\x1b[31mHello [bold]you[/bold] very")
    assert sum(line.count("very") for line in shown) < 120


def test_a_caller_without_a_name_is_the_participant() -> None:
    said = (TranscriptLine("participant", 1.0, 2.0, "A table, please."),)
    assert "1.0 s participant A table, please." in lines_of(
        [replace(busy_report(), name="", transcript=said)]
    )


def test_of_a_long_talk_the_beginning_is_shown() -> None:
    lines = tuple(TranscriptLine("bot", float(number), 0.5, f"line {number}") for number in range(50))
    shown = lines_of([replace(busy_report(), transcript=lines)])
    assert "39.0 s bot line 39" in shown
    assert "… and 10 more; --json has all of them" in shown
