# SPDX-License-Identifier: Apache-2.0
"""The network between a simulated call and its socket: delay, stalls, a slow reader, a peer that is gone.

It stands between the two as a `Transport` on the call's side and a `Receiver` on the socket's. Each direction
is a *lane*, which is empty and costs a call where nothing is impaired. What waits in a lane keeps its order,
close frames included.

What the lane from the server has no room for stays in the socket, so that the server is made to wait as well:
that is how a slow router feels (PROTOCOL 4.14). Nothing at all is read while the network stalls, pings included.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from audio_connector.wire.transport import Closed, ClosedBy, Nobody, Receiver, Transport, Upgrade

Add: TypeAlias = "Callable[[Callable[[float], float | None], float], None]"
"""Asks for a tick at a time, as `driver.TickDriver.add`."""

Item: TypeAlias = "tuple[Callable[..., None], tuple[Any, ...]]"
"""What is called, and with what; of what comes in, the payload is the first."""

UNREAD_MESSAGES: Final = 4
"""Of a lane that is read slowly so many are read from the socket; the rest waits in the kernel and at the server."""

MESSAGES_UNDER_WAY: Final = 4096
"""The same where messages are only delayed, which is to hold up nobody: 82 s of audio."""

BYTES_UNDER_WAY: Final = 8 << 20
"""The same for their sizes, twice those 82 s at 24 kHz: a server may send a mebibyte in each."""

UNSENT_BYTES: Final = 1 << 20
"""What may wait to be sent, 33 s of audio at 16 kHz, before the call is told that the server does not read."""


class Lane:
    """One direction.

    Args:
        clock: Seconds of a monotonic clock.
        add: Asks for a tick.
        jitter_s: Each item is late by up to so much, in seconds.
        seed: Of the randomness.
        on_room: Told when there is room for more items (True), and when there is none (False), or while nothing
            passes.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        add: Add,
        *,
        jitter_s: float,
        seed: int,
        on_room: Callable[[bool], None] = lambda room: None,
    ) -> None:
        self._clock = clock
        self._add = add
        self._jitter_s = jitter_s
        self._random = random.Random(seed)
        self._on_room = on_room
        self._items: deque[tuple[float, float, Item]] = deque()
        self._bytes = 0
        self._interval_s = 0.0
        self._held_until = self._last_due = float("-inf")
        self._armed_for: float | None = None
        self._arming = 0
        self._has_room = True
        self.is_clear = not jitter_s
        """Whether whatever comes is passed on at once."""
        self.arrived_at: float | None = None
        """When the item that is being passed on came to the lane, where that was not just now."""

    def __len__(self) -> int:
        return len(self._items)

    def hold_until(self, at: float) -> None:
        """Pass nothing on before a time."""
        self._held_until = max(self._held_until, at)
        self._settle(self._clock())

    def pace(self, interval_s: float) -> None:
        """Pass one item on per so many seconds; 0 passes on whatever is there."""
        now, is_faster = self._clock(), interval_s < self._interval_s
        self._interval_s = interval_s
        due = float("-inf")
        for _ in range(len(self._items)):
            old_due, arrived_at, item = self._items.popleft()
            due = max(now if is_faster else old_due, due + interval_s)
            self._items.append((due, arrived_at, item))
        if self._items:
            self._last_due = due
        self._settle(now)

    def push(self, item: Item) -> None:
        """Pass an item on, now or later."""
        if self.is_clear:
            call, arguments = item
            call(*arguments)
            return
        now = self._clock()
        due = max(now, self._held_until, self._last_due + self._interval_s)
        if self._jitter_s:
            due = max(due, now + self._random.uniform(0.0, self._jitter_s))
        self._last_due = due
        self._items.append((due, now, item))
        self._bytes += _size_of(item)
        self._settle(now)

    def release(self) -> None:
        """Pass everything on at once: nothing more will come."""
        while self._items:
            self._pass_on()

    def drop(self) -> None:
        """Forget what waits."""
        self._items.clear()
        self._bytes = 0

    def _settle(self, now: float) -> None:
        """See to what follows from a change: who is told, and when there is something to do."""
        items = self._items
        is_held = now < self._held_until
        self.is_clear = not (items or is_held or self._jitter_s or self._interval_s)
        most = UNREAD_MESSAGES if self._interval_s else MESSAGES_UNDER_WAY
        has_room = not is_held and len(items) < most and self._bytes < BYTES_UNDER_WAY
        next_at = self._next_at(now)
        if next_at is not None and (self._armed_for is None or next_at < self._armed_for):
            self._arming += 1
            self._armed_for = next_at
            arming = self._arming
            self._add(lambda now: self._tick(now, arming), next_at)
        if has_room != self._has_room:
            self._has_room = has_room
            self._on_room(has_room)

    def _next_at(self, now: float) -> float | None:
        if self._items:
            return max(self._items[0][0], self._held_until)
        return self._held_until if now < self._held_until else None

    def _tick(self, now: float, arming: int) -> float | None:
        if arming != self._arming:
            return None  # there is an earlier one meanwhile, which goes on
        items = self._items
        while items and items[0][0] <= now and now >= self._held_until:
            self._pass_on()
        self._armed_for = self._next_at(now)
        self._settle(now)
        return self._armed_for

    def _pass_on(self) -> None:
        _, self.arrived_at, item = self._items.popleft()
        self._bytes -= _size_of(item)
        call, arguments = item
        try:
            call(*arguments)
        finally:
            self.arrived_at = None


def _size_of(item: Item) -> int:
    _, arguments = item
    return len(arguments[0]) if arguments and isinstance(arguments[0], bytes | str) else 0


class Network:
    """Both directions of one connection.

    Args:
        receiver: The call.
        clock: Seconds of a monotonic clock.
        add: Asks for a tick.
        jitter_ms: What is sent, and what arrives, is late by up to so much.
        read_interval_ms: One message is read per so many milliseconds; 0 reads whatever is there.
        seed: Of the randomness.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        clock: Callable[[], float],
        add: Add,
        jitter_ms: float = 0.0,
        read_interval_ms: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._add = add
        self._read_interval_s = read_interval_ms / 1000
        self._slow_spell = 0
        self._out = Lane(clock, add, jitter_s=jitter_ms / 1000, seed=seed)
        self._in = Lane(clock, add, jitter_s=jitter_ms / 1000, seed=seed + 1, on_room=self._note_room)
        self._in.pace(self._read_interval_s)
        self._socket: Transport = None  # type: ignore[assignment]  # set by on_open, before any use
        self._has_room = self._is_reading = True
        self._is_closing = self._is_over = False
        self._reads_to_the_end = False
        self._unsent_bytes = 0
        self._is_socket_writable = self._was_writable = True
        self.is_half_open = False

    # What the scenario does to it.

    def stall(self, for_s: float) -> None:
        """Carry nothing, either way, for a while; then all of it at once."""
        until = self._clock() + for_s
        self._out.hold_until(until)
        self._in.hold_until(until)

    def read_slowly(self, interval_s: float, for_s: float | None) -> None:
        """Read one message per so many seconds, for a while or to the end; what was asked for last counts."""
        self._slow_spell += 1
        spell = self._slow_spell
        self._in.pace(interval_s)
        if for_s is not None:
            self._add(lambda now: self._read_as_before(spell), self._clock() + for_s)

    def half_open(self) -> None:
        """Be gone without a word: nothing is read any more, nothing sent, nothing closed."""
        self.is_half_open = True
        self._forget_unsent()
        self._in.drop()
        self._mind_reading()

    def look(self) -> None:
        """See how the server has ended a half-open connection; what it sent before is not handed on."""
        self._reads_to_the_end = True
        self._mind_reading()

    @property
    def arrived_at(self) -> float:
        """When the message that the call is being told of arrived."""
        return self._clock() if self._in.arrived_at is None else self._in.arrived_at

    @property
    def socket(self) -> Transport:
        """What is behind it."""
        return self._socket

    @property
    def is_late(self) -> bool:
        """Whether anything that was sent is still on its way to the socket."""
        return len(self._out) > 0

    # The call's side: Transport.

    def send_audio(self, frame: bytes) -> None:
        """Send one binary message."""
        if self._out.is_clear and not (self.is_half_open or self._is_closing):
            self._socket.send_audio(frame)  # the path of every frame where nothing is impaired
        else:
            self._send(self._socket.send_audio, frame, len(frame))

    def send_text(self, text: str) -> None:
        """Send one text message."""
        self._send(self._socket.send_text, text, len(text))

    def send_ping(self, payload: bytes = b"") -> None:
        """Send a ping."""
        self._send(self._socket.send_ping, payload, len(payload))

    def write_raw(self, data: bytes) -> None:
        """Send bytes outside any frame."""
        self._send(self._socket.write_raw, data, len(data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake, behind what still waits."""
        if not self._is_closing:
            self._is_closing = True
            self._out.push((self._close_now, (code, reason)))

    def abort(self) -> None:
        """End the connection at once."""
        self._is_closing = True
        self._forget_unsent()
        self._socket.abort()

    def reset(self) -> None:
        """End the connection with a reset."""
        self._is_closing = True
        self._forget_unsent()
        self._socket.reset()

    def disown(self) -> None:
        """Tell the call nothing more."""
        self._receiver = Nobody()

    def pause_reading(self) -> None:
        """Read nothing more."""
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._socket.resume_reading()

    @property
    def write_buffer_bytes(self) -> int:
        """Bytes that the kernel has not taken, those that wait here included."""
        return self._socket.write_buffer_bytes + self._unsent_bytes

    @property
    def is_closing(self) -> bool:
        """True from the first close frame, or the end, on."""
        return self._is_closing or self._socket.is_closing

    @property
    def closed_by(self) -> ClosedBy:
        """Who has sent the first close frame; "network" where nobody has."""
        return self._socket.closed_by

    # The socket's side: Receiver.

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""
        self._socket = transport
        self._receiver.on_open(self, upgrade)

    def on_audio(self, payload: bytes) -> None:
        """One binary message."""
        if self._in.is_clear and not self.is_half_open:
            self._receiver.on_audio(payload)
        else:
            self._receive((self._receiver.on_audio, (payload,)))

    def on_text(self, text: str) -> None:
        """One text message."""
        self._receive((self._receiver.on_text, (text,)))

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""
        self._receive((self._receiver.on_pong, (payload,)))

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up or drained."""
        self._is_socket_writable = writable
        self._mind_writing()

    def on_closed(self, closed: Closed) -> None:
        """The connection is over; what was read before is handed on first."""
        self._is_closing = self._is_over = True
        self._forget_unsent()
        self._in.release()
        self._receiver.on_closed(closed)

    # Inside.

    def _send(self, send: Callable[[Any], None], payload: bytes | str, size_bytes: int) -> None:
        if self.is_half_open or self._is_closing:
            return
        self._unsent_bytes += size_bytes
        self._out.push((self._send_now, (send, payload, size_bytes)))
        self._mind_writing()

    def _send_now(self, send: Callable[[Any], None], payload: bytes | str, size_bytes: int) -> None:
        self._unsent_bytes -= size_bytes
        if not self._socket.is_closing:
            send(payload)
        self._mind_writing()

    def _close_now(self, code: int, reason: str) -> None:
        self._socket.close(code, reason)
        # The answer lies behind whatever was not read yet.
        self._reads_to_the_end = True
        self._mind_reading()

    def _forget_unsent(self) -> None:
        self._out.drop()
        self._unsent_bytes = 0

    def _mind_writing(self) -> None:
        is_writable = self._is_socket_writable and self._unsent_bytes <= UNSENT_BYTES
        if is_writable != self._was_writable:
            self._was_writable = is_writable
            self._receiver.on_writable(is_writable)

    def _receive(self, item: Item) -> None:
        if not self.is_half_open:
            self._in.push(item)

    def _note_room(self, room: bool) -> None:
        self._has_room = room
        self._mind_reading()

    def _mind_reading(self) -> None:
        reads = self._reads_to_the_end or (self._has_room and not self.is_half_open)
        if reads == self._is_reading or self._is_over:
            return
        self._is_reading = reads
        if reads:
            self._socket.resume_reading()
        else:
            self._socket.pause_reading()

    def _read_as_before(self, spell: int) -> None:
        if spell == self._slow_spell:
            self._in.pace(self._read_interval_s)
