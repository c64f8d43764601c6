# SPDX-License-Identifier: Apache-2.0
"""Which core the servers have, and which one the load generator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def two_cores() -> tuple[int, int]:
    """Return a core for the server and one for the load generator, the same where there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


@contextmanager
def pinned_to(core: int) -> Iterator[None]:
    """Keep this thread, and each process that it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
