# SPDX-License-Identifier: Apache-2.0
"""Attacks on memory and on the time that large messages take."""

from __future__ import annotations

from benchmarks.attack.peers import (
    BINARY,
    CONTINUATION,
    FIRST_TEXT,
    MIB,
    TEXT,
    Flood,
    Outcome,
    Target,
    frame,
)

_FIRST = frame(TEXT, FIRST_TEXT)
_OPENING, _ENDING = b'{"event":"x","p":', b"}"
_PAIRS = MIB // 3 - 20
_WIDE = frame(TEXT, _OPENING + b"[" + b"[]," * _PAIRS + b"1]" + _ENDING)
_DEPTH = MIB // 2 - 20
_DEEP = frame(TEXT, _OPENING + b"[" * _DEPTH + b"]" * _DEPTH + _ENDING)

_FRAGMENTS_AT_ONCE = 8192
_HALF_S = 0.5
_THIRD_S = 0.3


def _flooded(flood: Flood, seconds: float) -> Outcome:
    flood.run(seconds)
    return Outcome(f"{flood.written_bytes / MIB:.1f} MiB, {flood.dials} dials")


def held_fragments(target: Target, seconds: float) -> Outcome:
    """A message of just less than 1 MiB, of which each sample is a frame, and whose end never comes."""
    fragments = frame(CONTINUATION, b"\1\0", fin=False) * _FRAGMENTS_AT_ONCE
    limit = MIB // (2 * _FRAGMENTS_AT_ONCE) - 1
    first = _FIRST + frame(BINARY, b"\1\0", fin=False)
    return _flooded(Flood(target, fragments, peers=10, first=first, limit=limit), seconds)


def held_back(target: Target, seconds: float) -> Outcome:
    """One frame of 1 MiB each, whose last byte never comes."""
    message = frame(BINARY, bytes(MIB))
    return _flooded(Flood(target, message[:-1], peers=200, first=_FIRST, limit=1), seconds)


def wide_texts(target: Target, seconds: float) -> Outcome:
    """Legal, and nothing but lists: most work for who decodes it."""
    return _flooded(Flood(target, _WIDE, first=_FIRST, every_s=_HALF_S), seconds)


def deep_texts(target: Target, seconds: float) -> Outcome:
    """As deep as it is long."""
    return _flooded(Flood(target, _DEEP, first=_FIRST, every_s=_HALF_S), seconds)


def unread_texts(target: Target, seconds: float) -> Outcome:
    """Ten peers, whose texts wait for an application that takes none."""
    return _flooded(Flood(target, _WIDE, peers=10, first=_FIRST, every_s=_THIRD_S), seconds)
