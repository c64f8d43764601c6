# SPDX-License-Identifier: Apache-2.0
"""Puts the applications into the wheel, and compiles the path of a frame with mypyc where the builder asks for it.

The applications are those folders of ``examples`` that ``audio-connector new`` makes projects of; pictures stay out.

    AUDIO_CONNECTOR_COMPILE=1 pip install .

takes a C compiler and a minute, and saves a fifth of the CPU of a call (``make bench`` measures it). The sources are
the same, and stay in the wheel; without that variable, and in an editable installation, they run as they are.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ASKED_FOR = os.environ.get("AUDIO_CONNECTOR_COMPILE", "") not in ("", "0")

COMPILED = (
    "audio/frames",
    "call/machine",
    "call/texts",
    "intake/buffer",
    "playback/clock",
    "playback/pacer",
    "playback/queue",
    "playback/schedule",
    "playback/utterance",
    "port/framing",
    "port/mailbox",
    "server/link",
    "server/remote",
    "wire/liveness",
)
"""What runs once for each frame, and what nobody outside calls: compiled code takes no argument of another type."""

# What the library needs is not installed where it is built, and of little use to the compiler.
OPTIONS = (
    "--config-file=",
    "--ignore-missing-imports",
    "--follow-imports=silent",
    *(f"audio_connector/{name}.py" for name in COMPILED),
)

SCRIPT = f"""
import sys
from mypyc.build import mypycify
from setuptools import setup

sys.argv = ["setup.py", "--quiet", "build_ext", "--inplace"]
modules = mypycify({list(OPTIONS)!r}, group_name="audio_connector", opt_level="3", debug_level="0")
setup(name="compiled", ext_modules=modules)
"""


APPLICATIONS = "audio_connector/cli/projects/sources"


class Hook(BuildHookInterface[Any]):
    """A build hook of hatchling."""

    def dependencies(self) -> list[str]:
        """What the build needs beside hatchling."""
        return ["mypy>=1.18", "setuptools>=61"] if self._compiles("standard") else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the applications; compile in a copy, and have the results put beside the sources."""
        if self.target_name == "wheel" and version != "editable":
            build_data["force_include"] |= _applications(Path(self.root))
        if not self._compiles(version):
            return
        copy = Path(self.root) / "build" / f"compiled-{sys.implementation.cache_tag}"
        # Reused where nothing has changed: pip builds twice, once for the metadata.
        digest, stamp = _digest(Path(self.root)), copy / "digest"
        if not stamp.is_file() or stamp.read_text() != digest:
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(
                Path(self.root) / "src", copy, ignore=shutil.ignore_patterns("*.so", "__pycache__")
            )
            print("compiling the path of a frame: about a minute ...", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-c", SCRIPT], cwd=copy, check=True)
            stamp.write_text(digest)
        for built in [*copy.rglob("*.so"), *copy.rglob("*.pyd")]:
            if "build" not in built.relative_to(copy).parts:
                build_data["force_include"][str(built)] = str(built.relative_to(copy))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _compiles(self, version: str) -> bool:
        return ASKED_FOR and self.target_name == "wheel" and version != "editable"


def _applications(root: Path) -> dict[str, str]:
    """Each file of an application and its place in the wheel: none where they are not there, as in an image."""
    found = {}
    for folder in [marker.parent for marker in (root / "examples").glob("*/app.py")]:
        for path in folder.rglob("*"):
            inner = path.relative_to(folder)
            if path.is_file() and path.suffix not in (".png", ".pyc") and not inner.parts[0].startswith("."):
                found[str(path)] = f"{APPLICATIONS}/{folder.name}/{inner.as_posix()}"
    return found


def _digest(root: Path) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((root / "src").rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
