# SPDX-License-Identifier: Apache-2.0
"""Sessions of several streams: over real sockets in a thread or a process, and driven by a scenario."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.serving import DEADLINE_S, serving, until

from audio_connector import AudioConnectorConnection, LiveSession, SessionAudio, StreamSpeaks
from audio_connector.server.server import AudioConnectorServerHandle
from audio_connector.simulator import RouterCall, load_scenario, run_calls
from audio_connector.testing import Audio, in_virtual_time, serve
from audio_connector.testing.network import dial
from audio_connector.turns import SpeechEnded, SpeechStarted, TurnDetector, listen_apart

pytestmark = pytest.mark.programs

TWO_SPEAKERS = Path(__file__).parents[2] / "examples" / "scenarios" / "two-speakers.yaml"


class Minutes:
    """Keeps what is said in the session of the first stream, stream by stream, and together."""

    def __init__(self) -> None:
        self.handle: Callable[[], AudioConnectorServerHandle]
        self.apart: dict[str, list[SessionAudio]] = {}
        self.mixed: list[SessionAudio] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def __call__(self, client: AudioConnectorConnection) -> None:
        if not self.tasks and client.session_id is not None:
            session = self.handle().sessions[client.session_id]
            self.tasks = [asyncio.create_task(self._keep(session.audio()))]
            self.tasks += [asyncio.create_task(self._keep(session.audio(mixed=True)))]
            self.events = session.events()

    async def _keep(self, audio: object) -> None:
        async for each in audio:  # type: ignore[attr-defined]
            kept = self.mixed if each.stream is None else self.apart.setdefault(each.stream.id, [])
            kept.append(each)

    async def over(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self.tasks), DEADLINE_S)


def span_of(audio: list[SessionAudio]) -> tuple[float, float]:
    loud = [each.start_s for each in audio if np.abs(np.frombuffer(each.audio, "<i2")).max() > 2000]
    return min(loud), max(loud) + 0.02


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_streams_of_real_sockets_are_on_one_clock_while_the_application_is_held_up(
    isolation: str,
) -> None:
    minutes = Minutes()
    async with serving(minutes, isolation=isolation) as handle:
        minutes.handle = lambda: handle
        calls = [
            RouterCall(
                url=handle.get_address(), speech=Audio.tone(440, 1.0).pcm, connection_id=name, session_id="room",
                tail_s=3.0 - joins_s, dial_after_s=joins_s, allow_silence=True,
            )
            for name, joins_s in (("ann", 0.0), ("bob", 1.5))
        ]  # fmt: skip
        running = asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(run_calls(calls)))
        await until(lambda: len(minutes.apart) == 2, "both streams")
        time.sleep(0.3)  # noqa: ASYNC251 - the application is held up
        reports = await running
        await minutes.over()
    assert not any(report.error for report in reports)
    ann, bob = span_of(minutes.apart["ann"]), span_of(minutes.apart["bob"])
    assert ann[1] - ann[0] == pytest.approx(1.0, abs=0.06)
    assert bob[1] - bob[0] == pytest.approx(1.0, abs=0.06)
    assert bob[0] - ann[0] == pytest.approx(1.5, abs=0.15)
    together = span_of(minutes.mixed)
    assert together == pytest.approx((ann[0], bob[1]), abs=0.001)


async def test_what_is_lost_while_the_application_is_held_up_for_long_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("audio_connector.server.session_feed.KEEP_S", 0.2)
    monkeypatch.setattr("audio_connector.server.session_feed.BATCHES", 1)
    minutes = Minutes()
    async with serving(minutes, isolation="thread") as handle:
        minutes.handle = lambda: handle
        tone = Audio.tone(440, 2.5).pcm
        call = RouterCall(url=handle.get_address(), speech=tone, session_id="room", allow_silence=True)
        running = asyncio.get_running_loop().run_in_executor(None, lambda: asyncio.run(run_calls([call])))
        await until(lambda: len(minutes.apart) == 1, "the stream")
        for _ in range(2):
            time.sleep(0.8)  # noqa: ASYNC251 - the application is held up
            await asyncio.sleep(0.2)
        [stream] = handle.sessions["room"].streams
        await running
        await minutes.over()
    assert 500 < stream.lost_ms < 1600
    assert len([record for record in caplog.records if "was held up for more than" in record.message]) == 1


async def test_a_session_may_be_read_in_another_thread_and_loop() -> None:
    heard: list[SessionAudio] = []
    readers: list[asyncio.Future[None]] = []

    async def read(session: LiveSession) -> None:
        heard.extend([each async for each in session.audio(mixed=True)])

    async def on_connect(client: AudioConnectorConnection) -> None:
        loop = asyncio.get_running_loop()
        readers.append(loop.run_in_executor(None, lambda: asyncio.run(read(handle.sessions["room"]))))

    async with serving(on_connect) as handle:
        tone = Audio.tone(440, 1.0).pcm
        await run_calls(
            [RouterCall(url=handle.get_address(), speech=tone, session_id="room", allow_silence=True)]
        )
        await asyncio.wait_for(readers[0], DEADLINE_S)
    begin, end = span_of(heard)
    assert end - begin == pytest.approx(1.0, abs=0.1)


@in_virtual_time
async def test_a_full_session_of_50_streams_is_whole() -> None:
    """As many as one may have (PROTOCOL 1.12): each that speaks is heard once, and the mix has every frame."""
    minutes = Minutes()
    ends: list[tuple[str, SpeechEnded]] = []

    async def on_connect(client: AudioConnectorConnection) -> None:
        await minutes(client)
        if len(minutes.tasks) < 3:
            minutes.tasks.append(asyncio.create_task(keep_turns(server.handle.sessions["room"])))

    async def keep_turns(session: LiveSession) -> None:
        async for stream, event in listen_apart(session):
            if isinstance(event, SpeechEnded):
                ends.append((stream.id, event))

    async with serve(on_connect) as server:
        minutes.handle = lambda: server.handle
        calls = [
            RouterCall(
                url=server.url, session_id="room", connection_id=f"s{number}", dial_after_s=number * 0.02,
                speech="sample:he-was-not", allow_silence=True, tail_s=(number % 5) * 0.2,
            )
            for number in range(50)
        ]  # fmt: skip
        await run_calls(calls, dial=dial, clock=asyncio.get_running_loop().time)
        await minutes.over()
    assert sorted(stream_id for stream_id, _ in ends) == sorted(call.connection_id for call in calls)
    assert {round(event.speech_s, 1) for _, event in ends} <= {2.4, 2.5, 2.6}
    starts = [each.start_s for each in minutes.mixed]
    assert starts == pytest.approx([starts[0] + 0.02 * at for at in range(len(starts))])
    for audio in minutes.apart.values():
        assert len(audio) == round((audio[-1].start_s - audio[0].start_s) / 0.02) + 1


@in_virtual_time
async def test_a_scenario_of_two_speakers_gives_the_turns_of_both_on_one_clock() -> None:
    minutes = Minutes()
    scenario = load_scenario(TWO_SPEAKERS)
    async with serve(minutes) as server:
        minutes.handle = lambda: server.handle
        calls = [replace(call, allow_silence=True, tail_s=1.0) for call in scenario.calls(server.url)]
        await run_calls(calls, dial=dial, clock=asyncio.get_running_loop().time)
        await minutes.over()
    turns: list[tuple[str, float, float]] = []
    for call in calls:
        audio = minutes.apart[call.connection_id]
        detector = TurnDetector(start_s=audio[0].start_s)
        events = [event for each in audio for event in detector.feed(each.audio)] + detector.finish()
        assert len([event for event in events if isinstance(event, SpeechStarted)]) == 1
        turns += [(call.name, each.start_s, each.end_s) for each in events if isinstance(each, SpeechEnded)]
    assert [name for name, _, _ in turns] == ["Ann", "Bob"]
    assert [start_s for _, start_s, _ in turns] == pytest.approx([0.28, 2.26], abs=0.1)
    assert [end_s for _, _, end_s in turns] == pytest.approx([2.8, 6.98], abs=0.1)
    spoke = [
        (event.stream.id, event.is_speaking)
        async for event in minutes.events
        if isinstance(event, StreamSpeaks)
    ]
    assert spoke[:2] == [(calls[0].connection_id, True), (calls[1].connection_id, True)]
