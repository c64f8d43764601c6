# SPDX-License-Identifier: Apache-2.0
"""How long the next descriptor takes where the kernel has to make room for it, as `wire/descriptors.py` avoids.

`python -m benchmarks.descriptors`: in a process with threads, without and with room that was made before. Linux only.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

from audio_connector.wire.descriptors import reserve

_MOST = 600
"""Beyond 512, and below the limit of most systems."""


def longest_ms(*, is_reserved: bool) -> float:
    """Open many sockets in this process and return how long the slowest took."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    longest_s = 0.0
    with ExitStack() as opened:
        first = opened.enter_context(socket.socket())
        if is_reserved:
            reserve(first)
        for _ in range(_MOST):
            began_s = time.perf_counter()
            sock = socket.socket()
            longest_s = max(longest_s, time.perf_counter() - began_s)
            opened.enter_context(sock)
    over.set()
    thread.join()
    return 1000 * longest_s


def main() -> None:
    """Measure each in a process of its own: a table of descriptors never shrinks."""
    if sys.argv[1:]:
        print(f"{longest_ms(is_reserved=sys.argv[1] == 'reserved'):.2f}")
        return
    for how in ("unreserved", "reserved"):
        times_ms = [
            float(
                subprocess.run(
                    [sys.executable, "-m", __spec__.name, how], capture_output=True, check=True
                ).stdout
            )
            for _ in range(10)
        ]
        print(
            f"{how:>10}: of {_MOST} sockets the slowest took {min(times_ms):.1f} to {max(times_ms):.1f} ms, ten runs"
        )


if __name__ == "__main__":
    main()
