# SPDX-License-Identifier: Apache-2.0
"""Checks of how a call ends, properly or not, and that the next one begins."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack

from audio_connector.testing.conformance.caller import Caller
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.rawline import RawLine, close_payload
from audio_connector.testing.conformance.session import Session
from audio_connector.wire.messages import Disconnected

CLOSES: tuple[tuple[int | None, str], ...] = (
    (None, ""),
    (1000, ""),
    (1001, "going away"),
    (3000, "x" * 123),
    (4321, "ä"),
)
"""Close frames that are right, if not usual."""

CALLS_TOGETHER = 3

_CODE_BYTES = 2
_FORBIDDEN_CODES = (1004, 1005, 1006, 1015)
_RANGES = ((1000, 1014), (3000, 4999))


@check(
    "closing/answer",
    does="Closes a quiet call, and one in which the bot talks, and waits for the answer.",
    why="Who gets none has to wait, and keeps a connection for nobody.",
    rows=("1.20",),
)
async def answer(session: Session) -> str:
    """RFC 6455 5.5.1."""
    took_s = await _close(session, "closing a quiet call", talks=False)
    if not (await session.baseline()).responds:
        return f"answered after {took_s * 1000:.0f} ms"
    talking_s = await _close(session, "closing while the bot talks", talks=True)
    return f"answered after {took_s * 1000:.0f} ms, and after {talking_s * 1000:.0f} ms while the bot talks"


async def _close(session: Session, what: str, *, talks: bool) -> float:
    """Close a call, and return how long the answer took."""
    async with session.raw_call() as (caller, line):
        await caller.stays(session.timing.settle_s / 4)
        if talks:
            await session.works(caller, "in a usual call")
        began_at = asyncio.get_running_loop().time()
        line.close(1000)
        if not await _is_answered(session, caller, line):
            ended = (
                "hung up instead"
                if caller.closed is not None
                else f"answered nothing in {session.timing.close_s:g} s"
            )
            raise Failed(f"{what} with 1000, the server {ended}; expected a close frame; answer it at once")
        return line.close_came_at - began_at


async def _is_answered(session: Session, caller: Caller, line: RawLine) -> bool:
    return await caller.until(lambda: line.close_payload is not None, session.timing.close_s)


@check(
    "closing/codes",
    does="Closes without a code, with usual codes and with private ones, and reads the code of the answer.",
    why="Codes such as 1005 and 1006 must not be sent; whoever gets one sees a broken connection.",
    rows=("1.23",),
)
async def codes(session: Session) -> str:
    """RFC 6455 7.4."""
    seen = []
    for code, reason in CLOSES:
        async with session.raw_call() as (caller, line):
            line.send_close(close_payload(code, reason))
            await _is_answered(session, caller, line)
        if line.close_payload is None:
            raise Skipped(f"a close frame with {code or 'no code'} was not answered: see closing/answer")
        if (fault := _fault_of(line.close_payload)) is not None:
            raise Failed(
                f"a close frame with {code or 'no code'} was answered with {fault}; expected the same code, or 1000; "
                "repeat the code that came only where it may be sent"
            )
        seen.append(str(code or "no code"))
    return f"the answers to {', '.join(seen)} are right"


def _fault_of(payload: bytes) -> str | None:
    """What a close frame has that it may not have."""
    if not payload:
        return None
    if len(payload) < _CODE_BYTES:
        return "half a code"
    code = int.from_bytes(payload[:_CODE_BYTES], "big")
    if code in _FORBIDDEN_CODES or not any(low <= code <= high for low, high in _RANGES):
        return f"the code {code}"
    try:
        payload[_CODE_BYTES:].decode()
    except UnicodeDecodeError:
        return "a reason that is not UTF-8"
    return None


@check(
    "closing/goodbye",
    does="Sends websocket:disconnected and breaks off without a close frame, beside another call.",
    why="That is the router's usual end of a call.",
    rows=("1.22", "2 websocket:disconnected"),
)
async def goodbye(session: Session) -> str:
    """PROTOCOL 1.22."""
    return await _ends(session, "websocket:disconnected and the end of the connection", _say_goodbye)


def _say_goodbye(caller: Caller, line: RawLine) -> None:
    caller.send(Disconnected())
    line.abort()


@check(
    "closing/reset",
    does="Resets a connection, beside another call.",
    why="Networks and crashed routers do that; one lost call must not cost another.",
    rows=("1.22",),
)
async def reset(session: Session) -> str:
    """PROTOCOL 1.22."""
    return await _ends(session, "a reset of the connection", lambda _, line: line.reset())


@check(
    "closing/half-open",
    does="Ends its own side of a connection without a close frame, and waits for the server to end the other.",
    why="A call that nobody hears any more costs money until somebody ends it.",
    rows=("1.22",),
)
async def half_open(session: Session) -> str:
    """PROTOCOL 1.22."""
    after = "after the end of the router's side"
    async with session.call() as bystander, session.raw_call() as (caller, line):
        if not line.end_stream():
            raise Skipped("TLS knows no half of a connection")
        await caller.until(lambda: line.is_ended, session.timing.close_s)
        seen = (
            "the server ends its own"
            if line.is_ended
            else "the server keeps its own open: it may never notice"
        )
        await session.pings(bystander, f"{after} of another connection")
    await session.serves_others(after)
    return f"{after}, {seen}; other calls are not harmed"


async def _ends(session: Session, what: str, end: Callable[[Caller, RawLine], None]) -> str:
    """End a call in which the bot was spoken to, and see that others live."""
    async with session.call() as bystander:
        async with session.raw_call() as (caller, line):
            caller.say(session.prompt(caller))
            await caller.stays(session.timing.settle_s)
            end(caller, line)
            await caller.stays(session.timing.settle_s)
        await session.pings(bystander, f"after {what} of another call")
    await session.serves_others(f"after {what}")
    return "other calls are not harmed, and a new one works"


@check(
    "closing/together",
    does="Makes three calls of one session at once, resets the first, closes the second, and uses the third.",
    why="A session has up to 50 streams, each with a connection of its own.",
    rows=("1.12", "1.14"),
)
async def together(session: Session) -> str:
    """PROTOCOL 1.12."""
    session_id = secrets.token_hex(16)
    async with AsyncExitStack() as stack:
        callers: list[Caller] = []
        for _ in range(CALLS_TOGETHER):
            headers = session.upgrade_headers(session_id)
            caller, _line = await stack.enter_async_context(session.raw_call(headers=headers))
            callers.append(caller)
        for caller in callers:
            await session.pings(caller, f"with {CALLS_TOGETHER} calls of one session at once")
        callers[0].transport.reset()
        callers[1].transport.close(1000)
        await callers[2].stays(session.timing.settle_s)
        seen = await session.works(callers[2], "after the end of other calls of the same session")
    return f"each is its own; the last one lives on, {seen}"


CHECKS: tuple[Check, ...] = (answer, codes, goodbye, reset, half_open, together)
