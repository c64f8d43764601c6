# SPDX-License-Identifier: Apache-2.0
"""The application's end of a lane: what is refused, what is handed over at once, and what stands in line."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from support.audio import counting_pcm, numbered

from audio_connector.audio.arrays import pcm_from_array
from audio_connector.call import asks
from audio_connector.call.tells import Figures
from audio_connector.errors import AudioDataError, AudioFormatError
from audio_connector.playback.speech import PLAIN
from audio_connector.server.lane import PIECE_BYTES, Lane
from audio_connector.server.line import Line

FRAME = numbered(7, 640)
LONG = counting_pcm(2 * PIECE_BYTES + 1000)
PIECES = [LONG[at : at + PIECE_BYTES] for at in range(0, len(LONG), PIECE_BYTES)]


class Stage:
    """A lane, and an I/O side that answers when it is told to."""

    def __init__(self, number: int = PLAIN, *, max_buffer_s: float = 1.0) -> None:
        self.posted: list[asks.Ask] = []
        self.line = Line(
            7,
            lambda message: self.posted.append(message[1]),
            max_buffer_s=max_buffer_s,
            report=lambda error: None,
            owes_work=lambda: False,
            clock=lambda: 5000.0,
        )
        self.lane = Lane(self.line, number)

    def take_all(self) -> list[asks.Ask]:
        posted, self.posted[:] = list(self.posted), []
        return posted

    def grant(self, *, value: bool = True) -> None:
        [token] = self.line._waits
        self.line.answer(token, value)


def test_a_frame_of_the_router_s_rate_is_handed_over_as_it_is() -> None:
    stage = Stage()
    for _ in range(8):
        assert stage.lane.write_now(FRAME, None, is_end=False)
    *judged, last = stage.take_all()
    assert judged == [asks.Write(PLAIN, FRAME, None, False)] * 7
    assert last is FRAME
    assert stage.line.handed_bytes == 8 * 640


def test_in_a_speech_it_says_which() -> None:
    stage = Stage(number=3)
    for _ in range(2):
        assert stage.lane.write_now(FRAME, None, is_end=False)
    assert stage.take_all() == [asks.Write(3, FRAME, None, False)] * 2


@pytest.mark.parametrize(
    ("audio", "rate_hz", "is_end"),
    [(FRAME, 24000, False), (FRAME, None, True), (bytearray(FRAME), None, False), (FRAME[1:], None, False)],
)
def test_whatever_else_is_a_write_with_its_label(audio: Any, rate_hz: int | None, is_end: bool) -> None:
    stage = Stage()
    for _ in range(2):
        assert stage.lane.write_now(audio, rate_hz, is_end=is_end)
        if len(audio) % 2:
            stage.lane.write_now(b"\1", None, is_end=False)
    assert stage.take_all()[0] == asks.Write(PLAIN, bytes(audio), rate_hz, is_end)


def test_nothing_is_nothing_but_an_end_is_one() -> None:
    stage = Stage()
    assert stage.lane.write_now(b"", None, is_end=False)
    assert stage.take_all() == []
    assert stage.lane.write_now(b"", None, is_end=True)
    assert stage.take_all() == [asks.Write(PLAIN, b"", None, True)]


def test_what_surely_has_no_room_is_not_handed_over() -> None:
    stage = Stage(max_buffer_s=1.0)
    for _ in range(51):
        assert stage.lane.write_now(FRAME, None, is_end=False)
    assert not stage.lane.write_now(FRAME, None, is_end=False)
    stage.line.figures = Figures(accepted_bytes=51 * 640, queued_bytes=32_000)
    assert stage.lane.write_now(FRAME, None, is_end=False)
    assert not stage.lane.write_now(FRAME, None, is_end=False)
    assert len(stage.take_all()) == 52


def test_a_long_piece_stands_in_line_and_is_handed_over_as_it_is_granted() -> None:
    async def scene() -> None:
        stage = Stage()
        assert not stage.lane.write_now(LONG, None, is_end=False)
        writing = asyncio.ensure_future(stage.lane.write(LONG, 16000))
        await asyncio.sleep(0)
        assert stage.take_all() == [asks.StandInLine(PLAIN, 1, False)]
        assert not stage.lane.write_now(FRAME, None, is_end=False), "it would overtake"
        for piece in PIECES:
            stage.grant()
            await asyncio.sleep(0)
            assert stage.take_all() == [asks.WriteGranted(1, piece, 16000, piece is not PIECES[-1])]
        assert await writing
        assert stage.line.handed_bytes == len(LONG)
        assert stage.line._waits == {}
        assert stage.lane._waiting == 0

    asyncio.run(scene())


def test_a_long_array_is_converted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[int] = []

    def convert(array: Any) -> bytes:
        converted.append(len(array))
        return pcm_from_array(array)

    async def scene() -> None:
        stage = Stage()
        array = np.zeros(PIECE_BYTES, np.float32)
        assert not stage.lane.write_now(array, None, is_end=False)
        writing = asyncio.ensure_future(stage.lane.write(array, None))
        for _ in range(2):
            await asyncio.sleep(0)
            stage.grant()
        assert await writing
        assert stage.line.handed_bytes == 2 * PIECE_BYTES

    monkeypatch.setattr("audio_connector.audio.arrays.pcm_from_array", convert)
    asyncio.run(scene())
    assert converted == [PIECE_BYTES]


def test_one_that_is_cut_hands_over_no_more() -> None:
    async def scene() -> None:
        stage = Stage()
        writing = asyncio.ensure_future(stage.lane.write(LONG, None))
        await asyncio.sleep(0)
        stage.grant()
        await asyncio.sleep(0)
        stage.grant(value=False)
        assert not await writing
        assert stage.line.handed_bytes == PIECE_BYTES
        assert len(stage.take_all()) == 2
        assert stage.lane._waiting == 0

    asyncio.run(scene())


@pytest.mark.parametrize("granted", [0, 1, 2])
@pytest.mark.parametrize("is_end", [False, True])
def test_one_that_is_cancelled_leaves_its_place_and_knows_where_it_stopped(
    granted: int, is_end: bool
) -> None:
    async def scene() -> None:
        stage = Stage()
        writing = asyncio.ensure_future(stage.lane.write(LONG + b"\1" * (not is_end), None, is_end=is_end))
        await asyncio.sleep(0)
        assert stage.lane.admission.has_half is not is_end
        for _ in range(granted):
            stage.grant()
            await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait((writing,))
        assert stage.take_all()[-1] == asks.Leave(1)
        assert not stage.lane.admission.has_half, "its last byte was not handed over"
        assert stage.lane._waiting == 0
        assert stage.line.handed_bytes == granted * PIECE_BYTES

    asyncio.run(scene())


# What is no audio.


@pytest.mark.parametrize(
    "start", [b"RIFF\x24\0\0\0WAVE", b"ID3\4", b"OggS\0", b'{"error": "quota"}', b"<!DOCTYPE html>"]
)
def test_what_is_a_file_is_refused_at_the_start_of_an_utterance(start: bytes) -> None:
    stage = Stage()
    file = start + (b" " if start[:1] in b"{<" else b"\0") * (640 - len(start))
    with pytest.raises(AudioDataError):
        stage.lane.write_now(file, None, is_end=False)
    assert stage.take_all() == []
    stage.lane.write_now(FRAME, None, is_end=False)
    stage.lane.write_now(FRAME, None, is_end=True)
    with pytest.raises(AudioDataError):
        stage.lane.write_now(file, None, is_end=False)


@pytest.mark.parametrize(
    "audio", ["text", 5, None, [1, 2], np.zeros((2, 2, 2), np.int16), np.zeros(3, np.int64)]
)
def test_what_is_no_audio_is_refused_and_nothing_handed_over(audio: Any) -> None:
    stage = Stage()
    with pytest.raises(AudioDataError):
        stage.lane.write_now(audio, None, is_end=False)
    with pytest.raises(AudioFormatError):
        stage.lane.write_now(FRAME, 5, is_end=False)
    assert stage.posted == []
    assert stage.line.handed_bytes == 0


# Half a sample.


def test_half_a_sample_waits_for_its_other_half_only() -> None:
    stage = Stage()
    stage.lane.write_now(FRAME + b"\1", None, is_end=False)
    assert stage.lane.admission.has_half
    for audio, rate_hz, what in (
        (FRAME, 24000, "audio at 24000 Hz while half a sample of the router"),
        (np.zeros(10, np.int16), None, "a numpy array"),
    ):
        with pytest.raises(AudioDataError, match=what):
            stage.lane.write_now(audio, rate_hz, is_end=False)
    assert len(stage.posted) == 1
    stage.lane.write_now(b"\2", None, is_end=False)
    assert not stage.lane.admission.has_half
    stage.lane.write_now(FRAME, 24000, is_end=False)
    assert len(stage.posted) == 3


@pytest.mark.parametrize("has_half", [False, True])
def test_an_odd_number_of_bytes_over_the_whole_utterance_is_refused(has_half: bool) -> None:
    stage = Stage()
    stage.lane.write_now(FRAME + b"\1" * has_half, None, is_end=False)
    with pytest.raises(AudioDataError, match="odd number of bytes"):
        stage.lane.write_now(FRAME + b"\1" * (not has_half), None, is_end=True)
    assert len(stage.posted) == 1
    stage.lane.write_now(FRAME + b"\1" * has_half, None, is_end=True)
    assert not stage.lane.admission.has_half


def test_a_new_utterance_owes_nothing_to_the_one_before() -> None:
    stage = Stage()
    stage.lane.write_now(FRAME + b"\1", None, is_end=False)
    stage.lane.admission.restart()
    assert not stage.lane.admission.has_half
    stage.lane.write_now(FRAME, 24000, is_end=True)
    assert len(stage.posted) == 2
