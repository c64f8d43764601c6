# SPDX-License-Identifier: Apache-2.0
"""What is compiled is what hatch_build.py names, where it was asked for, and nothing otherwise."""

from __future__ import annotations

import importlib
import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOK = ROOT / "hatch_build.py"


def compiled_modules() -> list[str]:
    names = runpy.run_path(str(HOOK))["COMPILED"]
    return ["audio_connector." + name.replace("/", ".") for name in names]


@pytest.mark.parametrize("name", compiled_modules())
def test_a_module_is_compiled_where_that_was_asked_for(name: str) -> None:
    path = importlib.import_module(name).__file__
    assert path is not None
    is_asked_for = os.environ.get("AUDIO_CONNECTOR_COMPILE", "") not in ("", "0")
    assert path.endswith(".py") != is_asked_for
    assert path.startswith(str(ROOT / "src")) != is_asked_for
