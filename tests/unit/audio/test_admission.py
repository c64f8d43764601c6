# SPDX-License-Identifier: Apache-2.0
"""What is written of an utterance is judged before anything of it is handed over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.audio import numbered

from audio_connector.audio.admission import SNIFFED_BYTES, Admission
from audio_connector.errors import AudioDataError, AudioFormatError

FRAME = numbered(7, 640)


def write(admission: Admission, audio: Any, rate_hz: int | None = None, *, is_end: bool = False) -> bytes:
    pcm = admission.check(audio, rate_hz, is_end=is_end)
    admission.note(pcm, rate_hz, is_end=is_end)
    return pcm


def state_of(admission: Admission) -> tuple[bool, bool, int]:
    return admission.has_half, admission.goes_on, admission.utterance


def test_whole_samples_go_on_until_the_end() -> None:
    admission = Admission()
    assert state_of(admission) == (False, False, 0)
    assert write(admission, FRAME) is FRAME
    assert state_of(admission) == (False, False, 0), "its beginning is not judged yet"
    write(admission, bytes(SNIFFED_BYTES - len(FRAME)))
    assert state_of(admission) == (False, True, 0)
    assert write(admission, np.ones(4, np.int16), 8000) == b"\1\0" * 4
    write(admission, b"", is_end=True)
    assert state_of(admission) == (False, False, 1)


@pytest.mark.parametrize("size", [640, 4000])
def test_a_file_is_refused_at_the_start_and_where_it_comes_whole(size: int) -> None:
    file, admission = b"ID3\4".ljust(size, b"\0"), Admission()
    with pytest.raises(AudioDataError):
        admission.check(file, None, is_end=False)
    write(admission, FRAME)
    if size > 1000:
        with pytest.raises(AudioDataError):
            admission.check(file, None, is_end=False)
    else:
        write(admission, file)


@pytest.mark.parametrize(
    ("audio", "rate_hz", "is_end", "error", "what"),
    [
        (np.zeros(10, np.int16), None, False, AudioDataError, "got a numpy array while half a sample of the router"),
        (FRAME, 24000, False, AudioDataError, "got audio at 24000 Hz while half a sample of the router"),
        (FRAME, None, True, AudioDataError, "odd number of bytes"),
        (FRAME, 5, False, AudioFormatError, "5"),
        ("text", None, False, AudioDataError, "type str"),
    ],
)  # fmt: skip
def test_a_refusal_changes_nothing(
    audio: Any, rate_hz: int | None, is_end: bool, error: type[Exception], what: str
) -> None:
    admission = Admission()
    write(admission, FRAME + b"\1")
    before = state_of(admission)
    assert before == (True, False, 0)
    with pytest.raises(error, match=what):
        admission.check(audio, rate_hz, is_end=is_end)
    assert state_of(admission) == before
    write(admission, b"\2", is_end=is_end)
    assert not admission.has_half


def test_a_byte_that_was_not_written_is_forgotten() -> None:
    admission = Admission()
    write(admission, FRAME + b"\1")
    admission.forget_last_byte()
    assert state_of(admission) == (False, False, 0)
    write(admission, bytes(SNIFFED_BYTES))
    assert admission.goes_on
    admission.forget_last_byte()
    assert state_of(admission) == (True, False, 0)
    admission.restart()
    assert state_of(admission) == (False, False, 1)


@pytest.mark.parametrize("piece_bytes", [3, 20, 640])
def test_a_file_in_pieces_is_refused_by_its_beginning(piece_bytes: int) -> None:
    file, admission = b"RIFF\x24\x08\0\0WAVEfmt ".ljust(4000, b"\0"), Admission()
    pieces = [file[at : at + piece_bytes] for at in range(0, len(file), piece_bytes)]
    with pytest.raises(AudioDataError):
        _ = [write(admission, piece) for piece in pieces]
