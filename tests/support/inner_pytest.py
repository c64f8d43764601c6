# SPDX-License-Identifier: Apache-2.0
"""A run of pytest of its own, as a user's project has it: with the plugin of the test kit and no other one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

OPTIONS = ("-p", "pytest_audio_connector", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error", "-q")


def run_python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Python in a folder, and what it printed."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=100
    )


def run_pytest(*names: str, folder: Path) -> str:
    """What pytest says of the tests in these files of a folder."""
    ended = run_python("-m", "pytest", *OPTIONS, *names, folder=folder)
    return ended.stdout + ended.stderr
