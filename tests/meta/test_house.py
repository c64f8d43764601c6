# SPDX-License-Identifier: Apache-2.0
"""House rules that no linter has: licence lines, file sizes, silent imports, one version."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import audio_connector

ROOT = Path(__file__).parents[2]
FOLDERS = ("src", "tests", "examples", "benchmarks", "docs")
SPDX_LINE = "# SPDX-License-Identifier: Apache-2.0"
MAX_LINES = 500
SUFFIXES = {".py", ".pyi", ".sh", ".toml", ".yml", ".yaml"}

LOGGING_PROBE = """
import logging
def state():
    root = logging.getLogger()
    loggers = {name: (logger.level, list(logger.handlers), logger.propagate, logger.disabled)
               for name, logger in root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
    # A logger that a module only looks up is no configuration.
    touched = {name: value for name, value in loggers.items() if value != (logging.NOTSET, [], True, False)}
    return (root.level, list(root.handlers), touched, logging.root.manager.disable,
            logging.getLoggerClass(), logging.getLogRecordFactory(), logging.raiseExceptions)
before = state()
import audio_connector, audio_connector_sdk.vonage_video.core, audio_connector_sdk.vonage_video.models
MISCHIEF
assert state() == before, (before, state())
"""


def source_files(root: Path) -> list[Path]:
    """Every source of the project; what tools leave in folders with a leading dot is not ours."""
    files = [path for path in root.iterdir() if path.suffix in SUFFIXES or path.name == "Makefile"]
    files += (root / ".ci").iterdir()
    for folder in FOLDERS:
        files += [path for path in (root / folder).rglob("*") if path.suffix in SUFFIXES]
    inner = {path: path.relative_to(root).parts[1:] for path in files}
    return sorted(path for path in files if not any(part.startswith(".") for part in inner[path]))


def licence_fault(name: str, text: str) -> str | None:
    """A source whose first line, after a shebang, is not the licence."""
    lines = text.splitlines()
    first = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
    return None if first == [SPDX_LINE] else f"{name}: the first line has to be {SPDX_LINE!r}"


def size_fault(name: str, text: str) -> str | None:
    """A source that has grown too long to be read at once."""
    count = len(text.splitlines())
    return None if count <= MAX_LINES else f"{name}: {count} lines, at most {MAX_LINES}"


def changelog_version(text: str) -> str:
    """The version of a changelog's topmost entry."""
    found = re.search(r"^## \[?(\d+\.\d+\.\d+\S*?)\]?(?:\s|$)", text, flags=re.MULTILINE)
    if found is None:
        raise ValueError("the changelog has no entry '## 1.2.3'")
    return found.group(1)


def run_probe(mischief: str = "") -> subprocess.CompletedProcess[str]:
    program = LOGGING_PROBE.replace("MISCHIEF", mischief)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )


def test_every_source_opens_with_the_licence() -> None:
    files = source_files(ROOT)
    faults = [licence_fault(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files]
    assert [fault for fault in faults if fault] == []


def test_no_source_is_too_long() -> None:
    files = source_files(ROOT)
    faults = [size_fault(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files]
    assert [fault for fault in faults if fault] == []


def test_importing_the_package_configures_no_logging() -> None:
    probe = run_probe()
    assert probe.returncode == 0, probe.stderr
    assert probe.stdout == probe.stderr == ""


def test_there_is_one_version() -> None:
    entry = changelog_version((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert audio_connector.__version__ == entry
    # What the built wheel says is compared in `make wheel`; here, what is installed, where something is.
    installed = [
        found.version for found in importlib.metadata.distributions(name="audio-connector") if found.version
    ]
    assert set(installed) <= {entry}


# What follows shows, on bad input, that the checks above can fail.


def test_the_files_that_are_read_are_the_real_ones() -> None:
    names = {str(path.relative_to(ROOT)) for path in source_files(ROOT)}
    expected = {
        "Makefile",
        "pyproject.toml",
        ".ci/run",
        ".ci/pythons",
        "tests/meta/test_house.py",
        "examples/echo.py",
    }
    assert expected | {"src/audio_connector/__init__.py"} <= names


def test_a_missing_licence_is_found() -> None:
    assert licence_fault("a.py", '"""Doc."""\n') is not None
    assert licence_fault("a.py", "") is not None
    assert licence_fault("a.sh", "#!/bin/sh\necho\n") is not None
    assert licence_fault("a.sh", f"#!/bin/sh\n{SPDX_LINE}\n") is None
    assert licence_fault("a.py", f"{SPDX_LINE}\n") is None


def test_a_long_file_is_found() -> None:
    assert size_fault("a.py", "x\n" * MAX_LINES) is None
    assert size_fault("a.py", "x\n" * (MAX_LINES + 1)) == "a.py: 501 lines, at most 500"


def test_a_logging_configuration_is_found() -> None:
    for mischief in (
        "logging.basicConfig(level=logging.DEBUG)",
        "logging.getLogger('audio_connector').setLevel(logging.DEBUG)",
        "logging.getLogger('picows').addHandler(logging.NullHandler())",
        "logging.disable(logging.INFO)",
    ):
        assert "AssertionError" in run_probe(mischief).stderr, mischief


def test_the_changelog_is_read_from_the_top() -> None:
    assert changelog_version("# Changelog\n\n## 1.2.3 (2030-01-02)\n\n## 1.2.2\n") == "1.2.3"
    assert changelog_version("## [0.2.0rc1]\n") == "0.2.0rc1"
