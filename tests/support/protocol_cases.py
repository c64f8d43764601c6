# SPDX-License-Identifier: Apache-2.0
"""What a WebSocket server has to make of frames: the kinds of sections 1 to 7 and 10 of the Autobahn test suite.

Each is a stream of a client, and what has to come of it. The numbers are those of the suite's sections, so that one
can look a kind up there. Section 9 is about speed, and 12 and 13 about compression, which is not spoken here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from support.peers import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, close_frame

MAX_MESSAGE_BYTES = 1 << 17
GREETING = "Hello-\u00b5@\u00df\u00f6\u00e4\u00fc\u00e0\u00e1-UTF-8!!"


@dataclass(frozen=True)
class Case:
    """One stream, and what comes of it.

    Attributes:
        name: Section and kind.
        frames: What the client writes.
        messages: Handed over.
        pongs: Sent.
        code: Of the server's close frame; None for one without.
        is_peers: Whether it answers the client's.
        received: The code that the client said, where it is another one than the answer's.
    """

    name: str
    frames: Sequence[Frame]
    messages: Sequence[bytes | str] = ()
    pongs: Sequence[bytes] = ()
    code: int | None = 1000
    is_peers: bool = True
    received: int | None = None

    @property
    def stream(self) -> bytes:
        """Every byte of it."""
        return b"".join(frame.encode() for frame in self.frames)


def _good(
    name: str, *frames: Frame, messages: Sequence[bytes | str] = (), pongs: Sequence[bytes] = ()
) -> Case:
    return Case(name, (*frames, close_frame(1000)), messages, pongs)


def _bad(
    name: str,
    *frames: Frame,
    code: int = 1002,
    messages: Sequence[bytes | str] = (),
    pongs: Sequence[bytes] = (),
) -> Case:
    return Case(name, frames, messages, pongs, code, is_peers=False)


def _cut(opcode: int, payload: bytes, size: int) -> list[Frame]:
    parts = [payload[at : at + size] for at in range(0, len(payload), size)]
    return [
        Frame(CONTINUATION if at else opcode, part, fin=at == len(parts) - 1) for at, part in enumerate(parts)
    ]


def _framing() -> Iterator[Case]:
    for size in (0, 125, 126, 127, 128, 1 << 14):
        yield _good(f"1.1 text of {size}", Frame(TEXT, b"*" * size), messages=["*" * size])
    for size in (0, 125, 126, 127, 128, 65535, 65536, MAX_MESSAGE_BYTES):
        yield _good(f"1.2 binary of {size}", Frame(BINARY, b"\xfe" * size), messages=[b"\xfe" * size])
    yield _bad("1.2 binary over the limit", Frame(BINARY, bytes(MAX_MESSAGE_BYTES + 1)), code=1009)


def _pings() -> Iterator[Case]:
    for name, payload in {
        "2.1 an empty ping": b"",
        "2.2 a ping of text": b"Hello, world!",
        "2.3 a ping of bytes": b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
        "2.4 a ping of 125": b"\xfe" * 125,
    }.items():
        yield _good(name, Frame(PING, payload), pongs=[payload])
    yield _bad("2.5 a ping of 126", Frame(PING, b"\xfe" * 126))
    yield _good("2.7 a pong that nobody asked for", Frame(PONG, b""), messages=[b"pong "])
    yield _good(
        "2.9 such a pong, and a ping",
        Frame(PONG, b"unasked"),
        Frame(PING, b"asked"),
        messages=[b"pong unasked"],
        pongs=[b"asked"],
    )
    many = [b"payload-%d" % at for at in range(10)]
    yield _good("2.10 ten pings", *(Frame(PING, payload) for payload in many), pongs=many)


def _reserved_bits() -> Iterator[Case]:
    text, ping = Frame(TEXT, b"before"), Frame(PING, b"")
    for rsv in range(1, 8):
        for kind, opcode in {"text": TEXT, "binary": BINARY, "a ping": PING, "a pong": PONG}.items():
            yield _bad(
                f"3 reserved bits {rsv} on {kind}",
                text,
                Frame(opcode, b"*", rsv=rsv),
                ping,
                messages=["before"],
            )
        close = close_frame(1000)._replace(rsv=rsv)
        yield _bad(f"3.7 reserved bits {rsv} on a close frame", text, close, messages=["before"])
    begun = Frame(TEXT, b"be", fin=False)
    yield _bad("3 reserved bits on a continuation", begun, Frame(CONTINUATION, b"fore", rsv=4))


def _opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        section = "4.1" if opcode < 8 else "4.2"
        yield _bad(f"{section} opcode {opcode}", Frame(opcode, b""))
        yield _bad(f"{section} opcode {opcode} with a payload", Frame(opcode, b"reserved"))
        yield _bad(
            f"{section} opcode {opcode} after a text",
            Frame(TEXT, b"before"),
            Frame(opcode, b"reserved"),
            Frame(PING, b""),
            messages=["before"],
        )


def _fragmentation() -> Iterator[Case]:
    for name, opcode in {"5.1 a ping": PING, "5.2 a pong": PONG}.items():
        yield _bad(f"{name} in two", Frame(opcode, b"frag", fin=False), Frame(CONTINUATION, b"ment"))
    one, two = Frame(TEXT, b"fragment1", fin=False), Frame(CONTINUATION, b"fragment2")
    joined, ping = "fragment1fragment2", Frame(PING, b"ping")
    yield _good("5.3 a text in two", one, two, messages=[joined])
    yield _good("5.6 a ping between", one, ping, two, messages=[joined], pongs=[b"ping"])
    for fin in (True, False):
        stray = Frame(CONTINUATION, b"nothing to continue", fin=fin)
        yield _bad(f"5.9 a stray continuation, fin {fin}", stray, Frame(TEXT, b"Hello"))
        again = Frame(CONTINUATION, b"fragment3", fin=fin)
        yield _bad(
            f"5.15 one after a message, fin {fin}", one, two, again, Frame(TEXT, b"x"), messages=[joined]
        )
    stray = Frame(CONTINUATION, b"fragment1", fin=False)
    yield _bad("5.16 many of them", *[stray, Frame(TEXT, b"fragment2", fin=False), two] * 2)
    yield _bad("5.18 a text inside a text", one, Frame(TEXT, b"fragment2"))
    yield _good(
        "5.19 five fragments with pings between",
        one,
        Frame(CONTINUATION, b"fragment2", fin=False),
        ping,
        Frame(CONTINUATION, b"fragment3", fin=False),
        Frame(CONTINUATION, b"fragment4", fin=False),
        Frame(PING, b"pongme 2!"),
        Frame(CONTINUATION, b"fragment5"),
        messages=["fragment1fragment2fragment3fragment4fragment5"],
        pongs=[b"ping", b"pongme 2!"],
    )
    yield _good(
        "10.1 a message that was cut",
        *_cut(BINARY, b"*" * 65536, 1300),
        messages=[b"*" * 65536],
    )


VALID_TEXTS = {
    "6.2 many scripts": GREETING,
    "6.5 kosme": "\u03ba\u1f79\u03c3\u03bc\u03b5",
    "6.7 the first of each length": "\0\x80\u0800\U00010000",
    "6.9 the last of each length": "\x7f\u07ff\uffff\U0010ffff",
    "6.11 around the surrogates": "\ud7ff\ue000\ufffd\U0010ffff",
    "6.22 non-characters": "\ufffe\uffff\U0001fffe\U0001ffff\U000ffffe\U0010ffff",
    "6.23 the replacement character": "\ufffd",
}
INVALID_TEXTS = {
    "6.3 bad in the middle": GREETING.encode() + b"\xed\xa0\x80" + b"edited",
    "6.4 beyond the last": b"\xce\xba\xf4\x90\x80\x80edited",
    "6.6 a character that is cut": "\u03ba\u1f79".encode()[:-1],
    "6.8 five bytes": b"\xf8\x88\x80\x80\x80",
    "6.8 six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "6.10 the last of four bytes": b"\xf7\xbf\xbf\xbf",
    "6.10 the last of six bytes": b"\xfd\xbf\xbf\xbf\xbf\xbf",
    "6.11 one beyond": b"\xf4\x90\x80\x80",
    "6.12 only continuation bytes": bytes(range(0x80, 0xC0)),
    "6.12 one of them": b"\x80",
    "6.13 only first bytes of two": b" ".join(bytes([byte]) for byte in range(0xC0, 0xE0)),
    "6.13 only first bytes of three": b" ".join(bytes([byte]) for byte in range(0xE0, 0xF0)),
    "6.13 only first bytes of four": b" ".join(bytes([byte]) for byte in range(0xF0, 0xF8)),
    "6.14 two bytes less one": b"\xc0",
    "6.14 three bytes less one": b"\xe0\x80",
    "6.14 four bytes less one": b"\xf0\x80\x80",
    "6.15 all of these": b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80",
    "6.16 fe": b"\xfe",
    "6.16 ff": b"\xff",
    "6.17 a slash in two": b"\xc0\xaf",
    "6.17 a slash in three": b"\xe0\x80\xaf",
    "6.17 a slash in four": b"\xf0\x80\x80\xaf",
    "6.18 the most that two hold too long": b"\xc1\xbf",
    "6.18 the most that three hold too long": b"\xe0\x9f\xbf",
    "6.18 the most that four hold too long": b"\xf0\x8f\xbf\xbf",
    "6.19 a NUL in two": b"\xc0\x80",
    "6.20 a high surrogate": b"\xed\xa0\x80",
    "6.20 a low surrogate": b"\xed\xbf\xbf",
    "6.21 a pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
}


def _texts() -> Iterator[Case]:
    empty = Frame(CONTINUATION, b"", fin=False)
    yield _good(
        "6.1 an empty text in three",
        Frame(TEXT, b"", fin=False),
        empty,
        Frame(CONTINUATION, b""),
        messages=[""],
    )
    yield _good(
        "6.1 something in the middle",
        Frame(TEXT, b"", fin=False),
        Frame(CONTINUATION, b"middle", fin=False),
        Frame(CONTINUATION, b""),
        messages=["middle"],
    )
    for name, text in VALID_TEXTS.items():
        yield _good(name, Frame(TEXT, text.encode()), messages=[text])
        yield _good(f"{name}, a byte a frame", *_cut(TEXT, text.encode(), 1), messages=[text])
    for name, raw in INVALID_TEXTS.items():
        yield _bad(name, Frame(TEXT, raw), Frame(BINARY, b"after"), code=1007)
        yield _bad(f"{name}, a byte a frame", *_cut(TEXT, raw, 1), Frame(BINARY, b"after"), code=1007)


def _closing() -> Iterator[Case]:
    close, ping = close_frame(1000), Frame(PING, b"")
    yield _good("7.1.1 a text before", Frame(TEXT, b"Hello World!"), messages=["Hello World!"])
    yield Case("7.1.2 twice", (close, close))
    yield Case("7.1.3 a ping after it", (close, ping))
    yield Case("7.1.4 a text after it", (close, Frame(TEXT, b"after")))
    yield Case(
        "7.1.5 in the middle of a text", (Frame(TEXT, b"1", fin=False), close, Frame(CONTINUATION, b"2"))
    )
    large = b"*" * MAX_MESSAGE_BYTES
    yield Case("7.1.6 after much, and a ping", (Frame(BINARY, large), close, ping), [large])
    yield Case("7.3.1 without a code", (close_frame(None),), received=1005)
    yield _bad("7.3.2 of one byte", Frame(CLOSE, b"a"))
    yield Case("7.3.4 with a reason", (close_frame(1000, "Hello World!"),))
    yield Case("7.3.5 with the longest reason", (close_frame(1000, "*" * 123),))
    yield _bad("7.3.6 with a longer one", close_frame(1000, "*" * 124))
    yield _bad("7.5.1 with a reason that is no UTF-8", Frame(CLOSE, b"\x03\xe8\xed\xa0\x80"), code=1007)
    stray = Frame(CONTINUATION, b"nothing to continue")
    yield _bad("7.1 right after a fault", stray, close_frame(1000))
    for code in (*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield Case(f"7.7 with {code}", (close_frame(code),), code=code)
        yield Case(f"7.7 with {code} and a reason", (close_frame(code, "why"),), code=code)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield _bad(f"7.9 with {code}", close_frame(code))
        yield _bad(f"7.9 with {code} and a reason", close_frame(code, "why"))


def cases() -> Iterator[Case]:
    """All of them, in the order of the sections."""
    for section in (_framing, _pings, _reserved_bits, _opcodes, _fragmentation, _texts, _closing):
        yield from section()
