# SPDX-License-Identifier: Apache-2.0
"""Reads the head of an HTTP request before the WebSocket library sees it, and answers what is not an upgrade.

picows answers a request that it cannot read with the text of its own exception, which quotes the peer's bytes,
and knows only GET over HTTP/1.1. So every connection begins at a gate: it reads one head, within a time and a
size, and either answers with a fixed text or hands the connection on. The head is parsed here only; picows
is handed the least that it needs for its answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, cast

from audio_connector.wire.addresses import hang_up, ip_of
from audio_connector.wire.pages import Page, Pages, http_of, no_pages
from audio_connector.wire.refusals import (
    BAD_UPGRADE,
    FAILED,
    NOT_AN_UPGRADE,
    NOT_HTTP,
    NOT_NOW,
    OTHER_VERSION,
    TLS_AT_PLAIN_PORT,
    TOO_LARGE,
    TOO_SLOW,
    Refusal,
    Refusals,
)
from audio_connector.wire.upgrade import UpgradeRequest, page_asked, read_upgrade

logger = logging.getLogger("audio_connector.wire")

MAX_HEAD_BYTES = 16 * 1024

WHAT_THIS_IS = b"This is an Audio Connector server: it speaks WebSocket only. Connect with ws:// or wss://.\n"
_INVALID_REQUEST = b"This is not a valid HTTP request (RFC 9112).\n"
_INVALID_UPGRADE = b"This WebSocket upgrade request is not valid (RFC 6455 4.2.1).\n"
_HEAD_TOO_LARGE = b"The head of this request is too large.\n"
_CANNOT_TAKE_IT = b"This server cannot take the connection now.\n"

_ANSWERS = {
    NOT_HTTP: (b"400 Bad Request", _INVALID_REQUEST),
    TLS_AT_PLAIN_PORT: (b"400 Bad Request", _INVALID_REQUEST),
    NOT_AN_UPGRADE: (b"426 Upgrade Required\r\nUpgrade: websocket", WHAT_THIS_IS),  # RFC 9110 15.5.22
    BAD_UPGRADE: (b"400 Bad Request", _INVALID_UPGRADE),
    OTHER_VERSION: (b"426 Upgrade Required\r\nSec-WebSocket-Version: 13", _INVALID_UPGRADE),  # RFC 6455 4.4
    TOO_LARGE: (b"431 Request Header Fields Too Large", _HEAD_TOO_LARGE),
    NOT_NOW: (b"503 Service Unavailable", _CANNOT_TAKE_IT),
    FAILED: (b"500 Internal Server Error", _CANNOT_TAKE_IT),
}


class Upgraded(Protocol):
    """What the connection is handed to: picows' protocol, as far as it is used here."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for bytes."""

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were put there."""


Open = Callable[[asyncio.Transport, UpgradeRequest], Upgraded | Refusal]
"""Makes what takes a connection, which then waits for `least_request`; or says why nobody does."""


class Gates:
    """What the gates of one listening port share.

    Args:
        open_: Called for each valid upgrade request.
        timeout_s: A peer whose head is not complete by then is dropped.
        clock: Seconds of a monotonic clock.
        pages: What is answered to who asks for no upgrade.
    """

    def __init__(
        self, open_: Open, timeout_s: float, clock: Callable[[], float], pages: Pages = no_pages
    ) -> None:
        self.open = open_
        self.timeout_s = timeout_s
        self.pages = pages
        self.refusals = Refusals()
        self.waiting: set[Gate] = set()
        """Those whose connection is their own."""
        self.is_stopped = False
        self._clock = clock

    def note(
        self,
        refusal: Refusal,
        *,
        request: bytes = b"",
        peer: str = "",
        detail: str = "",
        error: Exception | None = None,
    ) -> None:
        """Count a refusal, and log it where a line is due; at ERROR where it is our own fault."""
        line = self.refusals.note(refusal, self._clock(), request=request, peer=peer, detail=detail)
        if line is not None:
            logger.log(logging.ERROR if error else logging.INFO, "%s", line, exc_info=error)

    def stop(self) -> None:
        """Drop who has not asked for an upgrade yet, and who is just coming."""
        self.is_stopped = True
        for gate in list(self.waiting):
            gate.abort()
        for line in self.refusals.take_untold():
            logger.info("%s", line)


class Gate(asyncio.Protocol):
    """One connection until its request is known; then, where it was refused, until it has ended.

    Args:
        gates: Those of the same port.
    """

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self._head = b""
        self._is_answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head, for a bounded time."""
        self._gates.waiting.add(self)
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(self._gates.timeout_s, self._give_up)
        if self._gates.is_stopped:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, on whichever side."""
        self._leave()
        if self._transport is not None:
            hang_up(self._transport)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, until the head is complete."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_answered:
            return
        # Bytes of the transport may be a view of a buffer that it reuses.
        self._head += bytes(data)
        end = self._head.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._head) > MAX_HEAD_BYTES):
            self._refuse(transport, TOO_LARGE)
        elif end >= 0:
            request = read_upgrade(self._head[:end])
            if isinstance(request, Refusal):
                if request is not NOT_AN_UPGRADE or not self._has_page():
                    self._refuse(transport, request)
            else:
                self._hand_on(transport, request, self._head[end + 4 :])

    def _hand_on(self, transport: asyncio.Transport, request: UpgradeRequest, rest: bytes) -> None:
        try:
            upgraded = self._gates.open(transport, request)
        except Exception as error:  # noqa: BLE001 - picows would send its text to the peer
            self._refuse(transport, FAILED, error)
            return
        if isinstance(upgraded, Refusal):
            self._refuse(transport, upgraded)
            return
        self._leave()
        self._head = b""
        transport.set_protocol(upgraded)  # type: ignore[arg-type]  # a buffered protocol, by its methods
        data = least_request(request.key) + rest
        while data and not transport.is_closing():
            room = upgraded.get_buffer(len(data))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            upgraded.buffer_updated(taken)
            data = data[taken:]

    def _refuse(self, transport: asyncio.Transport, refusal: Refusal, error: Exception | None = None) -> None:
        self._is_answered = True
        self._gates.note(refusal, request=self._head, peer=ip_of(transport), error=error)
        status, body = _ANSWERS[refusal]
        is_head = self._head.startswith(b"HEAD ")
        transport.write(
            b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (status, len(body), b"" if is_head else body)
        )
        transport.close()  # it has until the deadline to leave

    def _has_page(self) -> bool:
        """Whether it is asked for a page that there is; it is answered then, now or later."""
        path = page_asked(self._head)
        if path is None or not self._gates.pages(path, self._answer):
            return False
        self._is_answered = True
        return True

    def _answer(self, page: Page) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(http_of(page, has_body=not self._head.startswith(b"HEAD ")))
            transport.close()  # it has until the deadline to leave

    def _give_up(self) -> None:
        if self._transport is not None and not self._is_answered:
            detail = f"more than {self._gates.timeout_s:g} s"
            self._gates.note(TOO_SLOW, request=self._head, peer=ip_of(self._transport), detail=detail)
        self.abort()

    def _leave(self) -> None:
        self._gates.waiting.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def least_request(key: str) -> bytes:
    """The shortest upgrade request that has this key, for picows; the real one was judged before."""
    return (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %b\r\n\r\n" % key.encode("ascii")
    )
