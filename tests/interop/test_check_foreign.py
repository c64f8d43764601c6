# SPDX-License-Identifier: Apache-2.0
"""The conformance checks against servers of another library: the good pass, and each fault is called by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.faulty_bots import (
    AUDIO_FAULTS,
    BARGE_IN_FAULTS,
    FRAME_FAULTS,
    READING_FAULTS,
    UPGRADE_FAULTS,
    AllForOne,
    Flood,
    compresses_unasked,
)
from support.foreign_bots import CLEAR, AnswerBot, Bot, Change, EchoBot, changed, serving_bot
from support.lateness import on_time
from websockets.asyncio.server import ServerConnection, serve

from audio_connector.testing import conformance
from audio_connector.testing.conformance import Result, Speech, Target, Timing, run_checks, select

TONE = (b"\x00\x20" * 16 + b"\x00\xe0" * 16) * 5  # 10 ms at 16 kHz, of 500 Hz, which every rate can carry
SPEECH = Speech(prompt=TONE * 16, long_prompt=TONE * 54, rate_hz=16000)
TIMING = Timing(
    dial_s=3.0,
    greeting_s=0.06,
    reply_s=0.6,
    listen_s=2.0,
    quiet_s=0.2,
    into_reply_s=0.1,
    over_s=0.35,
    ahead_s=0.3,
    mute_s=0.5,
    stall_s=0.2,
    settle_s=0.1,
    pong_s=1.0,
    close_s=0.5,
    check_s=20.0,
)
PATIENT = replace(TIMING, dial_s=10.0, pong_s=10.0, check_s=60.0)
"""For bots that answer everything: nobody waits for these times, and a busy machine may need them."""
CHECKS = [each for each in conformance.CHECKS if each.group != "gate"]
"""These servers let everybody in."""

ALL_AT_ONCE = len(CHECKS)


async def checked(url: str, names: Sequence[str] = (), timing: Timing = TIMING) -> list[Result]:
    target = Target(url=url, speech=SPEECH)
    return await run_checks(target, select(names) if names else CHECKS, timing=timing, at_once=ALL_AT_ONCE)


def of_status(results: Sequence[Result], status: str) -> dict[str, str]:
    return {result.check.full_name: result.reason for result in results if result.status == status}


async def failures(
    bot: Bot,
    names: Sequence[str] = (),
    *,
    change: Change | None = None,
    timing: Timing = TIMING,
    **options: Any,
) -> set[str]:
    """The names of the checks that a bot fails."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving_bot(bot, **options))
        if change is not None:
            url = await stack.enter_async_context(changed(url, change))
        return set(of_status(await checked(url, names, timing), "fail"))


async def finds(faults: set[str], way: Callable[[], Awaitable[set[str]]], name: str) -> None:
    """Check that just these are found."""

    async def attempt() -> None:
        found = await way()
        assert found == faults, name

    await on_time(attempt)


async def finds_all(
    bots: Mapping[Any, set[str]], names: Sequence[str] = (), *, timing: Timing = TIMING
) -> None:
    """The same for several bots at a time."""
    await asyncio.gather(
        *(
            finds(faults, partial(failures, bot, names, timing=timing), bot.__name__)
            for bot, faults in bots.items()
        )
    )


class ListeningBot(EchoBot):
    async def on_audio(self, frame: bytes) -> None:
        """Only listens."""


class Persistent(AnswerBot):
    async def interrupted(self) -> None:
        """Goes on."""


class FallsSilent(AnswerBot):
    async def interrupted(self) -> None:
        """Has so little in the router that no clear command is needed."""
        assert self.reply is not None
        self.reply.cancel()


class Announcer(ListeningBot):
    async def on_connect(self) -> None:
        for frame in self.tone(0.1):
            await self.connection.send(frame)


class Silence(EchoBot):
    async def on_audio(self, frame: bytes) -> None:
        await self.connection.send(bytes(len(frame)))


async def run_against(bot: Bot, names: Sequence[str] = (), **options: Any) -> list[Result]:
    async with serving_bot(bot, **options) as url:
        return await checked(url, names, PATIENT)


async def find_nothing() -> None:
    some = ["framing/16-khz", "clear", "odd-inputs/big-text"]
    # One group after the other: all of them in one loop are late for their own frames where the machine is busy.
    good = await asyncio.gather(*(run_against(bot) for bot in (EchoBot, AnswerBot, ListeningBot)))
    others = await asyncio.gather(
        *(run_against(bot, some, max_size=1 << 19) for bot in (Persistent, FallsSilent, Announcer, Silence))
    )
    assert [of_status(results, "fail") for results in (*good, *others)] == [{}] * 7
    judge_good_bots(*good)
    judge_other_manners(*others)


async def test_no_fault_is_found_where_there_is_none() -> None:
    await on_time(find_nothing)


class DiesOnConnected(EchoBot):
    async def run(self) -> None:
        await self.connection.recv()
        await self.connection.close(1011, "oops")


class HangsUp(EchoBot):
    async def on_audio(self, frame: bytes) -> None:
        await self.connection.close(1000)


async def test_a_server_that_ends_ordinary_calls_is_told_so_once() -> None:
    for bot, ended in (
        (DiesOnConnected, "by the server with 1011 'oops'"),
        (HangsUp, "by the server with 1000"),
    ):
        results = await run_against(bot)
        [reason] = of_status(results, "fail").values()
        assert reason.startswith(
            f"a call with nothing odd in it was closed {ended}; expected that it goes on"
        )
        skipped = of_status(results, "skip")
        assert len(skipped) == len(CHECKS) - 1
        assert set(skipped.values()) == {f"not tried: even an ordinary call was closed {ended}"}


def judge_good_bots(echo: list[Result], conversation: list[Result], listener: list[Result]) -> None:
    assert [result.check for result in echo] == list(CHECKS)
    # The echo has nothing to be interrupted in.
    skipped = of_status(echo, "skip")
    assert {name for name in skipped if not name.startswith("clear/")} == {"events/replies"}
    assert "as an echo does" in skipped["clear/barge-in"]
    # The conversation is judged by everything.
    assert of_status(conversation, "skip") == {}
    assert CLEAR in of_status(conversation, "pass")["clear/barge-in"]
    # The listener is not judged by its speech.
    skipped = of_status(listener, "skip")
    assert {name.partition("/")[0] for name in skipped} == {"framing", "pacing", "clear", "events"}
    assert skipped["framing/16-khz"] == "the bot said nothing in 0.6 s; make it talk with --wav"
    assert "events/mute" in of_status(listener, "pass")


def judge_other_manners(
    persistent: list[Result], falls_silent: list[Result], announcer: list[Result], silence: list[Result]
) -> None:
    skipped = of_status(persistent, "skip")
    assert "it knows no barge-in that could be judged" in skipped["clear/barge-in"]
    assert skipped["clear/stale"] == "the bot sends no clear command: see clear/barge-in"
    assert "without a clear command" in of_status(falls_silent, "pass")["clear/barge-in"]
    assert "does not answer what is said to it" in of_status(announcer, "skip")["clear/barge-in"]
    assert "nothing but silence" in of_status(silence, "skip")["clear/barge-in"]
    assert "messages of 640 bytes" in of_status(silence, "pass")["framing/16-khz"]
    refused = "refused with 1009; other calls are not harmed"
    for results in (persistent, falls_silent, announcer, silence):
        # On a busy machine it may have passed only when it was tried again alone, which is told behind that.
        assert of_status(results, "pass")["odd-inputs/big-text"].startswith(refused)


async def test_faults_of_the_audio_are_found() -> None:
    await finds_all(AUDIO_FAULTS, ["framing", "pacing", "clear", "odd-inputs"], timing=PATIENT)


@pytest.mark.slow
async def test_faults_of_what_is_read_are_found() -> None:
    await finds_all(READING_FAULTS, ["events", "odd-inputs"])


async def test_a_flood_is_found() -> None:
    """Alone, because it delays whatever shares its loop."""
    patience = replace(TIMING, listen_s=0.5)
    assert await failures(Flood, ["framing", "pacing"], timing=patience) == {"pacing/ahead"}


async def test_faults_of_barge_in_are_found() -> None:
    await finds_all(BARGE_IN_FAULTS, ["framing", "pacing", "clear"], timing=PATIENT)


async def test_faults_of_frames_and_of_the_upgrade_are_found() -> None:
    upgrade = partial(failures, EchoBot, ["upgrade"])
    compression = partial(upgrade, process_response=compresses_unasked)
    await asyncio.gather(
        *(
            finds(faults, partial(failures, EchoBot, change=change), change.__name__)
            for change, faults in FRAME_FAULTS.items()
        ),
        *(
            finds(faults, partial(upgrade, process_request=hook), hook.__name__)
            for hook, faults in UPGRADE_FAULTS.items()
        ),
        finds({"upgrade/compression"}, compression, "compresses_unasked"),
    )


async def harm() -> set[str]:
    """Checks run side by side, so this server fails most of them; alone, only those that break off."""
    return await failures(AllForOne, ["upgrade/query", "events/dtmf", "closing"])


async def fall_over() -> list[Result]:
    """A server that ends with the first empty message, checked by one check after the other."""

    async def run(connection: ServerConnection) -> None:
        async for message in connection:
            if message == b"":
                server.close(close_connections=False)
                connection.transport.abort()

    names = ["events/dtmf", "odd-inputs/empty-audio", "odd-inputs/ping", "closing"]
    async with serve(run, "127.0.0.1", 0, compression=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        target = Target(url=url, speech=SPEECH)
        return await run_checks(target, select(names), timing=TIMING, at_once=1)


async def test_what_concerns_a_server_as_a_whole_is_told() -> None:
    compression = run_against(EchoBot, ["upgrade/compression"], compression="deflate")
    harmful, fallen, [compressed] = await asyncio.gather(harm(), fall_over(), compression)
    # What is harmed by others is told from what harms.
    assert harmful == {"closing/goodbye", "closing/reset", "closing/half-open", "closing/together"}
    # On a server that is gone, nothing more is tried.
    assert set(of_status(fallen, "pass")) == {"events/dtmf"}
    failed = of_status(fallen, "fail")
    assert list(failed) == ["odd-inputs/empty-audio", "odd-inputs/ping"]
    assert "closed without a close frame (1006)" in failed["odd-inputs/empty-audio"]
    assert "cannot be reached" in failed["odd-inputs/ping"]
    assert set(of_status(fallen, "skip").values()) == {"not tried: the server cannot be reached any more"}
    # Compression is no fault, but told.
    assert "the server takes permessage-deflate: better turn that off" in compressed.reason
    assert compressed.status == "pass"
