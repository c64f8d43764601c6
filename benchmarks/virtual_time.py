# SPDX-License-Identifier: Apache-2.0
"""How long does a call take in virtual time? The measurement behind what docs/testing/kit.md says.

A bot that repeats what it hears has a conversation of ten minutes: it is spoken to, it answers, it is interrupted
while it does, it is muted now and then, and keys are pressed. Everything is the real library, but for the thread
and the sockets.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Coroutine
from typing import Any

from audio_connector import AudioConnectorConnection, Dtmf, Event
from audio_connector.testing import Audio, run_in_virtual_time, serve

EXAMPLES = """examples:
  python benchmarks/virtual_time.py                 ten minutes
  python benchmarks/virtual_time.py --minutes 60    an hour

exit status: 0 measured"""

QUESTION = Audio.of("sample:he-was-not")
STOP = Audio.tone(600, 0.4)


class Parrot:
    """Says again what it was told, and a long story when a key is pressed; falls silent when it is spoken to."""

    def __init__(self, client: AudioConnectorConnection) -> None:
        self._client = client
        self._phrase: list[bytes] = []

    async def live(self) -> None:
        """Listen to the end of the call."""
        self._client.set_handler(on_event=self._on_event)
        async for chunk in self._client.audio(chunk_ms=200):
            if not Audio(chunk).is_silent:
                if self._client.playback.in_flight_ms > 0:
                    await self._client.flush_buffer()
                self._phrase.append(chunk)
            elif self._phrase:
                await self._client.send_audio_buffer(b"".join(self._phrase), pad_last_frame=True)
                self._phrase.clear()

    async def _on_event(self, event: Event) -> None:
        if isinstance(event, Dtmf):
            await self._client.send_audio_buffer((QUESTION + QUESTION + QUESTION).pcm, pad_last_frame=True)


async def on_connect(client: AudioConnectorConnection) -> None:
    """Be a parrot."""
    await Parrot(client).live()


async def converse(minutes: float) -> str:
    """Have a conversation, and say what was in it."""
    turns = interruptions = 0
    async with serve(on_connect) as server, server.call() as call:
        while call.now_s < minutes * 60:
            await call.say(QUESTION)
            reply = await call.reply()
            assert reply.duration_s > QUESTION.duration_s - 0.2
            call.press("1")
            barge_in = await call.interrupt(STOP, after_s=1.0)
            assert barge_in.latency_ms is not None
            answer = await call.reply()
            assert answer.contains(STOP)
            call.mute()
            await call.expect_silence(2.0)
            call.unmute()
            turns, interruptions = turns + 1, interruptions + 1
        frames = call.report().frames_received
    return f"{turns} turns, {interruptions} interruptions, {turns} mutes, {frames} frames heard"


async def be_silent(minutes: float) -> str:
    """Say nothing, over a router that sends no frames then, and look at the end whether the bot still answers."""
    async with serve(on_connect) as server, server.call(silence="none") as call:
        await call.expect_silence(minutes * 60)
        await call.say(QUESTION + Audio.silence(0.2))
        call.press("1")
        await call.reply()
        sent = call.report().frames_sent
    return f"silence without frames, then one answer; {sent} frames sent"


def measure(minutes: float, what: Callable[[float], Coroutine[Any, Any, str]]) -> None:
    """Run a call, and print what it was and how long it took."""
    begun_s = time.perf_counter()
    done = run_in_virtual_time(what(minutes), limit_s=minutes * 60 + 600)
    took_s = time.perf_counter() - begun_s
    print(f"{minutes:g} minutes of a call: {done}")
    print(f"took {took_s:.2f} s, 1/{minutes * 60 / took_s:.0f} of real time")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the call (10)")
    minutes = parser.parse_args().minutes
    measure(minutes, converse)
    measure(minutes, be_silent)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
