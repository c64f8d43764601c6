# SPDX-License-Identifier: Apache-2.0
"""A bot with real engines: hears with one, answers by keyword, speaks with another, can be interrupted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from audio_connector import AudioConnectorConnection
from audio_connector.simulator.activity import is_loud

PAUSE_FRAMES = 25  # half a second ends a sentence


def voice_bot(
    recogniser: Any, synthesiser: Any, *, greeting: str, answers: Mapping[str, str]
) -> Callable[[AudioConnectorConnection], Awaitable[None]]:
    """A bot that says the answer to the first keyword that it hears.

    Args:
        recogniser: As `engines.Recogniser`.
        synthesiser: As `engines.Synthesiser`.
        greeting: Said first.
        answers: By keyword, in small letters.
    """

    async def say(client: AudioConnectorConnection, text: str) -> None:
        async for piece in synthesiser.say(text):
            await client.send_audio_buffer(piece, sample_rate=synthesiser.sample_rate)

    async def on_connect(client: AudioConnectorConnection) -> None:
        await say(client, greeting)
        phrase, quiet = b"", 0
        async for frame in client.audio():
            if is_loud(frame):
                if not phrase:
                    await client.flush_buffer()
                phrase, quiet = phrase + frame, 0
            elif phrase:
                phrase, quiet = phrase + frame, quiet + 1
            if quiet < PAUSE_FRAMES:
                continue
            heard = await recogniser.transcribe(phrase, sample_rate=client.format.rate_hz)
            phrase, quiet = b"", 0
            found = [answer for word, answer in answers.items() if word in heard.text.lower()]
            await say(client, found[0] if found else "Pardon?")

    return on_connect
