# SPDX-License-Identifier: Apache-2.0
"""The participant of one call: says frames at their time, obeys clears, waits for things."""

from __future__ import annotations

import asyncio

import pytest

from audio_connector.audio.format import AudioFormat
from audio_connector.testing.conformance.caller import Caller, how
from audio_connector.testing.conformance.model import Failed
from audio_connector.testing.virtual_time import in_virtual_time
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Upgrade

VOICE = b"\x00\x20" * 320
CLOSED = Closed(1011, "internal error", closed_by="peer")


class Line:
    """A transport that notes what is sent, and when."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, bytes | str]] = []
        self.pings: list[bytes] = []
        self.is_closing = False
        self.closed_by: ClosedBy = "network"
        self.write_buffer_bytes = 0

    def send_audio(self, frame: bytes) -> None:
        self.sent.append((asyncio.get_running_loop().time(), frame))

    def send_text(self, text: str) -> None:
        self.sent.append((asyncio.get_running_loop().time(), text))

    def send_ping(self, payload: bytes = b"") -> None:
        self.pings.append(payload)

    def close(self, code: int = 1000, reason: str = "") -> None: ...
    def abort(self) -> None: ...
    def reset(self) -> None: ...
    def disown(self) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write_raw(self, data: bytes) -> None: ...


def new_call() -> tuple[Caller, Line]:
    caller = Caller(AudioFormat(16000), clock=asyncio.get_running_loop().time)
    line = Line()
    caller.on_open(line, Upgrade("/", "", Headers(), ("", 0), secure=False))
    return caller, line


async def speak_for(caller: Caller, seconds: float) -> None:
    speaking = asyncio.ensure_future(caller.speak())
    await asyncio.sleep(seconds)
    caller.on_closed(CLOSED)
    await speaking


@in_virtual_time
async def test_frames_are_said_in_real_time_and_silence_between() -> None:
    caller, line = new_call()
    caller.say((VOICE,) * 3)
    await speak_for(caller, 0.099)
    assert [frame for _, frame in line.sent] == [VOICE] * 3 + [bytes(640)] * 2
    assert [round(at - line.sent[0][0], 3) for at, _ in line.sent] == [0.0, 0.02, 0.04, 0.06, 0.08]
    assert await caller.said() == pytest.approx(line.sent[2][0])
    assert caller.latest_s == pytest.approx(0.0, abs=1e-6)


@in_virtual_time
async def test_in_silence_nothing_may_be_sent() -> None:
    caller, line = new_call()
    caller.sends_silence = False
    caller.say((VOICE,))
    await speak_for(caller, 0.5)
    assert len(line.sent) == 1


@in_virtual_time
async def test_what_is_not_said_yet_can_be_left_out() -> None:
    caller, line = new_call()
    caller.say((VOICE,) * 100)
    caller.stop_speaking()
    await speak_for(caller, 0.01)
    assert line.sent[0][1] == bytes(640)


@pytest.mark.parametrize("text", CLEAR_FORMS.values())
@in_virtual_time
async def test_a_clear_in_each_form_drops_what_waits_and_is_answered(text: str) -> None:
    caller, line = new_call()
    for _ in range(50):
        caller.on_audio(VOICE)
    caller.on_text(text)
    assert caller.audio.ahead_s(caller.clock()) == 0
    assert len(caller.clears) == 1
    assert [text for _, text in line.sent] == ['{"event":"websocket:cleared"}']
    caller.acknowledges = False
    caller.on_text(text)
    assert (len(caller.clears), len(line.sent)) == (2, 1)


@in_virtual_time
async def test_other_texts_are_kept() -> None:
    caller, line = new_call()
    caller.on_text("OK")
    assert [text.text for text in caller.texts] == ["OK"]
    assert (caller.clears, line.sent) == ([], [])


@in_virtual_time
async def test_of_a_server_that_floods_no_more_is_kept_than_is_looked_at() -> None:
    caller, line = new_call()
    for _ in range(12_000):
        caller.on_text('{"action":"clear"}')
        caller.on_pong(b"nobody asked")
    assert (len(caller.texts), len(caller.clears), caller._pongs) == (1000, 10_000, set())
    assert len(line.sent) == 12_000
    other, _ = new_call()
    for _ in range(9):
        other.on_text("x" * (1 << 20))
    assert len(other.texts) == 4


@in_virtual_time
async def test_a_wait_ends_with_the_call() -> None:
    caller, _ = new_call()
    began_at = caller.clock()
    asyncio.get_running_loop().call_later(1.0, caller.on_closed, CLOSED)
    assert not await caller.until(lambda: False, 60.0)
    assert caller.clock() - began_at == pytest.approx(1.0, abs=0.03)
    assert not await caller.stays(1.0)
    assert await caller.until(lambda: True, 1.0)


@in_virtual_time
async def test_a_call_without_a_voice_is_quiet() -> None:
    caller, _ = new_call()
    assert caller.is_quiet_for(1000.0)
    caller.on_audio(VOICE)
    assert not caller.is_quiet_for(0.0)
    await asyncio.sleep(0.13)
    assert caller.is_quiet_for(0.1)


@in_virtual_time
async def test_a_ping_is_answered_or_the_failure_says_what_happened() -> None:
    caller, line = new_call()
    asyncio.get_running_loop().call_later(0.5, lambda: caller.on_pong(line.pings[0]))
    await caller.pings("after rain", within_s=1.0)
    with pytest.raises(Failed, match="after rain, a ping was not answered in 1 s"):
        await caller.pings("after rain", within_s=1.0)
    caller.on_closed(CLOSED)
    with pytest.raises(
        Failed, match=r"closed by the server with 1011 'internal error'; expected .*; take cover"
    ):
        await caller.pings("after rain", within_s=1.0, advice="take cover")
    assert not await caller.answers(b"", within_s=1.0)


def test_an_end_is_told_in_words() -> None:
    assert how(Closed(1006, "", closed_by="network")) == "without a close frame (1006)"
    assert how(Closed(1000, "", closed_by="us")) == "by this side with 1000"
