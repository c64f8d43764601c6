# SPDX-License-Identifier: Apache-2.0
"""Reads the head of an HTTP request before the WebSocket library sees it, and answers what is not an upgrade.

picows answers a request that it cannot read with the text of its own exception, which quotes the peer's bytes,
and knows only GET over HTTP/1.1. So every connection begins at a gate: it reads one head, within a time and a
size, and either answers with a fixed text or hands the connection on with the bytes that it has read.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Protocol, cast

MAX_HEAD_BYTES = 16 * 1024
MAX_HEADERS = 128
"""Bounds of picows, kept here so that it never has to refuse."""

WHAT_THIS_IS = b"This is an Audio Connector server: it speaks WebSocket only. Connect with ws:// or wss://.\n"
BAD_REQUEST = b"This is not a valid HTTP request (RFC 9112).\n"
TOO_LARGE = b"The head of this request is too large.\n"

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*)")

_NO_BODY = re.compile(rb"0+")
_SINGLE = frozenset({b"upgrade", b"host", b"sec-websocket-key", b"sec-websocket-version", b"content-length"})
"""Headers that may come once: of two, everyone who reads the request might go by another (RFC 9110 5.3)."""

_ANSWERS = {
    400: (b"Bad Request", BAD_REQUEST),
    426: (b"Upgrade Required", WHAT_THIS_IS),
    431: (b"Request Header Fields Too Large", TOO_LARGE),
}


class Upgraded(Protocol):
    """What the connection is handed to: picows' protocol, as far as it is used here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give room for bytes."""

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes that were put there."""


class Gate(asyncio.Protocol):
    """One connection until its request is known.

    Args:
        make_upgraded: Makes what a well-formed upgrade request is handed to.
        timeout_s: A peer whose head is not complete by then is dropped.
        waiting: Where the gate is kept while the connection is its own, for whoever has to end it.
    """

    def __init__(self, make_upgraded: Callable[[], Upgraded], timeout_s: float, waiting: set[Gate]) -> None:
        self._make_upgraded = make_upgraded
        self._timeout_s = timeout_s
        self._waiting = waiting
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head, for a bounded time."""
        self._waiting.add(self)
        self._transport = cast("asyncio.Transport", transport)
        self._deadline = asyncio.get_running_loop().call_later(self._timeout_s, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        self._waiting.discard(self)
        self._stop_waiting()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, until the head is complete."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # Bytes of the transport may be a view of a buffer that it reuses.
        self._head += bytes(data)
        end = self._head.find(b"\r\n\r\n")
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._head) > MAX_HEAD_BYTES):
            self._answer(transport, 431)
        elif end >= 0:
            status = judge_head(self._head[:end])
            if status is None:
                self._hand_on(transport)
            else:
                self._answer(transport, status)

    def _hand_on(self, transport: asyncio.Transport) -> None:
        self._stop_waiting()
        self._waiting.discard(self)
        upgraded = self._make_upgraded()
        transport.set_protocol(upgraded)  # type: ignore[arg-type]  # a buffered protocol, by its methods
        upgraded.connection_made(transport)
        data, self._head = self._head, b""
        while data and not transport.is_closing():
            room = upgraded.get_buffer(len(data))
            taken = min(len(room), len(data))
            room[:taken] = data[:taken]
            upgraded.buffer_updated(taken)
            data = data[taken:]

    def _answer(self, transport: asyncio.Transport, status: int) -> None:
        self._stop_waiting()
        phrase, body = _ANSWERS[status]
        is_head = self._head.startswith(b"HEAD ")
        upgrade = b"Upgrade: websocket\r\n" if status == 426 else b""  # noqa: PLR2004 - RFC 9110 15.5.22
        transport.write(
            b"HTTP/1.1 %d %b\r\n%bConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (status, phrase, upgrade, len(body), b"" if is_head else body)
        )
        transport.close()

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def judge_head(head: bytes) -> int | None:
    """Judge a request's head: None where it may be a WebSocket upgrade, else the status to answer with.

    Args:
        head: Request line and headers, without the empty line at the end.
    """
    request, *lines = head.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(request)
    if match is None or len(lines) > MAX_HEADERS:
        return 400 if match is None else 431
    names: dict[bytes, bytes] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            return 400
        name = header[1].lower()
        if name in _SINGLE and name in names:
            return 400
        names[name] = header[2].strip()
    has_body = b"transfer-encoding" in names or _NO_BODY.fullmatch(names.get(b"content-length", b"0")) is None
    is_newest = match[3] == b"1"
    if has_body or (is_newest and b"host" not in names):  # RFC 9112 3.2
        return 400
    is_upgrade = match[1] == b"GET" and is_newest and names.get(b"upgrade", b"").lower() == b"websocket"
    return None if is_upgrade else 426
