# SPDX-License-Identifier: Apache-2.0
"""What the three echo servers share: one core, a port line on stdout, and answers to commands on stdin.

Standard library only, because the vendor's server imports it from its own virtual environment.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass


@dataclass(slots=True)
class Counter:
    """Audio frames that the echo handler saw."""

    frames: int = 0


def server_arguments(description: str | None, *, app_loop: bool = False) -> argparse.Namespace:
    """Parse the command line of an echo server and pin the process, before it has a second thread."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--core", type=int, help="CPU core to stay on (default: wherever the system puts it)")
    if app_loop:
        parser.add_argument("--app-loop", choices=("asyncio", "uvloop"), default="asyncio")
    arguments = parser.parse_args()
    pin_to(arguments.core)
    return arguments


def pin_to(core: int | None) -> None:
    """Keep this process on one core, where the system can do that."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


async def answer_until_eof(port: int, counter: Counter) -> None:
    """Print the port, then answer each line `cpu` with the CPU time and the frame count, until stdin ends.

    The CPU time is that of the whole process, all threads, user and system.
    """
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print(port, flush=True)
    while line := (await commands.readline()).decode().strip():
        if line == "cpu":
            print(json.dumps({"cpu_s": time.process_time(), "frames": counter.frames}), flush=True)
        else:
            print(json.dumps({"error": f"unknown command {line!r}; expected cpu"}), flush=True)
