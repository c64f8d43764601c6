# SPDX-License-Identifier: Apache-2.0
"""Ports that are what a test needs them to be for as long as it lasts, whatever other programs do meanwhile."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing() -> Iterator[int]:
    """A port of 127.0.0.1 where every connection is refused: it is taken, and nobody listens.

    One that was only free a moment ago may be somebody else's by now.
    """
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
