# SPDX-License-Identifier: Apache-2.0
"""Attacks on the time that frames take: the least of each kind, as fast as they are read."""

from __future__ import annotations

import time
from contextlib import suppress

from benchmarks.attack.peers import (
    BINARY,
    CONTINUATION,
    FIRST_TEXT,
    PING,
    TEXT,
    Flood,
    Outcome,
    Target,
    address_of,
    call,
    frame,
    repeatedly,
    reset,
)

_CHUNK_BYTES = 1 << 16
"""About so much is handed to the kernel at once."""

_FIRST = frame(TEXT, FIRST_TEXT)
_FRAGMENTS = 320
"""Of 2 bytes each: a frame of audio."""


def _filled(unit: bytes) -> bytes:
    return unit * (_CHUNK_BYTES // len(unit))


EMPTY_PINGS = _filled(frame(PING, b""))
_SMALL_AUDIO = _filled(frame(BINARY, b"\1\0"))
_FRAGMENTED = _filled(
    frame(BINARY, b"\1\0", fin=False)
    + frame(CONTINUATION, b"\1\0", fin=False) * (_FRAGMENTS - 2)
    + frame(CONTINUATION, b"\1\0")
)
_KNOWN_TEXTS = _filled(frame(TEXT, b'{"event":"websocket:dtmf","digit":"5"}'))

_PINGS_BEFORE_RESET = 10_000
_RESETS_A_SECOND = 10


def _flood(target: Target, seconds: float, chunk: bytes, *, peers: int = 1) -> Outcome:
    flood = Flood(target, chunk, peers=peers, first=_FIRST)
    flood.run(seconds)
    return Outcome(f"{flood.written_bytes / (1 << 20):.1f} MiB, {flood.dials} dials")


def pings(target: Target, seconds: float) -> Outcome:
    """One peer that pings; it reads the answers, so that they have to be made."""
    return _flood(target, seconds, EMPTY_PINGS)


def pings_of_ten(target: Target, seconds: float) -> Outcome:
    """Ten of them."""
    return _flood(target, seconds, EMPTY_PINGS, peers=10)


def small_audio(target: Target, seconds: float) -> Outcome:
    """One sample a frame."""
    return _flood(target, seconds, _SMALL_AUDIO)


def small_audio_of_ten(target: Target, seconds: float) -> Outcome:
    """Ten of them."""
    return _flood(target, seconds, _SMALL_AUDIO, peers=10)


def audio_byte_by_byte(target: Target, seconds: float) -> Outcome:
    """Ten that send what a call sends, each byte by itself, as fast as it goes."""
    socks = [call(target, source=address_of(number)) for number in range(10)]
    sent, until_s = 0, time.monotonic() + seconds
    for sock in socks:
        sock.sendall(_FIRST)
        sock.setblocking(False)
    frame_bytes = frame(BINARY, bytes(640))
    at = [0] * len(socks)
    while time.monotonic() < until_s:
        for number, sock in enumerate(socks):
            with suppress(OSError):  # what is not read by now is tried again
                sock.recv(1 << 16)
            with suppress(OSError):
                at[number] += sock.send(frame_bytes[at[number] :][:1])
                at[number] %= len(frame_bytes)
                sent += 1
    for sock in socks:
        reset(sock)
    return Outcome(f"{sent} bytes")


def fragments(target: Target, seconds: float) -> Outcome:
    """Messages of 640 bytes in fragments of one sample."""
    return _flood(target, seconds, _FRAGMENTED)


def fragments_of_ten(target: Target, seconds: float) -> Outcome:
    """Ten of them."""
    return _flood(target, seconds, _FRAGMENTED, peers=10)


def known_texts(target: Target, seconds: float) -> Outcome:
    """A key that is pressed all the time."""
    return _flood(target, seconds, _KNOWN_TEXTS)


def pings_and_reset(target: Target, seconds: float) -> Outcome:
    """The server answers pings of a peer that is gone."""
    pings_at_once = _FIRST + frame(PING, b"") * _PINGS_BEFORE_RESET

    def act() -> None:
        sock = call(target)
        try:
            sock.sendall(pings_at_once)
        finally:
            reset(sock)

    times = repeatedly(act, a_second=_RESETS_A_SECOND, seconds=seconds)
    return Outcome(f"{times} times {_PINGS_BEFORE_RESET} pings")
