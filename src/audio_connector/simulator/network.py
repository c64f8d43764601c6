# SPDX-License-Identifier: Apache-2.0
"""The network between a simulated call and its socket: delay, stalls, a slow reader, a peer that is gone.

It stands between the two as a `Transport` on the call's side and a `Receiver` on the socket's. Each direction
is a *lane*, which is empty and costs a call where nothing is impaired. What waits in a lane keeps its order,
close frames included.

A lane that delays what arrives stops reading the socket when a few messages wait, so that the server is made
to wait as well: that is how a slow router feels (PROTOCOL 4.14).
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from audio_connector.wire.transport import Closed, Receiver, Transport, Upgrade

Add: TypeAlias = "Callable[[Callable[[float], float | None], float], None]"
"""Asks for a tick at a time, as `driver.TickDriver.add`."""

Item: TypeAlias = "tuple[Callable[..., None], tuple[Any, ...]]"

UNREAD_MESSAGES = 4
"""Of a delayed lane so many are read from the socket; the rest waits in the kernel and at the server."""


class Lane:
    """One direction.

    Args:
        clock: Seconds of a monotonic clock.
        add: Asks for a tick.
        jitter_s: Each item is late by up to so much, in seconds.
        seed: Of the randomness.
        on_crowded: Told when many items wait (True), and when they do no more (False).
    """

    def __init__(
        self,
        clock: Callable[[], float],
        add: Add,
        *,
        jitter_s: float,
        seed: int,
        on_crowded: Callable[[bool], None] = lambda crowded: None,
    ) -> None:
        self._clock = clock
        self._add = add
        self._jitter_s = jitter_s
        self._random = random.Random(seed)
        self._on_crowded = on_crowded
        self._items: deque[tuple[float, float, Item]] = deque()
        self._interval_s = 0.0
        self._held_until = 0.0
        self._last_due = 0.0
        self._is_armed = False
        self._is_crowded = False
        self.arrived_at = 0.0
        """When the item that is being passed on came to the lane."""

    def __len__(self) -> int:
        return len(self._items)

    def hold_until(self, at: float) -> None:
        """Pass nothing on before a time."""
        self._held_until = max(self._held_until, at)

    def pace(self, interval_s: float) -> None:
        """Pass one item on per so many seconds; 0 passes on whatever is there."""
        self._interval_s = interval_s

    def push(self, item: Item) -> None:
        """Pass an item on, now or later."""
        now = self._clock()
        if not self._items and not self._jitter_s and not self._interval_s and now >= self._held_until:
            self.arrived_at = now
            call, arguments = item
            call(*arguments)
            return
        due = max(now, self._held_until, self._last_due + self._interval_s)
        if self._jitter_s:
            due = max(due, now + self._random.uniform(0.0, self._jitter_s))
        self._last_due = due
        self._items.append((due, now, item))
        if len(self._items) >= UNREAD_MESSAGES and not self._is_crowded:
            self._is_crowded = True
            self._on_crowded(True)
        if not self._is_armed:
            self._is_armed = True
            self._add(self._tick, due)

    def release(self) -> None:
        """Pass everything on at once: nothing more will come."""
        while self._items:
            self._pass_on()

    def drop(self) -> None:
        """Forget what waits."""
        self._items.clear()

    def _tick(self, now: float) -> float | None:
        items = self._items
        while items and items[0][0] <= now and now >= self._held_until:
            self._pass_on()
        if self._is_crowded and len(items) < UNREAD_MESSAGES:
            self._is_crowded = False
            self._on_crowded(False)
        self._is_armed = bool(items)
        return max(items[0][0], self._held_until) if items else None

    def _pass_on(self) -> None:
        _, self.arrived_at, (call, arguments) = self._items.popleft()
        call(*arguments)


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
        self._out = Lane(clock, add, jitter_s=jitter_ms / 1000, seed=seed)
        self._in = Lane(clock, add, jitter_s=jitter_ms / 1000, seed=seed + 1, on_crowded=self._crowd)
        self._in.pace(self._read_interval_s)
        self._socket: Transport = None  # type: ignore[assignment]  # set by on_open, before any use
        self._is_closing = False
        self._unsent_bytes = 0
        self.is_half_open = False

    # What the scenario does to it.

    def stall(self, for_s: float) -> None:
        """Carry nothing, either way, for a while; then all of it at once."""
        until = self._clock() + for_s
        self._out.hold_until(until)
        self._in.hold_until(until)

    def read_slowly(self, interval_s: float, for_s: float | None) -> None:
        """Read one message per so many seconds, for a while or to the end."""
        self._in.pace(interval_s)
        if for_s is not None:
            self._add(self._read_as_before, self._clock() + for_s)

    def half_open(self) -> None:
        """Be gone without a word: nothing is read any more, nothing sent, nothing closed."""
        self.is_half_open = True
        self._out.drop()
        self._socket.pause_reading()

    def look(self) -> None:
        """Read what came to a half-open connection, to see how the server has ended it."""
        self._socket.resume_reading()

    @property
    def arrived_at(self) -> float:
        """When the message that the call is being told of arrived."""
        return self._in.arrived_at

    # The call's side: Transport.

    def send_audio(self, frame: bytes) -> None:
        """Send one binary message."""
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
            self._out.push((self._socket.close, (code, reason)))

    def abort(self) -> None:
        """End the connection at once."""
        self._is_closing = True
        self._out.drop()
        self._socket.abort()

    def reset(self) -> None:
        """End the connection with a reset."""
        self._is_closing = True
        self._out.drop()
        self._socket.reset()

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

    # The socket's side: Receiver.

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """The handshake is complete."""
        self._socket = transport
        self._receiver.on_open(self, upgrade)

    def on_audio(self, payload: bytes) -> None:
        """One binary message."""
        self._in.push((self._receiver.on_audio, (payload,)))

    def on_text(self, text: str) -> None:
        """One text message."""
        self._in.push((self._receiver.on_text, (text,)))

    def on_pong(self, payload: bytes) -> None:
        """The answer to a ping."""
        self._in.push((self._receiver.on_pong, (payload,)))

    def on_writable(self, writable: bool) -> None:
        """The write buffer filled up or drained."""
        self._receiver.on_writable(writable)

    def on_closed(self, closed: Closed) -> None:
        """The connection is over; what was read before is handed on first."""
        self._is_closing = True
        self._out.drop()
        self._in.release()
        self._receiver.on_closed(closed)

    # Inside.

    def _send(self, send: Callable[[Any], None], payload: bytes | str, size_bytes: int) -> None:
        if self.is_half_open or self._is_closing:
            return
        self._unsent_bytes += size_bytes
        self._out.push((self._send_now, (send, payload, size_bytes)))

    def _send_now(self, send: Callable[[Any], None], payload: bytes | str, size_bytes: int) -> None:
        self._unsent_bytes -= size_bytes
        if not self._socket.is_closing:
            send(payload)

    def _crowd(self, crowded: bool) -> None:
        if self._is_closing or self.is_half_open or self._socket.is_closing:
            return
        if crowded:
            self._socket.pause_reading()
        else:
            self._socket.resume_reading()

    def _read_as_before(self, now: float) -> None:
        self._in.pace(self._read_interval_s)
