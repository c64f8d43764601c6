# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, for as long as a block lasts."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def full_disk(left_bytes: int = 10) -> Iterator[None]:
    """Have no file grow beyond so many bytes; what is beyond is cut off, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
