# SPDX-License-Identifier: Apache-2.0
"""What a recording says of itself, behind its audio; files of others are read as well, or refused with a reason."""

from __future__ import annotations

import wave
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.riff import append_chunk
from audio_connector.audio.wav import WavWriter, read_wav
from audio_connector.errors import AudioFileError
from audio_connector.recording.notes import CHUNK, Note, Notes, read_notes, write_notes

TEXT = st.text(max_size=50).filter(lambda text: text.isprintable())


def recording(path: Path) -> Path:
    with WavWriter(path, 8000, channels=2) as writer:
        writer.write(b"\1\0\2\0" * 100)
    return path


@given(st.lists(st.builds(Note, st.floats(0, 1e5), TEXT, TEXT, TEXT, st.floats(0, 1e5)), max_size=5), TEXT)
def test_they_come_back_and_disturb_nobody(
    tmp_path_factory: pytest.TempPathFactory, events: list[Note], why: str
) -> None:
    path = recording(tmp_path_factory.getbasetemp() / "notes.wav")
    notes = Notes(why=why, events=tuple(events), gaps=3)
    write_notes(path, notes)
    assert read_notes(path) == notes
    with wave.open(str(path)) as file:
        assert file.readframes(1000) == b"\1\0\2\0" * 100
    assert read_wav(path)[1] == 8000
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8


def test_a_file_without_any_has_none(tmp_path: Path) -> None:
    assert read_notes(recording(tmp_path / "a.wav")) is None
    (tmp_path / "empty.wav").write_bytes(b"")
    assert read_notes(tmp_path / "empty.wav") is None
    cut = recording(tmp_path / "b.wav")
    write_notes(cut, Notes(why="x" * 1000))
    cut.write_bytes(cut.read_bytes()[:-5])
    assert read_notes(cut) is None


@pytest.mark.parametrize("body", [b"{}x", b"[]", b'{"events":[[1,2]]}', b"\xff\xfe", b'{"gaps":"many"}'])
def test_what_is_not_understood_is_said(tmp_path: Path, body: bytes) -> None:
    path = recording(tmp_path / "a.wav")
    with path.open("r+b") as file:
        append_chunk(file, CHUNK, body)
    with pytest.raises(AudioFileError, match=r"notes in .*a\.wav are not understood: .*expected version 1"):
        read_notes(path)


def test_what_a_later_version_adds_is_passed_by(tmp_path: Path) -> None:
    path = recording(tmp_path / "a.wav")
    with path.open("r+b") as file:
        append_chunk(file, CHUNK, msgspec.json.encode({"why": "x", "new": 1}))
    notes = read_notes(path)
    assert notes is not None
    assert notes.why == "x"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"cannot read .*no\.wav: No such file"):
        read_notes(tmp_path / "no.wav")
