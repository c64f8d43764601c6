# SPDX-License-Identifier: Apache-2.0
"""One simulated call on a stage of its own: its socket and its clock are the test's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.clock import VirtualClock

from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.network import Network
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.speech import Lines
from audio_connector.simulator.trace import TraceEvent
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Receiver, Upgrade

FRAME = b"\x01\x02" * 320
"""20 ms at 16 kHz, loud."""


def about(value: float | list[float], abs_: float = 1e-6) -> Any:
    """The same number, or the same numbers, but for the rounding of floats."""
    return pytest.approx(value, abs=abs_)


UPGRADE = Upgrade(path="/", query="", headers=Headers(), remote_address=("127.0.0.1", 1), secure=False)


class FakeTransport:
    """A socket that notes what is done to it, and when."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self._clock = clock
        self.sent: list[tuple[float, str, bytes | str]] = []
        self.ended: str | None = None
        self.write_buffer_bytes = 0
        self.is_closing = False
        self.closed_by: ClosedBy = "network"
        self.is_disowned = False
        self.is_reading = True
        self.reading: list[tuple[float, bool]] = []

    def send_audio(self, frame: bytes) -> None:
        self.sent.append((self._clock(), "audio", frame))

    def send_text(self, text: str) -> None:
        self.sent.append((self._clock(), "text", text))

    def send_ping(self, payload: bytes = b"") -> None:
        self.sent.append((self._clock(), "ping", payload))

    def write_raw(self, data: bytes) -> None:
        self.sent.append((self._clock(), "raw", data))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.is_closing = True
        self.ended = f"close {code}"

    def abort(self) -> None:
        self.is_closing = True
        self.ended = "abort"

    def reset(self) -> None:
        self.is_closing = True
        self.ended = "reset"

    def disown(self) -> None:
        self.is_disowned = True

    def pause_reading(self) -> None:
        assert self.is_reading
        self.is_reading = False
        self.reading.append((self._clock(), False))

    def resume_reading(self) -> None:
        assert not self.is_reading
        self.is_reading = True
        self.reading.append((self._clock(), True))

    def of(self, kind: str) -> list[Any]:
        """What of one kind was sent."""
        return [payload for _, sent_as, payload in self.sent if sent_as == kind]

    @property
    def audio(self) -> list[bytes]:
        return self.of("audio")

    @property
    def texts(self) -> list[str]:
        return self.of("text")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.texts]

    @property
    def names(self) -> list[str]:
        """The names of the events, without what begins all of them."""
        return [str(event["event"]).removeprefix("websocket:") for event in self.events]


class Ticks:
    """What `driver.TickDriver` does, by a virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def add(self, tick: Callable[[float], float | None], at: float) -> None:
        def fire() -> None:
            again_at = tick(self._clock.now)
            if again_at is not None:
                self.add(tick, again_at)

        self._clock.call_later(max(0.0, at - self._clock.now), fire)


class Stage:
    """A call, its socket and its clock.

    Args:
        frames: What it says from the beginning.
        says: The frames of each ``say`` of its steps.
        has_network: Whether a `Network` stands in between.
        options: Of the `RouterCall`.
    """

    def __init__(
        self,
        frames: tuple[bytes, ...] = (FRAME,),
        says: tuple[tuple[bytes, ...], ...] | None = None,
        *,
        has_network: bool = False,
        **options: Any,
    ) -> None:
        self.clock = VirtualClock(100.0)
        self.ticks = Ticks(self.clock)
        self.heard = bytearray()
        self.spoken: list[bytes] = []
        self.ended = self.begun = 0
        self.events: list[TraceEvent] = []
        self._has_network = has_network
        call = RouterCall(url="ws://127.0.0.1:1/", **{"tail_s": 0.0, "allow_silence": True, **options})
        self.live = LiveCall(
            call,
            Lines(frames, ((),) * len(call.steps) if says is None else says),
            clock=self.clock.time,
            heard=self.heard.extend,
            spoken=self.spoken.append,
            on_begin=self._begin,
            on_end=self._end,
            on_event=self.events.append,
        )
        self.transport: FakeTransport
        self.socket: Receiver

    def _begin(self, at: float) -> None:
        self.begun += 1
        self.ticks.add(self.live.tick, at)

    def _end(self) -> None:
        self.ended += 1

    def open(self) -> Stage:
        """Make a connection, the first or another one."""
        self.transport = FakeTransport(self.clock.time)
        self.socket = self.live
        if self._has_network:
            impairments = self.live.call.impairments
            self.socket = Network(
                self.live,
                clock=self.clock.time,
                add=self.ticks.add,
                jitter_ms=impairments.jitter_ms,
                read_interval_ms=self.live.router.read_interval_ms,
                seed=impairments.seed,
            )
        self.socket.on_open(self.transport, UPGRADE)
        return self

    def close(self, code: int = 1006, reason: str = "", closed_by: Any = "network") -> Stage:
        """End the connection."""
        self.socket.on_closed(Closed(code=code, reason=reason, closed_by=closed_by))
        return self

    def run_until(self, now: float) -> Stage:
        """Go on to so many seconds after the beginning."""
        self.clock.run_until(100.0 + now)
        return self

    def hear(self, count: int = 1, frame: bytes = FRAME) -> None:
        """The server sends so many frames at once."""
        for _ in range(count):
            self.socket.on_audio(frame)

    @property
    def report(self) -> CallReport:
        return self.live.report()

    @property
    def said(self) -> str:
        """The first byte of each frame that was sent."""
        return b"".join(frame[:1] or b"?" for frame in self.transport.audio).decode("latin-1")

    def noted(self, name: str) -> list[tuple[float, str]]:
        """When something happened, and the detail."""
        return [(round(event.at_s, 6), event.detail) for event in self.events if event.name == name]
