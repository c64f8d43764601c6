# SPDX-License-Identifier: Apache-2.0
"""Checks of what a bot's audio messages look like: sizes, tails, and what is in them."""

from __future__ import annotations

from collections.abc import Sequence

from audio_connector.audio.format import SUPPORTED_RATES_HZ, AudioFormat
from audio_connector.testing.conformance.caller import Caller
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.notes import OddSize
from audio_connector.testing.conformance.session import ENOUGH_VOICE_S, Session

_SIZES_SHOWN = 4
_MOSTLY = 0.5
_NEARLY_ALL = 0.9
_PADDING = "keep the remainder for the next chunk, and pad the last one with zeros to a whole frame"


async def talk_at(session: Session, rate_hz: int) -> Caller:
    """Return a call at a rate, in which the bot was made to talk; made once in a run."""
    if rate_hz == session.target.rate_hz:
        return (await session.baseline()).caller
    return await session.once(("talk", rate_hz), lambda: _talk(session, rate_hz))


async def _talk(session: Session, rate_hz: int) -> Caller:
    timing = session.timing
    async with session.call(rate_hz=rate_hz) as caller:
        await caller.until(lambda: caller.audio.voiced_s > 0, timing.greeting_s)
        caller.say(session.prompt(caller))
        await caller.said()
        await caller.until(lambda: caller.audio.voiced_s >= ENOUGH_VOICE_S, timing.reply_s)
        await caller.until(lambda: caller.is_quiet_for(timing.quiet_s), timing.listen_s)
    return caller


def tails_of(caller: Caller) -> list[OddSize]:
    """Short messages among whole frames: the ends of utterances, or of a synthesizer's chunks."""
    frame_bytes = caller.audio_format.frame_bytes
    if caller.audio.sizes[frame_bytes] < caller.audio.messages * _MOSTLY:
        return []
    return [odd for odd in caller.audio.odd_sizes if odd.size < frame_bytes and odd.follows_frame]


def _whole_frames(rate_hz: int) -> Check:
    frame_bytes = AudioFormat(rate_hz).frame_bytes

    @check(
        f"framing/{rate_hz // 1000}-khz",
        does=f"Calls at {rate_hz // 1000} kHz, gets the bot talking, and looks at the size of each audio message.",
        why=f"One message is one frame, {frame_bytes} bytes; others are cut, shift what follows, or end the call.",
        rows=("4.2", "4.7", "4.8"),
    )
    async def whole_frames(session: Session) -> str:
        caller = await talk_at(session, rate_hz)
        if not caller.audio.messages:
            await _complain_of_silence(session, rate_hz, caller)
        tails = tails_of(caller)
        odd = [each for each in caller.audio.odd_sizes if each not in tails]
        if odd:
            raise Failed(_describe(caller, odd, rate_hz))
        rest = f", {len(tails)} shorter: see framing/tail" if tails else ""
        return f"{caller.audio.sizes[frame_bytes]:,} messages of {frame_bytes} bytes{rest}"

    return whole_frames


async def _complain_of_silence(session: Session, rate_hz: int, caller: Caller) -> None:
    baseline = await session.baseline()
    usual_hz = session.target.rate_hz
    if baseline.responds and rate_hz != usual_hz:
        raise Failed(
            f"the bot said nothing in {session.timing.reply_s:g} s, though it talks at {usual_hz} Hz; "
            "expected audio at the rate of the first message's content-type; read it there"
        )
    raise Skipped(session.silence_of(caller))


def _describe(caller: Caller, odd: Sequence[OddSize], rate_hz: int) -> str:
    frame_bytes = caller.audio_format.frame_bytes
    counts = [(size, count) for size, count in caller.audio.sizes.most_common() if size != frame_bytes]
    shown = ", ".join(f"{size:,}" for size, _ in counts[:_SIZES_SHOWN])
    shown += " and others" if len(counts) > _SIZES_SHOWN else ""
    wrong = sum(count for _, count in counts)
    said = f"got {wrong:,} of {caller.audio.messages:,} messages with {shown} bytes; expected {frame_bytes} in each"
    usual, usual_count = counts[0]
    other = [hz for hz in SUPPORTED_RATES_HZ if hz != rate_hz and usual == AudioFormat(hz).frame_bytes]
    if other and usual_count >= wrong * _NEARLY_ALL:
        return f"{said}; {usual} is a frame at {other[0]} Hz: take the rate from the first message's content-type"
    if any(each.size % 2 for each in odd):
        return f"{said}; an odd number of bytes turns all later speech into noise; {_PADDING}"
    return f"{said}; {_PADDING}"


whole_frames = tuple(_whole_frames(rate_hz) for rate_hz in SUPPORTED_RATES_HZ)


@check(
    "framing/tail",
    does="Looks at the last message of every utterance, at all three rates.",
    why="A short last frame ends calls at some routers, intermittently, with 1006.",
    rows=("4.8", "4.10"),
)
async def tail(session: Session) -> str:
    """PROTOCOL 4.8."""
    callers = [await talk_at(session, rate_hz) for rate_hz in SUPPORTED_RATES_HZ]
    if not any(caller.audio.messages for caller in callers):
        raise Skipped(session.silence_of(callers[0]))
    for caller in callers:
        if tails := tails_of(caller):
            raise Failed(
                f"got a message of {tails[0].size} bytes behind whole frames, at {caller.audio_format.rate_hz} Hz; "
                f"expected {caller.audio_format.frame_bytes}; {_PADDING}"
            )
    return "no utterance ends in a part of a frame"


@check(
    "framing/content",
    does="Looks into the audio messages for WAV headers and for text.",
    why="Audio is raw PCM: a header is heard as a click, and a text sent as binary is heard as noise.",
    rows=("4.1",),
)
async def content(session: Session) -> str:
    """PROTOCOL 4.1."""
    callers = [await talk_at(session, rate_hz) for rate_hz in SUPPORTED_RATES_HZ]
    if not any(caller.audio.messages for caller in callers):
        raise Skipped(session.silence_of(callers[0]))
    for caller in callers:
        for head in [caller.audio.first_head, *(odd.head for odd in caller.audio.odd_sizes)]:
            if head.startswith(b"RIFF") and b"WAVE" in head:
                raise Failed("got a WAV header inside the audio; expected raw 16-bit PCM; strip its 44 bytes")
            if head.lstrip()[:2] in (b'{"', b"[{"):
                raise Failed(
                    f"got {head[:20]!r} in a binary message; expected audio; send JSON as a text message"
                )
    return "no WAV header and no text in it"


@check(
    "framing/unfragmented",
    does="Gets the bot talking, and looks at every WebSocket frame that comes.",
    why="A message in fragments blocked the router's ancestor for good; a masked frame ends the connection.",
    rows=("4.11",),
)
async def unfragmented(session: Session) -> str:
    """PROTOCOL 4.11."""
    async with session.raw_call() as (caller, line):
        caller.say(session.prompt(caller))
        await caller.said()
        await caller.until(lambda: caller.audio.voiced_s >= ENOUGH_VOICE_S, session.timing.reply_s)
        await caller.until(lambda: caller.is_quiet_for(session.timing.quiet_s), session.timing.listen_s)
    messages = caller.audio.messages + len(caller.texts)
    if not messages:
        raise Skipped(session.silence_of(caller))
    if line.faults:
        raise Failed(f"got {line.faults[0]}; expected frames as RFC 6455 has them; use a WebSocket library")
    if line.fragmented:
        raise Failed(
            f"got {line.fragmented:,} of {messages:,} messages in fragments; expected each in one frame; "
            "give the library whole messages, not a stream of parts"
        )
    return f"{messages:,} messages, each in one frame"


CHECKS: tuple[Check, ...] = (*whole_frames, tail, content, unfragmented)
