# SPDX-License-Identifier: Apache-2.0
"""Sessions of several streams, in calls in virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from audio_connector import (
    ActiveSpeaker,
    AudioConnectorConnection,
    LiveSession,
    SessionAudio,
    SessionEvent,
    StreamActive,
    StreamJoined,
    StreamLeft,
    StreamSpeaks,
    Timeouts,
    UsageError,
)
from audio_connector.server.server import AudioConnectorServerHandle
from audio_connector.simulator import Step
from audio_connector.testing import Audio, in_virtual_time, serve

TONE = Audio.tone(440, 1.0)
LOW = Audio.tone(220, 1.0)


class Desk:
    """An application that listens to the session of its first stream."""

    def __init__(self, *, mixed: bool = False) -> None:
        self.mixed = mixed
        self.session: LiveSession
        self.audio: list[SessionAudio] = []
        self.events: list[SessionEvent] = []
        self.handle: Callable[[], AudioConnectorServerHandle]
        self.tasks: list[asyncio.Task[None]] = []

    async def __call__(self, client: AudioConnectorConnection) -> None:
        assert client.session_id is not None
        session = self.handle().sessions[client.session_id]
        if not self.tasks:
            self.session = session
            self.tasks = [asyncio.create_task(self._hear()), asyncio.create_task(self._watch())]
        assert session is self.session

    async def _hear(self) -> None:
        async for each in self.session.audio(mixed=self.mixed):
            self.audio.append(each)

    async def _watch(self) -> None:
        async for each in self.session.events():
            self.events.append(each)

    async def over(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self.tasks), 10)

    def span_of(self, stream_id: str | None) -> tuple[float, float]:
        """From when to when something was heard of a stream."""
        loud = [
            each.start_s
            for each in self.audio
            if (each.stream and each.stream.id) == stream_id
            and np.abs(np.frombuffer(each.audio, "<i2")).max() > 2000
        ]
        return min(loud), max(loud) + 0.02


def told(events: list[SessionEvent]) -> list[tuple[Any, ...]]:
    """What happened to whom, by name, with times to a tenth of a second."""
    names = {StreamJoined: "joined", StreamLeft: "left", ActiveSpeaker: "active"}
    found: list[tuple[Any, ...]] = []
    for event in events:
        who = event.stream and event.stream.id
        what = names.get(type(event), "")
        if isinstance(event, StreamSpeaks):
            what = "speaks" if event.is_speaking else "silent"
        elif isinstance(event, StreamActive):
            what = "unmuted" if event.is_active else "muted"
        found.append((what, who, round(event.at_s, 1)))
    return found


def of(name: str) -> dict[str, Any]:
    return {"session_id": "room", "connection_id": name}


@in_virtual_time
async def test_two_streams_are_on_one_clock_apart() -> None:
    desk = Desk()
    async with serve(desk) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann")) as ann:
            await ann.say(TONE)
            async with server.call(**of("bob")) as bob:
                await bob.say(LOW)
                await asyncio.sleep(0.5)
            await asyncio.sleep(1.0)
            assert [stream.id for stream in desk.session.streams] == ["ann"]
        await desk.over()
        assert not server.handle.sessions
    assert desk.span_of("ann") == pytest.approx((0.0, 1.0), abs=0.03)
    assert desk.span_of("bob") == pytest.approx((1.0, 2.0), abs=0.05)
    assert told(desk.events) == [
        ("joined", "ann", 0.0),
        ("speaks", "ann", 0.0),
        ("active", "ann", 0.0),
        ("joined", "bob", 1.0),
        ("speaks", "bob", 1.0),  # known before it is certain that Ann has finished
        ("silent", "ann", 1.0),
        ("active", "bob", 1.0),
        ("silent", "bob", 2.0),
        ("active", None, 2.0),
        ("left", "bob", 2.5),
        ("left", "ann", 3.5),
    ]
    assert desk.session.is_over
    assert [(stream.id, stream.joined_s) for stream in desk.session.left] == [
        ("bob", pytest.approx(1.0, abs=0.05)),
        ("ann", 0),
    ]


@in_virtual_time
async def test_two_streams_are_heard_together_without_who_is_muted() -> None:
    desk = Desk(mixed=True)
    async with serve(desk) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann")) as ann, server.call(**of("bob"), rate_hz=8000) as bob:
            await asyncio.gather(ann.say(TONE), bob.say(Audio.tone(220, 1.0, rate_hz=8000), rate_hz=8000))
            await asyncio.sleep(0.5)
            stream = next(stream for stream in desk.session.streams if stream.id == "ann")
            for mute in (desk.session.mute, desk.session.unmute):
                with pytest.raises(UsageError, match="such as session"):
                    mute(stream.connection)  # type: ignore[arg-type]
            desk.session.mute(stream)
            await asyncio.gather(ann.say(TONE), bob.say(Audio.tone(220, 1.0, rate_hz=8000), rate_hz=8000))
            desk.session.unmute(stream)
            await asyncio.sleep(0.5)
        await desk.over()
    starts = [each.start_s for each in desk.audio]
    assert starts == pytest.approx([starts[0] + 0.02 * at for at in range(len(starts))])
    assert starts[0] == pytest.approx(0, abs=0.03)
    samples = np.frombuffer(b"".join(each.audio for each in desk.audio), "<i2")
    assert _heard_hz(samples[4000:12000]) == [220, 440]
    assert _heard_hz(samples[24000 + 8000 : 24000 + 14000]) == [220]


def _heard_hz(samples: np.ndarray[Any, np.dtype[np.int16]]) -> list[int]:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return [
        hz
        for hz in (110, 220, 330, 440, 550)
        if spectrum[round(hz * len(samples) / 16000)] > spectrum.max() / 10
    ]


@in_virtual_time
async def test_a_muted_stream_is_told_and_stands_still_in_nobodys_way() -> None:
    desk = Desk()
    async with serve(desk) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann")) as ann, server.call(**of("bob")) as bob:
            await asyncio.sleep(1.0)
            ann.mute()
            await bob.say(TONE)
            ann.unmute()
            await asyncio.sleep(0.2)
            await ann.say(TONE)
            await asyncio.sleep(0.5)
        await desk.over()
    assert [each for each in told(desk.events) if "mute" in each[0]] == [
        ("muted", "ann", pytest.approx(1.0, abs=0.15)),
        ("unmuted", "ann", pytest.approx(2.0, abs=0.15)),
    ]
    assert desk.span_of("bob") == pytest.approx((1.0, 2.0), abs=0.05)
    assert desk.span_of("ann") == pytest.approx((2.2, 3.2), abs=0.05)


@in_virtual_time
async def test_an_application_that_is_held_up_loses_no_time() -> None:
    """The times are those of the side with the sockets, whatever keeps the application."""
    desk = Desk()
    spans: list[tuple[float, float]] = []
    async with serve(desk) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann")) as ann:
            await asyncio.sleep(1.0)
            reader = desk.session.audio()
            await ann.say(TONE)  # nobody reads meanwhile
            await asyncio.sleep(1.0)
        await desk.over()
        late = [
            each.start_s async for each in reader if np.abs(np.frombuffer(each.audio, "<i2")).max() > 2000
        ]
        spans.append((min(late), max(late) + 0.02))
    assert spans[0] == pytest.approx((1.0, 2.0), abs=0.03)
    assert spans[0] == desk.span_of("ann")


@in_virtual_time
async def test_nothing_is_taped_unless_somebody_listens_and_no_longer_than_that() -> None:
    sessions: list[LiveSession] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        sessions.append(server.handle.sessions["room"])

    async with serve(on_connect) as server, server.call(**of("ann")) as ann:
        await asyncio.sleep(0.1)
        (session,) = sessions
        line = ann.client._line
        assert not line.recorders
        with pytest.raises(UsageError, match="who speaks is known only while the session is listened to"):
            assert session.active_speaker
        reader = session.events()
        assert line.recorders
        await ann.say(TONE)
        assert session.active_speaker is session.stream_of(ann.client)
        assert session.speaking == [session.active_speaker]
        del reader
        gc.collect()
        await asyncio.sleep(0.5)
        assert not line.recorders
        await asyncio.sleep(20)
        again = session.audio(mixed=True)  # which has nothing of the time before
        await ann.say(TONE)
        assert (await anext(again)).start_s == pytest.approx(21.6, abs=0.3)
        await again.aclose()


@in_virtual_time
async def test_each_session_has_its_own_streams_and_a_call_without_a_session_is_in_none() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        pass

    async with serve(on_connect) as server:
        sessions = server.handle.sessions
        calls = server.call(session_id="one"), server.call(session_id="two"), server.call(session_id="")
        async with calls[0], calls[1] as other, calls[2]:
            await asyncio.sleep(0.1)
            assert sorted(sessions) == ["one", "two"]
            assert len(sessions) == 2
            assert sessions["two"].stream_of(other.client).id == other.client.id
            with pytest.raises(UsageError, match="is no stream of session 'one'"):
                sessions["one"].stream_of(other.client)
            one = sessions["one"]
        await asyncio.sleep(0.1)
        assert not sessions
        assert one.is_over
        assert [each async for each in one.audio()] == []


@in_virtual_time
async def test_a_session_of_the_same_id_begins_anew_once_all_have_left() -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        pass

    async with serve(on_connect) as server:
        async with server.call(session_id="room"):
            await asyncio.sleep(0.1)
            first = server.handle.sessions["room"]
        await asyncio.sleep(5)
        async with server.call(session_id="room"):
            await asyncio.sleep(0.1)
            second = server.handle.sessions["room"]
            assert second is not first
            assert second.now_s == pytest.approx(0.1, abs=0.05)


def test_a_session_whose_server_and_loop_are_gone_is_over() -> None:
    kept: list[LiveSession] = []

    @in_virtual_time
    async def serve_one() -> None:
        async def on_connect(client: AudioConnectorConnection) -> None:
            kept.append(server.handle.sessions["room"])

        async with serve(on_connect) as server, server.call(session_id="room"):
            await asyncio.sleep(0.1)

    async def read() -> list[SessionEvent]:
        return [each async for each in kept[0].events()]

    serve_one()
    assert asyncio.run(asyncio.wait_for(read(), 5)) == []


@in_virtual_time
async def test_a_reader_that_does_not_read_loses_the_oldest_and_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("audio_connector.server.session_readers.MAX_WAITING", 50)
    done: list[int] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        reader = server.handle.sessions["room"].audio()
        await asyncio.sleep(4.0)
        frames = [each async for each in reader]
        assert reader.dropped > 100
        done.append(len(frames))

    async with serve(on_connect) as server:
        async with server.call(session_id="room"):
            await asyncio.sleep(4.0)
        await asyncio.sleep(0.5)
    assert 50 <= done[0] <= 80
    assert len([record for record in caplog.records if "the oldest are dropped" in record.message]) == 1


@in_virtual_time
async def test_a_stream_that_breaks_off_and_comes_back_is_the_same_one() -> None:
    desk = Desk()
    async with serve(desk, timeouts=Timeouts(resume_s=5.0)) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann"), steps=[Step(at_s=1.0, reconnect_s=0.5)]) as ann:
            await asyncio.sleep(2.0)
            assert [stream.is_active for stream in desk.session.streams] == [True]
            await ann.say(TONE)
            await asyncio.sleep(0.5)
        await desk.over()
    assert [each[:2] for each in told(desk.events) if each[0] in ("joined", "left", "muted", "unmuted")] == [
        ("joined", "ann"), ("muted", "ann"), ("unmuted", "ann"), ("left", "ann"),
    ]  # fmt: skip
    assert desk.span_of("ann") == pytest.approx((2.0, 3.0), abs=0.05)


@in_virtual_time
async def test_the_end_of_the_server_ends_every_session() -> None:
    desk = Desk()
    async with serve(desk) as server:
        desk.handle = lambda: server.handle
        async with server.call(**of("ann"), allow_hangup=True):
            await asyncio.sleep(0.5)
            await server.handle.stop()
            await desk.over()
    assert desk.session.is_over
    assert isinstance(desk.events[-1], StreamLeft)
