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
from http import HTTPStatus
from typing import Protocol, cast

from audio_connector.wire.addresses import hang_up, peer_of
from audio_connector.wire.forwarded import site_of
from audio_connector.wire.loop import keep_new
from audio_connector.wire.network import Cancel, ListenOptions, Refused, Verdict
from audio_connector.wire.overhead import Overhead
from audio_connector.wire.pages import Page, http_of
from audio_connector.wire.refusals import (
    BAD_UPGRADE,
    CROWDED_OUT,
    FAILED,
    LAGGING,
    NO_MEMORY,
    NOT_AN_UPGRADE,
    NOT_HTTP,
    NOT_NOW,
    OTHER_CALL,
    OTHER_METHOD,
    OTHER_NAME,
    OTHER_VERSION,
    PLAIN_AT_TLS_PORT,
    PROBE,
    TLS_AT_PLAIN_PORT,
    TLS_ONLY,
    TOO_FAST,
    TOO_LARGE,
    TOO_MANY,
    TOO_MANY_OF_ADDRESS,
    TOO_MANY_OF_SESSION,
    TOO_SLOW,
    UNDECIDED,
    Refusal,
    Refusals,
)
from audio_connector.wire.transport import Upgrade
from audio_connector.wire.upgrade import (
    UpgradeRequest,
    is_asked_for,
    page_asked,
    read_upgrade,
    split_target,
    why_no_request,
)
from audio_connector.wire.waiting import Waiting

logger = logging.getLogger("audio_connector.wire")

MAX_HEAD_BYTES = 16 * 1024

MAX_EARLY_BYTES = 16 * 1024
"""Behind the head, before the answer: a peer has to wait for that (RFC 6455 4.1)."""

WHAT_THIS_IS = b"This is an Audio Connector server: it speaks WebSocket only. Connect with ws:// or wss://.\n"
_INVALID_REQUEST = b"This is not a valid HTTP request (RFC 9112).\n"
_INVALID_UPGRADE = b"This WebSocket upgrade request is not valid (RFC 6455 4.2.1).\n"
_OTHER_NAME = b"This is not the name of this page.\n"
_HEAD_TOO_LARGE = b"The head of this request is too large.\n"
_NEEDS_TLS = b"This port speaks TLS: connect with wss://.\n"
_CANNOT_TAKE_IT = b"This server cannot take the connection now.\n"

_LATER = b"503 Service Unavailable\r\nRetry-After: 5"
"""A call lasts minutes, and one of the many that are open will end soon; a server that drains is replaced."""

_SOON = b"503 Service Unavailable\r\nRetry-After: 2"
"""The lag is judged by half a second."""

_ANSWERS = {
    NOT_HTTP: (b"400 Bad Request", _INVALID_REQUEST),
    TLS_AT_PLAIN_PORT: (b"400 Bad Request", _INVALID_REQUEST),
    PLAIN_AT_TLS_PORT: (b"400 Bad Request", _NEEDS_TLS),
    OTHER_METHOD: (b"405 Method Not Allowed\r\nAllow: GET, HEAD", WHAT_THIS_IS),
    NOT_AN_UPGRADE: (b"426 Upgrade Required\r\nUpgrade: websocket", WHAT_THIS_IS),  # RFC 9110 15.5.22
    OTHER_NAME: (b"421 Misdirected Request", _OTHER_NAME),
    BAD_UPGRADE: (b"400 Bad Request", _INVALID_UPGRADE),
    OTHER_VERSION: (b"426 Upgrade Required\r\nSec-WebSocket-Version: 13", _INVALID_UPGRADE),  # RFC 6455 4.4
    TOO_LARGE: (b"431 Request Header Fields Too Large", _HEAD_TOO_LARGE),
    NOT_NOW: (_LATER, _CANNOT_TAKE_IT),
    FAILED: (b"500 Internal Server Error", _CANNOT_TAKE_IT),
    TOO_MANY: (_LATER, _CANNOT_TAKE_IT),
    TOO_MANY_OF_ADDRESS: (_LATER, _CANNOT_TAKE_IT),
    TOO_MANY_OF_SESSION: (_LATER, _CANNOT_TAKE_IT),
    TOO_FAST: (b"429 Too Many Requests\r\nRetry-After: 1", _CANNOT_TAKE_IT),
    LAGGING: (_SOON, _CANNOT_TAKE_IT),
    NO_MEMORY: (_SOON, _CANNOT_TAKE_IT),
    OTHER_CALL: (_SOON, _CANNOT_TAKE_IT),
    UNDECIDED: (_LATER, _CANNOT_TAKE_IT),
}
_UNAUTHORIZED = 401
_OF_THE_SERVER = 500
_CHALLENGE = b"\r\nWWW-Authenticate: Bearer"  # RFC 9110 15.5.2
_NOT_LET_IN = b"This server does not let you in.\n"


class Upgraded(Protocol):
    """What the connection is handed to: picows' protocol, as far as it is used here."""

    def feed(self, data: bytes) -> None:
        """Take what was read already, as if it came now."""


Open = Callable[[asyncio.Transport, Upgrade], Upgraded | Refusal]
"""Makes what takes a connection, which then waits for `least_request`; or says why nobody does."""


class Waiter(Protocol):
    """A connection that has not asked for anything yet."""

    def abort(self) -> None:
        """End it at once."""


class Gates:
    """What the gates of one listening port share.

    Args:
        open_: Called for each valid upgrade request that was admitted and let in.
        options: A peer whose head is not complete within their time is dropped; who is admitted, who judges and for
            how long, and for whom proxies speak.
        clock: Seconds of a monotonic clock.
        most_waiting: So many connections may be there without a request.
    """

    def __init__(
        self, open_: Open, options: ListenOptions, clock: Callable[[], float], *, most_waiting: int
    ) -> None:
        self.open = open_
        self.admit = options.admit
        self.pages = options.pages
        self.page_names = options.page_names
        self.proxies = options.proxies
        self.timeout_s = options.handshake_timeout_s
        self.judge = options.judge
        self.judge_timeout_s = options.judge_timeout_s
        self.refusals = Refusals()
        self.waiting: Waiting[Waiter] = Waiting(most_waiting)
        """Those whose connection is their own."""
        self.is_stopped = False
        self.clock = clock

    def enter(self, peer: str, waiter: Waiter) -> None:
        """Wait from now on; the one that has to go for it is dropped."""
        dropped = self.waiting.add(site_of(peer), waiter)
        if dropped is not None:
            self.note(CROWDED_OUT, peer=peer)
            dropped.abort()

    def leave(self, peer: str, waiter: Waiter) -> None:
        """Wait no longer."""
        self.waiting.remove(site_of(peer), waiter)

    def note(
        self,
        refusal: Refusal,
        *,
        request: bytes = b"",
        peer: str = "",
        detail: str = "",
        error: Exception | None = None,
    ) -> None:
        """Count a refusal, and log it where a line is due; louder where it is our own fault or a limit of ours."""
        line = self.refusals.note(refusal, self.clock(), request=request, peer=peer, detail=detail)
        if line is not None:
            level = logging.ERROR if error else logging.WARNING if refusal.limit else logging.INFO
            logger.log(level, "%s", line, exc_info=error)

    def stop(self) -> None:
        """Drop who has not asked for an upgrade yet, and who is just coming."""
        self.is_stopped = True
        for waiter in self.waiting:
            waiter.abort()
        for line in self.refusals.take_untold():
            logger.info("%s", line)


class Gate(asyncio.Protocol):
    """One connection: *reading* its request, *judged* where that takes time, then handed on or *refused*.

    Args:
        gates: Those of the same port.
        peer: The address at the other end of the socket.
        until: When the request has to be there; None for the whole time from now on.
    """

    def __init__(self, gates: Gates, peer: str, until: float | None = None) -> None:
        self._gates = gates
        self._peer = self._client = peer
        self._until = until
        self._head = b""
        self._early = b""
        self._key: str | None = None
        """Of the request, once that is known."""
        self._cancel: Cancel | None = None
        """Ends the judgement, while there is one."""
        self._overhead = Overhead()
        self._is_answered = False
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head, for a bounded time."""
        gates, until = self._gates, self._until
        gates.enter(self._peer, self)
        self._transport = cast("asyncio.Transport", transport)
        self._give_time(gates.timeout_s if until is None else until - gates.clock())
        if gates.is_stopped:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over, on whichever side."""
        if self._deadline is not None and self._key is None and not self._is_answered:
            self._gates.note(PROBE)
        self._end_judgement()
        self._leave()
        if self._transport is not None:
            hang_up(self._transport)

    def abort(self) -> None:
        """End the connection at once."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on, until the head is complete."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_answered:
            return
        self._overhead.handed_bytes += len(data)
        known_bytes = len(self._head)
        # Bytes of the transport may be a view of a buffer that it reuses.
        if self._key is not None:
            self._early += bytes(data)
            if len(self._early) > MAX_EARLY_BYTES:
                self._refuse(transport, BAD_UPGRADE, detail=f"{MAX_EARLY_BYTES} bytes before the answer")
            return
        self._head += bytes(data)
        end = self._head.find(b"\r\n\r\n", max(0, known_bytes - 3))
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._head) > MAX_HEAD_BYTES):
            self._refuse(transport, TOO_LARGE)
        elif end < 0:
            refusal = why_no_request(self._head, known_bytes)
            if refusal is not None:
                self._refuse(transport, refusal)
            else:
                keep_new(transport)
        else:
            request = read_upgrade(self._head[:end])
            if isinstance(request, Refusal):
                if request is NOT_AN_UPGRADE and not self._is_asked_by_name():
                    request = OTHER_NAME
                if request is not NOT_AN_UPGRADE or not self._has_page():
                    self._refuse(transport, request)
            else:
                self._key, self._early = request.key, self._head[end + 4 :]
                self._admit(transport, request)

    def on_read(self, read_bytes: int, reads: int) -> None:
        """As of `wire.tls_socket.Told`."""
        if self._overhead.note(read_bytes, reads).void and not self._is_answered:
            self._gates.note(TLS_ONLY, request=self._head, peer=self._peer)
            self._end_judgement()
            self._is_answered = True
            self.abort()

    def eof_received(self) -> bool:
        """Whether to go on: who has nothing more to say may wait for a page that is being made; not over TLS."""
        transport = self._transport
        return self._is_answered and transport is not None and transport.get_extra_info("ssl_object") is None

    def _admit(self, transport: asyncio.Transport, request: UpgradeRequest) -> None:
        gates = self._gates
        client = gates.proxies.client_of(peer_of(transport), request.headers)
        self._client = client[0]
        is_secure = transport.get_extra_info("ssl_object") is not None
        upgrade = Upgrade(*split_target(request.target), request.headers, client, is_secure)
        try:
            refusal, error = gates.admit(upgrade), None
        except Exception as failed:  # noqa: BLE001 - the peer gets a fixed text
            refusal, error = FAILED, failed
        if refusal is None:
            self._judge(upgrade)
        else:
            self._refuse(transport, refusal, error)

    def _judge(self, upgrade: Upgrade) -> None:
        judge = self._gates.judge
        try:
            verdict = upgrade if judge is None else judge(upgrade, self._take_late)
        except Exception as error:  # noqa: BLE001 - the peer gets a fixed text
            verdict = Refused(FAILED, error=error)
        if callable(verdict):
            self._cancel = verdict
            self._give_time(self._gates.judge_timeout_s)
        else:
            self._take(verdict)

    def _take_late(self, verdict: Verdict) -> None:
        """Take a verdict that was waited for; one that nobody waits for any more is none."""
        if self._cancel is not None:
            self._cancel = None
            self._give_time(self._gates.timeout_s)  # to leave, where it is refused
            self._take(verdict)

    def _take(self, verdict: Verdict) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():  # the peer has gone meanwhile: there is no call
            return
        if isinstance(verdict, Refused):
            self._refuse(transport, verdict.refusal, verdict.error, detail=verdict.detail)
        else:
            self._hand_on(transport, verdict)

    def _hand_on(self, transport: asyncio.Transport, upgrade: Upgrade) -> None:
        try:
            upgraded = self._gates.open(transport, upgrade)
        except Exception as error:  # noqa: BLE001 - picows would send its text to the peer
            self._refuse(transport, FAILED, error)
            return
        if isinstance(upgraded, Refusal):
            self._refuse(transport, upgraded)
            return
        self._leave()
        transport.set_protocol(upgraded)  # type: ignore[arg-type]  # a buffered protocol, by its methods
        upgraded.feed(least_request(self._key or "") + self._early)
        self._head = self._early = b""

    def _refuse(
        self, transport: asyncio.Transport, refusal: Refusal, error: Exception | None = None, detail: str = ""
    ) -> None:
        self._is_answered = True
        self._end_judgement()
        self._gates.note(refusal, request=self._head, peer=self._client, detail=detail, error=error)
        transport.write(answer_to(refusal, self._head))
        transport.close()  # it has until the deadline to leave

    def _is_asked_by_name(self) -> bool:
        names = self._gates.page_names
        return names is None or is_asked_for(names, self._head)

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
        transport = self._transport
        if transport is not None and self._cancel is not None and not transport.is_closing():
            self._give_time(self._gates.timeout_s)
            self._refuse(transport, UNDECIDED, detail=f"more than {self._gates.judge_timeout_s:g} s")
            return
        if transport is not None and not self._is_answered:
            detail = f"more than {self._gates.timeout_s:g} s"
            self._gates.note(TOO_SLOW, request=self._head, peer=self._peer, detail=detail)
        self.abort()

    def _give_time(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _end_judgement(self) -> None:
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def _leave(self) -> None:
        self._gates.leave(self._peer, self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def answer_to(refusal: Refusal, request: bytes) -> bytes:
    """What a peer that is refused is told: a fixed text, whatever the reason."""
    status, body = _ANSWERS.get(refusal) or _answer_of_judge(int(refusal.status))
    return (
        b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (status, len(body), b"" if request.startswith(b"HEAD ") else body)
    )


def _answer_of_judge(status: int) -> tuple[bytes, bytes]:
    """The status line with what belongs to it, and the body."""
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _LATER, _CANNOT_TAKE_IT
    phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused"
    return f"{status} {phrase}".encode() + (_CHALLENGE if status == _UNAUTHORIZED else b""), (
        _CANNOT_TAKE_IT if status >= _OF_THE_SERVER else _NOT_LET_IN
    )


def least_request(key: str) -> bytes:
    """The shortest upgrade request that has this key, for picows; the real one was judged before."""
    return (
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: %b\r\n\r\n" % key.encode("ascii")
    )
