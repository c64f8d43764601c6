# SPDX-License-Identifier: Apache-2.0
"""A connection at a TLS port until its handshake is done.

The handshake is begun once its first byte is there. So who only looks whether the port is open costs no state of TLS
and is no error, and who speaks plain HTTP is told so at once.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from audio_connector.wire.addresses import RECEIVE_BUFFER_BYTES, shut_down
from audio_connector.wire.gate import Gates, answer_to
from audio_connector.wire.refusals import NOT_TLS, PLAIN_AT_TLS_PORT, PROBE, TOO_SLOW
from audio_connector.wire.upgrade import why_no_request

HANDSHAKE = b"\x16"
"""The type of the first record (RFC 8446 5.1)."""

PEEKED_BYTES = 256
"""Of what is no handshake, for the log."""

Begin = Callable[[socket.socket, str, float], Coroutine[Any, Any, None]]
"""Does the handshake, with the peer's address and the time by which the whole request has to be there."""


class FirstBytes:
    """Waits for the first byte, and then for the end of what that begins; a `wire.gate.Waiter`.

    Args:
        gates: Of the port.
        sock: Non-blocking; it is closed where no handshake is begun.
        peer: The address of who is there.
        begin: Called where it is a handshake.
    """

    def __init__(self, gates: Gates, sock: socket.socket, peer: str, begin: Begin) -> None:
        self._gates, self._sock, self._peer, self._begin = gates, sock, peer, begin
        self._loop = loop = asyncio.get_running_loop()
        self._until = gates.clock() + gates.timeout_s
        self._task: asyncio.Task[None] | None = None
        self._deadline = loop.call_later(gates.timeout_s, self._give_up)
        try:
            loop.add_reader(sock.fileno(), self._look)
        except NotImplementedError:  # by the loop of Windows, where every handshake is begun at once
            self._shake_hands()
        gates.enter(peer, self)

    def abort(self) -> None:
        """End the connection at once."""
        if self._task is not None:
            self._task.cancel()
        else:
            self._end()

    def _look(self) -> None:
        try:
            first = self._sock.recv(PEEKED_BYTES, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # a reset
            first = b""
        if first.startswith(HANDSHAKE):
            self._loop.remove_reader(self._sock.fileno())
            self._shake_hands()
            return
        if not first:
            self._gates.note(PROBE)
        elif why_no_request(first) is None:
            self._gates.note(PLAIN_AT_TLS_PORT, request=first, peer=self._peer)
            with suppress(OSError):
                # Closing with something unread would be a reset, and lose the answer.
                self._sock.recv(RECEIVE_BUFFER_BYTES)
                self._sock.send(answer_to(PLAIN_AT_TLS_PORT, first))
        else:
            self._gates.note(NOT_TLS, request=first, peer=self._peer)
        self._end()

    def _shake_hands(self) -> None:
        self._deadline.cancel()
        self._task = self._loop.create_task(self._begin(self._sock, self._peer, self._until))
        self._task.add_done_callback(lambda _: self._gates.leave(self._peer, self))

    def _give_up(self) -> None:
        self._gates.note(
            TOO_SLOW, peer=self._peer, detail=f"no TLS handshake within {self._gates.timeout_s:g} s"
        )
        self._end()

    def _end(self) -> None:
        self._deadline.cancel()
        self._gates.leave(self._peer, self)
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            shut_down(self._sock)
            self._sock.close()
