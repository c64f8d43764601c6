# SPDX-License-Identifier: Apache-2.0
"""Checks of when a bot's audio comes: neither too early nor too late, and whatever the router does meanwhile."""

from __future__ import annotations

from audio_connector.audio.format import FRAME_MS
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.notes import fastest_s, holes
from audio_connector.testing.conformance.session import ENOUGH_VOICE_S, Baseline, Session

BUFFER_S = 60.0
"""What today's router holds (PROTOCOL 4.12)."""

OLDER_BUFFER_S = 20.5
"""What its ancestor held."""

TOLERANCE_S = 0.04
"""Holes of this length in sum are jitter, which a bot that echoes frame by frame cannot help."""

_LEAST_SPEECH_S = 0.5


async def _speech(session: Session) -> Baseline:
    baseline = await session.baseline()
    if baseline.caller.audio.voiced_s < min(_LEAST_SPEECH_S, session.timing.speech_s / 2):
        raise Skipped(session.silence_of(baseline.caller))
    return baseline


@check(
    "pacing/ahead",
    does="Measures how far ahead of real time the bot's audio is, and how fast it comes.",
    why="The router holds 60 s, older ones 20.5 s, and drops what comes beyond; far ahead means late to interrupt.",
    rows=("4.12", "4.13", "4.14"),
)
async def ahead(session: Session) -> str:
    """PROTOCOL 4.12."""
    audio = (await _speech(session)).caller.audio
    seen = f"at most {audio.most_ahead_s:.2f} s ahead, and {fastest_s(audio.arrivals):.1f} s of audio in one second"
    if audio.most_ahead_s > BUFFER_S:
        raise Failed(
            f"{seen}; expected at most {BUFFER_S:g} s ahead, because the router drops the rest; "
            "pace what you send by a clock, a little ahead of real time"
        )
    if audio.most_ahead_s > OLDER_BUFFER_S:
        return f"{seen}; an older router holds {OLDER_BUFFER_S} s and would drop the rest"
    return seen


@check(
    "pacing/starving",
    does="Looks for gaps in the bot's speech, where the router had nothing left to play.",
    why="Every such gap is heard as a stutter; a timer that waits 20 ms between frames is always late.",
    rows=("4.15",),
)
async def starving(session: Session) -> str:
    """PROTOCOL 4.15."""
    baseline = await _speech(session)
    audio = baseline.caller.audio
    gaps_s = holes(audio.arrivals)
    spoken = f"{audio.voiced_s:.1f} s of speech"
    if sum(gaps_s) <= TOLERANCE_S + baseline.caller.latest_s:
        jitter = f", but for {sum(gaps_s) * 1000:.0f} ms of jitter" if sum(gaps_s) * 1000 >= 1 else ""
        return f"no gap in {spoken}{jitter}"
    raise Failed(
        f"got {len(gaps_s)} gaps in {spoken}, {sum(gaps_s) * 1000:.0f} ms in sum, the longest "
        f"{max(gaps_s) * 1000:.0f} ms; expected none; send some frames ahead, each at its time after the first, "
        f"and do not sleep {FRAME_MS} ms between them"
    )


@check(
    "pacing/stalled-router",
    does="Stops reading for a while in the middle of a call, and reads on.",
    why="A router reads at its own pace; a server that gives up, or forgets to answer pings, drops the call.",
    rows=("1.25", "2.9", "4.14"),
)
async def stalled_router(session: Session) -> str:
    """PROTOCOL 1.25."""
    stall_s = session.timing.stall_s
    after = f"after the router did not read for {stall_s:g} s"
    async with session.raw_call() as (caller, line), session.call() as bystander:
        responds = (await session.baseline()).responds
        if responds:
            caller.say(session.prompt(caller))
        line.pause_reading()
        await caller.stays(stall_s)
        await session.pings(bystander, "while another call's router did not read")
        line.resume_reading()
        if responds:  # what it says is heard to its end, so that what follows is no barge-in
            await caller.until(lambda: caller.audio.voiced_s >= ENOUGH_VOICE_S, session.timing.reply_s)
            await caller.until(lambda: caller.is_quiet_for(session.timing.quiet_s), session.timing.listen_s)
        seen = await session.works(caller, after)
    return f"{after}, {seen}"


CHECKS: tuple[Check, ...] = (ahead, starving, stalled_router)
