# SPDX-License-Identifier: Apache-2.0
"""One end of the stream between two processes: messages in order, both ways, over a socket that never blocks.

Writing: whatever is posted waits in a queue, as it is, until `Stream.flush` makes bytes of it; a round of the loop
shares one call of the system. Any thread may post and flush, a finalizer too: who finds another one at it leaves, and
that one looks again. Reading: one at a time, on whichever thread.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable

from audio_connector.port.codec import NoMessage
from audio_connector.port.framing import Decoder, Message, encode_all

READ_BYTES = 256 * 1024
"""At once: what 150 calls bring in 50 ms."""

SOCKET_BUFFER_BYTES = 1 << 20
"""Asked for each way; Linux grants 208 KiB where nobody has raised net.core.wmem_max, 40 ms of 150 calls."""

PIECE_MESSAGES = 1000
"""Made bytes of at once, at most: what waits for a process that is stopped waits as it is."""

OTHER_BYTES = 1 << 20
"""Of a message beside the router's own text: headers and a speech's piece are far less."""


def stream_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, for two processes."""
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
        for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BUFFER_BYTES)
    return ends


class Stream:
    """One end. ``deliver`` is given each message that came, in the thread that reads."""

    def __init__(
        self, sock: socket.socket, deliver: Callable[[Message], None], *, max_message_bytes: int
    ) -> None:
        self.sock = sock
        self.queue: deque[Message] = deque()
        """What was not made bytes of yet."""
        self.is_lost = False
        """The other end is gone, or not to be understood: nothing comes, and nothing goes."""
        self.why_lost = ""
        self.batches = self.messages = 0
        """Sent so far."""
        self.reads = 0
        self._decoder = Decoder(deliver, max_body_bytes=8 * max_message_bytes + OTHER_BYTES)
        self._unsent = memoryview(b"")
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    @property
    def is_full(self) -> bool:
        """Whether the other end does not read at present: what is posted waits."""
        return bool(self._unsent)

    @property
    def messages_read(self) -> int:
        """Messages that came so far, in so many ``reads``."""
        return self._decoder.count

    def flush(self) -> bool:
        """Send what was posted; False where something of it waits until the socket is writable."""
        queue = self.queue
        while (queue or self._unsent) and not self.is_lost:
            if not self._writing.acquire(blocking=False):
                return True  # whoever is at it looks again
            try:
                if not self._send():
                    return False
            finally:
                self._writing.release()
        return True

    def _send(self) -> bool:
        if not self._unsent:
            queue = self.queue
            count = min(len(queue), PIECE_MESSAGES)
            self._unsent = memoryview(encode_all([queue.popleft() for _ in range(count)]))
            self.batches += 1
            self.messages += count
        try:
            sent_bytes = self.sock.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.lose(error.strerror or str(error))
            return True
        self._unsent = self._unsent[sent_bytes:]
        return not self._unsent

    def read(self) -> int:
        """Deliver what is there; returns how many bytes that was, 0 for nothing."""
        with self._reading:
            if self.is_lost:
                return 0
            try:
                data = self.sock.recv(READ_BYTES)
                if data:
                    self.reads += 1
                    self._decoder.feed(data)
                else:
                    self.lose("the other end closed the stream")
            except (BlockingIOError, InterruptedError):
                return 0
            except OSError as error:
                self.lose(error.strerror or str(error))
                return 0
            except NoMessage as error:
                self.lose(str(error))
                return 0
            return len(data)

    def lose(self, why: str) -> None:
        """Nothing more comes or goes; the first reason counts."""
        if not self.is_lost:
            self.is_lost, self.why_lost = True, why
            self.queue.clear()
            self._unsent = memoryview(b"")

    def hang_up(self) -> None:
        """End the stream for the other end, also where a process that was forked meanwhile has this one."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; once nobody watches it any more."""
        self.lose("closed")
        self.hang_up()
        self.sock.close()
