# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from support.stage import FRAME, Stage, about

from audio_connector.simulator.script import Step
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.transport import Closed


def letters(text: str) -> tuple[bytes, ...]:
    """Frames that can be told apart."""
    return tuple(letter.encode() * 640 for letter in text)


def test_the_first_message_has_a_blank_the_rate_and_the_headers() -> None:
    stage = Stage(rate_hz=24000, headers={"caller": "Ann"}).open()
    assert stage.transport.texts[0].startswith(" {")
    assert stage.transport.events == [
        {"content-type": "audio/l16;rate=24000", "event": "websocket:connected", "caller": "Ann"}
    ]
    assert stage.transport.audio == []


def test_one_frame_leaves_every_20_ms_and_none_before_its_time() -> None:
    stage = Stage(letters("abc")).open()
    assert stage.live.tick(100.0) == about(100.02)
    assert stage.said == "a"
    assert stage.live.tick(100.0199) == about(100.02)
    assert stage.said == "a"
    stage.live.tick(100.0401)
    assert stage.said == "abc"
    assert stage.report.latest_tick_ms == about(20.1)


def test_frames_keep_to_the_absolute_clock_for_an_hour() -> None:
    stage = Stage(duration_s=3600.0, trace=False).open()
    stage.live._witness._sink = None  # an hour of it is 115 MB
    stage.run_until(3599.97)
    assert len(stage.transport.audio) == 3599 * 50 + 49


def test_after_a_sleep_of_the_machine_every_frame_is_made_up_for() -> None:
    stage = Stage(letters("a"), duration_s=100.0).open()
    stage.clock.now += 30.0
    stage.run_until(30.0)
    assert len(stage.transport.audio) == 1501
    assert stage.report.latest_tick_ms == about(30_000)


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_a_clock_may_start_anywhere(start: float) -> None:
    stage = Stage(letters("abcd"), has_network=True, steps=[Step(at_s=0.04, dtmf="1")])
    stage.clock.now = start
    stage.open()
    stage.clock.run_until(start + 0.5)
    assert stage.said == "abcd"
    assert stage.transport.names == ["connected", "dtmf", "disconnected"]


@pytest.mark.parametrize(
    ("close", "names", "ended", "at_s"),
    [
        ("announce", ["connected", "disconnected"], "close 1000", 0.04),
        ("goodbye", ["connected", "disconnected"], "abort", 0.14),
        ("abrupt", ["connected"], "abort", 0.04),
    ],
)
def test_the_three_ends_of_a_call(close: str, names: list[str], ended: str, at_s: float) -> None:
    stage = Stage((FRAME, FRAME), close=close).open()
    stage.run_until(at_s - 0.001)
    assert not stage.transport.is_closing
    stage.run_until(at_s + 0.001)
    assert stage.transport.names == names
    assert str(stage.transport.ended) == ended
    assert stage.live.tick(102.0) is None


@pytest.mark.parametrize(("silence", "sent"), [("frames", 1 + 5), ("none", 1)])
def test_after_the_speech_silence_is_frames_of_zeros_or_nothing(silence: str, sent: int) -> None:
    stage = Stage((FRAME,), tail_s=0.1, silence=silence).open().run_until(1.0)
    assert len(stage.transport.audio) == sent
    assert all(frame == bytes(640) for frame in stage.transport.audio[1:])
    assert len(stage.spoken) == 6


def test_without_silence_frames_the_pauses_in_the_speech_are_not_sent_either() -> None:
    stage = Stage((FRAME, bytes(640), FRAME), silence="none").open().run_until(1.0)
    assert stage.transport.audio == [FRAME, FRAME]
    assert stage.spoken == [FRAME, bytes(640), FRAME]
    assert stage.report.speech_frames_sent == 2


@pytest.mark.parametrize(("duration_s", "said"), [(0.1, "ababa"), (0.02, "a"), (None, "ab")])
def test_a_duration_repeats_or_cuts_the_speech(duration_s: float | None, said: str) -> None:
    assert Stage(letters("ab"), duration_s=duration_s).open().run_until(1.0).said == said


def test_a_silent_participant_with_a_duration_listens_for_it() -> None:
    stage = Stage((), duration_s=0.1).open().run_until(1.0)
    assert stage.transport.audio == [bytes(640)] * 5
    assert stage.report.speech_frames_sent == 0


def test_without_a_tail_it_lasts_until_somebody_hangs_up() -> None:
    stage = Stage(letters("a"), tail_s=None).open().run_until(600.0)
    assert stage.live.planned_s == float("inf")
    assert stage.transport.ended is None
    stage.live.hang_up()
    assert stage.transport.ended == "close 1000"


# Speaking and muting.


def test_what_is_put_in_comes_behind_what_is_being_said() -> None:
    stage = Stage(letters("ab"), tail_s=None).open()
    assert stage.live.say(b"c" * 1000) == about(0.08)
    assert stage.live.unsaid_ms == 80
    stage.run_until(0.5)
    assert stage.said.startswith("abcc\0")
    assert stage.transport.audio[3] == b"c" * 360 + bytes(280)
    assert stage.live.say(b"d" * 640, rate_hz=8000) == about(0.52 + 0.04)


def test_speech_is_broken_off_at_once() -> None:
    stage = Stage(letters("abcdef"), tail_s=None).open().run_until(0.03)
    stage.live.say(b"x" * 6400)
    stage.live.stop_speaking()
    stage.run_until(0.07)
    assert stage.said == "ab\0\0"
    assert stage.live.unsaid_ms == 0


def test_muting_by_hand_says_so_once() -> None:
    stage = Stage().open()
    stage.live.mute()
    stage.live.mute()
    assert stage.live.is_muted
    stage.live.unmute()
    assert [event["active"] for event in stage.transport.events[1:]] == [False, True]


def test_a_key_after_the_end_is_not_noted() -> None:
    stage = Stage().open()
    stage.live.press("5")
    stage.close()
    stage.live.press("6")
    stage.live.mute()
    assert stage.noted("key") == [(0.0, "5")]
    assert stage.noted("mute") == []
    assert stage.report.events_sent == ("Connected", "Dtmf")


# What the server does.


@pytest.mark.parametrize("text", CLEAR_FORMS.values())
def test_every_form_of_clear_empties_the_buffer_and_is_answered(text: str) -> None:
    stage = Stage().open()
    stage.hear(5)
    stage.socket.on_text(text)
    report = stage.report
    assert (report.playout.cleared_frames, report.clears) == (4, 1)
    assert stage.transport.events[-1] == {"event": "websocket:cleared"}


def test_a_notify_is_echoed_when_the_audio_before_it_was_played() -> None:
    stage = Stage(tail_s=1.0, echo_notify=True).open()
    stage.hear(2)
    stage.socket.on_text('{"action":"notify","payload":{"mark":7}}')
    stage.run_until(0.03)
    assert stage.transport.names == ["connected"]
    stage.run_until(0.06)
    assert stage.transport.events[-1] == {"event": "websocket:notify", "payload": {"mark": 7}}


def test_texts_that_are_no_command_are_kept_bounded() -> None:
    stage = Stage().open()
    for number in range(30):
        stage.socket.on_text(f"{number}" + "x" * 1000)
    report = stage.report
    assert (report.texts_received, len(report.other_texts)) == (30, 10)
    assert max(map(len, report.other_texts)) == 200
    assert report.bytes_received == 10 * 1001 + 20 * 1002


def test_a_clear_storm_is_answered_as_far_as_it_is_read() -> None:
    stage = Stage(tail_s=None).open()
    for _ in range(10_000):
        stage.socket.on_text(CLEAR_FORMS["action"])
    assert stage.transport.names.count("cleared") == 10_000
    stage.socket.on_writable(False)
    stage.transport.write_buffer_bytes = (4 << 20) + 1
    for _ in range(10_000):
        stage.socket.on_text(CLEAR_FORMS["action"])
    assert stage.transport.names.count("cleared") == 10_000
    assert stage.report.clears == 20_000
    assert stage.report.barge_ins == ()  # nothing was being said
    assert len(stage.report.events_sent) == 1000


def test_a_server_that_does_not_read_costs_frames_after_one_second() -> None:
    stage = Stage(duration_s=1.0).open()
    stage.socket.on_writable(False)
    stage.transport.write_buffer_bytes = 32001
    stage.run_until(0.05)
    stage.socket.on_writable(True)
    stage.run_until(0.07)
    report = stage.report
    assert (report.frames_dropped, report.frames_sent) == (3, 1)
    assert report.problems == ("3 frames not sent because the server did not read",)


@pytest.mark.parametrize(("first_audio_s", "delay_ms"), [(0.05, 30.0), (0.0, None)])
def test_the_delay_counts_from_the_first_speech_and_not_from_silence(
    first_audio_s: float, delay_ms: float | None
) -> None:
    stage = Stage((bytes(640), FRAME), tail_s=1.0).open().run_until(first_audio_s)
    stage.hear()
    stage.run_until(0.1)
    assert stage.report.first_audio_delay_ms == (delay_ms if delay_ms is None else about(delay_ms))


@pytest.mark.parametrize(
    ("sizes", "ended"),
    [
        ([640, 640], None),
        ([640, 641], "a message of 641 bytes"),
        ([639], "a message of 639 bytes"),
        ([0], "a message of 0 bytes"),
        ([1280, 1], "a message of 1280 bytes"),
    ],
)
def test_the_voice_router_ends_the_call_for_a_wrong_size(sizes: list[int], ended: str | None) -> None:
    stage = Stage(profile="voice", tail_s=1.0).open()
    for size in sizes:
        stage.hear(frame=b"\1" * size)
    if ended is None:
        assert stage.transport.ended is None
        return
    assert stage.transport.ended == "abort"
    assert stage.report.router_ended == (
        f"the router ended the call: {ended}; it takes frames of 640 (PROTOCOL 4.8)"
    )
    assert stage.report.how_it_broke == stage.report.router_ended
    assert stage.noted("hang up") == [(0.0, stage.report.router_ended)]


# The end.


def test_the_end_of_the_connection_ends_the_call_once() -> None:
    stage = Stage(duration_s=10.0).open().run_until(0.5)
    stage.close(1011, "broken", "peer")
    stage.close(1006)
    stage.run_until(100.0)
    report = stage.report
    assert stage.ended == 1
    assert report.duration_s == about(0.5)
    assert (report.close_code, report.close_reason, report.closed_by) == (1011, "broken", "peer")
    assert report.problems == ("the connection broke in the middle of the call: 1011 'broken'",)
    assert stage.noted("closed") == [(0.5, "1011 'broken'")]


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_a_server_that_ends_the_call_before_its_end_is_a_problem_unless_it_may(code: int) -> None:
    assert Stage(duration_s=10.0).open().close(code, "", "peer").report.problems == (
        f"the server ended the call before it was over: {code} (--allow-hangup, where it may)",
    )
    for options in ({"allow_hangup": True}, {"tail_s": None}):
        stage = Stage(duration_s=10.0, **options).open().run_until(0.1)
        assert stage.close(code, "", "peer").report.is_clean


def test_a_reset_that_was_asked_for_is_no_problem() -> None:
    stage = Stage(duration_s=10.0).open().run_until(0.1)
    stage.live.reset()
    stage.live.reset()
    assert stage.transport.ended == "reset"
    stage.close()
    report = stage.report
    assert (report.hung_up, report.close_code, report.closed_by) == (True, 1006, "network")
    assert report.is_clean
    assert len(stage.noted("reset")) == 2


def test_nothing_is_sent_once_the_socket_is_closing() -> None:
    stage = Stage(duration_s=10.0).open()
    stage.transport.is_closing = True
    assert stage.live.tick(100.5) is None
    stage.socket.on_text(CLEAR_FORMS["action"])
    stage.live.hang_up()
    assert stage.transport.names == ["connected"]
    assert stage.transport.audio == []
    assert stage.noted("cleared") == []
    assert not stage.report.hung_up  # the server was first


def test_a_call_that_never_opened_can_be_ended_and_reported() -> None:
    stage = Stage()
    stage.live.hang_up()
    stage.live.abort()
    stage.live.reset()
    stage.live.reconnect(1.0)
    stage.live.press("1")
    assert stage.live.tick(100.0) is None
    report = stage.report
    assert (report.frames_sent, report.closed, report.duration_s) == (0, False, 0.0)


def test_an_end_that_was_not_begun_is_none() -> None:
    stage = Stage()
    stage.live.on_closed(Closed(1006, "", "network"))
    assert stage.ended == 0
    assert not stage.report.closed


def test_a_call_that_is_over_before_it_is_connected_drops_the_connection() -> None:
    stage = Stage()
    stage.live.abort()
    stage.open()
    assert stage.transport.ended == "abort"
    assert stage.transport.sent == []
    stage.close()
    assert (stage.begun, stage.ended) == (0, 0)


def test_without_a_network_there_is_nothing_to_do_to_it() -> None:
    stage = Stage().open()
    with pytest.raises(RuntimeError, match="this call has no simulated network"):
        _ = stage.live.network


# What is kept.


def test_the_recordings_share_one_time_axis() -> None:
    stage = Stage((FRAME,), tail_s=0.5).open().run_until(0.1)
    stage.hear()
    stage.run_until(1.0).close(1000, "", "us")
    assert len(b"".join(stage.spoken)) == 640 * 26
    assert len(stage.heard) == 32000
    assert stage.heard.index(FRAME[:2]) == 3200


def test_the_report_becomes_plain_json() -> None:
    stage = Stage(tail_s=0.1).open()
    stage.hear(frame=FRAME + b"xx")
    stage.run_until(1.0)
    values = json.loads(json.dumps(stage.report.to_dict()))
    assert values["playout"]["wrong_size_messages"] == 1
    assert values["problems"] == ["1 message of a wrong size, 2 bytes lost"]
    assert values["is_clean"] is False
    assert values["events_sent"] == ["Connected", "Disconnected"]


def test_a_barge_in_and_a_turn_are_measured_by_the_clock() -> None:
    """The bot speaks from the beginning; the caller speaks from 0.5 s on, and is answered at 1.9 s."""
    stage = Stage((bytes(640),) * 25 + (FRAME,) * 30, tail_s=5.0).open()
    stage.hear(100)
    stage.run_until(0.75)
    stage.socket.on_text(CLEAR_FORMS["action"])
    stage.run_until(1.9)
    stage.hear(5)
    stage.run_until(3.0)
    report = stage.report
    [barge_in] = report.barge_ins
    assert barge_in.speech_at_s == about(0.5)
    assert barge_in.clear_at_s == about(0.75)
    assert barge_in.silent_at_s == about(0.76)
    assert barge_in.dropped_ms == (100 - 38) * 20
    assert barge_in.stale_ms == 0
    [turn] = report.turns
    assert (turn.speech_end_s, turn.reply_at_s) == (about(1.1), about(1.9))


def test_what_went_wrong_is_noted_when_it_did() -> None:
    stage = Stage(tail_s=1.0).open()
    stage.hear(2)
    stage.run_until(0.09)
    stage.hear(frame=FRAME + b"!")
    stage.run_until(0.2)
    assert stage.noted("underrun") == [(0.1, "50 ms of silence in the middle of speech")]
    assert stage.noted("wrong size") == [(0.1, "not one frame long: 1")]
    assert stage.live.report(with_trace=False).trace is None
    trace = stage.report.trace
    assert trace is not None
    assert list(trace.events) == stage.events
