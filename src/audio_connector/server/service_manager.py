# SPDX-License-Identifier: Apache-2.0
"""Tells what has started this program how it is: systemd, or whoever speaks its protocol (sd_notify(3)), as podman.

It is told by datagrams, to the socket that ``NOTIFY_SOCKET`` names; where none is named, nothing is told. It stays
as it is: an application may tell more by itself, and what children tell, systemd ignores.

A datagram is sent or it is not, at once: what has not arrived is said in the log, and the program goes on.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import Final

logger = logging.getLogger("audio_connector.server")

VARIABLE: Final = "NOTIFY_SOCKET"

MAX_STATUS_BYTES: Final = 1000
"""systemd ignores a datagram of more than 4,096."""


def tell_ready(status: str) -> None:
    """It listens, and the application is loaded; also once a reload has ended, whichever way."""
    _tell("READY=1", _status(status))


def tell_reloading(status: str) -> None:
    """A reload has begun; `tell_ready` ends it."""
    # By this it knows that its signal has come before: the clock is CLOCK_MONOTONIC.
    _tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status(status))


def tell_stopping(status: str, *, within_s: float) -> None:
    """The end has begun, and takes so long at most: systemd waits for that, where TimeoutStopSec is shorter."""
    _tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int(within_s * 1e6)}", _status(status))


def _status(text: str) -> str:
    """One line, since each further one would be an assignment."""
    line = "".join(each if each.isprintable() else " " for each in text)
    return "STATUS=" + line.encode()[:MAX_STATUS_BYTES].decode(errors="ignore")


def _tell(*assignments: str) -> None:
    if not (place := os.environ.get(VARIABLE)):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto("\n".join(assignments).encode(), _address(place))
    except OSError as error:
        logger.warning(
            "%s was not told %s: %s; it may take the program for one that hangs",
            *(f"{VARIABLE}={place!r:.200}", assignments[0], error),
        )


def _address(place: str) -> bytes:
    if place.startswith("@"):  # abstract: in no folder
        return b"\0" + os.fsencode(place[1:])
    if not place.startswith("/"):
        raise OSError("expected a path that begins with /, or a name that begins with @")
    return os.fsencode(place)
