# SPDX-License-Identifier: Apache-2.0
"""Programs that tests start, and what there is of their processes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.ends import heed_interrupts
from support.serving import DEADLINE_S


@asynccontextmanager
async def program(text: str, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A program that serves, in a session of its own; and where it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", text, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
        if not line:
            assert process.stderr is not None
            pytest.fail((await process.stderr.read()).decode())
        yield process, line.removeprefix("listening on ").strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def command_of(pid: int) -> str:
    """How it was started; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def children_of(pid: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == pid:
            found += [int(path.parent.name), *children_of(int(path.parent.name))]
    return found


def descriptors_of(pid: int) -> list[str]:
    """What its descriptors are, without the numbers."""
    kinds = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kinds.append(str(path.readlink()).partition(":[")[0])
        except OSError:  # it was closed meanwhile
            continue
    return sorted(kinds)
