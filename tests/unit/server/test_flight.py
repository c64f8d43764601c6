# SPDX-License-Identifier: Apache-2.0
"""The flight recorder: a file where something went wrong and somebody asked for it, and never too many."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from pathlib import Path
from typing import Any

import pytest
from support.disk import full_disk
from support.recordings import read_sides
from support.stage import UPGRADE

from audio_connector import (
    AudioConnectorConfigError,
    AudioConnectorConnection,
    AudioConnectorServerConfig,
    AudioFileError,
    ConnectionClosed,
    Disconnected,
    FlightRecorder,
    UsageError,
)
from audio_connector.call.asks import Close
from audio_connector.call.tells import Taped, TapedEvent
from audio_connector.recording.notes import Notes, read_notes
from audio_connector.server.flight import MAX_UNWRITTEN, NAME, Budget, Flight, check_folder
from audio_connector.server.line import Line
from audio_connector.testing import Audio, in_virtual_time, serve


def config(folder: Path, bot: Any, **options: Any) -> AudioConnectorServerConfig:
    flight_recorder = FlightRecorder(folder=folder, **{"min_interval_s": 0, **options})
    return AudioConnectorServerConfig(
        host="localhost",
        port=0,
        on_connect=bot,
        flight_recorder=flight_recorder,
        playback={"prime_ms": 0},  # type: ignore[arg-type]
    )


def records(folder: Path) -> dict[str, Notes]:
    """What was written, by why."""
    found = {}
    for path in sorted(folder.iterdir()):
        assert NAME.fullmatch(path.name)
        notes = read_notes(path)
        assert notes is not None
        found[notes.why] = notes
    return found


def files_in(folder: Path) -> list[Path]:
    """Whatever there is."""
    return list(folder.iterdir())


async def quiet(client: AudioConnectorConnection) -> None:
    """Takes what comes."""
    async for _ in client.audio():
        pass


@in_virtual_time
async def test_a_clean_call_leaves_nothing(tmp_path: Path) -> None:
    async with serve(config(tmp_path / "flights", quiet)) as server, server.call() as call:
        await call.say(Audio.tone(440, 3.0))
    assert not (tmp_path / "flights").exists()


@in_virtual_time
async def test_an_underrun_is_recorded_with_the_seconds_before_it(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(20.0)
        await client.send_audio_buffer(Audio.tone(440, 0.5).pcm)
        await asyncio.sleep(0.6)
        await client.send_audio_buffer(Audio.tone(440, 0.5).pcm)
        await asyncio.sleep(2.0)

    async with serve(config(tmp_path, bot, keep_s=5), allow_errors=True) as server, server.call():
        await asyncio.sleep(25.0)
    [path] = files_in(tmp_path)
    assert re.fullmatch(r"\d{8}T\d{6}Z-.*-underrun\.wav", path.name)
    [(why, notes)] = records(tmp_path).items()
    assert why == "underrun: 1 in the call, 100 ms in sum"
    assert notes.kind == "flight record"
    assert {"underrun"} <= {event.name for event in notes.events}
    sides = read_sides(path)
    assert sides.seconds == pytest.approx(5.0, abs=0.05)
    assert sides.ours.any()
    assert sides.caller.size == sides.ours.size


@in_virtual_time
async def test_a_handler_that_raises_an_abnormal_close_and_who_asks(tmp_path: Path) -> None:
    written: list[Path] = []

    async def bot(client: AudioConnectorConnection) -> None:
        def on_event(event: object) -> None:
            raise ValueError("kaputt")

        client.set_handler(on_event=on_event)
        await asyncio.sleep(1.0)
        written.append(await client.dump())
        written.append(await client.dump(tmp_path / "mine.wav"))
        await client.close(1011, "oh")

    folder = tmp_path / "deep" / "flights"
    async with serve(config(folder, bot), allow_errors=True) as server, server.call():
        await asyncio.sleep(3.0)
    assert set(records(folder)) == {
        "handler_error: on_event raised ValueError('kaputt')", "asked_for", "abnormal_close: 1011 oh",
    }  # fmt: skip
    assert written == [next(folder.glob("*asked_for.wav")), tmp_path / "mine.wav"]
    assert read_sides(written[1]).seconds == pytest.approx(1.0, abs=0.05)


@in_virtual_time
async def test_a_drop_of_audio_is_recorded(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        async def on_audio(frame: bytes) -> None:
            await asyncio.sleep(1.0)

        client.set_handler(on_audio=on_audio, on_error=lambda error: None)
        await asyncio.sleep(10.0)

    async with serve(config(tmp_path, bot)) as server, server.call() as call:
        await call.say(Audio.tone(440, 14.0))
        await call.hang_up()
    assert [why.partition(":")[0] for why in records(tmp_path)] == ["drop"]


@in_virtual_time
async def test_a_drop_by_an_iterator_is_recorded(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=lambda error: None)
        async for _ in client.audio():
            await asyncio.sleep(1.0)

    async with serve(config(tmp_path, bot)) as server, server.call() as call:
        await call.say(Audio.tone(440, 14.0))
        await call.hang_up()
    assert [why.partition(":")[0] for why in records(tmp_path)] == ["drop"]


@in_virtual_time
async def test_what_was_not_asked_for_is_not_written(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        await client.close(1011, "oh")

    options = config(tmp_path / "flights", bot, on=("underrun",))
    async with serve(options, allow_errors=True) as server, server.call():
        await asyncio.sleep(2.0)
    assert not (tmp_path / "flights").exists()


@in_virtual_time
async def test_a_hundred_anomalies_are_a_few_files(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        def on_audio(frame: bytes) -> None:
            raise ValueError("kaputt")

        client.set_handler(on_audio=on_audio)
        await asyncio.sleep(10.0)

    options = config(tmp_path, bot, min_interval_s=1.0, max_files=3)
    async with serve(options, allow_errors=True) as server, server.call() as call:
        (tmp_path / "mine.wav").write_bytes(b"")
        await call.say(Audio.tone(440, 6.0))
    ours = [path for path in files_in(tmp_path) if NAME.fullmatch(path.name)]
    assert len(ours) == 3
    assert (tmp_path / "mine.wav").exists()
    assert all(
        notes is not None and "more since the last record" in notes.why for notes in map(read_notes, ours)
    )


@in_virtual_time
async def test_the_newest_stays_although_the_clock_was_set_back(tmp_path: Path) -> None:
    old = [tmp_path / f"20990101T00000{number}Z-c1-underrun.wav" for number in range(3)]
    for number, path in enumerate(old):
        path.touch()
        os.utime(path, (4e9 + number, 4e9 + number))
    written: list[Path | None] = []

    async def bot(client: AudioConnectorConnection) -> None:
        written.append(await client.dump())

    async with serve(config(tmp_path, bot, max_files=2)) as server, server.call():
        await asyncio.sleep(1.0)
    assert {*files_in(tmp_path)} == {*written, old[2]}


@in_virtual_time
async def test_a_folder_that_cannot_be_written_is_an_error_and_the_call_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    seen: list[object] = []

    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=seen.append, on_event=lambda event: 1 / 0)
        await asyncio.sleep(1.0)
        with pytest.raises(AudioFileError, match="Not a directory"):
            await client.dump()
        with pytest.raises(AudioFileError):
            await client.dump(tmp_path / "file" / "b.wav")
        with pytest.raises(AudioFileError, match="null byte"):
            await asyncio.wait_for(client.dump(tmp_path / "deep" / "a\0b" / "c.wav"), 1.0)
        seen.append("on")

    async with serve(config(tmp_path / "file" / "deep", bot)) as server, server.call():
        await asyncio.sleep(2.0)
    assert "on" in seen
    assert any(isinstance(error, AudioFileError) for error in seen)


@in_virtual_time
async def test_a_full_disk_leaves_no_empty_files(tmp_path: Path) -> None:
    seen: list[object] = []

    async def bot(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(1.0)
        with full_disk(), pytest.raises(AudioFileError, match="File too large"):
            await client.dump()
        seen.append("on")

    async with serve(config(tmp_path, bot)) as server, server.call() as call:
        await call.say(Audio.tone(440, 2.0))
    assert seen == ["on"]
    assert files_in(tmp_path) == []


@in_virtual_time
async def test_without_one_there_is_nothing_to_dump_and_after_the_end_neither(tmp_path: Path) -> None:
    seen: list[str] = []

    async def without(client: AudioConnectorConnection) -> None:
        with pytest.raises(UsageError, match="keeps no flight record; have it do so"):
            await client.dump()
        seen.append("without")

    async def late(client: AudioConnectorConnection) -> None:
        dumping = asyncio.create_task(client.dump())
        client._line.post(Close(1000, ""))
        await asyncio.sleep(1.0)
        with pytest.raises(ConnectionClosed):
            await client.dump()
        await asyncio.wait((dumping,))
        seen.append("late")

    async with serve(without) as server, server.call():
        await asyncio.sleep(1.0)
    async with serve(config(tmp_path, late)) as server, server.call():
        await asyncio.sleep(2.0)
    assert seen == ["without", "late"]


def test_a_budget_counts_what_it_leaves_out() -> None:
    budget = Budget(10.0)
    assert [budget.take(now) for now in (5.0, 6.0, 14.9, 15.0, 24.0, 25.0)] == [0, None, None, 2, None, 1]


def test_no_more_are_wanted_than_the_disk_takes() -> None:
    """Each waits with seconds of a call: where the disk stood still, they filled the memory."""
    budget = Budget(0.0)
    assert [budget.take(0.0) for _ in range(6)] == [0, 0, 0, 0, None, None]
    budget.give_back()
    assert [budget.take(0.0) for _ in range(2)] == [2, None]


@in_virtual_time
async def test_what_is_written_makes_room_for_more(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_event=lambda event: 1 / 0, on_error=lambda error: None)

    async with serve(config(tmp_path, bot, max_files=50)) as server:
        for _ in range(2 * MAX_UNWRITTEN):
            async with server.call():
                await asyncio.sleep(0.1)
    assert len(files_in(tmp_path)) >= 2 * MAX_UNWRITTEN


def test_a_folder_that_cannot_be_written_is_said_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    check_folder(tmp_path)
    check_folder(tmp_path / "made" / "later")
    monkeypatch.chdir(tmp_path)
    check_folder(Path("flights"))
    assert not caplog.records
    check_folder(tmp_path / "file" / "flights")
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # a disk that is read-only; root may do all else
    check_folder(Path("flights"))
    assert [record.getMessage() for record in caplog.records] == [
        f"no flight record can be written to {folder}: {there} is no folder that this process may write to; "
        "choose another"
        for folder, there in ((tmp_path / "file/flights", tmp_path / "file"), ("flights", tmp_path))
    ]
    caplog.clear()


@pytest.mark.parametrize(
    "wrong", [{"keep_s": 0.5}, {"on": ("oops",)}, {"max_files": 0}, {"min_interval_s": -1}]
)
def test_a_wrong_setting_is_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(AudioConnectorConfigError, match=next(iter(wrong))):
        FlightRecorder(folder=Path(), **wrong)


@in_virtual_time
async def test_the_log_says_where_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        await client.dump(tmp_path / "mine.wav")

    with caplog.at_level(logging.WARNING):
        async with serve(config(tmp_path, bot)) as server, server.call():
            await asyncio.sleep(1.0)
    [record] = [record for record in caplog.records if record.name == "audio_connector.recording"]
    assert "mine.wav: asked_for" in record.getMessage()


def test_a_record_of_an_end_that_cannot_be_written_is_logged_since_nobody_else_is_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    told: list[Exception] = []
    line = Line(
        7,
        lambda _: None,
        max_buffer_s=1.0,
        report=told.append,
        owes_work=lambda: False,
        clock=lambda: 5000.0,
        writes_in_place=True,
    )
    folder = FlightRecorder(folder=tmp_path / "file" / "flights")
    flight = Flight(line, folder, Budget(0), connection_id="c1", upgrade=UPGRADE)
    for is_over in (False, True):
        line.closed = Disconnected(code=1006, reason="", closed_by="network") if is_over else None
        event = TapedEvent(5000.0, "network", "closed", "1006", 0.0)
        flight.note("underrun")
        line.taped(Taped(flight._token, 4999.0, 5000.0, 16000, (), (), (event,), 0.0, True, False))
    assert len(told) == 1
    assert caplog.text.count("connection c1: no flight record of its end: ") == 1
