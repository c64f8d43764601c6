# SPDX-License-Identifier: Apache-2.0
"""What a page may ask for, and what it is told, with a router that is played by hand in a time of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from audio_connector.errors import DialError, UsageError
from audio_connector.playground import participant
from audio_connector.playground.outbox import Outbox
from audio_connector.playground.session import PageSession, Settings
from audio_connector.playground.speeches import interruption, sentence
from audio_connector.simulator import PROFILES, LiveCall, Router, RouterCall, TraceEvent
from audio_connector.simulator.speech import Lines
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.transport import Closed, Headers, Upgrade

UPGRADE = Upgrade(path="/", query="", headers=Headers(), remote_address=("127.0.0.1", 1), secure=False)
FRAME_S = 0.02
LOUD = b"\x00\x20" * 320


class Wire:
    """The bot's end of a call, as a transport that notes what comes and closes when asked."""

    def __init__(self, live: LiveCall) -> None:
        self._live = live
        self.audio: list[bytes] = []
        self.events: list[dict[str, Any]] = []
        self.write_buffer_bytes = 0
        self.is_closing = False
        self.is_deaf = False  # to a close frame

    def send_audio(self, frame: bytes) -> None:
        self.audio.append(frame)

    def send_text(self, text: str) -> None:
        self.events.append(json.loads(text))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.is_closing = True
        if not self.is_deaf:
            self._live.on_closed(Closed(code, reason, "us"))

    def abort(self) -> None:
        if not self.is_closing or self.is_deaf:
            self.is_closing, self.is_deaf = True, False
            self._live.on_closed(Closed(1006, "", "network"))

    @property
    def names(self) -> list[str]:
        return [event["event"] for event in self.events]


class HandRouter:
    """A router whose time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[RouterCall] = []
        self.lives: list[LiveCall] = []
        self.wires: list[Wire] = []
        self.dialled: asyncio.Event | None = None
        self.error: Exception | None = None

    async def run(
        self,
        call: RouterCall,
        *,
        on_start: Callable[[LiveCall], None],
        on_event: Callable[[TraceEvent], None],
    ) -> object:
        self.calls.append(call)
        if self.dialled is not None:
            await self.dialled.wait()
        if self.error is not None:
            raise self.error
        ended = asyncio.Event()
        assert callable(call.heard)
        assert callable(call.spoken)
        live = LiveCall(
            call,
            Lines(),
            clock=lambda: self.now,
            heard=call.heard,
            spoken=call.spoken,
            on_end=ended.set,
            on_event=on_event,
        )
        wire = Wire(live)
        self.lives.append(live)
        self.wires.append(wire)
        live.on_open(cast(Any, wire), UPGRADE)
        on_start(live)
        try:
            await ended.wait()
        finally:
            live.abort()
        return live.report()

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_S)):
            for live in self.lives:
                live.tick(self.now)
            self.now += FRAME_S


class Desk:
    """A page's session, and what the page was told."""

    def __init__(self, **settings: Any) -> None:
        self.router = HandRouter()
        self.box = Outbox()
        values = Settings(url="ws://bot.example/x", label="bot", **settings)
        self.session = PageSession(values, router=cast(Router, self.router), outbox=self.box)
        self.told: list[dict[str, Any]] = []
        self.sound: list[bytes] = []

    async def say(self, kind: str, **values: object) -> None:
        self.session.take(json.dumps({"type": kind, **values}))
        await self.settle()

    async def connect(self, **values: object) -> None:
        defaults: dict[str, object] = {"rate_hz": 16000, "profile": "video"}
        await self.say("connect", **{**defaults, **values})

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)
        task = asyncio.ensure_future(self.box.run(self))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def send_str(self, data: str) -> None:
        self.told.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        self.sound.append(data)

    async def push(self) -> None:
        """What `PageSession.run` does now and then."""
        for person in self.session._people.values():
            person.push()
            person.push_figures()
        await self.settle()

    def of(self, kind: str, **values: object) -> list[dict[str, Any]]:
        return [
            message for message in self.told if message["type"] == kind and values.items() <= message.items()
        ]

    def states(self, speaker: int = 1) -> list[str]:
        return [message["state"] for message in self.of("call", speaker=speaker)]


@pytest.fixture
async def desk() -> Any:
    made = Desk(headers={"caller": "Ann"})
    yield made
    await made.session.close()


async def test_connecting_makes_a_call_that_lasts(desk: Desk) -> None:
    await desk.connect(rate_hz=24000, profile="voice")
    [call] = desk.router.calls
    assert (call.url, call.rate_hz, call.profile) == ("ws://bot.example/x", 24000, "voice")
    assert (call.headers, call.tail_s, call.name) == ({"caller": "Ann"}, None, "you")
    assert desk.states() == ["connecting", "open"]
    opened = desk.of("call", state="open")[0]
    assert (opened["session_id"], opened["connection_id"]) == (call.session_id, call.connection_id)
    desk.router.pass_time(0.1)
    assert len(desk.router.wires[0].audio) == 5
    await desk.say("disconnect")
    assert desk.states() == ["connecting", "open", "over"]
    assert desk.router.wires[0].names == ["websocket:connected", "websocket:disconnected"]
    assert "1000 by the router" in desk.of("call", state="over")[0]["text"]


async def test_a_reconnect_is_a_new_connection_of_a_new_session(desk: Desk) -> None:
    await desk.connect()
    await desk.say("disconnect")
    await desk.connect()
    first, second = desk.router.calls
    assert first.session_id != second.session_id
    assert desk.states() == ["connecting", "open", "over", "connecting", "open"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rate_hz": 44100, "profile": "video"}, "44100"),
        ({"rate_hz": 16000, "profile": "radio"}, "there is no router 'radio'; expected one of video, "),
    ],
)
async def test_a_wrong_rate_or_router_is_told_in_place(desk: Desk, values: Any, says: str) -> None:
    await desk.connect(**values)
    [fault] = desk.of("fault")
    assert fault["where"] == "call"
    assert says in fault["text"]
    assert desk.router.calls == []
    await desk.connect()
    assert desk.states() == ["connecting", "open"]


async def test_a_server_that_cannot_be_reached_is_told_in_place(desk: Desk) -> None:
    desk.router.error = DialError("ws://bot.example answered HTTP 500", status=500)
    await desk.connect()
    assert desk.of("call", state="failed")[0]["text"] == "ws://bot.example answered HTTP 500"
    desk.router.error = None
    await desk.connect()
    assert desk.states() == ["connecting", "failed", "connecting", "open"]


async def test_only_one_call_at_a_time(desk: Desk) -> None:
    await desk.connect()
    await desk.connect()
    assert desk.of("fault")[0]["text"] == "connected already: disconnect first"
    assert len(desk.router.calls) == 1


async def test_what_needs_a_call_says_so_without_one(desk: Desk) -> None:
    wishes: list[tuple[str, dict[str, object]]] = [
        ("mute", {"muted": True}),
        ("press", {"digit": "1"}),
        ("barge_in", {}),
        ("join", {}),
    ]
    for kind, values in wishes:
        await desk.say(kind, **values)
    assert {fault["text"] for fault in desk.of("fault")} == {"nobody is connected: connect first"}
    await desk.say("say", speaker=2, sample="he-was-not.wav")
    assert desk.of("fault")[-1]["where"] == "say"
    await desk.say("stop", speaker=1)
    await desk.say("leave")
    await desk.say("disconnect")
    assert len(desk.of("fault")) == 5


async def test_nonsense_is_told_and_changes_nothing(desk: Desk) -> None:
    desk.session.take("{")
    desk.session.take('{"type":"sing"}')
    await desk.settle()
    assert len(desk.of("fault")) == 2
    await desk.connect()
    assert desk.states() == ["connecting", "open"]


async def test_mute_and_keys_reach_the_bot(desk: Desk) -> None:
    await desk.connect()
    wire = desk.router.wires[0]
    await desk.say("mute", muted=True)
    desk.router.pass_time(0.1)
    assert (wire.events[-1]["event"], wire.events[-1]["active"]) == ("websocket:media:update", False)
    assert wire.audio == []
    await desk.say("mute", muted=False)
    await desk.say("press", digit="#")
    assert wire.events[-1]["digit"] == "#"
    assert wire.events[-2]["active"] is True
    assert [event["name"] for event in desk.of("event")] == ["connected", "mute", "unmute", "key"]


async def test_the_microphone_is_said_and_drawn_and_recorded(desk: Desk) -> None:
    await desk.connect()
    for _ in range(20):
        desk.session.listen(LOUD)
        desk.router.pass_time(FRAME_S)
    said = [frame for frame in desk.router.wires[0].audio if any(frame)]
    assert len(said) >= 15
    await desk.push()
    live = desk.of("live")[0]
    first, peaks = live["spoken"]
    assert first == 0
    assert len(peaks) == 2 * 2 * 20
    assert max(peaks) == 0x2000
    assert desk.session.recording is not None
    assert desk.session.recording.seconds == pytest.approx(20 * FRAME_S)


async def test_a_flood_of_speech_is_bounded(desk: Desk) -> None:
    await desk.connect()
    for _ in range(5000):
        desk.session.listen(LOUD)
    assert desk.router.lives[0].unsaid_ms <= 260
    await desk.push()
    assert desk.of("figures")[-1]["microphone_dropped_ms"] > 90_000


async def test_a_muted_participant_is_not_heard(desk: Desk) -> None:
    await desk.connect()
    await desk.say("mute", muted=True)
    desk.session.listen(LOUD * 10)
    assert desk.router.lives[0].unsaid_ms == 0
    await desk.say("say", speaker=1, sample="he-was-not.wav")
    assert desk.of("fault")[0] == {
        "type": "fault",
        "where": "say",
        "text": "muted: nobody would hear it; unmute first",
    }


async def test_a_sentence_has_the_floor_until_it_is_said(desk: Desk) -> None:
    await desk.connect()
    await desk.say("say", speaker=1, sample="he-was-not.wav")
    desk.session.listen(LOUD * 10)
    desk.router.pass_time(2.98)
    await desk.push()
    assert [message["name"] for message in desk.of("saying")] == ["He was not an ill disposed young man"]
    desk.router.pass_time(0.1)
    await desk.push()
    assert desk.of("saying")[-1]["name"] is None
    said = b"".join(desk.router.wires[0].audio)
    assert said.startswith(sentence("he-was-not.wav", 16000).pcm)
    desk.session.listen(LOUD * 10)
    assert desk.router.lives[0].unsaid_ms == 200


async def test_a_sentence_can_be_broken_off_and_replaced(desk: Desk) -> None:
    await desk.connect()
    await desk.say("say", speaker=1, sample="unless-to-be.wav")
    desk.router.pass_time(0.5)
    await desk.say("say", speaker=1, sample="he-was-not.wav")
    assert desk.router.lives[0].unsaid_ms == 3000
    await desk.say("stop", speaker=1)
    await desk.push()
    assert desk.router.lives[0].unsaid_ms == 0
    assert desk.of("saying")[-1]["name"] is None
    await desk.say("say", speaker=1, sample="../../etc/passwd")
    assert "there is no sentence" in desk.of("fault")[0]["text"]


async def test_barging_in_speaks_at_once_and_is_measured(desk: Desk) -> None:
    await desk.connect()
    live = desk.router.lives[0]
    for _ in range(60):
        live.on_audio(LOUD)
    desk.router.pass_time(0.2)
    await desk.say("say", speaker=1, sample="unless-to-be.wav")
    await desk.say("barge_in")
    desk.router.pass_time(0.3)
    said = b"".join(desk.router.wires[0].audio[10:])
    assert said == interruption(16000).pcm[: len(said)]
    live.on_text(CLEAR_FORMS["action"])
    desk.router.pass_time(0.5)
    await desk.push()
    [barge_in] = desk.of("figures")[-1]["barge_ins"]
    assert barge_in["speech_at_s"] == pytest.approx(0.2, abs=0.03)
    assert barge_in["clear_at_s"] == pytest.approx(0.5, abs=0.03)
    assert barge_in["silent_at_s"] == pytest.approx(0.52, abs=0.04)
    assert barge_in["dropped_ms"] == pytest.approx(700, abs=40)


async def test_what_is_heard_goes_to_the_page_and_is_drawn_with_the_depth(desk: Desk) -> None:
    await desk.connect()
    live = desk.router.lives[0]
    for _ in range(10):
        live.on_audio(LOUD)
    desk.router.pass_time(0.3)
    await desk.push()
    heard = b"".join(piece[2:] for piece in desk.sound)
    assert {piece[:2] for piece in desk.sound} == {b"\x01\x00"}
    assert LOUD * 10 in heard
    message = desk.of("live")[0]
    assert max(message["depth_ms"][1]) >= 160
    assert max(message["heard"][1]) == 0x2000
    figures = desk.of("figures")[-1]
    assert (figures["deepest_ms"], figures["underruns"]) == (180, 0)  # the first of the ten plays at once
    count = len(desk.of("figures"))
    await desk.push()
    assert len(desk.of("figures")) == count  # nothing has changed


async def test_a_second_participant_has_a_socket_of_its_own_in_the_same_session(desk: Desk) -> None:
    await desk.connect()
    desk.router.pass_time(1.0)
    await desk.say("join")
    first, second = desk.router.calls
    assert first.session_id == second.session_id
    assert first.connection_id != second.connection_id
    assert (second.name, second.rate_hz, second.headers) == ("second", 16000, {"caller": "Ann"})
    assert desk.of("call", speaker=2, state="open")[0]["from_s"] == pytest.approx(1.0)
    await desk.say("say", speaker=2, sample="he-was-not.wav")
    desk.router.pass_time(0.5)
    await desk.push()
    assert any(map(any, desk.router.wires[1].audio))
    assert not any(map(any, desk.router.wires[0].audio))
    assert desk.of("event", speaker=2, name="says")[0]["at_s"] == pytest.approx(1.0)
    await desk.say("join")
    assert desk.of("fault")[0]["text"] == "the second participant is there already"
    await desk.say("leave")
    assert desk.states(2) == ["connecting", "open", "over"]
    assert desk.states(1) == ["connecting", "open"]
    await desk.say("join")
    assert desk.states(2)[-1] == "open"
    await desk.say("disconnect")
    assert (desk.states(1)[-1], desk.states(2)[-1]) == ("over", "over")
    assert desk.session.recording is not None
    assert desk.session.recording.seconds == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("is_deaf", [False, True])
async def test_ones_own_end_is_told_from_a_fault(
    desk: Desk, profile: str, is_deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(participant, "END_S", 0.01)
    await desk.connect(profile=profile)
    desk.router.wires[0].is_deaf = is_deaf  # a server that does not answer the close
    await desk.say("disconnect")
    await desk.session.close()
    await desk.settle()
    assert [each["is_own_end"] for each in desk.of("call", state="over")] == [True]


async def test_a_bot_that_hangs_up_is_told_with_its_code(desk: Desk) -> None:
    await desk.connect()
    desk.router.lives[0].on_closed(Closed(1011, "internal error", "peer"))
    await desk.settle()
    assert desk.of("call", state="over")[0]["text"] == "1011 by the server (internal error)"
    assert desk.of("call", state="over")[0]["is_own_end"] is False
    with pytest.raises(UsageError):
        desk.session.say(1, sentence("he-was-not.wav", 16000))


async def test_an_error_of_our_own_does_not_leave_the_page_waiting(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.router.error = RuntimeError("what no text of ours foresees")
    await desk.connect()
    assert desk.states() == ["connecting", "failed"]
    assert "an error of the library" in caplog.text


async def test_a_page_that_goes_away_while_it_dials_leaves_no_call() -> None:
    desk = Desk()
    desk.router.dialled = asyncio.Event()
    await desk.connect()
    await asyncio.wait_for(desk.session.close(), 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert desk.router.lives == []


async def test_a_bot_that_does_not_answer_a_close_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.playground.participant.END_S", 0.01)
    desk = Desk()
    await desk.connect()
    desk.router.wires[0].is_deaf = True
    await asyncio.wait_for(desk.session.close(), 1)
    assert not desk.router.lives[0].is_open
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_recording_has_both_participants(desk: Desk) -> None:
    await desk.connect()
    await desk.say("join")
    desk.session.say(1, sentence("he-was-not.wav", 16000))
    desk.session.say(2, sentence("he-was-not.wav", 16000))
    desk.router.pass_time(1.0)
    recording = desk.session.recording
    assert recording is not None
    samples = memoryview(recording.wav()[44:]).cast("h")[::2][:16000].tolist()
    once = memoryview(sentence("he-was-not.wav", 16000).pcm).cast("h").tolist()
    assert samples[:16000] == [2 * value for value in once[:16000]]


async def test_batches_go_out_by_themselves(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audio_connector.playground.session.PUSH_S", 0.0)
    await desk.connect()
    desk.router.pass_time(0.1)
    for _ in range(400):
        desk.box.post_audio(1, b"")
    running = asyncio.ensure_future(desk.session.run())
    for _ in range(60):
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await desk.settle()
    assert desk.of("live")
    assert desk.of("figures")
    assert desk.of("dropped") == [{"type": "dropped", "sounds": desk.box.audio_dropped, "texts": 0}]
    assert desk.box.audio_dropped >= 250
    assert desk.of("recording")[0] == {"type": "recording", "seconds": 0.1, "is_full": False}
