# SPDX-License-Identifier: Apache-2.0
"""What two processes tell each other about the server as a whole: plain values, as asks and tells are."""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    """To the I/O process, first: what it is to be, and on which sockets.

    ``config`` has the fields of the configuration that concern it, as JSON; ``sockets`` are descriptors that it was
    given, and ``are_lent`` where somebody else listens on with them. Its links are numbered from ``first_link`` on.
    It tells what is logged from ``log_level`` on.
    """

    version: int
    library: str
    config: str
    sockets: tuple[int, ...]
    are_lent: bool
    first_link: int
    takes_calls: bool
    log_level: int


class Started(NamedTuple):
    """It listens."""

    host: str
    port: int


class NotStarted(NamedTuple):
    """It cannot, and ends; the name of a class in `errors`, and its text."""

    kind: str
    text: str


class RefuseCalls(NamedTuple):
    """Answer every upgrade with 503 from now on."""


class CloseAll(NamedTuple):
    """Stop listening, close every connection, abort what is left at the deadline; answered by `AllClosed`."""

    code: int
    reason: str
    timeout_s: float


class AllClosed(NamedTuple):
    """It is done."""


class ShutDown(NamedTuple):
    """End, at once."""


class Refused(NamedTuple):
    """So many connections were refused since it started, by `refusals.Refusal.status`."""

    counts: dict[str, int]


class Logged(NamedTuple):
    """A record for the log of the application."""

    logger: str
    level: int
    text: str
    created: float
    traceback: str | None


Word = Start | Started | NotStarted | RefuseCalls | CloseAll | AllClosed | ShutDown | Refused | Logged
