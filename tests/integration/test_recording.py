# SPDX-License-Identifier: Apache-2.0
"""Recorders over real sockets and real disks: what is blocked, killed or full costs no call."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.peers import FRAME, calling, next_audio
from support.processes import program
from support.recordings import read_sides
from support.serving import DEADLINE_S, Listener, joined, sawtooth, serving, until

from audio_connector import AudioConnectorConnection, AudioFileError, FlightRecorder, Recorded, Recorder
from audio_connector.audio.wav import open_wav
from audio_connector.recording.notes import read_notes
from audio_connector.recording.writer import WRITER

FRAME_BYTES = 640
BOTH = pytest.mark.parametrize("isolation", ["thread", "process"])


async def call_of(address: str, seconds: float) -> bytes:
    """A caller who speaks in real time, and hears."""
    spoken = sawtooth(round(seconds * 16000))
    async with calling(address) as caller:
        began = time.monotonic()
        for at in range(0, len(spoken), FRAME_BYTES):
            due = began + at / FRAME_BYTES * 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await caller.send(spoken[at : at + FRAME_BYTES])
        await asyncio.sleep(0.3)
    return spoken


@BOTH
async def test_what_is_recorded_is_what_was_said_and_what_was_played(tmp_path: Path, isolation: str) -> None:
    done: list[Recorded] = []
    played = sawtooth(16000, start=5)

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "call.wav") as recording:
            await client.send_audio_buffer(played, pad_last_frame=True)
            async for _ in client.audio():
                pass
        done.append(recording.recorded)

    async with serving(bot, isolation=isolation) as handle:
        spoken = await call_of(handle.get_address(), 1.0)
        await until(lambda: done, "the end of the recording")
    sides = read_sides(tmp_path / "call.wav")
    recorded = np.trim_zeros(sides.caller).tobytes()  # it may begin with the second frame
    assert len(recorded) >= len(spoken) - 6 * FRAME_BYTES
    assert spoken.endswith(recorded)
    assert np.trim_zeros(sides.ours).tobytes() == np.trim_zeros(np.frombuffer(played, "<i2")).tobytes()
    assert done[0].error is None
    assert done[0].duration_s == pytest.approx(1.3, abs=0.3)


@pytest.mark.slow
@BOTH
async def test_an_application_that_blocks_its_loop_loses_nothing_of_it(
    tmp_path: Path, isolation: str
) -> None:
    done: list[Recorded] = []

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "call.wav") as recording:
            await asyncio.sleep(0.2)
            time.sleep(1.5)  # noqa: ASYNC251 - what it is about
            await asyncio.sleep(1.2)
        done.append(recording.recorded)

    async with serving(bot, isolation=isolation) as handle:
        caller = threading.Thread(target=lambda: asyncio.run(call_of(handle.get_address(), 2.5)))
        caller.start()
        await until(lambda: done, "the end of the recording")
        await asyncio.to_thread(caller.join)
    sides = read_sides(tmp_path / "call.wav")
    spoken = np.trim_zeros(sides.caller)
    assert len(spoken) / 16000 == pytest.approx(2.5, abs=0.2)
    said = np.frombuffer(sawtooth(round(2.5 * 16000)), "<i2")
    assert spoken.tobytes() in said.tobytes()
    assert done[0].lost_ms == 0


@pytest.mark.slow
@BOTH
async def test_a_disk_that_hangs_keeps_nobody_and_what_it_missed_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    may_go_on = threading.Event()
    done: list[Recorded] = []
    laps: list[float] = []

    def hang() -> None:
        may_go_on.wait(DEADLINE_S)

    async def bot(client: AudioConnectorConnection) -> None:
        monkeypatch.setattr("audio_connector.server.recorder.KEEP_S", 0.5)
        monkeypatch.setattr("audio_connector.server.recorder.BATCHES", 1)
        WRITER.submit(hang)
        async with Recorder(client, tmp_path / "call.wav") as recording:
            async for _ in client.audio():
                laps.append(time.monotonic())
                if len(laps) == 125:
                    may_go_on.set()
        done.append(recording.recorded)

    async with serving(bot, isolation=isolation) as handle:
        await call_of(handle.get_address(), 3.0)
        await until(lambda: done, "the end of the recording")
    assert max(np.diff(laps)) < 0.5
    assert 800 <= done[0].lost_ms <= 2500
    assert read_sides(tmp_path / "call.wav").seconds == pytest.approx(3.3, abs=0.4)


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Path]:
    """A folder that may only be read."""
    tmp_path.chmod(0o500)
    yield tmp_path
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes into every folder")
async def test_a_folder_that_may_only_be_read(locked: Path) -> None:
    listener = Listener()
    async with serving(listener) as handle, calling(handle.get_address()):
        heard = await listener.call()
        async with Recorder(heard.client, locked / "call.wav") as recording:
            await asyncio.sleep(0.05)
        assert isinstance(recording.recorded.error, AudioFileError)


@pytest.mark.skipif(sys.platform != "linux", reason="has a device that is always full")
async def test_a_full_disk_is_one_error_and_the_call_goes_on() -> None:
    errors: list[Exception] = []

    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append, on_audio=client.send_audio_buffer)
        async with Recorder(client, "/dev/full"):
            await asyncio.sleep(2.0)

    async with serving(bot) as handle, calling(handle.get_address()) as caller:
        for _ in range(40):
            await caller.send(FRAME)
            await asyncio.sleep(0.02)
        assert joined(await next_audio(caller, 20)) == FRAME * 20
        await until(lambda: errors, "the error")
        await asyncio.sleep(0.6)
    [error] = errors
    assert "No space left on device" in str(error)


RECORDING = """
import asyncio, sys, audio_connector

async def on_connect(client):
    audio_connector.Recorder(client, sys.argv[1]).start()
    async for frame in client.audio():
        await client.send_audio_buffer(frame)

if __name__ == "__main__":
    audio_connector.run({"host": "127.0.0.1", "port": 0, "on_connect": on_connect, "isolation": sys.argv[2]})
"""


@pytest.mark.parametrize("isolation", ["thread", pytest.param("process", marks=pytest.mark.slow)])
@pytest.mark.skipif(os.name != "posix", reason="kills with a signal")
async def test_a_program_that_is_killed_leaves_a_file_that_can_be_read(
    tmp_path: Path, isolation: str
) -> None:
    path = tmp_path / "call.wav"
    async with program(RECORDING, str(path), isolation) as (process, address):
        calling_on = asyncio.create_task(call_of(address, 30.0))
        await until(lambda: path.exists() and path.stat().st_size > 100_000, "a second and more of it")
        process.send_signal(signal.SIGKILL)
        await process.wait()
        calling_on.cancel()
        await asyncio.gather(calling_on, return_exceptions=True)
    sides = read_sides(path)
    assert sides.seconds >= 1.0
    assert sides.caller.any()
    assert sides.ours.any()
    with open_wav(path) as reader:  # ours finds what came behind the header as well
        assert sum(map(len, reader.blocks(4096))) >= len(sides.caller) * 2


@pytest.mark.slow
@BOTH
@pytest.mark.skipif(os.name != "posix", reason="ends with a signal")
async def test_a_program_that_ends_in_good_order_leaves_it_whole(tmp_path: Path, isolation: str) -> None:
    path = tmp_path / "call.wav"
    async with program(RECORDING, str(path), isolation) as (process, address), calling(address) as caller:
        for _ in range(30):
            await caller.send(FRAME)
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        await process.wait()
    notes = read_notes(path)
    assert notes is not None
    assert notes.events[-1].name == "closed"
    assert read_sides(path).seconds >= 0.5


def ends_in(folder: Path) -> list[Path]:
    """Records of an end, that are complete."""
    return [path for path in folder.glob("*abnormal_close.wav") if read_notes(path) is not None]


@BOTH
async def test_a_flight_record_of_a_call_that_breaks_off(tmp_path: Path, isolation: str) -> None:
    options: dict[str, Any] = {
        "isolation": isolation,
        "flight_recorder": FlightRecorder(folder=tmp_path, min_interval_s=0),
    }
    dumped: list[Path] = []

    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_audio=client.send_audio_buffer, on_error=lambda error: None)
        await asyncio.sleep(0.7)
        dumped.append(await client.dump())

    async with serving(bot, **options) as handle:
        async with calling(handle.get_address()) as caller:
            for _ in range(50):
                await caller.send(FRAME)
                await asyncio.sleep(0.02)
            caller.transport.abort()
        await until(lambda: ends_in(tmp_path), "the record of the end")
        [path] = ends_in(tmp_path)
    assert dumped
    assert read_sides(dumped[0]).seconds == pytest.approx(0.7, abs=0.2)
    sides = read_sides(path)
    assert 320 * 45 <= np.count_nonzero(sides.caller) <= 320 * 50
    assert sides.ours.any()
