# SPDX-License-Identifier: Apache-2.0
"""The processes of a measurement: an echo server on one core, the load generator on another."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.echo.cores import CoreUsage, two_cores

ROOT = Path(__file__).resolve().parents[2]
VENDOR_PACKAGE = "vonage-audio-connector-server==0.1.1"
_VENDOR_ENVIRONMENT = (
    ROOT / "benchmarks" / ".cache" / f"vendor-{sys.version_info.major}.{sys.version_info.minor}"
)
_START_LIMIT_S = 30.0
_ANSWER_LIMIT_S = 30.0
# What the first messages of the calls still cost is over by then.
_SETTLE_S = 0.5


class BenchmarkError(Exception):
    """The measurement could not be made; says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class ServerKind:
    """One of the servers under comparison.

    Attributes:
        key: The name in options and JSON.
        title: The name in the table.
        module: What `python -m` starts.
        arguments: Its further arguments.
        python: The interpreter, and with it the environment.
        is_vendor: Whether it needs the environment of the vendor's package.
    """

    key: str
    title: str
    module: str
    arguments: tuple[str, ...] = ()
    python: str = sys.executable
    is_vendor: bool = False


def vendor_python() -> str:
    """Return the interpreter of the vendor's environment, which is created on first use.

    Raises:
        BenchmarkError: The package cannot be installed.
    """
    python = _VENDOR_ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / "python"
    # Written last, so that an interrupted installation is started over.
    ready = _VENDOR_ENVIRONMENT / ".ready"
    if not ready.exists():
        print(f"installing {VENDOR_PACKAGE} into {_VENDOR_ENVIRONMENT.relative_to(ROOT)} ...", flush=True)
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(_VENDOR_ENVIRONMENT)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", VENDOR_PACKAGE],
        )
        for command in commands:
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise BenchmarkError(
                    f"{' '.join(command)} failed:\n{done.stderr.strip()}\n"
                    "The comparison needs the vendor's package from PyPI; without it: --no-vendor"
                )
        ready.touch()
    return str(python)


class Child:
    """A subprocess that is spoken to in lines. Leaving the context ends it."""

    def __init__(
        self, command: Sequence[str], *, title: str, environment: dict[str, str], quiet: bool
    ) -> None:
        self._command = command
        self._title = title
        self._environment = environment
        self._quiet = quiet
        self._process: asyncio.subprocess.Process | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __aexit__

    @property
    def pid(self) -> int:
        """The process id, for profilers."""
        return self._running.pid

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError(f"{self._title} was not started; use it as a context manager")
        return self._process

    async def __aenter__(self) -> Child:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=ROOT,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL if self._quiet else self._stderr.fileno(),
            limit=2**20,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5.0)
        except asyncio.TimeoutError:
            process.kill()
            await process.wait()
        self._stderr.close()

    async def read_line(self, *, limit_s: float, what: str) -> str:
        """Return the next line of output.

        Raises:
            BenchmarkError: It did not come in time, or the process ended; quotes the end of its error output.
        """
        output = self._running.stdout
        if output is None:
            raise RuntimeError("started without a pipe")
        try:
            line = (await asyncio.wait_for(output.readline(), limit_s)).decode().strip()
        except asyncio.TimeoutError:
            raise BenchmarkError(
                f"{self._title}: no {what} within {limit_s:.0f} s{self._last_words()}"
            ) from None
        if not line:
            raise BenchmarkError(f"{self._title} ended before {what}{self._last_words()}")
        return line

    async def send_line(self, line: str) -> None:
        """Write one line to the process."""
        commands = self._running.stdin
        if commands is None:
            raise RuntimeError("started without a pipe")
        commands.write(f"{line}\n".encode())
        await commands.drain()

    def _last_words(self) -> str:
        self._stderr.seek(0)
        tail = self._stderr.read().decode(errors="replace").strip().splitlines()[-15:]
        return ":\n  " + "\n  ".join(tail) if tail else ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One server under one load.

    Attributes:
        server_cpu_s: CPU time of the server process, all threads, from all calls open to the last echo.
        handled: Frames that its handler saw.
        load: The load generator's report, a `LoadReport` as a dict.
        foreign_share: Share of time that the server's core, or the load generator's if that is more, spent on
            other processes; None where that is not known.
    """

    server_cpu_s: float
    handled: int
    load: dict[str, Any]
    foreign_share: float | None

    @property
    def us_per_frame(self) -> float:
        """CPU microseconds per frame sent to it."""
        sent: int = self.load["sent"]
        return 1e6 * self.server_cpu_s / max(1, sent)

    @property
    def lost(self) -> int:
        """Frames that were sent and not echoed."""
        lost: int = self.load["sent"] - self.load["echoed"]
        return lost


async def measure(
    kind: ServerKind, *, connections: int, seconds: float, tick_us: int = 200, jitter_buffer_ms: float = 20.0
) -> Measurement:
    """Start a server, put the load on it, and return what both say.

    Args:
        kind: The server.
        connections: Concurrent calls.
        seconds: How long each call sends.
        tick_us: How finely the calls' phases are spread; frames due within one tick are sent together.
        jitter_buffer_ms: Of the playout model.

    Raises:
        BenchmarkError: One of the processes failed.
    """
    server_core, load_core = two_cores()
    command = [kind.python, "-m", kind.module, *kind.arguments]
    load_command = [sys.executable, "-m", "benchmarks.echo.load"]
    load_options = ["--connections", str(connections), "--seconds", str(seconds)]
    load_options += ["--tick-us", str(tick_us), "--jitter-buffer-ms", str(jitter_buffer_ms)]
    if server_core is not None:
        command += ["--core", str(server_core)]
        load_options += ["--core", str(load_core)]
    environment = _environment(vendor=kind.is_vendor)
    async with Child(command, title=kind.title, environment=environment, quiet=kind.is_vendor) as server:
        port = int(await server.read_line(limit_s=_START_LIMIT_S, what="port"))
        load_command += [f"ws://127.0.0.1:{port}/", *load_options]
        async with Child(load_command, title="load", environment=_environment(), quiet=False) as load:
            await load.read_line(limit_s=_START_LIMIT_S, what="connection of all calls")
            await asyncio.sleep(_SETTLE_S)
            cores = CoreUsage(server_core), CoreUsage(load_core)
            before = await _usage(server)
            await load.send_line("go")
            report = json.loads(await load.read_line(limit_s=seconds * 3 + _ANSWER_LIMIT_S, what="report"))
            after = await _usage(server)
            server_cpu_s = after["cpu_s"] - before["cpu_s"]
            shares = cores[0].foreign_share(server_cpu_s), cores[1].foreign_share(report["generator_cpu_s"])
    return Measurement(
        server_cpu_s=server_cpu_s,
        handled=after["frames"] - before["frames"],
        load=report,
        foreign_share=max((share for share in shares if share is not None), default=None),
    )


async def _usage(server: Child) -> dict[str, Any]:
    await server.send_line("cpu")
    usage: dict[str, Any] = json.loads(await server.read_line(limit_s=_ANSWER_LIMIT_S, what="CPU time"))
    return usage


def _environment(*, vendor: bool = False) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not vendor:
        # The tree's sources, installed or not; not for the vendor's server: its import name exists there too.
        paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment
