# SPDX-License-Identifier: Apache-2.0
"""How many descriptors this process may have, room for them before they are there, and the first three of them."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress

MOST_RESERVED = 1 << 14
"""Room for more is made as they come. Each takes the kernel 8 bytes."""

MOST_WAITING = 1024
"""Connections without a request; each has it within milliseconds, or after a TLS handshake over the internet."""

WAITING_PART = 4
"""They may have one in so many of the descriptors that this process may have."""


def limit() -> int | None:
    """Return how many this process may have at once; None where nothing says so."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def most_waiting() -> int:
    """How many connections may be there without a request."""
    descriptors = limit()
    if descriptors is None:
        return MOST_WAITING
    return max(1, min(MOST_WAITING, descriptors // WAITING_PART))


def reserve(sock: socket.socket) -> None:
    """Have the kernel make room for all that may come, now, by a duplicate of this socket at the highest place.

    Linux makes room as they come, at 64, 128, 256 and so on. In a process with threads, who opens the next one then
    waits until every processor has passed through the scheduler, 7 to 19 ms (``python -m benchmarks.descriptors``),
    and with it the loop and all other calls.
    """
    if sys.platform == "win32":
        return
    import fcntl  # noqa: PLC0415 - there is none on Windows

    highest = min(limit() or MOST_RESERVED, MOST_RESERVED) - 1
    with suppress(OSError):  # then room is made as they come
        os.close(fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, highest))


def open_closed() -> None:
    """Give a program that was started with ``>&-`` somewhere to write, and its children as well.

    Else the first socket would be the output, and libuv aborts the process when it closes that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor, which is this one.
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(opened, "r" if name == "stdin" else "w"))
