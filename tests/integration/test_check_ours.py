# SPDX-License-Identifier: Apache-2.0
"""The conformance checks against this library's own server: an echo, and the parrot that comes with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.lateness import on_time
from support.serving import serving
from support.tokens import KEY

from audio_connector import AudioConnectorConnection
from audio_connector.auth import SignedToken
from audio_connector.playground.parrot import parrot
from audio_connector.testing.conformance import CHECKS, Result, Speech, Target, Timing, run_checks

TONE = (b"\x00\x20" * 16 + b"\x00\xe0" * 16) * 5  # 10 ms at 16 kHz
SPEECH = Speech(prompt=TONE * 30, long_prompt=TONE * 54, rate_hz=16000)
TIMING = Timing(
    greeting_s=0.05,
    reply_s=2.0,
    quiet_s=0.3,
    into_reply_s=0.1,
    over_s=0.4,
    mute_s=0.3,
    stall_s=0.2,
    settle_s=0.1,
    close_s=1.0,
)


async def echo(client: AudioConnectorConnection) -> None:
    async def on_message(message: bytes | str) -> None:
        if isinstance(message, bytes):
            await client.send_audio_buffer(message)

    client.set_handler(on_message=on_message)


async def check(on_connect: Callable[..., Any]) -> list[Result]:
    async with serving(on_connect, authenticate=SignedToken([KEY], one_time=True)) as handle:
        target = Target(url=handle.get_address(), speech=SPEECH, token_key=KEY)
        return await run_checks(target, timing=TIMING, at_once=len(CHECKS))


async def pass_every_check() -> None:
    # One after the other: both in one loop are late for their own frames where the machine is busy.
    by_echo = await check(echo)
    by_parrot = await check(parrot)
    failed = [
        (result.check.full_name, result.reason) for result in by_echo + by_parrot if result.status == "fail"
    ]
    assert failed == []
    skipped = {result.check.full_name for result in by_echo if result.status == "skip"}
    assert {name for name in skipped if not name.startswith("clear/")} == {"events/replies"}
    assert [result.check.full_name for result in by_parrot if result.status == "skip"] == []


async def test_this_server_passes_every_check_that_its_bots_allow() -> None:
    await on_time(pass_every_check)
