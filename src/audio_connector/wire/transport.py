# SPDX-License-Identifier: Apache-2.0
"""The port between the library and a WebSocket: what it needs of one, and what it is told.

Two adapters implement it: ``wire.picows`` on a real socket and ``wire.memory`` in process. Every call
and every callback happens on the thread of the loop that owns the socket, and none of them blocks.

The rules, for both sides of the port:

1. ``on_open`` comes first, once; ``on_closed`` comes last, once, on every path, however the socket ended.
2. A message is whole: fragments were joined, text is valid UTF-8, its size is within the limit.
3. After ``close`` nothing more is sent, and data that still arrives is not delivered.
4. ``close`` sends a close frame and waits a bounded time for the answer; ``abort`` does not wait.
5. A connection that ``is_closing`` for another reason ends within the same time from when that is first asked:
   what the peer does not read keeps none open.
6. Pings are answered here. While the peer does not read, only the newest is (RFC 6455 5.5.3).
7. After ``pause_reading`` what was read already is still delivered, and then nothing, until ``resume_reading``:
   no close frame and no pong either, and that the peer has gone may be noticed only then.
8. A peer that sends more than a call needs is read later, and in the end closed with 1008, see ``wire.budget``; what
   it sent is delivered, in order.
9. After ``disown`` the receiver is told nothing more, whatever becomes of the socket: it may have another by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias


class Headers(Mapping[str, str]):
    """The headers of an upgrade request: names in any case, every value kept.

    ``headers["X-Name"]`` joins repeated values with ", " (RFC 9110 5.3); ``get_all`` gives them one by one.
    Iteration yields the names in lower case, in the order of their first appearance.
    """

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, list[str]] = {}
        for name, value in pairs:
            values.setdefault(name.lower(), []).append(value)
        self._values = values

    @classmethod
    def of(cls, values: dict[str, list[str]]) -> Headers:
        """Those of names in lower case, which the caller gives away."""
        made = cls()
        made._values = values
        return made

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header, in the order received; an empty list where there is none."""
        return list(self._values.get(name.lower(), ()))


@dataclass(frozen=True, slots=True)
class WireLimits:
    """Bounds of one socket.

    Attributes:
        max_message_bytes: A longer message, fragments summed, is closed with 1009.
        max_text_bytes: The same of a text message, where that is less.
        close_timeout_s: How long the answer to a close frame may take before the socket is aborted.
        send_buffer_bytes: The kernel's send buffer. With the default of the kernel, 120 s of audio fit in
            before a peer that does not read is noticed; with 16 KiB it is 1.9 s on loopback.
        write_high_bytes: Unsent bytes in user space beyond which `Receiver.on_writable` says False.
        receive_buffer_bytes: The kernel's receive buffer of a connection that is dialled: with a small one, the
            peer soon notices that nothing is read. None leaves it to the kernel.
    """

    max_message_bytes: int = 1 << 20
    max_text_bytes: int = 1 << 20
    close_timeout_s: float = 2.0
    send_buffer_bytes: int = 16384
    write_high_bytes: int = 16384
    receive_buffer_bytes: int | None = None


class Upgrade(NamedTuple):
    """What the upgrade request said.

    Attributes:
        path: The path of the request, without the query.
        query: The query without the question mark, possibly empty.
        headers: All headers, see `Headers`.
        remote_address: IP address and port of who has dialled: of the peer of the socket, or, where that is a trusted
            proxy, what it says (`wire.forwarded`); port 0 where it does not say it.
        secure: True where the socket is TLS.
        identity: Who dials, as was found when the upgrade was judged: what JSON can hold. None where nobody did.
        session: The session that it was judged to be of, where what lets it in is good for that one only.
    """

    path: str
    query: str
    headers: Headers
    remote_address: tuple[str, int]
    secure: bool
    identity: Any = None
    session: str | None = None


ClosedBy: TypeAlias = Literal["peer", "us", "network"]


class Closed(NamedTuple):
    """How a WebSocket ended.

    Attributes:
        code: The close code; 1006 where there was no close frame, 1005 where it carried no code.
        reason: The text of the close frame.
        closed_by: Who sent the first close frame; "network" where nobody did.
    """

    code: int
    reason: str
    closed_by: ClosedBy


class Transport(Protocol):
    """One open WebSocket."""

    def send_audio(self, frame: bytes) -> None:
        """Send one binary message."""

    def send_text(self, text: str) -> None:
        """Send one text message."""

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping of up to 125 bytes; the answer arrives at `Receiver.on_pong`."""

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake; the first call counts."""

    def abort(self) -> None:
        """End the connection at once, unsent data included."""

    def reset(self) -> None:
        """The same, with a TCP reset: the peer loses what it has not read yet."""

    def disown(self) -> None:
        """Tell the receiver nothing more, not even the end; the socket itself is not touched."""

    def pause_reading(self) -> None:
        """Read nothing more, so that the peer's write buffer fills; no harm where that is so already."""

    def resume_reading(self) -> None:
        """Read again; nothing was lost."""

    def write_raw(self, data: bytes) -> None:
        """Put bytes into the stream outside any frame, as a broken peer does."""

    @property
    def write_buffer_bytes(self) -> int:
        """Bytes that were sent but that the kernel has not taken yet."""

    @property
    def is_closing(self) -> bool:
        """True from the first close frame, ours or the peer's, or the end of the peer's stream on."""

    @property
    def closed_by(self) -> ClosedBy:
        """Who has sent the first close frame; "network" where nobody has, however the socket is."""


class Receiver(Protocol):
    """What is told of one WebSocket."""

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""

    def on_audio(self, payload: bytes) -> None:
        """One whole binary message; the bytes are the receiver's own."""

    def on_text(self, text: str) -> None:
        """One whole text message."""

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up (False) or drained (True)."""

    def on_closed(self, closed: Closed) -> None:
        """The connection is over; nothing follows."""


class Nobody:
    """A `Receiver` that does nothing: that of a socket that was disowned."""

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""

    def on_audio(self, payload: bytes) -> None:
        """One whole binary message."""

    def on_text(self, text: str) -> None:
        """One whole text message."""

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up or drained."""

    def on_closed(self, closed: Closed) -> None:
        """The connection is over."""
