# SPDX-License-Identifier: Apache-2.0
"""What each word of a step does to a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.network import Network
from audio_connector.simulator.outgoing import Outgoing
from audio_connector.simulator.profile import Close
from audio_connector.simulator.script import Garbage, Step
from audio_connector.simulator.trace import Source
from audio_connector.wire.codec import encode_json
from audio_connector.wire.messages import Event, Notified, UnknownEvent

OVERSIZED_BYTES: Final = 2 << 20
"""Twice what this library's server takes by default."""

_TEXT, _RESERVED = 0x81, 0x83


class Steered(Protocol):
    """What a step can do to a call; `call.LiveCall` is the one that there is.

    Attributes:
        call: What was planned.
        out: The way to the server.
    """

    call: RouterCall
    out: Outgoing

    @property
    def network(self) -> Network:
        """What can be done to its network."""
        ...

    def note(self, source: Source, name: str, detail: str = "", *, for_s: float = 0.0) -> None:
        """Note that something happened now, or begins now and lasts so many seconds."""

    @property
    def unsaid_ms(self) -> int:
        """Speech that is not said yet."""
        ...

    def say_line(self, what: object, frames: tuple[bytes, ...]) -> None:
        """Speak whole frames, after what is being said, and note what they say."""

    def stop_speaking(self) -> None:
        """Break off what is being said."""

    def mute(self) -> None:
        """Mute the participant."""

    def unmute(self) -> None:
        """Let the participant be heard again."""

    def send_no_frames(self, wanted: bool = True) -> None:
        """Send no frames while nothing is said."""

    def send_event(self, event: Event) -> bool:
        """Send an event."""
        ...

    def send_text(self, text: str) -> bool:
        """Send a text as it is."""
        ...

    def press(self, digit: str, duration_ms: int | None = 260) -> None:
        """Press a telephone key."""

    def reset(self) -> None:
        """Reset the connection; that ends the call."""

    def reconnect(self, after_s: float) -> None:
        """Reset the connection, and let it be made again after so many seconds."""

    def hang_up(self, how: Close | None = None) -> None:
        """End the call now."""


def _mute(call: Steered, muted: bool, _: Step) -> None:
    if muted:
        call.mute()
    else:
        call.unmute()


def _be_silent(call: Steered, _: object, step: Step) -> None:
    call.note("router", "no frames", f"for {step.for_s:g} s", for_s=step.for_s or 0.0)
    call.send_no_frames()


def _stream(call: Steered, what: str, _: Step) -> None:
    call.note("router", f"stream {what}")
    text = f' {{"event":"websocket:stream:{what}","streamId":"{call.call.connection_id}"}}'
    call.send_event(UnknownEvent(name=f"websocket:stream:{what}", text=text))


def _event(call: Steered, values: dict[str, Any], _: Step) -> None:
    text = " " + encode_json(values)
    call.note("router", "event", text.strip()[:200])
    call.send_event(UnknownEvent(name=None, text=text))


def _notify(call: Steered, payload: object, _: Step) -> None:
    call.note("router", "notify nobody asked for")
    call.send_event(Notified(payload=payload, raw={}))


def _text(call: Steered, text: str, _: Step) -> None:
    call.note("router", "text", text[:200])
    call.send_text(text)


def _garbage(call: Steered, kind: Garbage, _: Step) -> None:
    call.note("router", "garbage", kind)
    if kind == "not-json":
        call.send_text(' {"event": websocket:garbage')
    elif kind == "empty":
        call.out.audio(b"")
    elif kind == "odd-audio":
        call.out.audio(b"\x01" * (call.call.audio_format.frame_bytes + 1))
    elif kind == "oversized":
        call.out.audio(bytes(OVERSIZED_BYTES))
    elif kind == "bad-utf8":
        call.out.raw(_masked(_TEXT, b"\xff\xfe\xfd"))
    else:
        call.out.raw(_masked(_RESERVED, b"?"))


def _masked(first: int, payload: bytes) -> bytes:
    """A short frame as a client sends it (RFC 6455 5.2); the mask of zeros changes nothing."""
    return bytes([first, 0x80 | len(payload), 0, 0, 0, 0]) + payload


def _stall(call: Steered, _: object, step: Step) -> None:
    call.note("network", "stall", f"for {step.for_s:g} s", for_s=step.for_s or 0.0)
    call.network.stall(step.for_s or 0.0)


def _read_slowly(call: Steered, interval_ms: float, step: Step) -> None:
    lasting = "" if step.for_s is None else f", for {step.for_s:g} s"
    call.note("network", "slow reader", f"a message per {interval_ms:g} ms{lasting}", for_s=step.for_s or 0.0)
    call.network.read_slowly(interval_ms / 1000, step.for_s)


def _half_open(call: Steered, _value: object, _: Step) -> None:
    call.note("network", "half-open", "reads nothing, sends nothing")
    call.network.half_open()


def _reset(call: Steered, _value: object, _: Step) -> None:
    call.reset()


def _reconnect(call: Steered, after_s: float, _: Step) -> None:
    call.reconnect(after_s)


def _dtmf(call: Steered, digit: str, step: Step) -> None:
    call.press(digit, step.duration_ms)


def _stop_speaking(call: Steered, _value: object, _: Step) -> None:
    call.note("participant", "stop speaking")
    call.stop_speaking()


def _hang_up(call: Steered, how: Any, _: Step) -> None:  # noqa: ANN401 - True, or a Close
    call.hang_up(None if how is True else how)


ACTIONS: Final[Mapping[str, Callable[[Steered, Any, Step], None]]] = {
    "stop_speaking": _stop_speaking,
    "mute": _mute,
    "silence": _be_silent,
    "dtmf": _dtmf,
    "notify": _notify,
    "event": _event,
    "stream": _stream,
    "text": _text,
    "garbage": _garbage,
    "stall": _stall,
    "slow_reader_ms": _read_slowly,
    "half_open": _half_open,
    "reset": _reset,
    "reconnect_s": _reconnect,
    "hang_up": _hang_up,
}
"""What happens at the beginning of a step, by its word; ``say`` and ``hear`` are `steps.StepRunner`'s own."""

UNDO: Final[Mapping[str, Callable[[Steered], None]]] = {
    "mute": lambda call: call.unmute(),
    "silence": lambda call: call.send_no_frames(False),
}
"""What happens at the end of one that lasts."""
