# SPDX-License-Identifier: Apache-2.0
"""What a recording has in it, and whole recordings of calls in virtual time."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from support.call import VirtualCall

from audio_connector.call import asks
from audio_connector.call.tells import Taped
from audio_connector.recording.take import Take

TOKEN = 1 << 40
"""Of a recorder: no other number of a test."""


@dataclass(frozen=True)
class Sides:
    """Both sides of a file, sample by sample."""

    caller: npt.NDArray[np.int16]
    ours: npt.NDArray[np.int16]
    rate_hz: int

    @property
    def seconds(self) -> float:
        return len(self.caller) / self.rate_hz


def read_sides(path: Path) -> Sides:
    """By another program's reader, which believes the header."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (2, 2)
        stereo = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return Sides(stereo[:, 0], stereo[:, 1], file.getframerate())


def loud_runs(side: npt.NDArray[np.int16]) -> list[tuple[int, int]]:
    """From which sample to which there is no silence."""
    is_loud = np.concatenate(([0], side != 0, [0]))
    edges = np.flatnonzero(np.diff(is_loud))
    return [(int(begin), int(end)) for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def tape(
    call: VirtualCall,
    *,
    keep_s: float = 10.0,
    batches: int | None = 1 << 30,
    token: int = TOKEN,
    is_from_start: bool = False,
) -> None:
    """Begin to record."""
    call.ask(asks.TapeOn(token, keep_s, batches, is_from_start))


def taped(call: VirtualCall, token: int = TOKEN) -> list[Taped]:
    """What a recorder was told."""
    return [tell for tell in call.told.at_once if isinstance(tell, Taped) and tell.token == token]


def stop(call: VirtualCall, token: int = TOKEN) -> list[Taped]:
    """End it; returns all that it was told."""
    call.ask(asks.TakeTape(token, is_last=True))
    return taped(call, token)


def write(pieces: list[Taped], path: Path, *, rate_hz: int | None = None) -> Take:
    """Make the file of what was told."""
    take = Take(path, rate_hz=rate_hz)
    take.open(16000)
    for piece in pieces:
        take.add(piece)
    take.close()
    return take
