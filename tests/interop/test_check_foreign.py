# SPDX-License-Identifier: Apache-2.0
"""The conformance checks against servers of another library: the good pass, and each fault is called by its name."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

from support.foreign_bots import CLEAR, AnswerBot, Bot, Change, EchoBot, changed, plain_frame, serving_bot
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from audio_connector.testing.conformance import CHECKS, Result, Speech, Target, Timing, run_checks, select

TONE = b"\x00\x20\x00\xe0" * 80  # 10 ms at 16 kHz
SPEECH = Speech(prompt=TONE * 16, long_prompt=TONE * 54, rate_hz=16000)
TIMING = Timing(
    dial_s=3.0,
    greeting_s=0.06,
    reply_s=0.6,
    listen_s=2.0,
    quiet_s=0.2,
    into_reply_s=0.1,
    over_s=0.35,
    mute_s=0.25,
    stall_s=0.2,
    settle_s=0.1,
    pong_s=1.0,
    close_s=0.5,
    check_s=20.0,
)
ALL_AT_ONCE = len(CHECKS)


async def checked(url: str, names: Sequence[str] = ()) -> list[Result]:
    target = Target(url=url, speech=SPEECH)
    return await run_checks(target, select(names) if names else CHECKS, timing=TIMING, at_once=ALL_AT_ONCE)


def of_status(results: Sequence[Result], status: str) -> dict[str, str]:
    return {result.check.full_name: result.reason for result in results if result.status == status}


async def failures(
    bot: Bot, names: Sequence[str] = (), change: Change | None = None, **options: Any
) -> set[str]:
    """The names of the checks that a bot fails."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving_bot(bot, **options))
        if change is not None:
            url = await stack.enter_async_context(changed(url, change))
        return set(of_status(await checked(url, names), "fail"))


async def all_failures(bots: Mapping[type[EchoBot], Any], names: Sequence[str] = ()) -> dict[str, set[str]]:
    """The same for several bots at a time, by their names."""
    found = await asyncio.gather(*(failures(bot, names) for bot in bots))
    return {bot.__name__: failed for bot, failed in zip(bots, found, strict=True)}


# --- Good ones ------------------------------------------------------------------------------------


async def test_a_good_echo_passes_and_has_nothing_to_interrupt() -> None:
    async with serving_bot(EchoBot) as url:
        results = await checked(url)
    assert of_status(results, "fail") == {}
    skipped = of_status(results, "skip")
    assert {name for name in skipped if not name.startswith("clear/")} == {"events/replies"}
    assert "as an echo does" in skipped["clear/barge-in"]
    assert len(of_status(results, "pass")) == len(CHECKS) - len(skipped)


async def test_a_good_conversation_passes_every_check() -> None:
    async with serving_bot(AnswerBot) as url:
        results = await checked(url)
    assert (of_status(results, "fail"), of_status(results, "skip")) == ({}, {})
    passed = of_status(results, "pass")
    assert CLEAR in passed["clear/barge-in"]
    assert "2 JSON objects" not in passed["clear/barge-in"]
    assert [result.check for result in results] == list(CHECKS)


class ListeningBot(EchoBot):
    async def on_audio(self, frame: bytes) -> None:
        """Only listens."""


async def test_a_bot_that_only_listens_is_not_judged_by_its_speech() -> None:
    async with serving_bot(ListeningBot) as url:
        results = await checked(url)
    assert of_status(results, "fail") == {}
    skipped = of_status(results, "skip")
    assert {name.partition("/")[0] for name in skipped} == {"framing", "pacing", "clear", "events"}
    assert skipped["framing/16-khz"] == "the bot said nothing in 0.6 s; make it talk with --wav"
    assert "events/mute" in of_status(results, "pass")


# --- Faults of the audio --------------------------------------------------------------------------


class AlwaysSixteen(EchoBot):
    """Audio at 16 kHz, whatever the rate of the call is."""

    async def on_audio(self, frame: bytes) -> None:
        await self.connection.send((frame * 2)[:640])


class Chunks(EchoBot):
    """Audio in chunks of a synthesizer's size."""

    rest = b""

    async def on_audio(self, frame: bytes) -> None:
        self.rest += frame if len(frame) == self.frame_bytes else b""
        while len(self.rest) >= 1000:
            await self.connection.send(self.rest[:1000])
            self.rest = self.rest[1000:]


class ShortTail(EchoBot):
    """Half a frame at the end of each utterance."""

    was_voice = False

    async def on_audio(self, frame: bytes) -> None:
        await super().on_audio(frame)
        is_voice = any(frame)
        if self.was_voice and not is_voice:
            await self.connection.send(self.tone(0.02)[0][: self.frame_bytes // 2])
        self.was_voice = is_voice


class WavHeader(EchoBot):
    """The header of a WAV file at the beginning."""

    is_first = True

    async def on_audio(self, frame: bytes) -> None:
        if self.is_first:
            frame = (b"RIFF\0\0\0\0WAVEfmt " + frame)[: len(frame)]
        self.is_first = False
        await super().on_audio(frame)


class Flood(EchoBot):
    """On its first call, more than the router holds at once."""

    calls = 0

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        Flood.calls += 1
        if Flood.calls == 1:
            for frame in self.tone(61):
                await self.connection.send(frame)


class Stutter(EchoBot):
    """A pause in the middle of a word, in which nothing is left to play."""

    frames = 0

    async def on_audio(self, frame: bytes) -> None:
        self.frames += any(frame)
        if self.frames == 8 and any(frame):
            await asyncio.sleep(0.15)
        await super().on_audio(frame)


AUDIO_FAULTS = {
    AlwaysSixteen: {"framing/8-khz", "framing/24-khz"},
    Chunks: {"framing/8-khz", "framing/16-khz", "framing/24-khz"},
    ShortTail: {"framing/tail"},
    WavHeader: {"framing/content"},
    Flood: {"pacing/ahead"},
    Stutter: {"pacing/starving"},
}


async def test_faults_of_the_audio_are_found() -> None:
    assert await all_failures(AUDIO_FAULTS) == {bot.__name__: names for bot, names in AUDIO_FAULTS.items()}


# --- Faults of barge-in ---------------------------------------------------------------------------


class NoClear(AnswerBot):
    """The whole reply at once, and no clear command."""

    REPLY_S = 1.8
    LEAD_S = 60.0

    async def interrupted(self) -> None:
        assert self.reply is not None
        self.reply.cancel()


class Ghost(AnswerBot):
    """Clears, and goes on with the old reply."""

    ghosts: Sequence[asyncio.Task[None] | None] = ()

    async def interrupted(self) -> None:
        self.ghosts = [self.reply]
        self.reply = None
        await self.connection.send(CLEAR)


class WaitsForTheAnswer(AnswerBot):
    """Says nothing after a clear until it is answered."""

    async def interrupted(self) -> None:
        await super().interrupted()
        self.is_cleared = False

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:cleared":
            self.is_cleared = True

    async def speak(self) -> None:
        if self.is_cleared:
            await super().speak()


class ObeysLateAnswers(AnswerBot):
    """Ends whatever it says when a clear is answered."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:cleared" and self.reply is not None:
            self.reply.cancel()


class Wedged(AnswerBot):
    """Never speaks again after it was interrupted."""

    async def interrupted(self) -> None:
        await super().interrupted()
        self.HANGOVER_S = 1000.0


BARGE_IN_FAULTS = {
    NoClear: {"clear/barge-in"},
    Ghost: {"clear/stale"},
    WaitsForTheAnswer: {"clear/no-answer"},
    ObeysLateAnswers: {"clear/late-answer"},
    Wedged: {"clear/next-turn"},
}


async def test_faults_of_barge_in_are_found() -> None:
    assert await all_failures(BARGE_IN_FAULTS) == {
        bot.__name__: names for bot, names in BARGE_IN_FAULTS.items()
    }


# --- Faults of what is read -----------------------------------------------------------------------


class WantsBrace(EchoBot):
    """A first message that begins otherwise than with a brace is none."""

    async def on_text(self, text: str) -> None:
        if self.texts == 0 and not text.startswith("{"):
            raise ValueError(text)
        await super().on_text(text)


class KnowsAll(EchoBot):
    """Dies of an event that it does not know."""

    KNOWN = ("connected", "media:update", "cleared", "notify", "dtmf", "disconnected")

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        name = event.get("event")
        if name is not None and name not in [f"websocket:{known}" for known in self.KNOWN]:
            raise KeyError(name)


class WantsDigit(EchoBot):
    """One form of DTMF only."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:dtmf":
            int(event["duration"])


class WantsPayload(EchoBot):
    """A notify has to be one's own."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:notify" and isinstance(event["payload"], dict):
            raise LookupError(event["payload"])


class WantsBytes(EchoBot):
    """Closes on an empty message."""

    async def on_audio(self, frame: bytes) -> None:
        if not frame:
            await self.connection.close(1003)
        await super().on_audio(frame)


class WantsSamples(EchoBot):
    """Reads samples of whatever comes."""

    async def on_audio(self, frame: bytes) -> None:
        struct.unpack(f"<{len(frame) // 2}h", frame)
        await super().on_audio(frame)


class WantsJson(EchoBot):
    """Reads JSON without a net."""

    async def on_text(self, text: str) -> None:
        json.loads(text)
        await super().on_text(text)


class WantsObjects(EchoBot):
    """Reads a key of whatever JSON comes."""

    async def on_text(self, text: str) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            return
        value.get("event")
        await super().on_text(text)


class WantsFirst(EchoBot):
    """Audio before the first message is an error."""

    async def on_audio(self, frame: bytes) -> None:
        if self.texts == 0:
            raise RuntimeError("not connected")
        await super().on_audio(frame)


class WantsFrames(EchoBot):
    """Takes silence for the end of the call."""

    async def run(self) -> None:
        await self.on_connect()
        while True:
            message = await asyncio.wait_for(self.connection.recv(), 0.15)
            await (self.on_audio(message) if isinstance(message, bytes) else self.on_text(message))


class Chatty(EchoBot):
    """Sends text that is no JSON."""

    async def on_connect(self) -> None:
        await self.connection.send("OK")


READING_FAULTS = {
    WantsBrace: {"events/leading-blank"},
    KnowsAll: {"events/unknown-event", "events/streams"},
    WantsDigit: {"events/dtmf"},
    WantsPayload: {"events/notify"},
    WantsBytes: {"odd-inputs/empty-audio"},
    WantsSamples: {"odd-inputs/odd-bytes"},
    WantsJson: {"odd-inputs/not-json"},
    WantsObjects: {"odd-inputs/not-an-object"},
    WantsFirst: {"odd-inputs/audio-first", "odd-inputs/no-first-message"},
    WantsFrames: {"events/mute", "events/silence"},
    Chatty: {"events/replies"},
}


async def test_faults_of_what_is_read_are_found() -> None:
    assert await all_failures(READING_FAULTS) == {
        bot.__name__: names for bot, names in READING_FAULTS.items()
    }
