# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from audio_connector.errors import UsageError
from audio_connector.live import files
from audio_connector.live.files import own_folder, write_whole


def test_a_file_is_replaced_and_half_a_pair_is_no_error(tmp_path: Path) -> None:
    write_whole(tmp_path / "notes.md", "one")
    write_whole(tmp_path / "notes.md", "zwölf\ud800")
    assert (tmp_path / "notes.md").read_text("utf-8") == "zwölf?"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]


def test_what_the_disk_refuses_leaves_the_file_as_it_was_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_whole(tmp_path / "notes.md", "one")
    write_text = Path.write_text

    def half(self: Path, text: str, **options: str) -> int:
        write_text(self, text[: len(text) // 2], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        write_whole(tmp_path / "notes.md", "twelve")
    assert (tmp_path / "notes.md").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.md"]


def test_who_comes_second_has_a_folder_of_their_own_until_they_leave(tmp_path: Path) -> None:
    wanted = tmp_path / "out" / "demo"
    with own_folder(wanted) as one:
        for _ in range(2):
            with own_folder(wanted) as other:
                assert (one, other) == (wanted, wanted.with_name("demo-2"))
    with own_folder(wanted) as again:
        assert again == wanted
        assert list(again.iterdir()) == []


def test_more_programs_than_there_are_folders_for_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_OWNERS", 1)
    with (
        own_folder(tmp_path / "demo"),
        pytest.raises(UsageError, match="1 programs write below"),
        own_folder(tmp_path / "demo"),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("a file")
    with pytest.raises(UsageError, match="demo' cannot be made"), own_folder(tmp_path / "demo"):
        pass
