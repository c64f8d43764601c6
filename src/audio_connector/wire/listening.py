# SPDX-License-Identifier: Apache-2.0
"""Listening for connections: every address of a host at one port, a gate before each connection."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from typing import Any

import aiofastnet
from aiofastnet import constants
from aiofastnet.openssl_compat import OPENSSL_DYN_LIBS
from aiofastnet.selector_transport import SelectorSocketTransport  # type: ignore[import-not-found]

from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES, listen_on, shut_down
from audio_connector.wire.descriptors import most_waiting, reserve
from audio_connector.wire.episodes import Episodes
from audio_connector.wire.first_bytes import FirstBytes
from audio_connector.wire.gate import Gate, Gates, Open
from audio_connector.wire.network import ListenOptions
from audio_connector.wire.one_by_one import OneByOne
from audio_connector.wire.overhead import READ_BYTES
from audio_connector.wire.quiet import quiet_handshakes
from audio_connector.wire.refusals import (
    FAILED,
    FIRST_INTERVAL_S,
    LONGEST_INTERVAL_S,
    PROBE,
    TLS_FAILED,
    TOO_SLOW,
)
from audio_connector.wire.tls_socket import WRITE_BUFFER_BYTES, TlsSocket

logger = logging.getLogger("audio_connector.wire")

ACCEPTS_PER_ROUND = 12
ACCEPTS_APART_S = 0.01
"""So many at once, and then a pause: what each brings waits until calls were read (`wire.gathering`). The kernel
holds 1,024 (`ListenOptions.backlog`), so that who dials behind a full queue waits for 0.9 s. With a third of them it
was 2.6 s, and a peer that connects and holds, some 400 times a second, keeps it full. The router gives an opening
6 s (PROTOCOL 1.1). `make attack` measures it as held-connections."""

GONE_PER_ROUND = 64
"""Besides, so many that have hung up while they waited for this, and cost a look each: a peer that does nothing but
connect and hang up must not keep that queue full, while the loop has little to do."""

ACCEPT_AGAIN_S = 0.05
"""After the system has refused a descriptor or memory. It does not tell when there is room again, by the end of a
call or of something else in this process. A try is one call of the system, and a router waits 6 s (PROTOCOL 1.1)."""

LEAST_S = 0.01
"""For a handshake that is begun at the last moment."""

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listening:
    """Listening sockets, one per address of the host; connections that they accepted outlive them.

    Args:
        sockets: At least one, all listening.
        gates: Where their connections begin.
        ssl_context: Returns the server-side context for a new connection; None for plain TCP.
        are_lent: The sockets are duplicates of what goes on listening.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        gates: Gates,
        ssl_context: Callable[[], ssl.SSLContext] | None,
        *,
        are_lent: bool = False,
    ) -> None:
        self._sockets = sockets
        self._are_lent = are_lent
        self._gates = gates
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._exhaustions: Episodes[str] = Episodes(
            "other reasons", first_s=FIRST_INTERVAL_S, longest_s=LONGEST_INTERVAL_S
        )
        self._is_exhausted = False
        self._watches_sockets = True
        self._ssl_context = ssl_context
        self._tls: dict[str, Any] = {}
        self._filters = ExitStack()
        host, port = sockets[0].getsockname()[:2]
        self.address: tuple[str, int] = (host, port)
        """The first address that is listened on, with the real port, which all share."""
        self._handshakes = OneByOne(self._loop.call_later)
        """Their beginnings: the state of TLS takes a while to make, and hundreds of peers may say their first byte at
        once."""
        if ssl_context is not None:
            self._tls = {
                "ssl_shutdown_timeout": gates.timeout_s,
                "ssl_incoming_bio_size": WRITE_BUFFER_BYTES,
                "ssl_outgoing_bio_size": WRITE_BUFFER_BYTES,
            }
            self._filters.enter_context(quiet_handshakes())
            # It reads up to 256 KiB in one go, and new keys are 27 bytes that take 15 µs: a peer that sent nothing
            # else had the loop for a tenth of a second at a time.
            constants.MAX_READ_BYTES_PER_CYCLE_HINT = READ_BYTES
        for sock in sockets:
            self._accept_from(sock)

    @property
    def refusals(self) -> dict[str, int]:
        """Connections that were refused so far: how many by `refusals.Refusal.name`."""
        return self._gates.refusals.counts

    def lend(self) -> None:
        """Leave what is listened on to others, from now on."""
        self._are_lent = True

    def stop_accepting(self) -> None:
        """Accept nothing more; who has been accepted may still ask for an upgrade."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            with suppress(NotImplementedError):
                self._loop.remove_reader(sock.fileno())
            if not self._are_lent:
                shut_down(sock)  # a process that was forked meanwhile must not keep the port
            sock.close()

    def stop(self) -> None:
        """Accept nothing more, and drop who has not asked for an upgrade yet."""
        self.stop_accepting()
        for word in self._exhaustions.finish():
            text = "no connection could be accepted %d more times in %.0f s (%s)"
            logger.warning(text, word.times, word.seconds, word.kind)
        for task in list(self._tasks):
            task.cancel()
        self._gates.stop()
        self._filters.close()

    def _accept_from(self, sock: socket.socket) -> None:
        if sock not in self._sockets:
            return
        try:
            self._loop.add_reader(sock.fileno(), self._accept, sock)
        except NotImplementedError:  # by the loop of Windows
            self._watches_sockets = False
            self._start(self._accept_one_by_one(sock))

    def _accept(self, listening: socket.socket) -> None:
        let_in = 0
        for _ in range(ACCEPTS_PER_ROUND + GONE_PER_ROUND):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                # It stays readable, and would keep the loop busy.
                self._loop.remove_reader(listening.fileno())
                self._pause(listening, error)
                return
            if _has_gone(sock):
                sock.close()
                self._gates.note(PROBE)
                continue
            self._let_in(sock, str(address[0]))
            let_in += 1
            if let_in == ACCEPTS_PER_ROUND:
                break
        self._loop.remove_reader(listening.fileno())
        self._loop.call_later(ACCEPTS_APART_S, self._accept_from, listening)

    async def _accept_one_by_one(self, listening: socket.socket) -> None:
        while listening in self._sockets:
            try:
                sock, address = await self._loop.sock_accept(listening)
            except OSError as error:
                if error.errno not in _OUT_OF_RESOURCES:
                    continue
                self._pause(listening, error)
                return
            self._let_in(sock, str(address[0]))

    def _let_in(self, sock: socket.socket, peer: str) -> None:
        self._is_exhausted = False
        sock.setblocking(False)
        if self._are_lent:  # it may have been waiting since before the listening socket got this
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if self._tls:
            FirstBytes(self._gates, sock, peer, self._open)
            return
        if not self._watches_sockets:
            self._start(self._open(sock, peer))
            return
        # What the public function makes; without its task and its future, opening a call costs a tenth less.
        try:
            SelectorSocketTransport(self._loop, sock, Gate(self._gates, peer))
        except OSError:  # it has gone before it was let in
            sock.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        self._loop.call_later(ACCEPT_AGAIN_S, self._accept_from, listening)
        if self._is_exhausted:
            return
        self._is_exhausted = True
        word = self._exhaustions.note(error.strerror or "", self._loop.time())
        if word is not None:
            times = f", {word.times} times in {word.seconds:.0f} s" if word.times > 1 else ""
            logger.warning(
                "no connection can be accepted (%s%s); calls wait until others have ended. Raise the limit of open "
                "files (ulimit -n) above the number of calls",
                word.kind,
                times,
            )

    async def _open(self, sock: socket.socket, peer: str, until: float | None = None) -> None:
        try:
            if self._tls:
                await self._handshakes.turn()
            context = None if self._ssl_context is None else self._ssl_context()
            gate = Gate(self._gates, peer, until)
            if context is not None and self._watches_sockets and OPENSSL_DYN_LIBS is not None:
                await self._shake_hands(sock, gate, context, until)
            else:
                await self._connect(sock, gate, context, until)
        except asyncio.CancelledError:
            shut_down(sock)
            raise
        except OSError as error:  # an ssl.SSLError is one
            self._note_failure(peer, error)
            shut_down(sock)
        except Exception as error:  # noqa: BLE001 - it is logged, and this connection alone ends
            self._gates.note(FAILED, peer=peer, error=error)
            shut_down(sock)
            sock.close()  # no transport has it yet

    async def _shake_hands(
        self, sock: socket.socket, gate: Gate, context: ssl.SSLContext, until: float | None
    ) -> None:
        opened: asyncio.Future[None] = self._loop.create_future()
        goodbye_s = self._gates.timeout_s
        transport = TlsSocket(
            gate,
            context,
            sock,
            handshake_s=goodbye_s if until is None else self._left_s(until),
            goodbye_s=goodbye_s,
            opened=opened,
        )
        try:
            await opened
        except BaseException:
            transport.close()
            raise

    async def _connect(
        self, sock: socket.socket, gate: Gate, context: ssl.SSLContext | None, until: float | None
    ) -> None:
        """As aiofastnet does it, where it has no OpenSSL of its own, or the loop watches no sockets."""
        tls = self._tls if until is None else {**self._tls, "ssl_handshake_timeout": self._left_s(until)}
        await aiofastnet.connect_accepted_socket(self._loop, lambda: gate, sock, ssl=context, **tls)

    def _left_s(self, until: float) -> float:
        return max(until - self._gates.clock(), LEAST_S)

    def _note_failure(self, peer: str, error: OSError) -> None:
        if not self._tls:
            return
        if isinstance(error, ConnectionAbortedError):
            self._gates.note(
                TOO_SLOW, peer=peer, detail=f"no TLS handshake within {self._gates.timeout_s:g} s"
            )
        else:
            why = error.reason if isinstance(error, ssl.SSLError) else "the peer hung up"
            self._gates.note(TLS_FAILED, peer=peer, detail=why)


def _has_gone(sock: socket.socket) -> bool:
    """Whether the peer has reset the connection, or has nothing more to say and has said nothing."""
    sock.setblocking(False)
    try:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or not sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True


async def listen_at(options: ListenOptions, open_: Open) -> Listening:
    """Listen on the running loop, see `wire.picows.listen`.

    Args:
        options: Where, and with which bounds.
        open_: Makes what a valid upgrade request is handed to.

    Raises:
        OSError: The address cannot be bound.
    """
    sockets = list(options.sockets) or await listen_on(options.host, options.port, options.backlog)
    reserve(sockets[0])
    clock = asyncio.get_running_loop().time
    gates = Gates(open_, options, clock, most_waiting=most_waiting())
    return Listening(sockets, gates, options.ssl_context, are_lent=options.are_lent)
