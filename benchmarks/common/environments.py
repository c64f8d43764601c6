# SPDX-License-Identifier: Apache-2.0
"""Virtual environments of their own below ``build/``, for what is not to be the sources of this tree."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common.processes import ROOT, BenchmarkError


@dataclass(frozen=True, slots=True)
class Environment:
    """One of them.

    Attributes:
        name: Of its folder, to which the version of Python is added.
        what: What it holds, for whoever waits, and how to do without it.
        packages: What pip installs.
        variables: `NAME=value` of the environment of pip.
        is_anew: Installed anew each time, since it is made of the sources of this tree.
    """

    name: str
    what: str
    packages: tuple[str, ...]
    variables: tuple[str, ...] = ()
    is_anew: bool = False

    @property
    def python(self) -> str:
        """Its interpreter; there once `prepare` has run."""
        return str(self._folder / "bin" / "python")

    def prepare(self) -> None:
        """Create it on first use.

        Raises:
            BenchmarkError: Something cannot be installed.
        """
        # Written last, so that an interrupted installation is started over.
        ready = self._folder / ".ready"
        if ready.exists() and not self.is_anew:
            return
        print(f"installing {self.what} into {self._folder.relative_to(ROOT)} ...", flush=True)
        if not ready.exists():
            self._run([sys.executable, "-m", "venv", "--clear", str(self._folder)])
            self._pip(*self.packages)
        else:
            self._pip("--no-deps", "--force-reinstall", *self.packages)
        ready.touch()

    @property
    def _folder(self) -> Path:
        return ROOT / "build" / f"{self.name}-{sys.version_info.major}.{sys.version_info.minor}"

    def _pip(self, *arguments: str) -> None:
        self._run([self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments])

    def _run(self, command: list[str]) -> None:
        variables = dict(one.split("=", 1) for one in self.variables)
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, **variables}
        )
        if done.returncode != 0:
            raise BenchmarkError(
                f"{' '.join(command)} failed:\n{done.stderr.strip()}\nThis is for {self.what}"
            )
