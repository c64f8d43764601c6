# SPDX-License-Identifier: Apache-2.0
"""Names for what applications make of a call: safe, and each only once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.live.naming import MAX_NAMESAKES, dated, label_of, new_folder, speaker_name


@given(st.text())
def test_a_label_is_safe_in_paths_and_pages(id_: str) -> None:
    label = label_of(id_)
    assert label.isascii()
    assert label.isalnum()
    assert 1 <= len(label) <= 12


def test_sessions_of_one_account_have_different_labels() -> None:
    assert label_of("2_MX40NzIwMzJ-one~fg") != label_of("2_MX40NzIwMzJ-two~fg")


def test_names_sort_by_their_time() -> None:
    assert dated("a", datetime(2026, 1, 2, 3, 4, 5)) == "20260102-030405-a"  # noqa: DTZ001 - of any zone


def test_a_folder_is_never_somebody_elses(tmp_path: Path) -> None:
    wanted = tmp_path / "below" / "session"
    made = [new_folder(wanted) for _ in range(3)]
    assert [each.name for each in made] == ["session", "session-2", "session-3"]
    assert all(each.is_dir() for each in made)


def test_a_folder_that_could_not_be_made_is_told_and_none_of_another_is_returned(tmp_path: Path) -> None:
    made = {new_folder(tmp_path / "session") for _ in range(MAX_NAMESAKES)}
    assert len(made) == MAX_NAMESAKES
    with pytest.raises(FileExistsError, match="there are 100 of that name"):
        new_folder(tmp_path / "session")
    assert set(tmp_path.iterdir()) == made


@given(
    st.lists(
        st.sampled_from(["", "Ann", "Ann 2", "speaker 1", "speaker 2", "<i>Ann</i>", "A" * 99]), max_size=8
    )
)
def test_no_two_speakers_have_one_name(asked: list[str]) -> None:
    names: list[str] = []
    for name in asked:
        names.append(speaker_name({"name": name}, names))
    assert len(set(names)) == len(names)
    assert not any("<" in name for name in names)


def test_who_names_itself_is_called_so_and_others_are_numbered() -> None:
    assert speaker_name({"name": "Ann O'Neill-Smith"}, []) == "Ann O'Neill-Smith"
    assert speaker_name({}, ["Ann"]) == "speaker 2"
    assert speaker_name({"name": "Ann"}, ["Ann"]) == "Ann 2"


def test_who_comes_again_by_their_name_is_who_has_left_and_who_has_none_is_somebody_else() -> None:
    assert speaker_name({"name": "Ann"}, ["Ann", "Bob"], there=["Bob"]) == "Ann"
    assert speaker_name({"name": "Ann"}, ["Ann", "Bob"], there=["Ann"]) == "Ann 3"
    assert speaker_name({}, ["speaker 1"], there=[]) == "speaker 2"
