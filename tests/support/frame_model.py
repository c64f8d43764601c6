# SPDX-License-Identifier: Apache-2.0
"""What RFC 6455 makes of the bytes of a client, worked out a second time, slowly, from the whole stream at once.

To compare the real thing with. Where a frame has more than one fault, each of their codes is right; and a fault in a
frame that is not whole may be noticed or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from support.frame_rig import Seen

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
DATA, CONTROL = (CONTINUATION, TEXT, BINARY), (CLOSE, PING, PONG)
NO_CODE = 1005

VALID_CODES = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
"""RFC 6455 7.4, and what IANA has registered since."""


@dataclass
class Expected:
    """What has to come of a stream.

    Attributes:
        messages: Handed over, in order; pongs as they are noted by `support.ends.End`.
        pongs: Answers to pings, in order.
        codes: Of the close frame that the server sends; empty where it sends none.
        is_peers: Whether it answers one of the peer's.
        received: Code of the peer's close frame.
        maybe_codes: Of a fault in a frame that is not whole: that one may be sent, or nothing.
    """

    messages: list[bytes | str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    codes: set[int | None] = field(default_factory=set)
    is_peers: bool = False
    received: int | None = None
    maybe_codes: set[int] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        """Whether the stream has an end of its own, after which nothing counts."""
        return bool(self.codes)


class Parsed(NamedTuple):
    """A frame as it was found; `end` is where the next one begins."""

    fin: bool
    opcode: int
    payload: bytes
    faults: set[int]
    is_whole: bool
    end: int


def parse(data: bytes, at: int, max_bytes: int) -> Parsed | None:
    """The frame that begins there; None where not even its head is whole."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    fin, opcode, size = bool(first & 0x80), first & 15, second & 0x7F
    is_masked = bool(second & 0x80)
    faults: set[int] = set()
    if first & 0x70 or opcode not in (*DATA, *CONTROL) or not is_masked:
        faults.add(1002)
    if opcode in CONTROL and (not fin or size > 125):
        faults.add(1002)
    at += 2
    wide = {126: 2, 127: 8}.get(size, 0)
    if len(data) < at + wide + 4 * is_masked:
        return Parsed(fin, opcode, b"", faults, False, at) if faults else None
    if wide:
        size = int.from_bytes(data[at : at + wide], "big")
        if size < (126 if wide == 2 else 1 << 16) or size >> 63:
            faults.add(1002)
        at += wide
    if size > max_bytes:
        faults.add(1009)
    mask = data[at : at + 4] if is_masked else bytes(4)
    at += 4 * is_masked
    raw = data[at : at + size]
    payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(raw))
    return Parsed(fin, opcode, payload, faults, len(raw) == size, at + size)


def expect(data: bytes, *, max_bytes: int) -> Expected:
    """Work out what has to come of the bytes after the upgrade request."""
    expected = Expected()
    begun: _Begun | None = None
    at = 0
    while not expected.is_over and (frame := parse(data, at, max_bytes)) is not None:
        faults = set(frame.faults)
        if frame.opcode in DATA and (begun is None) == (frame.opcode == CONTINUATION):
            faults.add(1002)
        if not frame.is_whole:
            expected.maybe_codes |= faults
            break
        at = frame.end
        if not faults and frame.opcode in DATA:
            begun = _Begun(frame.opcode, frame.payload) if begun is None else begun.with_more(frame.payload)
            if len(begun.payload) > max_bytes:
                faults.add(1009)
            elif frame.fin:
                faults |= _deliver(expected, begun)
                begun = None
        elif not faults:
            faults |= _control(expected, frame)
        elif frame.opcode == CLOSE:
            faults |= _faults_of_close(frame.payload)  # any of them may be the one that is noticed
        expected.codes |= faults
    return expected


class _Begun(NamedTuple):
    opcode: int
    payload: bytes

    def with_more(self, payload: bytes) -> _Begun:
        return _Begun(self.opcode, self.payload + payload)


def _deliver(expected: Expected, message: _Begun) -> set[int]:
    if message.opcode == BINARY:
        expected.messages.append(message.payload)
        return set()
    try:
        expected.messages.append(message.payload.decode("utf-8"))
    except UnicodeDecodeError:
        return {1007}
    return set()


def _control(expected: Expected, frame: Parsed) -> set[int]:
    if frame.opcode == CLOSE:
        return _close(expected, frame.payload)
    if frame.opcode == PING:
        expected.pongs.append(frame.payload)
    else:
        expected.messages.append(b"pong " + frame.payload)
    return set()


def _close(expected: Expected, payload: bytes) -> set[int]:
    faults = _faults_of_close(payload)
    if not faults:
        code = int.from_bytes(payload[:2], "big") if payload else None
        # RFC 6455 7.1.5: what closes without a code may be answered without one.
        expected.codes = {1000, None} if code is None else {code}
        expected.is_peers, expected.received = True, NO_CODE if code is None else code
    return faults


def _faults_of_close(payload: bytes) -> set[int]:
    faults: set[int] = set()
    if payload and (len(payload) < 2 or int.from_bytes(payload[:2], "big") not in VALID_CODES):
        faults.add(1002)
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        faults.add(1007)
    return faults


def differences(seen: Seen, expected: Expected, *, is_lax: bool = False) -> list[str]:
    """Compare what came with what had to come.

    Args:
        seen: What came.
        expected: What had to come.
        is_lax: As far as the RFC leaves it open: what came right before a fault may be lost with it, the second of
            two faults may be noticed first, and so may a close frame that follows a fault at once.
    """
    found = []
    messages, pongs = expected.messages, expected.pongs
    if is_lax and seen.close is not None and not expected.is_peers:
        messages, pongs = messages[: len(seen.messages)], pongs[: len(seen.pongs)]
    if seen.messages != messages:
        found.append(f"handed over {seen.messages!r:.300}, expected {messages!r:.300}")
    if seen.pongs != pongs:
        found.append(f"answered pings with {seen.pongs!r:.300}, expected {pongs!r:.300}")
    if seen.rest:
        found.append(f"sent {seen.rest!r:.100} after its close frame, or no frame")
    return found + _differences_of_end(seen, expected, is_lax=is_lax)


def _differences_of_end(seen: Seen, expected: Expected, *, is_lax: bool) -> list[str]:
    found, told = [], [(how.code, how.closed_by) for how in seen.told]
    if seen.close is None:
        right: list[tuple[int | None, str]] = [(1006, "network")]
        if expected.codes:
            found.append(f"no close frame, expected one with {expected.codes}")
    else:
        code = seen.close.code if seen.close.payload else None
        allowed = expected.codes or expected.maybe_codes
        right = [(expected.received, "peer") if expected.is_peers else (code, "us")]
        if is_lax and not expected.is_peers and expected.codes:
            # What the parser notices by itself, of all that was read together, and the answer to a close frame.
            answered = {1000 if how == NO_CODE else how for how, who in told if who == "peer"}
            allowed = allowed | {1002, 1007, 1009} | answered
        if code not in allowed:
            found.append(f"closed with {code}, expected one of {allowed or 'none'}")
        if len(seen.close.payload) > 125:
            found.append("a close frame that is too long")
    if is_lax and seen.close is not None and [who for _, who in told] == ["peer"]:
        return found
    return found if told == right else [*found, f"told of {seen.told}, expected {right}"]
