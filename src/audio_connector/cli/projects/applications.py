# SPDX-License-Identifier: Apache-2.0
"""The applications that a project can be made of.

In the repository they are folders of ``examples``; hatch_build.py puts them into the wheel, without their pictures.
An application is a Python package that imports itself by its own name, with its settings and its test in its folder.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from audio_connector.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MARKS: Final = frozenset({"__init__.py", "__main__.py", "app.py", "settings.toml"})
"""A folder that has all of these, and its test, is an application."""

REQUIREMENTS: Final = "requirements.txt"
"""What an application needs beside this library and its engines: a package a line, as pip takes them."""

_BESIDE: Final = frozenset({"README.md", REQUIREMENTS})
"""Of the application in the repository; the project has its own, and its requirements are in pyproject.toml."""

_PICTURES: Final = frozenset({".png", ".jpg", ".webp"})
"""Of its README."""


@dataclass(frozen=True)
class Application:
    """An application as it lies in its folder.

    Args:
        name: Of the folder, and of its package.
        folder: Where it is.
    """

    name: str
    folder: Path

    @property
    def summary(self) -> str:
        """The first paragraph of what it says of itself."""
        return _summary(self.folder / "__init__.py")

    @property
    def test(self) -> Path:
        """Its test."""
        return self.folder / f"test_{self.name}.py"

    def files(self) -> list[Path]:
        """What belongs into a project's package, by name: sources, settings, pages, data; not its test."""
        return [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(self.folder).parts)
            and path.suffix not in _PICTURES
            and path.name not in _BESIDE
            and path != self.test
        ]

    def modules(self) -> dict[str, str]:
        """What each of its sources is for, in its own words."""
        return {
            path.relative_to(self.folder).as_posix(): _summary(path)
            for path in self.files()
            if path.suffix == ".py"
        }

    def requirements(self) -> list[str]:
        """What it needs beside this library and its engines."""
        path = self.folder / REQUIREMENTS
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        words = (line.partition("#")[0].strip() for line in lines)
        return [word for word in words if word]

    def settings(self) -> Mapping[str, Any]:
        """Its settings, as they are in its folder."""
        return tomllib.loads((self.folder / "settings.toml").read_text(encoding="utf-8"))


def applications(folder: Path | None = None) -> dict[str, Application]:
    """Return the applications by name.

    Args:
        folder: Where they are; those of this installation unless told otherwise.

    Raises:
        UsageError: There are none.
    """
    where = _shelf() if folder is None else folder
    found = [path for path in sorted(where.glob("[a-z]*")) if _is_application(path)]
    if not found:
        raise UsageError(
            f"there are no applications in {where}; expected those of the wheel or of a clone of the repository: "
            "pip install --force-reinstall audio-connector"
        )
    return {path.name: Application(path.name, path) for path in found}


def _is_application(path: Path) -> bool:
    return path.is_dir() and {inner.name for inner in path.iterdir()} >= {*MARKS, f"test_{path.name}.py"}


def _shelf() -> Path:
    """The wheel's own; of an editable installation the repository's."""
    packaged = Path(__file__).parent / "sources"
    return packaged if packaged.is_dir() else Path(__file__).parents[4] / "examples"


def _summary(source: Path) -> str:
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(text.partition("\n\n")[0].split()).replace("``", "`")
