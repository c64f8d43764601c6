# SPDX-License-Identifier: Apache-2.0
"""The application's handle of what is played under all that is said; and how a file becomes that."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Final

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.audio.resample import Resampler
from audio_connector.call.asks import AddBackground, SetBackground, StopBackground
from audio_connector.errors import UsageError
from audio_connector.server.lane import PIECE_BYTES
from audio_connector.server.line import OVER, Line
from audio_connector.validation.arguments import check_number

MAX_LOOP_S: Final = 120
"""Longer files are refused, since all of it waits on the I/O side, for each call: 4 MB at 16 kHz. A loop of two
minutes is not noticed as one."""

MAX_FADE_MS: Final = 10_000

FILES_KEPT: Final = 4
"""So many files stay in memory as they were converted last: calls mostly play the same one, and in a process with the
I/O side they share it."""


class Background:
    """Audio under all that is said, looped and without an end. Made by `AudioConnectorConnection.background`."""

    def __init__(self, line: Line, volume: float, duck: float) -> None:
        self._line = line
        self._number = next(line.numbers)
        self._volume, self._duck = _share("volume", volume), _share("duck", duck)

    @property
    def volume(self) -> float:
        """What its samples are multiplied by, 0 to 1; where it is set, it moves there within half a second."""
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self._volume = _share("volume", volume)
        self._line.post(SetBackground(self._number, self._volume, self._duck))

    @property
    def duck(self) -> float:
        """What ``volume`` is multiplied by while something is said, 0 to 1; 1 leaves it as it is."""
        return self._duck

    @duck.setter
    def duck(self, duck: float) -> None:
        self._duck = _share("duck", duck)
        self._line.post(SetBackground(self._number, self._volume, self._duck))

    async def stop(self, *, fade_ms: float = 500) -> None:
        """Fade out and end; returns once nothing more of it is sent, or where it has ended before.

        Args:
            fade_ms: How long that takes, 0 to 10,000 ms.

        Raises:
            UsageError: The value is out of range.
        """
        check_number("fade_ms", fade_ms, lambda ms: 0 <= ms <= MAX_FADE_MS, f"0 to {MAX_FADE_MS} ms")
        await self._line.ask(lambda token: StopBackground(self._number, token, fade_ms / 1000))

    async def _start(self, path: str | PathLike[str]) -> None:
        from audio_connector.audio.files import path_of  # noqa: PLC0415 - only who plays files needs it

        line, path = self._line, path_of(path)
        await line.wait_settled()
        rate_hz = line.format.rate_hz
        pieces = await asyncio.to_thread(_read, path, rate_hz)
        try:
            for index, pcm in enumerate(pieces, 1):
                if await self._add(pcm, rate_hz, is_last=index == len(pieces)) is OVER:
                    line.refuse("play a background")
        except asyncio.CancelledError:
            line.post(StopBackground(self._number, next(line.numbers), 0.0))
            raise

    async def _add(self, pcm: bytes, rate_hz: int, *, is_last: bool) -> object:
        """Hand over a piece; answered, so that no more than one is on its way."""
        number, volume, duck = self._number, self._volume, self._duck
        return await self._line.ask(
            lambda token: AddBackground(number, token, pcm, rate_hz, volume, duck, is_last)
        )


def _share(name: str, value: float) -> float:
    check_number(name, value, lambda share: 0 <= share <= 1, "0 to 1")
    return float(value)


def _read(path: Path, rate_hz: int) -> tuple[bytes, ...]:
    """Read a file, or find it as it was read before."""
    try:
        status = path.stat()
    except OSError:
        return _convert(path, rate_hz, 0, 0)  # which says what is wrong
    return _convert(path, rate_hz, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=FILES_KEPT)
def _convert(path: Path, rate_hz: int, _changed_at: int, _size_bytes: int) -> tuple[bytes, ...]:
    from audio_connector.audio.files import iter_audio_file  # noqa: PLC0415 - only who plays files needs it

    converted: list[bytes] = []
    size_bytes = 0
    resampler: Resampler | None = None
    for pcm, file_hz in iter_audio_file(path):
        resampler = resampler or Resampler(file_hz, rate_hz)
        converted.append(resampler.push(pcm))
        size_bytes += len(converted[-1])
        if size_bytes > MAX_LOOP_S * rate_hz * SAMPLE_BYTES:
            raise UsageError(
                f"{str(path)!r} is longer than {MAX_LOOP_S} s; expected a loop that can be held in memory; cut one, "
                f"for example: sox music.wav loop.wav trim 0 {MAX_LOOP_S}"
            )
    if resampler is not None:
        converted.append(resampler.finish())
    pcm = b"".join(converted) or bytes(SAMPLE_BYTES)  # of hardly a sample
    return tuple(pcm[at : at + PIECE_BYTES] for at in range(0, len(pcm), PIECE_BYTES))
