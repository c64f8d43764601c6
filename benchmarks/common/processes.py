# SPDX-License-Identifier: Apache-2.0
"""The processes of a measurement: a server on one core, a load generator on another."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.common.cores import pinned_to, two_cores

ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT_S = 30.0
_STOP_LIMIT_S = 10.0
_TICK_S = 0.5


class BenchmarkError(Exception):
    """The measurement could not be made; says what happened and what to do."""


class Child:
    """A subprocess on one core, read line by line. Leaving the context ends it, by the end of its stdin.

    Args:
        command: Program and arguments.
        title: Its name in errors.
        core: Where it and its children stay.
        environment: Of the process.
        quiet: Discard what it writes to stderr, instead of quoting the end of it in an error.
    """

    def __init__(
        self, command: Sequence[str], *, title: str, core: int, environment: dict[str, str], quiet: bool
    ) -> None:
        self._title = title
        self._buffer = b""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        with pinned_to(core):
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL if quiet else self._stderr,
                start_new_session=True,  # so that what is killed is killed with its children
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
        self._stderr.close()

    def read_line(self, *, limit_s: float, what: str, tick: Callable[[], None]) -> str:
        """Return the next line of output.

        Args:
            limit_s: How long to wait.
            what: What the line is, for the error.
            tick: Called now and then meanwhile.

        Raises:
            BenchmarkError: It did not come in time, or the process ended; quotes the end of its error output.
        """
        output = self._process.stdout
        if output is None:
            raise RuntimeError("started without a pipe")
        give_up_at_s = time.monotonic() + limit_s
        while b"\n" not in self._buffer:
            tick()
            if time.monotonic() > give_up_at_s:
                raise BenchmarkError(f"{self._title}: no {what} within {limit_s:.0f} s{self._last_words()}")
            if select.select([output], [], [], _TICK_S)[0]:
                piece = os.read(output.fileno(), 1 << 16)
                if not piece:
                    raise BenchmarkError(f"{self._title} ended before its {what}{self._last_words()}")
                self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode().strip()

    def write_line(self, line: str) -> None:
        """Tell it something, by its stdin."""
        entrance = self._process.stdin
        if entrance is None:
            raise RuntimeError("started without a pipe")
        with suppress(BrokenPipeError):  # it has ended, which its next line will say
            entrance.write(line.encode() + b"\n")
            entrance.flush()

    def error_output(self, *, after: int = 0) -> bytes:
        """Return what it has written to stderr, without what came before so many bytes."""
        descriptor = self._stderr.fileno()
        # At a place of our own: the one of the file is the process's as well.
        return os.pread(descriptor, max(0, os.fstat(descriptor).st_size - after), after)

    def _last_words(self) -> str:
        tail = self.error_output().decode(errors="replace").strip().splitlines()[-15:]
        return ":\n  " + "\n  ".join(tail) if tail else ""


def put_load_on(
    server: Sequence[str],
    load: Sequence[str],
    *,
    title: str,
    limit_s: float,
    tick: Callable[[], None],
    with_sources: bool = True,
    quiet: bool = False,
) -> dict[str, Any]:
    """Start a server, put a load on it, and return the load generator's report.

    Args:
        server: Command of a program that prints its address when it is ready, and ends with its stdin.
        load: Module and arguments of a load generator; the address and the server's process id are added, and
            it prints one line of JSON.
        title: The server's name.
        limit_s: For the load generator.
        tick: Called now and then meanwhile.
        with_sources: The server is to run the sources of this tree.
        quiet: Its logging is discarded.

    Raises:
        BenchmarkError: One of the processes failed.
    """
    server_core, load_core = two_cores()
    its_own = environment(with_sources=with_sources)
    with Child(server, title=title, core=server_core, environment=its_own, quiet=quiet) as child:
        address = child.read_line(limit_s=_START_LIMIT_S, what="address", tick=tick)
        module, *arguments = load
        command = [sys.executable, "-m", module, address, str(child.pid), *arguments]
        with Child(
            command, title=f"load on {title}", core=load_core, environment=environment(), quiet=False
        ) as generator:
            report: dict[str, Any] = json.loads(
                generator.read_line(limit_s=limit_s, what="report", tick=tick)
            )
    return report


def environment(*, with_sources: bool = True) -> dict[str, str]:
    """Return the environment of a child: this one's, with the tree's sources, installed or not, or without any."""
    values = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if with_sources:
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH")]
        values["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return values
