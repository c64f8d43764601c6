# SPDX-License-Identifier: Apache-2.0
"""Connections that were refused: why, how many, and which of them leaves a line in the log.

Whoever can reach a port can be refused there as often as they like, and a health check is, all day long. So every
refusal counts, and few are told: the first of its kind at once, the next ones rarely, with their number (`Episodes`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from audio_connector.wire.episodes import Episodes
from audio_connector.wire.quoting import without_secrets

FIRST_INTERVAL_S = 10.0
LONGEST_INTERVAL_S = 3600.0
"""Between two lines of one kind: it doubles with each, so that a day of health checks is some 30 lines."""

QUOTED_CHARACTERS = 80
"""Of what a peer has sent, at most; the path of a router is shorter."""

_METHOD = re.compile(rb"[A-Z]{1,10}", re.ASCII)


class Refusal(NamedTuple):
    """A kind of refusal: those of this module, and those of who judges (`wire.network.Judge`). A peer makes none.

    Attributes:
        status: The HTTP status that the peer got; a word where there was no answer.
        reason: What was wrong, and what to do.
        limit: The name of the setting that was met, where it is one of ours.
        kind: Where one status has several reasons, this one's in a word or two.
    """

    status: str
    reason: str
    limit: str = ""
    kind: str = ""

    @property
    def name(self) -> str:
        """What it is counted under: the setting; or else the status, as "426" or "401 expired"."""
        return self.limit or (f"{self.status} {self.kind}" if self.kind else self.status)


NOT_HTTP = Refusal("400", "not a valid HTTP request (RFC 9112)")
TLS_AT_PLAIN_PORT = Refusal(
    "400", "a TLS handshake, and this port has no TLS (dial ws://, or give it a certificate)"
)
PLAIN_AT_TLS_PORT = Refusal("400", "plain HTTP, and this port has TLS (dial wss://)")
OTHER_METHOD = Refusal("405", "a method other than GET, with which no WebSocket is opened")
NOT_AN_UPGRADE = Refusal("426", "not a WebSocket upgrade (dial ws:// or wss://)")
OTHER_NAME = Refusal(
    "421", "a page under a name that is not this machine's (ask for localhost, or for the address)"
)
BAD_UPGRADE = Refusal("400", "not a valid WebSocket upgrade (RFC 6455 4.2.1)")
OTHER_VERSION = Refusal("426", "a WebSocket version other than 13 (RFC 6455 4.4)")
TOO_LARGE = Refusal("431", "the head of the request is too large")
NOT_NOW = Refusal("503", "the server takes no connection now")
FAILED = Refusal("500", "taking the connection failed; this is an error of the library")

TOO_MANY = Refusal("503", "as many connections are open as Limits.max_connections allows", "max_connections")
TOO_MANY_OF_ADDRESS = Refusal(
    "503",
    "as many connections of this address are open as Limits.max_connections_per_address allows (a proxy that all "
    "calls come through belongs in Limits.trusted_proxies)",
    "max_connections_per_address",
)
TOO_MANY_OF_SESSION = Refusal(
    "503",
    "as many connections of this session are open as Limits.max_connections_per_session allows",
    "max_connections_per_session",
)
TOO_FAST = Refusal(
    "429",
    "more upgrades of this address than Limits.upgrades_per_second_per_address allows (a proxy that all calls come "
    "through belongs in Limits.trusted_proxies)",
    "upgrades_per_second_per_address",
)
LAGGING = Refusal(
    "503", "the I/O loop lags more than Limits.max_loop_lag_ms: the machine is too busy", "max_loop_lag_ms"
)
NO_MEMORY = Refusal("503", "the process has more memory than Limits.max_memory_mb allows", "max_memory_mb")

UNDECIDED = Refusal(
    "503", "authenticate has not decided in time; look for what keeps the application", kind="undecided"
)
OTHER_CALL = Refusal(
    "503",
    "a call of the same connection has come while authenticate decided; dialled again, it is asked anew",
)
TOO_SLOW = Refusal("timeout", "the request was not complete in time")
CROWDED_OUT = Refusal(
    "crowded",
    "too many connections wait without a request, most of them from that address; the oldest was dropped",
)
PROBE = Refusal("probe", "it hung up without a whole request")
TLS_FAILED = Refusal("tls", "the TLS handshake failed")
TLS_ONLY = Refusal("tls", "messages of TLS itself without end, and no request")
NOT_TLS = Refusal("tls", "no TLS handshake, and this port has TLS (dial wss://)")

STATUS_OF_LIMIT = {
    refusal.limit: refusal.status
    for refusal in (TOO_MANY, TOO_MANY_OF_ADDRESS, TOO_MANY_OF_SESSION, TOO_FAST, LAGGING, NO_MEMORY)
}
"""What who met a limit got, by the name of the setting."""

QUIET = frozenset({PROBE})
"""Counted only: who looks whether the port is open does so all day, and there is nothing to do about it."""

MAX_KINDS = 64
"""More than there are of this module and of tokens: none has to share a line but those of an application that rejects
with dozens of statuses."""


class Refusals:
    """Those of one listening port."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._episodes = Episodes(
            Refusal("", "of other kinds"),
            first_s=FIRST_INTERVAL_S,
            longest_s=LONGEST_INTERVAL_S,
            max_kinds=MAX_KINDS,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many so far, by `Refusal.name`; a copy."""
        return dict(self._counts)

    def note(
        self, refusal: Refusal, now: float, *, request: bytes = b"", peer: str = "", detail: str = ""
    ) -> str | None:
        """Count one.

        Args:
            refusal: Why.
            now: Seconds of a monotonic clock.
            request: What came of the request; may be all of it, or nothing.
            peer: The address of who sent it.
            detail: More about this one, in words of ours.

        Returns:
            A line for the log, where one is due.
        """
        self._counts[refusal.name] = self._counts.get(refusal.name, 0) + 1
        if refusal in QUIET:
            return None
        word = self._episodes.note(refusal, now)
        if word is None:
            return None
        answered = f" with {refusal.status}" if refusal.status.isdigit() else ""
        more = f"; {word.times - 1} more of the kind since the last line" if word.times > 1 else ""
        why = f"{refusal.reason}: {detail}" if detail else refusal.reason
        return f"refused {quote_request(request)} from {peer or 'somebody'}{answered}: {why}{more}"

    def take_untold(self) -> list[str]:
        """At the end: a line for each kind of which some were counted only."""
        return [f"refused {word.times} more: {word.kind.reason}" for word in self._episodes.finish()]


def quote_request(request: bytes) -> str:
    """Method and target as a log may have them, or the beginning of what is no request.

    Without the query, and without what looks like a token: some carry one there.
    """
    if not request:
        return "a connection"
    line = request.partition(b"\n")[0].removesuffix(b"\r")
    method, blank, rest = line.partition(b" ")
    if blank and _METHOD.fullmatch(method):
        return f"{method.decode()} {_quote(rest.rpartition(b' ')[0] or rest)}"
    return _quote(line or request[:1])


def _quote(raw: bytes) -> str:
    shown = without_secrets(raw.decode("latin-1"))
    return repr(shown[:QUOTED_CHARACTERS]) + ("…" if len(shown) > QUOTED_CHARACTERS else "")
