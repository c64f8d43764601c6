# SPDX-License-Identifier: Apache-2.0
"""Two servers at once on one core: `ours` as it is, and another one. Arguments: the other's module, and its own."""

from __future__ import annotations

import subprocess
import sys

PLAIN = "benchmarks.servers.ours"


def main() -> None:
    """Print both addresses, each with its process, and live until stdin ends."""
    commands = [[PLAIN], sys.argv[1:]]
    servers = [
        subprocess.Popen(
            [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for command in commands
    ]
    try:
        print(",".join(f"{_address(server)}#{server.pid}" for server in servers), flush=True)
        sys.stdin.read()
    finally:
        for server in servers:
            server.communicate()


def _address(server: subprocess.Popen[str]) -> str:
    if server.stdout is None:
        raise RuntimeError("started without a pipe")
    return server.stdout.readline().strip()


if __name__ == "__main__":
    main()
