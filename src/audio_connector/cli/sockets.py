# SPDX-License-Identifier: Apache-2.0
"""The listening sockets that ``audio-connector serve`` is given open: by number, or by systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping
from types import TracebackType
from typing import Final

from audio_connector.cli.settings import FLAG, ServeSettings, place_of, rank_of
from audio_connector.errors import UsageError
from audio_connector.wire.addresses import why_not_taken

FIRST: Final = 3
"""The first descriptor that systemd hands over (sd_listen_fds(3)); the others follow it."""

OF_SYSTEMD: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")

EXPECTED: Final = "expected the number of a TCP socket that listens, which the parent has left open"


class Taken:
    """Sockets that were given, none as a rule; closed at the end of the block, which ends nothing for who gave them.

    Attributes:
        sockets: In their order.
        numbers: Of their descriptors.
        origin: Who told: "flag", a variable, or the file.
    """

    def __init__(self, numbers: list[int], origin: str = "") -> None:
        self.sockets: tuple[socket.socket, ...] = ()
        self.numbers = numbers
        self.origin = origin

    def __enter__(self) -> Taken:
        place = place_of("fd", self.origin)
        for number in self.numbers:
            self.sockets += (_socket_at(number, place),)
            if (why := why_not_taken(self.sockets[-1])) is not None:
                self._close()
                raise UsageError(f"{place}: descriptor {number} is {why}; {EXPECTED}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for sock in self.sockets:
            sock.close()


def taken(
    settings: ServeSettings, origins: dict[str, str], environment: MutableMapping[str, str] = os.environ
) -> Taken:
    """Find out which sockets are to be taken, if any.

    A flag goes before systemd, that before the environment and the file; there ``fd`` takes the place of host and
    port, unless these are told nearer.

    Raises:
        UsageError: Two places to listen at were told in one, or what systemd says is no number.
    """
    of_systemd = _told_by_systemd(environment)
    addresses = [name for name in ("host", "port") if name in origins]
    at = min((rank_of(origins[name]) for name in addresses), default=None)
    fd = rank_of(origins["fd"]) if "fd" in origins else None
    if of_systemd and FLAG not in (origins.get(name) for name in ("fd", "host", "port")):
        return Taken(of_systemd, "LISTEN_FDS")
    if fd is None or settings.fd is None or (at is not None and at < fd):
        return Taken([])
    if at == fd:
        name = next(name for name in addresses if rank_of(origins[name]) == at)
        place = place_of("fd", origins["fd"])
        raise UsageError(
            f"{place}: got fd and {name}, which are two places to listen at; expected one of them"
        )
    return Taken([settings.fd], origins["fd"])


def _told_by_systemd(environment: MutableMapping[str, str]) -> list[int]:
    """The descriptors that are for this process. What says so is forgotten: no child is to take them for its own."""
    told = {name: environment.pop(name, "") for name in OF_SYSTEMD}
    if told["LISTEN_PID"] != str(os.getpid()):
        return []
    count = told["LISTEN_FDS"]
    if not (count.isascii() and count.isdecimal()):
        raise UsageError(f"LISTEN_FDS={count!r:.40}: expected how many sockets systemd has handed over")
    return list(range(FIRST, FIRST + int(count)))


def _socket_at(number: int, place: str) -> socket.socket:
    try:
        os.set_inheritable(number, False)
        return socket.socket(fileno=number)
    except OSError as error:
        raise UsageError(
            f"{place}: descriptor {number} is no socket ({error.strerror or error}); {EXPECTED}"
        ) from error
