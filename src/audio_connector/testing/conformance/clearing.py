# SPDX-License-Identifier: Apache-2.0
"""Checks of barge-in: the participant speaks over the bot, and the router's buffer has to be emptied."""

from __future__ import annotations

import asyncio

from audio_connector.testing.conformance.caller import Caller, how
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.interruption import (
    Answer,
    Interruption,
    interruption,
    interruption_with_clear,
)
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.session import ENOUGH_VOICE_S, Session
from audio_connector.wire.codec import CLEAR_FORMS
from audio_connector.wire.messages import Cleared

_CUT_WITHIN_S = 0.3
_CUT_SHARE = 0.5
_TEXTS_SHOWN = 2


@check(
    "clear/barge-in",
    does="Speaks over the bot, and measures how long it is still heard.",
    why="Up to a minute of speech waits in the router; only a clear command stops it.",
    rows=("3.2", "3.3", "4.14"),
)
async def barge_in(session: Session) -> str:
    """PROTOCOL 3.3."""
    seen = await interruption(session)
    ahead = f"{seen.ahead_s:.1f} s of audio waited in the router"
    if seen.silent_after_s is not None and seen.clear is not None:
        took = f"{seen.silent_after_s * 1000:.0f} ms after the interruption"
        return f"{CLEAR_FORMS[seen.clear.form]} came {took}, while {ahead}"
    tolerated_s = session.timing.ahead_s
    if seen.silent_after_s is not None and seen.silent_after_s <= tolerated_s:
        return f"silent {seen.silent_after_s * 1000:.0f} ms after the interruption, without a clear command"
    if seen.silent_after_s is None and seen.ahead_s <= tolerated_s:
        raise Skipped(
            f"the bot goes on when it is spoken over, and {ahead}: it knows no barge-in that could be judged"
        )
    others = [text.text[:60] for text in seen.caller.texts[:_TEXTS_SHOWN]]
    texts = f" (it sent {' and '.join(others)})" if others else ""
    heard = "went on" if seen.silent_after_s is None else f"was heard for {seen.silent_after_s:.1f} s more"
    raise Failed(
        f"spoken over, the bot {heard}: {ahead} and no clear command came{texts}; "
        f"expected one; send {CLEAR_FORMS['action']} when the participant speaks"
    )


@check(
    "clear/stale",
    does="Looks for audio of the old reply that comes after the clear command.",
    why="What is still queued in the server, or comes late from a synthesizer, is heard as a ghost.",
    rows=("3.6",),
)
async def stale(session: Session) -> str:
    """PROTOCOL 3.6."""
    seen = await interruption_with_clear(session, "prompt")
    if seen.stale_s >= ENOUGH_VOICE_S:
        raise Failed(
            f"got {seen.stale_s * 1000:.0f} ms of speech behind the clear command, while the participant was still "
            "talking; expected none; empty your own queue, and refuse late writes of the old reply"
        )
    return "nothing of the old reply came after the clear command"


@check(
    "clear/next-turn",
    does="Waits for an answer to what was said over the bot.",
    why="A bot whose books of what was played are wrong after a barge-in never speaks again.",
    rows=("3.5",),
)
async def next_turn(session: Session) -> str:
    """PROTOCOL 3.5."""
    seen = await interruption_with_clear(session, "prompt")
    if seen.next_reply_s < ENOUGH_VOICE_S:
        raise Failed(
            f"{_what_became_of(seen.caller)} after a barge-in; "
            "expected an answer to what was said; look for a speaker that still waits for the old reply to end"
        )
    return f"the bot answers again, {seen.next_reply_s:.1f} s of speech"


@check(
    "clear/no-answer",
    does="Interrupts the bot, and never answers its clear command.",
    why="The answer, websocket:cleared, is documented for Voice only; whoever waits for it waits for ever.",
    rows=("3.5",),
)
async def no_answer(session: Session) -> str:
    """PROTOCOL 3.5."""
    usual, seen = await _with_and_without_answer(session, "never")
    if usual.next_reply_s < ENOUGH_VOICE_S:
        raise Skipped("the bot does not speak again in any case: see clear/next-turn")
    if seen.next_reply_s < ENOUGH_VOICE_S:
        raise Failed(
            f"{_what_became_of(seen.caller)}, because its clear command "
            "was not answered; expected that it speaks again; do not wait for websocket:cleared"
        )
    return "the bot speaks again without it"


@check(
    "clear/late-answer",
    does="Interrupts the bot, and answers its clear command in the middle of the next reply.",
    why="A late answer belongs to the old reply, and must not end the new one.",
    rows=("3.6",),
)
async def late_answer(session: Session) -> str:
    """PROTOCOL 3.6."""
    usual, seen = await _with_and_without_answer(session, "late")
    answered_at = seen.answered_at
    if usual.next_reply_s < ENOUGH_VOICE_S or answered_at is None:
        raise Skipped("the bot does not speak again after an interruption: see clear/next-turn")
    if seen.caller.closed is not None and seen.caller.closed.closed_by != "us":
        raise Failed(
            f"after a late websocket:cleared, the connection was closed {how(seen.caller.closed)}; "
            "expected that the reply goes on; ignore what you do not wait for"
        )
    cleared = any(each.at >= answered_at for each in seen.caller.clears)
    was_cut = (
        seen.next_reply_s < usual.next_reply_s * _CUT_SHARE
        and seen.caller.audio.last_voice_at < answered_at + _CUT_WITHIN_S
    )
    if cleared or was_cut:
        raise Failed(
            f"a late websocket:cleared ended the next reply after {seen.next_reply_s:.1f} s, which lasts "
            f"{usual.next_reply_s:.1f} s otherwise; expected no effect; remember which clear an answer belongs to"
        )
    return "the next reply is not touched"


@check(
    "clear/unasked-answer",
    does="Sends websocket:cleared although nothing was cleared, before and while the bot talks.",
    why="Answers come late and twice; one that belongs to nothing must do nothing.",
    rows=("3.6",),
)
async def unasked_answer(session: Session) -> str:
    """PROTOCOL 3.6."""
    async with session.call() as caller:
        caller.send(Cleared())
        seen = await session.works(caller, "after a websocket:cleared that nobody asked for")
        caller.send(Cleared())
        await caller.stays(session.timing.settle_s)
        await session.pings(caller, "after a websocket:cleared that nobody asked for")
    return seen


async def _with_and_without_answer(session: Session, answer: Answer) -> tuple[Interruption, Interruption]:
    """Two calls at once, because each takes as long as two replies."""
    return await asyncio.gather(
        interruption_with_clear(session, "prompt"), interruption_with_clear(session, answer)
    )


def _what_became_of(caller: Caller) -> str:
    if caller.closed is not None and caller.closed.closed_by != "us":
        return f"the connection was closed {how(caller.closed)}"
    return "the bot said nothing more"


CHECKS: tuple[Check, ...] = (barge_in, stale, next_turn, no_answer, late_answer, unasked_answer)
