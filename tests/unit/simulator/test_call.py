# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.script import Step
from audio_connector.simulator.speech import Lines
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.transport import Closed, Headers, Upgrade

FRAME = b"\x01\x02" * 320
UPGRADE = Upgrade(path="/", query="", headers=Headers(), remote_address=("127.0.0.1", 1), secure=False)


class FakeTransport:
    def __init__(self) -> None:
        self.audio: list[bytes] = []
        self.texts: list[str] = []
        self.ended: str | None = None
        self.write_buffer_bytes = 0
        self.is_closing = False

    def send_audio(self, frame: bytes) -> None:
        self.audio.append(frame)

    def send_text(self, text: str) -> None:
        self.texts.append(text)

    def send_ping(self, payload: bytes = b"") -> None:
        raise AssertionError("the router sends no pings")

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.is_closing = True
        self.ended = f"close {code}"

    def abort(self) -> None:
        self.is_closing = True
        self.ended = "abort"

    def reset(self) -> None:
        self.abort()

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write_raw(self, data: bytes) -> None:
        pass

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]


class Stage:
    """A call, its socket and its clock."""

    def __init__(
        self, frames: tuple[bytes, ...] = (FRAME,), says: tuple[tuple[bytes, ...], ...] = (), **options: Any
    ) -> None:
        self.now = 100.0
        self.heard = bytearray()
        self.spoken: list[bytes] = []
        self.ended = 0
        self.transport = FakeTransport()
        self.live = LiveCall(
            RouterCall(url="ws://127.0.0.1:1/", **{"tail_s": 0.0, **options}),
            Lines(frames, tuple(says)),
            clock=lambda: self.now,
            heard=self.heard.extend,
            spoken=self.spoken.append,
            on_end=self.end,
        )

    def end(self) -> None:
        self.ended += 1

    def open(self) -> Stage:
        self.live.on_open(self.transport, UPGRADE)
        return self

    def run_until(self, now: float) -> None:
        """Tick whenever the call asks to, up to ``now``."""
        due: float | None = self.now
        while due is not None and due <= now:
            self.now = max(self.now, due)
            due = self.live.tick(self.now)
        self.now = now


def test_the_first_message_has_a_blank_the_rate_and_the_headers() -> None:
    stage = Stage(rate_hz=24000, headers={"caller": "Ann"}).open()
    assert stage.transport.texts[0].startswith(" {")
    assert stage.transport.events == [
        {"content-type": "audio/l16;rate=24000", "event": "websocket:connected", "caller": "Ann"}
    ]
    assert stage.transport.audio == []


def test_one_frame_leaves_every_20_ms_and_none_before_its_time() -> None:
    stage = Stage((b"a" * 640, b"b" * 640, b"c" * 640)).open()
    assert stage.live.tick(100.0) == pytest.approx(100.02)
    assert stage.transport.audio == [b"a" * 640]
    assert stage.live.tick(100.0199) == pytest.approx(100.02)
    assert stage.transport.audio == [b"a" * 640]
    stage.live.tick(100.0401)
    assert stage.transport.audio == [b"a" * 640, b"b" * 640, b"c" * 640]
    assert stage.live.report().latest_tick_ms == pytest.approx(20.1)


def test_frames_keep_to_the_absolute_clock_for_an_hour() -> None:
    stage = Stage(duration_s=3600.0).open()
    # The heard recording is not wanted here: an hour of it is 115 MB.
    stage.run_until(100.0 + 3599.97)
    assert len(stage.transport.audio) == 3599 * 50 + 49


def test_the_end_is_announced_and_closed_with_1000() -> None:
    stage = Stage((FRAME, FRAME)).open()
    stage.run_until(101.0)
    assert stage.transport.events[-1] == {"event": "websocket:disconnected", "method": "delete"}
    assert stage.transport.ended == "close 1000"
    assert stage.live.tick(102.0) is None


def test_an_abrupt_end_says_nothing() -> None:
    stage = Stage(close="abrupt").open()
    stage.run_until(101.0)
    assert len(stage.transport.texts) == 1
    assert stage.transport.ended == "abort"


@pytest.mark.parametrize(("silence", "sent"), [("frames", 1 + 5), ("none", 1)])
def test_after_the_speech_silence_is_frames_of_zeros_or_nothing(silence: str, sent: int) -> None:
    stage = Stage((FRAME,), tail_s=0.1, silence=silence).open()
    stage.run_until(101.0)
    assert len(stage.transport.audio) == sent
    assert all(frame == bytes(640) for frame in stage.transport.audio[1:])
    assert len(stage.spoken) == 6


def test_without_silence_frames_the_pauses_in_the_speech_are_not_sent_either() -> None:
    stage = Stage((FRAME, bytes(640), FRAME), silence="none").open()
    stage.run_until(101.0)
    assert stage.transport.audio == [FRAME, FRAME]
    assert stage.spoken == [FRAME, bytes(640), FRAME]
    assert stage.live.report().speech_frames_sent == 2


def test_a_duration_repeats_or_cuts_the_speech() -> None:
    stage = Stage((b"a" * 640, b"b" * 640), duration_s=0.1).open()
    stage.run_until(101.0)
    assert b"".join(frame[:1] for frame in stage.transport.audio) == b"ababa"
    stage = Stage((b"a" * 640, b"b" * 640), duration_s=0.02).open()
    stage.run_until(101.0)
    assert b"".join(frame[:1] for frame in stage.transport.audio) == b"a"


def test_a_silent_participant_with_a_duration_listens_for_it() -> None:
    stage = Stage((), duration_s=0.1).open()
    stage.run_until(101.0)
    assert stage.transport.audio == [bytes(640)] * 5
    assert stage.live.report().speech_frames_sent == 0


def test_while_muted_no_frames_come_and_the_speech_goes_on_unheard() -> None:
    stage = Stage(
        (b"a" * 640, b"b" * 640, b"c" * 640, b"d" * 640),
        says=((),),
        steps=[Step(at_s=0.02, mute=True, for_s=0.04)],
    ).open()
    stage.run_until(101.0)
    assert b"".join(frame[:1] for frame in stage.transport.audio) == b"ad"
    assert [event.get("active") for event in stage.transport.events[1:3]] == [False, True]
    assert stage.spoken[1] == bytes(640)


def test_muting_by_hand_says_so_once() -> None:
    stage = Stage().open()
    stage.live.mute()
    stage.live.mute()
    stage.live.unmute()
    assert [event["active"] for event in stage.transport.events[1:]] == [False, True]


@pytest.mark.parametrize("text", CLEAR_FORMS.values())
def test_every_form_of_clear_empties_the_buffer_and_is_answered(text: str) -> None:
    stage = Stage().open()
    for _ in range(5):
        stage.live.on_audio(FRAME)
    stage.live.on_text(text)
    report = stage.live.report()
    assert report.playout.cleared_frames == 4
    assert report.clears == 1
    assert stage.transport.events[-1] == {"event": "websocket:cleared"}


def test_a_notify_is_echoed_when_the_audio_before_it_was_played() -> None:
    stage = Stage(tail_s=1.0, echo_notify=True).open()
    stage.live.on_audio(FRAME)
    stage.live.on_audio(FRAME)
    stage.live.on_text('{"action":"notify","payload":{"mark":7}}')
    stage.run_until(100.03)
    assert len(stage.transport.texts) == 1
    stage.run_until(100.06)
    assert stage.transport.events[-1] == {"event": "websocket:notify", "payload": {"mark": 7}}


def test_a_notify_is_only_counted_by_default_and_forgotten_by_a_clear() -> None:
    for echo_notify, texts in ((False, ['{"action":"notify","payload":1}']), (True, [])):
        stage = Stage(tail_s=1.0, echo_notify=echo_notify).open()
        stage.live.on_audio(FRAME)
        for text in (*texts, '{"action":"notify","payload":1}', CLEAR_FORMS["action"]):
            stage.live.on_text(text)
        stage.run_until(100.5)
        assert [event["event"] for event in stage.transport.events] == [
            "websocket:connected",
            "websocket:cleared",
        ]
        assert stage.live.report().notifies == 1 + len(texts)


def test_texts_that_are_no_command_are_kept_bounded() -> None:
    stage = Stage().open()
    for number in range(30):
        stage.live.on_text(f"{number}" + "x" * 1000)
    report = stage.live.report()
    assert report.texts_received == 30
    assert len(report.other_texts) == 10
    assert max(map(len, report.other_texts)) == 200


def test_a_server_that_does_not_read_costs_frames_after_one_second() -> None:
    stage = Stage(duration_s=1.0).open()
    stage.live.on_writable(False)
    stage.transport.write_buffer_bytes = 32001
    stage.run_until(100.05)
    stage.live.on_writable(True)
    stage.run_until(100.07)
    report = stage.live.report()
    assert (report.frames_dropped, report.frames_sent) == (3, 1)
    assert not report.is_clean


def test_the_delay_counts_from_the_first_speech_not_from_silence() -> None:
    stage = Stage((bytes(640), FRAME), tail_s=1.0).open()
    stage.run_until(100.05)
    stage.live.on_audio(FRAME)
    assert stage.live.report().first_audio_delay_ms == pytest.approx(30.0)


def test_the_end_of_the_connection_ends_the_call_once() -> None:
    stage = Stage(duration_s=10.0).open()
    stage.run_until(100.5)
    stage.live.on_closed(Closed(code=1011, reason="broken", closed_by="peer"))
    stage.now = 200.0
    assert stage.live.tick(200.0) is None
    report = stage.live.report()
    assert stage.ended == 1
    assert report.duration_s == pytest.approx(0.5)
    assert (report.close_code, report.close_reason, report.closed_by) == (1011, "broken", "peer")
    assert report.problems == ("the connection broke in the middle of the call: 1011 'broken'",)


@pytest.mark.parametrize("code", [1000, 1001, 1005])
def test_a_server_that_ends_the_call_on_purpose_is_no_problem(code: int) -> None:
    stage = Stage(duration_s=10.0).open()
    stage.live.on_closed(Closed(code=code, reason="", closed_by="peer"))
    assert stage.live.report().is_clean


def test_nothing_is_sent_once_the_socket_is_closing() -> None:
    stage = Stage(duration_s=10.0).open()
    stage.transport.is_closing = True
    assert stage.live.tick(100.5) is None
    stage.live.on_text(CLEAR_FORMS["action"])
    assert len(stage.transport.texts) == 1
    assert stage.transport.audio == []


def test_a_call_that_never_opened_can_be_ended_and_reported() -> None:
    stage = Stage()
    stage.live.hang_up()
    stage.live.abort()
    assert stage.live.tick(100.0) is None
    report = stage.live.report()
    assert (report.frames_sent, report.closed, report.duration_s) == (0, False, 0.0)


def test_the_recordings_share_one_time_axis() -> None:
    stage = Stage((FRAME,), tail_s=0.5).open()
    stage.run_until(100.1)
    stage.live.on_audio(FRAME)
    stage.run_until(101.0)
    stage.live.on_closed(Closed(code=1000, reason="", closed_by="us"))
    assert len(b"".join(stage.spoken)) == 640 * 26
    assert len(stage.heard) == 32000
    assert stage.heard.index(FRAME[:2]) == 3200


def test_the_report_becomes_plain_json() -> None:
    stage = Stage(tail_s=0.1).open()
    stage.live.on_audio(FRAME + b"xx")
    stage.run_until(101.0)
    values = json.loads(json.dumps(stage.live.report().to_dict()))
    assert values["playout"]["wrong_size_messages"] == 1
    assert values["problems"] == ["1 message of a wrong size, 2 bytes lost"]
    assert values["is_clean"] is False
    assert values["events_sent"] == ["Connected", "Disconnected"]
