# SPDX-License-Identifier: Apache-2.0
"""The same as `ours`, and its figures are read each second; who reads them is in its CPU. With `--traced` both.

Arguments: as of `ours`, after that.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import urllib.request
from typing import Any

from benchmarks.servers.echo import on_connect
from benchmarks.servers.ours import serve
from benchmarks.servers.traced import to_nowhere

EVERY_S = 1.0
"""More often than any Prometheus."""


def read_figures(port: int, is_over: threading.Event) -> None:
    """Read them again and again; they hold what is to be seen of the load, or else this fails."""
    while not is_over.wait(EVERY_S):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=EVERY_S) as answer:
            assert b"\naudio_connector_calls " in answer.read()


async def main() -> None:
    """Serve, and watch."""
    is_over = threading.Event()
    more: dict[str, Any] = {}
    if is_traced := sys.argv[1:2] == ["--traced"]:
        more["monitoring"] = to_nowhere()
    try:
        await serve(
            on_connect,
            sys.argv[1 + is_traced :],
            lambda port: threading.Thread(target=read_figures, args=(port, is_over), daemon=True).start(),
            **more,
        )
    finally:
        is_over.set()


if __name__ == "__main__":
    asyncio.run(main())
