# SPDX-License-Identifier: Apache-2.0
"""The handle of a recording, in calls in virtual time: whatever the application and the disk do, the call goes on."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recordings import loud_runs, read_sides

from audio_connector import (
    AudioConnectorConnection,
    AudioFileError,
    AudioFormatError,
    ConnectionClosed,
    Recorded,
    Recorder,
    UsageError,
)
from audio_connector.recording.notes import read_notes
from audio_connector.recording.take import Take
from audio_connector.testing import Audio, in_virtual_time, serve

TONE = Audio.tone(440, 1.0)


@in_virtual_time
async def test_both_sides_of_a_call_are_on_one_clock(tmp_path: Path) -> None:
    done: list[Recorded] = []

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "call.wav") as recording:
            await client.events().__anext__()  # the first message
            async with client.speech() as speech:
                await speech.write(TONE.pcm)
            await speech.finished()
            async for _ in client.audio():
                pass
        done.append(recording.recorded)

    async with serve(bot) as server, server.call() as call:
        await asyncio.sleep(2.0)
        await call.say(TONE)
        call.mute()
        await asyncio.sleep(3.0)
        call.unmute()
        await call.say(TONE)
    sides = read_sides(tmp_path / "call.wav")
    [ours] = [(begin, end) for begin, end in loud_spans(sides.ours)]
    first, second = loud_spans(sides.caller)
    assert ours[0] / 16000 == pytest.approx(0.01, abs=0.02)
    assert (ours[1] - ours[0]) / 16000 == pytest.approx(1.0, abs=0.001)
    assert first[0] / 16000 == pytest.approx(2.0, abs=0.03)
    assert (second[0] - first[0]) / 16000 == pytest.approx(4.0, abs=0.03)
    [recorded] = done
    assert recorded.gaps == 1
    assert recorded.gap_ms == pytest.approx(3000, abs=30)
    assert (recorded.lost_ms, recorded.slips, recorded.error) == (0, 0, None)
    assert recorded.duration_s == sides.seconds


def loud_spans(side: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[int, int]]:
    """As `loud_runs`; a tone crosses zero."""
    spans: list[tuple[int, int]] = []
    for begin, end in loud_runs(side):
        if spans and begin - spans[-1][1] < 160:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans


@in_virtual_time
async def test_it_is_cut_where_a_flush_cut_the_speech(tmp_path: Path) -> None:
    flushed_ms: list[float] = []

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "call.wav"):
            await client.events().__anext__()
            async with client.speech() as speech:
                await speech.write(Audio.tone(440, 10.0).pcm)
                await asyncio.sleep(1.234)
                flushed_ms.append((await client.flush_buffer()).played_ms)
            await asyncio.sleep(1.0)

    async with serve(bot) as server, server.call():
        await asyncio.sleep(3.0)
    [(begin, end)] = loud_spans(read_sides(tmp_path / "call.wav").ours)
    assert (end - begin) / 16 == pytest.approx(flushed_ms[0], abs=0.2)
    notes = read_notes(tmp_path / "call.wav")
    assert notes is not None
    [flush] = [event for event in notes.events if event.name == "flush"]
    assert flush.at_s == pytest.approx(end / 16000, abs=0.02)


@in_virtual_time
async def test_an_application_that_reads_nothing_is_recorded_all_the_same(tmp_path: Path) -> None:
    recorders: list[Recorder] = []

    async def bot(client: AudioConnectorConnection) -> None:
        recorders.append(Recorder(client, tmp_path / "call.wav"))
        recorders[0].start()  # and never stopped: it ends with the call

    async with serve(bot) as server, server.call() as call:
        await call.say(Audio.tone(440, 20.0))
    assert recorders[0].recorded.duration_s == pytest.approx(22.0, abs=2.1)
    assert read_sides(tmp_path / "call.wav").seconds == recorders[0].recorded.duration_s
    assert (await recorders[0].stop()) == recorders[0].recorded


@in_virtual_time
async def test_several_record_a_call_each_its_part(tmp_path: Path) -> None:
    recorded: dict[str, Recorded] = {}

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "whole.wav") as whole:
            await asyncio.sleep(1.0)
            async with Recorder(client, str(tmp_path / "part.wav"), sample_rate=8000, events=False) as part:
                await asyncio.sleep(2.0)
            recorded["part"] = await part.stop()
            await asyncio.sleep(1.0)
        recorded["whole"] = whole.recorded

    async with serve(bot) as server, server.call() as call:
        await call.say(Audio.tone(440, 5.0))
    assert recorded["whole"].duration_s == pytest.approx(4.0, abs=0.001)
    assert recorded["part"].duration_s == pytest.approx(2.0, abs=0.021)
    assert (recorded["whole"].rate_hz, recorded["part"].rate_hz) == (16000, 8000)
    assert [
        note.events != () for note in map(read_notes, (tmp_path / "whole.wav", tmp_path / "part.wav")) if note
    ] == [
        True,
        False,
    ]


@in_virtual_time
async def test_a_call_is_recorded_from_its_first_frame_on_and_later_from_then_on(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        await asyncio.sleep(0.2)  # busy with something else at first
        Recorder(client, tmp_path / "whole.wav").start()
        await asyncio.sleep(3.0)
        Recorder(client, tmp_path / "agreed.wav").start()

    async with serve(bot) as server, server.call() as call:
        await call.say(Audio.tone(440, 5.0))
    for name, seconds in (("whole", 5.0), ("agreed", 1.8)):
        [(begin, end)] = loud_spans(read_sides(tmp_path / f"{name}.wav").caller)
        assert begin <= 640
        assert (end - begin) / 16000 == pytest.approx(seconds, abs=0.03)


@in_virtual_time
async def test_a_folder_that_is_not_there_is_one_error_and_the_call_goes_on(tmp_path: Path) -> None:
    errors: list[Exception] = []
    heard: list[bytes] = []
    recorded: list[Recorded] = []

    async def bot(client: AudioConnectorConnection) -> None:
        client.set_handler(on_error=errors.append, on_audio=heard.append)
        async with Recorder(client, tmp_path / "no" / "call.wav") as recording:
            await asyncio.sleep(5.0)
        recorded.append(recording.recorded)

    async with serve(bot) as server, server.call() as call:
        await call.say(Audio.tone(440, 6.0))
    [error] = errors
    assert isinstance(error, AudioFileError)
    assert str(tmp_path / "no") in str(error)
    assert len(heard) >= 300
    assert recorded[0].error is error
    assert recorded[0].duration_s == 0


@in_virtual_time
async def test_a_recorder_is_used_once_and_in_order(tmp_path: Path) -> None:
    told: list[str] = []

    async def bot(client: AudioConnectorConnection) -> None:
        recorder = Recorder(client, tmp_path / "call.wav")
        with pytest.raises(UsageError, match="was not started"):
            await recorder.stop()
        with pytest.raises(UsageError, match="was not started"):
            _ = recorder.recorded
        recorder.start()
        with pytest.raises(UsageError, match="records once"):
            recorder.start()
        both = await asyncio.gather(recorder.stop(), recorder.stop())
        assert both[0] == both[1]
        told.append("done")
        client.disconnect()
        await asyncio.sleep(1.0)
        with pytest.raises(ConnectionClosed):
            Recorder(client, tmp_path / "late.wav").start()
        told.append("late")

    async with serve(bot) as server, server.call():
        await asyncio.sleep(3.0)
    assert told == ["done", "late"]
    assert not (tmp_path / "late.wav").exists()


@in_virtual_time
async def test_who_is_cancelled_while_it_stops_leaves_a_complete_file(tmp_path: Path) -> None:
    async def bot(client: AudioConnectorConnection) -> None:
        recorder = Recorder(client, tmp_path / "call.wav")
        recorder.start()
        await asyncio.sleep(1.0)
        stopping = asyncio.create_task(recorder.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)

    async with serve(bot) as server, server.call():
        await asyncio.sleep(2.0)
    assert read_notes(tmp_path / "call.wav") is not None


@in_virtual_time
async def test_a_fault_of_ours_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(take: Take, taped: object) -> None:
        raise ValueError("oh")

    monkeypatch.setattr(Take, "add", fail)
    done: list[Recorded] = []

    async def bot(client: AudioConnectorConnection) -> None:
        async with Recorder(client, tmp_path / "call.wav") as recording:
            await asyncio.sleep(2.0)
        done.append(recording.recorded)

    async with serve(bot, allow_errors=True) as server, server.call():
        await asyncio.sleep(3.0)
    assert done
    assert "an error of the library" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        ((None, "a.wav"), {}, UsageError, "got NoneType as client"),
        (("client", 5), {}, UsageError, "got 5 as path"),
        (("client", "a.wav"), {"sample_rate": 5}, AudioFormatError, "5"),
    ],
)
def test_a_wrong_argument_is_refused(
    arguments: tuple[Any, Any], options: dict[str, Any], error: type[Exception], text: str
) -> None:
    client = object.__new__(AudioConnectorConnection) if arguments[0] else None
    if client is not None:
        client._line = None  # type: ignore[assignment]  # it is not come to
    with pytest.raises(error, match=text):
        Recorder(client, arguments[1], **options)  # type: ignore[arg-type]
