# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from audio_connector.live.files import write_whole


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
