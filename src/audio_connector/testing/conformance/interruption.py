# SPDX-License-Identifier: Apache-2.0
"""A call in which the participant speaks over the bot, and what the bot does then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from audio_connector.audio.format import FRAME_MS
from audio_connector.testing.conformance.caller import Caller, Clear
from audio_connector.testing.conformance.model import Skipped
from audio_connector.testing.conformance.session import ENOUGH_VOICE_S, Session
from audio_connector.wire.messages import Cleared

Answer: TypeAlias = Literal["prompt", "never", "late"]
"""When the router answers a clear with ``websocket:cleared`` (PROTOCOL 3.5, 3.6)."""

STALE_WITHIN_S = 0.5
"""Audio that comes so soon after a clear is the old reply, for the participant is still talking."""

GOES_ON_S = 1.0
"""A bot whose voice still comes so long after it was spoken over, and that clears nothing, goes on."""

LATEST_CLEAR_S = 0.5
"""A clear command that comes so long after what was said over the bot belongs to something else."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """What was seen.

    Attributes:
        caller: What the call noted.
        ahead_s: Audio that waited in the router when the participant began to speak over the bot.
        clear: The first clear command after that; None where none came.
        silent_after_s: From there to silence; None where the bot went on.
        stale_s: Voice that came after the clear although the participant was still talking.
        next_reply_s: Voice of the answer to what was said over the bot.
        answered_at: When ``websocket:cleared`` was sent in the middle of that answer; None where it was not.
    """

    caller: Caller
    ahead_s: float
    clear: Clear | None
    silent_after_s: float | None
    stale_s: float
    next_reply_s: float
    answered_at: float | None


async def interruption(session: Session, answer: Answer = "prompt") -> Interruption:
    """Return such a call; each kind is made once in a run.

    Raises:
        Skipped: This bot cannot be interrupted.
    """
    return await session.once(("interruption", answer), lambda: _interrupt(session, answer))


async def interruption_with_clear(session: Session, answer: Answer) -> Interruption:
    """Return such a call with a bot that is known to send clear commands.

    Raises:
        Skipped: This bot does not, or cannot be interrupted.
    """
    found = await interruption(session, answer)
    if (await interruption(session)).clear is None:
        raise Skipped("the bot sends no clear command: see clear/barge-in")
    if found.clear is None:
        raise Skipped("the bot sent no clear command in this call, though it did in another one")
    return found


async def _interrupt(session: Session, answer: Answer) -> Interruption:
    if (await session.needs_talk()).manner == "echo":
        raise Skipped(
            "the bot talks only while it is talked to, as an echo does: there is nothing to interrupt"
        )
    timing = session.timing
    async with session.call() as caller:
        caller.acknowledges = answer == "prompt"
        await _get_into_a_reply(session, caller)
        began_at = caller.clock()
        ahead_s = caller.audio.ahead_s(began_at)
        caller.say(session.prompt(caller)[: round(timing.over_s * 1000 / FRAME_MS)])
        said_at = await caller.said()
        silent_after_s = _silence_after(caller, began_at, said_at)
        answered_at = await _listen_to_the_next(session, caller, said_at, answer)
    clear = next((each for each in caller.clears if began_at <= each.at < said_at + LATEST_CLEAR_S), None)
    stale_s = 0.0
    if clear is not None:
        silent_after_s = clear.at - began_at
        stale_s = caller.audio.voiced_between(clear.at, min(clear.at + STALE_WITHIN_S, said_at))
    next_reply_s = caller.audio.voiced_between(said_at, caller.clock())
    return Interruption(caller, ahead_s, clear, silent_after_s, stale_s, next_reply_s, answered_at)


def _silence_after(caller: Caller, began_at: float, said_at: float) -> float | None:
    """How long the bot is heard from ``began_at`` on, where it clears nothing; None where it goes on."""
    goes_on_at = began_at + min(GOES_ON_S, (said_at - began_at) / 2)
    if caller.audio.voiced_between(goes_on_at, said_at) >= ENOUGH_VOICE_S:
        return None
    return max(0.0, caller.audio.voice_end - began_at)


async def _get_into_a_reply(session: Session, caller: Caller) -> None:
    """Get the bot talking while the participant is silent."""
    timing = session.timing
    caller.say(session.prompt(caller))
    said_at = await caller.said()
    talks = await caller.until(
        lambda: caller.audio.voiced_between(said_at, caller.clock()) >= ENOUGH_VOICE_S, timing.reply_s
    )
    if not talks:
        raise Skipped("the bot did not answer in this call, though it did in another one")
    await caller.stays(timing.into_reply_s)
    if caller.is_quiet_for(0.0):
        raise Skipped(
            f"the bot's reply was over within {timing.into_reply_s:g} s; make it talk for longer with --wav"
        )


async def _listen_to_the_next(
    session: Session, caller: Caller, said_at: float, answer: Answer
) -> float | None:
    """Wait for the next reply and hear it; in its middle, send the answer to the clear where it comes late."""
    timing = session.timing
    answered_at = None
    talks = await caller.until(
        lambda: caller.audio.voiced_between(said_at, caller.clock()) >= ENOUGH_VOICE_S, timing.reply_s
    )
    if talks and answer == "late":
        await caller.stays(timing.into_reply_s / 2)
        answered_at = caller.clock()
        caller.send(Cleared())
    if talks:
        await caller.until(lambda: caller.is_quiet_for(timing.quiet_s), timing.listen_s)
    return answered_at
