# SPDX-License-Identifier: Apache-2.0
"""What a project of the user's own consists of: every file with its content, before anything is written."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from audio_connector import __version__
from audio_connector.cli.projects.applications import Application
from audio_connector.cli.projects.needs import needs_of
from audio_connector.errors import UsageError

TEMPLATES: Final = {
    "AGENTS.md": "AGENTS.md",
    "Dockerfile": "Dockerfile",
    "README.md": "README.md",
    "ci.yml": ".github/workflows/ci.yml",
    "dockerignore": ".dockerignore",
    "gitignore": ".gitignore",
    "models.txt": "models.txt",
    "pyproject.toml": "pyproject.toml",
}
"""Each file of ``templates``, whose name ends in ``.in`` so that no tool takes it for what it will be; its place."""

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[._-][A-Za-z0-9]+)*")
"""What packaging takes for a name (PEP 508), beginning with a letter."""

_MAX_NAME: Final = 60


class _Text(Template):
    """``@@name``: what it is put into has dollars and braces of its own."""

    delimiter = "@@"


def check_name(name: str) -> None:
    """Check the name of a project, which is that of its distribution too.

    Raises:
        UsageError: Packaging would not take it, or would take it for something that the project needs.
    """
    if _NAME.fullmatch(name) is None or len(name) > _MAX_NAME or keyword.iskeyword(name):
        raise UsageError(
            f"got {name[:_MAX_NAME]!r} as the name of a project; expected letters and digits with single - _ . "
            f"between them, a letter first, {_MAX_NAME} at most, and no word of Python, for example my-bot"
        )
    if _alike(name) in _needed():
        raise UsageError(
            f"got {name!r} as the name of a project, which needs a package of that name; expected another, for "
            "example my-bot"
        )


def _needed() -> set[str]:
    """What a project needs: this library, whatever that needs with its extras, and what tests the project."""
    try:
        required = metadata.requires("audio-connector") or []
    except metadata.PackageNotFoundError:  # it runs from its sources
        required = []
    names = (match[0] for each in required if (match := re.match(r"[\w.-]+", each)) is not None)
    return {"audio-connector", "pytest", "ruff", *map(_alike, names)}


def _alike(name: str) -> str:
    """A name as packaging compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def plan(name: str, application: Application) -> dict[str, bytes]:
    """Return the files of a project: their ways from its folder, and what is in them.

    Args:
        name: Of the project.
        application: What it is made of.

    Raises:
        UsageError: The name is none.
    """
    check_name(name)
    package = application.name
    project = {
        f"{package}/{path.relative_to(application.folder).as_posix()}": path.read_bytes()
        for path in application.files()
    }
    project[f"tests/{application.test.name}"] = application.test.read_bytes()
    words = _words(name, application, project)
    for template, way in TEMPLATES.items():
        text = (files(__package__) / "templates" / f"{template}.in").read_text(encoding="utf-8")
        project[way] = _Text(text).substitute(words).encode()
    return dict(sorted(project.items()))


def write(project: Iterable[tuple[str, bytes]], folder: Path) -> None:
    """Write a project; all of it, or nothing.

    Args:
        project: The way of each file from the folder, and what is in it.
        folder: One that is empty or not there.

    Raises:
        UsageError: There is something in the folder.
        OSError: It cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected a folder that is empty or not there")
    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(
            f"{folder} is not empty; expected a folder that is empty or not there: nothing is replaced"
        )
    made: list[Path] = []
    try:
        _make_folder(folder, made)
        for way, content in project:
            path = folder / way
            _make_folder(path.parent, made)
            with path.open("xb") as file:  # whatever has come there meanwhile stays
                made.append(path)
                file.write(content)
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):  # a folder with what somebody else has put there stays
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _make_folder(folder: Path, made: list[Path]) -> None:
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        made.append(each)


def _words(name: str, application: Application, project: Mapping[str, bytes]) -> dict[str, str]:
    needs = needs_of(application)
    return {
        "name": name,
        "package": application.name,
        "summary": application.summary,
        # A text of TOML is written as one of JSON is.
        "description": json.dumps(application.summary, ensure_ascii=False),
        "dependencies": "\n".join(
            f"    {json.dumps(each)}," for each in [_library(needs.extras), *needs.requirements]
        ),
        "models": "\n".join(needs.models),
        "output": str(application.settings().get("output", "output")).strip("/"),
        "files": "\n".join(f"| `{way}` | {what} |" for way, what in _explained(application, project)),
    }


def _library(extras: tuple[str, ...]) -> str:
    """This library, up to the next version that may change what it adds."""
    major, minor = (int(part) for part in __version__.split(".")[:2])
    following = f"0.{minor + 1}" if major == 0 else str(major + 1)
    return f"audio-connector[{','.join(extras)}]>={__version__},<{following}"


def _explained(application: Application, project: Mapping[str, bytes]) -> list[tuple[str, str]]:
    package = application.name
    rows = [(f"{package}/{module}", what) for module, what in application.modules().items()]
    rows += [
        (way, _KINDS.get(Path(way).suffix, "data"))
        for way in project
        if way.startswith(f"{package}/") and not way.endswith(".py") and way != f"{package}/settings.toml"
    ]
    rows.append((f"{package}/settings.toml", "every setting, with a comment; which engines, too"))
    rows.append((f"tests/{application.test.name}", "the test: calls in virtual time, scripted engines"))
    return rows


_KINDS: Final = {
    ".html": "the page that shows what happens",
    ".js": "of the page: what it does with what it is told",
    ".css": "of the page: how it looks",
    ".yaml": "who calls, and what is said: for the demo and `audio-connector simulate`",
    ".toml": "what the application knows or goes by; read at its start",
    ".wav": "speech for the demo",
}
