# SPDX-License-Identifier: Apache-2.0
"""How connections come about: what `wire.picows` offers on real sockets, and `wire.memory_network` in process.

Both take their options as one value. Where one or two differ from the default, they may stand by themselves instead:
``listen(accept, port=8080)``, ``dial(url, receiver, limits=small)``.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from audio_connector.wire.forwarded import Proxies
from audio_connector.wire.pages import Pages, no_pages
from audio_connector.wire.refusals import Refusal
from audio_connector.wire.transport import Receiver, Transport, Upgrade, WireLimits

AcceptUpgrade = Callable[[Upgrade], Receiver | Refusal]
"""Decides on an upgrade request: a receiver takes it, or it is refused."""

Admit = Callable[[Upgrade], Refusal | None]
"""Judges an upgrade request before anything is done for it that costs; None lets it go on."""


def admit_all(_: Upgrade) -> None:
    """An `Admit` that lets everybody go on."""


class Refused(NamedTuple):
    """An upgrade is not let in.

    Attributes:
        refusal: What the peer gets, and what is counted.
        detail: More about this one, for the log.
        error: What has failed, where nobody has decided.
    """

    refusal: Refusal
    detail: str = ""
    error: Exception | None = None


Verdict = Upgrade | Refused
"""The upgrade as it is let in, with its ``identity``; or why it is not."""

Cancel = Callable[[], None]
"""Nobody waits for the verdict any more; it may come all the same."""

Judge = Callable[[Upgrade, Callable[[Verdict], None]], Verdict | Cancel]
"""Decides who may dial, before a receiver is asked for: at once, or later by the callback, which is called
once at most, and never before this has returned."""


_LIMITS = WireLimits()
_NO_PROXIES = Proxies()


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """Where a server is found, and what it grants.

    Attributes:
        host: Name or address to bind; "" means every address, and "::" too where the system can.
        port: TCP port; 0 takes a free one, the same for every address of the host.
        sockets: Those to listen on instead, which listen already; they are closed at the end.
        are_lent: Somebody else goes on with what the sockets listen on, so that it is not shut down.
        ssl_context: Returns the server-side context for a new connection; None for plain TCP.
        limits: Bounds of every connection.
        pages: What is answered to who asks for a page instead of an upgrade.
        page_names: They are only for who asks for one of these hosts, or for an address; None for any.
        handshake_timeout_s: A peer that has not sent its request by then is dropped.
        judge: Asked about each valid request; None lets all of them in.
        judge_timeout_s: One that it has not decided on by then gets 503.
        backlog: Connections that the kernel may hold before they are accepted.
        admit: Called first with each valid upgrade request.
        proxies: Who may say for whom they dial.
    """

    host: str = "127.0.0.1"
    port: int = 0
    sockets: Sequence[socket.socket] = ()
    are_lent: bool = False
    ssl_context: Callable[[], ssl.SSLContext] | None = None
    limits: WireLimits = _LIMITS
    pages: Pages = no_pages
    page_names: Sequence[str] | None = None
    handshake_timeout_s: float = 10.0
    judge: Judge | None = None
    judge_timeout_s: float = 3.0
    backlog: int = 1024
    admit: Admit = admit_all
    proxies: Proxies = _NO_PROXIES

    def but(self, changes: Mapping[str, Any]) -> ListenOptions:
        """The same, with these fields changed."""
        return replace(self, **changes) if changes else self


@dataclass(frozen=True, slots=True, kw_only=True)
class DialOptions:
    """How a server is dialled.

    Attributes:
        headers: Further headers of the upgrade request, repeated ones as they are.
        target: Path and query that are asked for, in place of the URL's: with a token, which no error quotes.
        ssl_context: For ``wss``; None checks certificates against the system's.
        timeout_s: For the whole opening; the router gives 6 s (PROTOCOL 1.1).
        limits: Bounds of the connection.
    """

    headers: Sequence[tuple[str, str]] = ()
    target: str | None = None
    ssl_context: ssl.SSLContext | None = None
    timeout_s: float = 6.0
    limits: WireLimits = _LIMITS

    def but(self, changes: Mapping[str, Any]) -> DialOptions:
        """The same, with these fields changed."""
        return replace(self, **changes) if changes else self


LISTEN = ListenOptions()
DIAL = DialOptions()
"""What holds where nothing else is said."""


class Listening(Protocol):
    """What is listened on; connections that it accepted outlive it."""

    @property
    def address(self) -> tuple[str, int]:
        """Host, and the real port."""

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused so far, by `refusals.Refusal.name`; a copy, for any thread."""

    def lend(self) -> None:
        """Leave what is listened on to others, from now on: see `ListenOptions.are_lent`."""

    def stop_accepting(self) -> None:
        """Accept nothing more; who has been accepted may still ask for an upgrade."""

    def stop(self) -> None:
        """Accept nothing more, and drop who has not asked for an upgrade yet."""


class Listen(Protocol):
    """How it is listened."""

    async def __call__(self, accept: AcceptUpgrade, options: ListenOptions, /) -> Listening:
        """Listen on the running loop, or raise OSError."""


def with_target(url: str, target: str) -> str:
    """The URL with another path and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{target}"


class Dial(Protocol):
    """How a connection is made."""

    async def __call__(self, url: str, receiver: Receiver, options: DialOptions, /) -> Transport:
        """Open a WebSocket, or raise DialError; the receiver's ``on_open`` has run when this returns."""
        ...
