# SPDX-License-Identifier: Apache-2.0
"""Something between two processes that hands on what they say in pieces of its own, late, or not at all."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

PIECES_BYTES = (1, 2, 3, 5, 7, 13, 16, 17, 640, 1500)
"""The head of a message has 13 bytes, and its audio 640."""


class StreamProxy:
    """Takes the place of `port.stream.stream_pair`; a thread for each direction hands on.

    Args:
        seed: Of the pieces and of the pauses.
        pause_s: Before a piece, at most.
    """

    def __init__(self, seed: int, *, pause_s: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._pause_s = pause_s
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.goes_on = threading.Event()
        """Cleared, it hands nothing on."""
        self.goes_on.set()
        self.cuts = self.handed_bytes = 0

    def __enter__(self) -> StreamProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.goes_on.set()
        self.cut_off()
        for thread in self._threads:
            thread.join()
        for sock in self._sockets:
            sock.close()

    def pair(self) -> tuple[socket.socket, socket.socket]:
        """Two ends as the library makes them, with this in between."""
        ours, near = socket.socketpair()
        far, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        self._sockets += [near, far]
        for ends in ((near, far), (far, near)):
            thread = threading.Thread(target=self._hand_on, args=ends, daemon=True)
            self._threads.append(thread)
            thread.start()
        return ours, theirs

    def cut_off(self) -> None:
        """End every stream, in the middle of whatever it was."""
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _hand_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one of the ends has closed
            while data := source.recv(65536):
                while data:
                    self.goes_on.wait()
                    size = self._random.choice(PIECES_BYTES)
                    if self._pause_s:
                        time.sleep(self._random.random() * self._pause_s)
                    target.sendall(data[:size])
                    self.cuts += 1
                    self.handed_bytes += len(data[:size])
                    data = data[size:]
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
