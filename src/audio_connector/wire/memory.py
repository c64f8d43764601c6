# SPDX-License-Identifier: Apache-2.0
"""The port in process: two ends of one WebSocket, for tests.

There is no clock and no thread here: what a peer would notice later goes through ``call_later``, which may be
a loop's or that of a virtual clock. So a message is never delivered inside the call that sent it.

What a real socket does in trouble is had here without one. `MemoryTransport.pause_reading` fills the other end's
write buffer; `MemoryTransport.slow` reads one message at a time (PROTOCOL 4.14); `MemoryTransport.reset` breaks the
connection without a close frame (PROTOCOL 1.22). Whatever is sent keeps its order, pings and close frames included,
as in a stream (PROTOCOL 1.25).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

from audio_connector.wire.closing import ABNORMAL, PROTOCOL_FAULT, may_be_received
from audio_connector.wire.fragments import BINARY, TEXT, Fragments
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Nobody, Receiver, Upgrade, WireLimits

_OPCODES = {"audio": BINARY, "text": TEXT}

CallLater: TypeAlias = Callable[[float, Callable[[], None]], Any]
"""Calls back after so many seconds; what it returns has ``cancel``, as an `asyncio.TimerHandle` does."""

_LIMITS = WireLimits()

UPGRADE = Upgrade(path="/", query="", headers=Headers(), remote_address=("127.0.0.1", 1), secure=False)


class _Sent(NamedTuple):
    kind: Literal["audio", "text", "ping", "pong", "close", "raw"]
    payload: Any
    size_bytes: int


class MemoryTransport:
    """One end of a WebSocket; a `wire.transport.Transport`. Made in pairs by `connect`.

    Args:
        receiver: Is told what the other end sends.
        call_later: Seconds and a callback.
        kernel_bytes: What the sockets of both ends take before the write buffer fills.
        high_bytes: Unsent bytes beyond which `Receiver.on_writable` says False; True again at a quarter.
        close_timeout_s: How long the answer to a close frame may take before the end is aborted.
        latency_s: How long what the other end sends is under way, in its order; it counts as unsent until then.
        limits: Bounds of what the other end may send; those of time and of buffers stand by themselves.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        call_later: CallLater,
        kernel_bytes: int = 0,
        high_bytes: int = 16384,
        close_timeout_s: float = 2.0,
        latency_s: float = 0.0,
        limits: WireLimits = _LIMITS,
    ) -> None:
        self._receiver = receiver
        self._sizes = Fragments(limits.max_message_bytes, limits.max_text_bytes)
        self._call_later = call_later
        self._kernel_bytes = kernel_bytes
        self._high_bytes = high_bytes
        self._close_timeout_s = close_timeout_s
        self._latency_s = latency_s
        self._peer: MemoryTransport = self  # until `connect` has two of them
        self._unread: deque[_Sent] = deque()
        self._unread_bytes = 0
        self._arrived = 0
        """How many of the unread are at the other end; the rest is under way."""
        self._is_paused = False
        self._is_reading_due = False
        self._is_reading_paused = False
        self._per_message_s = 0.0
        self._is_open = False
        self._is_over = False
        self._own_close: Closed | None = None
        self._peer_close: Closed | None = None
        self._deadline: Any = None
        self.answers_pings = True
        """False makes this end one that reads, but whose pongs never come."""

    # The port.

    def send_audio(self, frame: bytes) -> None:
        """Send one binary message."""
        self._send(_Sent("audio", frame, len(frame)))

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._send(_Sent("text", text, len(text.encode())))

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping; it waits behind what the other end has not read."""
        self._send(_Sent("ping", payload, len(payload)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; the first call counts."""
        if self.is_closing:
            return
        self._own_close = Closed(code, reason, closed_by="us")
        self._enqueue(_Sent("close", (code, reason), 2 + len(reason.encode())))
        self._deadline = self._call_later(self._close_timeout_s, self.abort)

    def abort(self) -> None:
        """End the connection at once, unsent data included."""
        self._end()
        self._peer._end(notice_after_s=self._peer._latency_s)

    def reset(self) -> None:
        """Break the connection: no close frame, and nothing that was under way arrives."""
        self.abort()

    def disown(self) -> None:
        """Tell the receiver nothing more."""
        self._receiver = Nobody()

    def pause_reading(self) -> None:
        """Read nothing more, until `resume_reading`."""
        self._is_reading_paused = True

    def resume_reading(self) -> None:
        """Read again."""
        self._is_reading_paused = False
        self._peer._schedule_reading()

    def write_raw(self, data: bytes) -> None:
        """Send what is no frame: the other end closes with 1002."""
        self._send(_Sent("raw", data, len(data)))

    @property
    def write_buffer_bytes(self) -> int:
        """Bytes that were sent and that neither the kernel nor the other end has taken."""
        return max(0, self._unread_bytes - self._kernel_bytes)

    @property
    def is_closing(self) -> bool:
        """True from the first close frame, or the end, on."""
        return self._own_close is not None or self._peer_close is not None or self._is_over

    @property
    def closed_by(self) -> ClosedBy:
        """Who has sent the first close frame; "network" where nobody has."""
        return self._how_closed().closed_by

    # The hooks.

    @property
    def is_reading_paused(self) -> bool:
        """True while this end reads nothing."""
        return self._is_reading_paused

    def slow(self, per_message_s: float) -> None:
        """Read one message in so many seconds; 0 reads whatever is there, as at the beginning."""
        self._per_message_s = per_message_s

    # The machine.

    def _open(self, upgrade: Upgrade) -> None:
        self._is_open = True
        self._receiver.on_open(self, upgrade)
        self._peer._schedule_reading()

    def _send(self, sent: _Sent) -> None:
        # A real one says nothing either where it is too late.
        if not self.is_closing:
            self._enqueue(sent)

    def _enqueue(self, sent: _Sent) -> None:
        self._unread.append(sent)
        self._unread_bytes += sent.size_bytes
        if self._peer._latency_s:
            self._call_later(self._peer._latency_s, self._arrive)
        else:
            self._arrive()
        if not self._is_paused and self.write_buffer_bytes > self._high_bytes:
            self._is_paused = True
            self._receiver.on_writable(False)

    def _arrive(self) -> None:
        """The oldest that is under way has come; a timer that fires out of turn changes no order."""
        self._arrived += 1
        self._schedule_reading()

    def _schedule_reading(self) -> None:
        """Let the other end read, later."""
        reader = self._peer
        if self._readable and reader._is_open and not reader._is_reading_paused and not self._is_reading_due:
            self._is_reading_due = True
            self._call_later(reader._per_message_s, self._be_read)

    @property
    def _readable(self) -> int:
        return min(self._arrived, len(self._unread))

    def _be_read(self) -> None:
        self._is_reading_due = False
        reader = self._peer
        # What is sent in answer, now, is read in the next round: a reader that answers itself is no loop.
        count = 1 if reader._per_message_s else self._readable
        for _ in range(count):
            if reader._is_reading_paused or not self._readable:
                break
            sent = self._unread.popleft()
            self._arrived -= 1
            self._unread_bytes -= sent.size_bytes
            reader._take(sent)
        if self._is_paused and not self._is_over and self.write_buffer_bytes <= self._high_bytes // 4:
            self._is_paused = False
            self._receiver.on_writable(True)
        self._schedule_reading()

    def _take(self, sent: _Sent) -> None:
        """Read one thing that the other end sent."""
        if sent.kind == "close":
            code, reason = sent.payload
            if may_be_received(code) or self.is_closing:
                self._take_close(Closed(code, reason, closed_by="peer"))
            else:
                self.close(PROTOCOL_FAULT, f"close code {code} is never sent")
        elif self.is_closing:
            return
        elif sent.kind in _OPCODES and (fault := self._sizes.fault_of(_OPCODES[sent.kind], sent.size_bytes)):
            self.close(fault.code, fault.reason)
        elif sent.kind == "audio":
            self._receiver.on_audio(sent.payload)
        elif sent.kind == "text":
            self._receiver.on_text(sent.payload)
        elif sent.kind == "pong":
            self._receiver.on_pong(sent.payload)
        elif sent.kind == "raw":
            self.close(PROTOCOL_FAULT, "not a frame")
        elif self.answers_pings:
            self._send(_Sent("pong", sent.payload, len(sent.payload)))

    def _take_close(self, closed: Closed) -> None:
        self._peer_close = closed
        if self._own_close is None:
            # Closing without an answer in between: it would overtake what this end sent before.
            self._enqueue(_Sent("close", (closed.code, closed.reason), 2))
            self._deadline = self._call_later(self._close_timeout_s, self.abort)
        else:
            self.abort()

    def _end(self, notice_after_s: float = 0.0) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._unread.clear()
        self._unread_bytes = 0
        if self._deadline is not None:
            self._deadline.cancel()
        how = self._how_closed()
        self._call_later(notice_after_s, lambda: self._receiver.on_closed(how))

    def _how_closed(self) -> Closed:
        return self._own_close or self._peer_close or Closed(ABNORMAL, "", closed_by="network")


def connect(server: MemoryTransport, router: MemoryTransport, upgrade: Upgrade = UPGRADE) -> None:
    """Join two ends and open them: the server's first, as it answers the request.

    Args:
        server: The end that was dialled.
        router: The end that dials.
        upgrade: The request, as both are told of it; of the identity only the server is.
    """
    server._peer, router._peer = router, server
    server._open(upgrade)
    router._open(upgrade._replace(identity=None))
