# SPDX-License-Identifier: Apache-2.0
"""Checks by what a router should never send: the call goes on, or ends properly, and no other call is harmed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from audio_connector.testing.conformance.caller import Caller, how
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed
from audio_connector.testing.conformance.rawline import BINARY, CONTINUATION, PING, TEXT, encode_frame
from audio_connector.testing.conformance.session import Session

BIG_TEXT_BYTES = 1 << 20

_TOO_BIG = 1009
_PROTOCOL_FAULT = 1002
_BAD_TEXT = 1007
_BAD_CODES = (1006, 1011)
_MOST_PING_BYTES = 125


def _survives(
    full_name: str,
    send: Callable[[Caller], None],
    *,
    what: str,
    does: str,
    why: str,
    rows: tuple[str, ...],
) -> Check:
    """A check that sends something in the middle of a call, which has to go on."""

    @check(full_name, does=does, why=why, rows=rows)
    async def survives(session: Session) -> str:
        async with session.call() as caller:
            await caller.stays(session.timing.settle_s / 4)
            send(caller)
            await caller.stays(session.timing.settle_s)
            return await session.works(caller, f"after {what}")

    return survives


def _send_sizes(sizes: Sequence[Callable[[int], int]]) -> Callable[[Caller], None]:
    def send(caller: Caller) -> None:
        for size in sizes:
            caller.transport.send_audio(bytes(size(caller.audio_format.frame_bytes)))

    return send


def _send_texts(*texts: str) -> Callable[[Caller], None]:
    def send(caller: Caller) -> None:
        for text in texts:
            caller.send(text)

    return send


empty_audio = _survives(
    "odd-inputs/empty-audio",
    _send_sizes([lambda _: 0]),
    what="an empty binary message",
    does="Sends a binary message without a byte in it.",
    why="Zero bytes are no end of the call, and no frame; they upset the books of some servers.",
    rows=("4.6",),
)

odd_bytes = _survives(
    "odd-inputs/odd-bytes",
    # An even number in sum: who only joins what comes is in step again afterwards.
    _send_sizes([lambda _: 1, lambda frame: frame + 1, lambda frame: frame - 1, lambda _: 1]),
    what="binary messages with an odd number of bytes",
    does="Sends binary messages of one byte, and of a frame with a byte too much or too little.",
    why="Half a sample raises in many audio libraries, and shifts all that follows.",
    rows=("4.1", "4.7"),
)

wrong_sizes = _survives(
    "odd-inputs/wrong-sizes",
    _send_sizes([lambda frame: frame // 2, lambda frame: 2 * frame, lambda frame: 25 * frame]),
    what="binary messages of another size than a frame",
    does="Sends binary messages of half a frame, of two, and of half a second.",
    why="10 ms frames are mentioned, and after a stall frames may come joined.",
    rows=("4.5", "4.6"),
)

not_json = _survives(
    "odd-inputs/not-json",
    _send_texts("hello", "", '{"event":', "{'event': 1}", "\ufeff{}"),
    what="a text that is not JSON",
    does="Sends texts that are not JSON.",
    why="One unreadable message must not end a call that people are in.",
    rows=("2.1",),
)

not_an_object = _survives(
    "odd-inputs/not-an-object",
    _send_texts("[]", "null", "42", '"websocket:connected"', '[{"event":"websocket:connected"}]'),
    what="JSON that is no object",
    does="Sends JSON that is no object: a list, null, a number, a string.",
    why="Reading a key of it raises, in the middle of a call.",
    rows=("2.1",),
)


@check(
    "odd-inputs/big-text",
    does="Sends a text of 1 MiB, beside another call.",
    why="A server may refuse it, with 1009, but neither fall over nor keep others waiting.",
    rows=("2.10",),
)
async def big_text(session: Session) -> str:
    """PROTOCOL 2.10."""
    event = json.dumps({"event": "websocket:notify", "payload": ""})
    text = event.replace('""', '"' + "x" * (BIG_TEXT_BYTES - len(event)) + '"')
    after = "after a text of 1 MiB"
    async with session.call() as bystander, session.call() as caller:
        caller.send(text)
        await caller.stays(session.timing.settle_s)
        await session.pings(bystander, f"{after} in another call")
        if caller.closed is not None and caller.closed.code == _TOO_BIG:
            return "refused with 1009; other calls are not harmed"
        return await session.works(caller, after)


@check(
    "odd-inputs/fragments",
    does="Sends an event and a frame in fragments, with a ping between them.",
    why="Proxies may cut messages; RFC 6455 5.4 asks every server to join them.",
    rows=("4.11",),
)
async def fragments(session: Session) -> str:
    """RFC 6455 5.4."""
    text = b'{"event":"websocket:media:update","method":"update","active":true}'
    async with session.raw_call() as (caller, line):
        frame = bytes(caller.audio_format.frame_bytes)
        # In one write, so that no frame of the participant comes between the parts.
        line.write_raw(
            encode_frame(TEXT, text[:7], fin=False)
            + encode_frame(PING, b"between")
            + encode_frame(CONTINUATION, text[7:], fin=False)
            + encode_frame(CONTINUATION)
            + encode_frame(BINARY, frame[:100], fin=False)
            + encode_frame(CONTINUATION, frame[100:])
        )
        await caller.stays(session.timing.settle_s)
        return await session.works(caller, "after messages in fragments")


@check(
    "odd-inputs/ping",
    does="Pings with no payload, with text, and with 125 bytes.",
    why="The answer has to carry the same payload; whoever gets none takes the call for dead.",
    rows=("1.24", "1.25"),
)
async def ping(session: Session) -> str:
    """RFC 6455 5.5.3."""
    async with session.call() as caller:
        for payload in (b"", b"are you there?", bytes(range(_MOST_PING_BYTES))):
            if not await caller.answers(payload, within_s=session.timing.pong_s):
                ended = f"; the connection was closed {how(caller.closed)}" if caller.closed else ""
                raise Failed(
                    f"a ping of {len(payload)} bytes was not answered in {session.timing.pong_s:g} s by a pong "
                    f"with the same bytes{ended}; expected one; leave pings to your WebSocket library"
                )
    return "answered, each with the same payload"


@check(
    "odd-inputs/audio-first",
    does="Sends a second of audio before the first message.",
    why="It was seen in the wild; what was said is lost at best, and the call at worst.",
    rows=("2.6",),
)
async def audio_first(session: Session) -> str:
    """PROTOCOL 2.6."""
    async with session.call(first="") as caller:
        await caller.stays(min(1.0, session.timing.mute_s))
        caller.send(session.first_message())
        return await session.works(caller, "after audio before the first message")


@check(
    "odd-inputs/no-first-message",
    does="Sends audio, and never the first message.",
    why="Whoever waits for it without a limit keeps a call that nobody is in; 16 kHz is the best guess.",
    rows=("2.5", "2.6"),
)
async def no_first_message(session: Session) -> str:
    """PROTOCOL 2.6."""
    after = f"after {session.timing.mute_s:g} s without a first message"
    async with session.call(first="") as caller:
        await caller.stays(session.timing.mute_s)
        if caller.closed is not None and caller.closed.code not in _BAD_CODES:
            seen = f"refused: closed {how(caller.closed)}"
        else:
            await session.pings(caller, after)
            seen = f"{after}, it answers a ping"
    await session.serves_others(after)
    return seen


def _refuses(
    full_name: str, raw: bytes, *, code: int, what: str, does: str, why: str, rows: tuple[str, ...] = ()
) -> Check:
    """A check that breaks RFC 6455: the server closes with the right code, or ignores it, and others go on."""

    @check(full_name, does=does, why=why, rows=rows)
    async def refuses(session: Session) -> str:
        after = f"after {what}"
        async with session.call() as bystander, session.raw_call() as (caller, line):
            line.write_raw(raw)
            await caller.stays(session.timing.settle_s)
            await session.pings(bystander, f"{after} on another connection")
            if caller.closed is None and line.close_payload is None:
                await session.pings(caller, after)
                seen = "ignored: it answers a ping"
            else:
                await caller.until(lambda: caller.closed is not None, session.timing.close_s)
                payload = line.close_payload
                got = 0 if payload is None else int.from_bytes(payload[:2], "big")
                if got != code:
                    told = "without a close frame" if payload is None else f"with {got or 'no code'}"
                    raise Failed(
                        f"{after}, the connection was closed {told}; expected {code}, or that it is ignored; "
                        "use a WebSocket library that checks what it reads, and catch what it raises"
                    )
                seen = f"closed with {code}"
        await session.serves_others(after)
        return f"{seen}; other calls are not harmed"

    return refuses


bad_utf_8 = _refuses(
    "odd-inputs/bad-utf-8",
    encode_frame(TEXT, b'{"event":"\xff\xfe\xc0"}'),
    code=_BAD_TEXT,
    what="a text that is not UTF-8",
    does="Sends a text that is not UTF-8.",
    why="Such a text is refused with 1007 (RFC 6455 8.1); an error that nobody catches costs more than one call.",
)

reserved_bits = _refuses(
    "odd-inputs/reserved-bits",
    encode_frame(BINARY, bytes(320), rsv=0b100),
    code=_PROTOCOL_FAULT,
    what="a frame with a reserved bit",
    does="Sends a frame that claims to be compressed, which was not agreed.",
    why="Taken as it is, compressed data would be heard as noise (RFC 6455 5.2).",
    rows=("1.8",),
)

stray_continuation = _refuses(
    "odd-inputs/stray-continuation",
    encode_frame(CONTINUATION, b"what came before?"),
    code=_PROTOCOL_FAULT,
    what="a continuation of nothing",
    does="Sends the continuation of a message that was never begun.",
    why="It is the trace of a router that lost something (RFC 6455 5.4).",
)

unknown_opcode = _refuses(
    "odd-inputs/unknown-opcode",
    encode_frame(5, b"?"),
    code=_PROTOCOL_FAULT,
    what="a frame of an unknown kind",
    does="Sends a frame of a kind that RFC 6455 does not have.",
    why="A parser that lost its place reads such frames (RFC 6455 5.2).",
)

CHECKS: tuple[Check, ...] = (
    empty_audio,
    odd_bytes,
    wrong_sizes,
    not_json,
    not_an_object,
    big_text,
    fragments,
    ping,
    audio_first,
    no_first_message,
    bad_utf_8,
    reserved_bits,
    stray_continuation,
    unknown_opcode,
)
