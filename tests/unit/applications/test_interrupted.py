# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C at an application before it does anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from audio_connector.cli.projects.applications import applications

pytestmark = [
    pytest.mark.programs,
    pytest.mark.skipif(os.name != "posix", reason="there is no such signal to send"),
]

PROGRAM = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, {before})

class Interrupting:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "audio_connector.live.command":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting)
sys.argv = ["{name}", "--help"]
runpy.run_module("{name}", run_name="__main__", alter_sys=True)
"""


def run(name: str, before: str) -> subprocess.CompletedProcess[str]:
    examples = Path(__file__).parents[3] / "examples"
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name, before=before)],
        check=False, cwd=examples, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", applications())
def test_ctrl_c_while_an_application_loads_ends_it_without_a_traceback(name: str) -> None:
    ended = run(name, "signal.default_int_handler")
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_who_ignores_ctrl_c_does_so_here_as_well() -> None:
    ended = run("assistant", "signal.SIG_IGN")  # as nohup has it, and the & of a script
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: python -m assistant")
