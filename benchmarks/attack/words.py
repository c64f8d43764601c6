# SPDX-License-Identifier: Apache-2.0
"""Attacks on the log: whatever a peer can put into it, with what acts in a terminal or begins a line of its own."""

from __future__ import annotations

import struct

from benchmarks.attack.peers import (
    CLOSE,
    FIRST_TEXT,
    TEXT,
    Flood,
    Outcome,
    Target,
    call,
    frame,
    head,
    repeatedly,
)

_CALLS_A_SECOND = 20
_REASON = "bye\nERROR:root:the disk is on fire\x1b]0;owned\x07\x1b[2J\r\n\u2028".encode()
_ID = "abc\u009b31m\u2028ERROR:root:forged".encode()
_LONG = b"z" * 4000

_CONTENT_TYPES = 20_000
_JUNK_BYTES = 150


def escapes(target: Target, seconds: float) -> Outcome:
    """Ids, a path and headers of the request, keys and values of the first text, and the reason of the close."""
    request = head(
        path=b"/a%0d%0aERROR%1b[2J?token=x",
        more=b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, value in (
                (b"connectionId", _ID),
                (b"x-opentok-ws-sessionid", _ID + _LONG),
                (b"User-Agent", _ID),
            )
        ),
    )
    first = FIRST_TEXT.replace(b"audio/l16;rate=16000", b"audio/\\n\\u001b[2J\\u2028" + _LONG)
    said = (
        frame(TEXT, first)
        + frame(TEXT, b"\x1b[2J no json\n")
        + frame(CLOSE, struct.pack("!H", 4000) + _REASON)
    )

    def act() -> None:
        with call(target, request) as sock:
            sock.sendall(said)
            while sock.recv(1000):
                pass

    return Outcome(f"{repeatedly(act, a_second=_CALLS_A_SECOND, seconds=seconds)} calls")


def content_types(target: Target, seconds: float) -> Outcome:
    """One call that says another format with every text."""
    texts = b"".join(
        frame(TEXT, FIRST_TEXT.replace(b"l16", b"%05d" % number + b"j" * _JUNK_BYTES))
        for number in range(_CONTENT_TYPES)
    )
    flood = Flood(target, texts, limit=1)
    flood.run(seconds)
    return Outcome(f"{flood.written_bytes / (1 << 20):.1f} MiB, {flood.dials} dials")
