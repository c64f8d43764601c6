# SPDX-License-Identifier: Apache-2.0
"""Speech that is made, heard again by a recogniser; interrupted, killed, and nothing of it in the next sentence."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from support.engines import Held
from support.spoken import errors, folded, whole

from audio_connector.engines import EngineError, Synthesiser
from audio_connector.engines import piper as piper_engine
from audio_connector.engines.base.child import Child
from audio_connector.engines.base.work import Stop
from audio_connector.engines.espeak import Espeak
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.piper import Piper

pytestmark = pytest.mark.apps

TEXT = (
    "Good morning, you are speaking with the booking desk. Your table is ready. "
    "Is there anything else that I can do for you?"
)
NEXT = "We are open every day."


async def heard(base: FasterWhisper, voice: Synthesiser, speech: bytes) -> str:
    return (await base.transcribe(speech, sample_rate=voice.sample_rate)).text


async def test_what_piper_says_is_understood(piper: Piper, base: FasterWhisper) -> None:
    speech = await whole(piper.say(TEXT))
    assert errors(TEXT, await heard(base, piper, speech)) <= 2
    assert 5 < len(speech) / 2 / piper.sample_rate < 12


async def test_what_espeak_says_is_understood_mostly(espeak: Espeak, base: FasterWhisper) -> None:
    assert errors(TEXT, await heard(base, espeak, await whole(espeak.say(TEXT)))) <= len(folded(TEXT)) / 3


@pytest.mark.parametrize("after", [1, 5])
async def test_nothing_of_an_interrupted_sentence_is_in_the_next(
    piper: Piper, base: FasterWhisper, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, ask = Held(), piper_engine._ask

    def held_ask(request: dict[str, Any], child: Child, stop: Stop) -> Iterator[bytes]:
        with held.work(where=stop.is_set):
            yield from ask(request, child, stop)

    monkeypatch.setattr(piper_engine, "_ask", held_ask)
    alone = await whole(piper.say(NEXT))
    speech = piper.say(TEXT)
    for _ in range(after):
        await anext(speech)
    await speech.aclose()
    assert not held.is_over
    held.go_on.set()
    following = await whole(piper.say(NEXT))
    # Its voice takes chances, so the length is only nearly the same.
    assert len(following) == pytest.approx(len(alone), rel=0.25)
    assert errors(NEXT, await heard(base, piper, following)) <= 1


async def test_several_callers_are_served_in_turns(piper: Piper, base: FasterWhisper) -> None:
    said = await asyncio.gather(whole(piper.say(TEXT)), whole(piper.say(NEXT)))
    assert errors(TEXT, await heard(base, piper, said[0])) <= 2
    assert errors(NEXT, await heard(base, piper, said[1])) <= 1


async def test_a_voice_that_is_killed_speaks_again(
    base: FasterWhisper, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = Piper()
    await voice.warm()
    (child,) = voice._worker._loaded
    first = child.pid
    assert first is not None
    write, requests = child._write, []

    def write_and_kill(message: dict[str, Any]) -> None:
        requests.append(message)
        if len(requests) == 2:
            os.kill(first, signal.SIGSTOP)  # so that it cannot have answered when it dies
        write(message)
        if len(requests) == 2:
            os.kill(first, signal.SIGKILL)

    monkeypatch.setattr(child, "_write", write_and_kill)
    speech = voice.say(TEXT)
    assert await anext(speech)
    with pytest.raises(EngineError, match="ended by signal 9; the next call starts another one"):
        await whole(speech)
    assert errors(NEXT, await heard(base, voice, await whole(voice.say(NEXT)))) <= 1
    second = child.pid
    await voice.close()
    assert second not in {first, None}
    with pytest.raises(ProcessLookupError):
        os.kill(second or 0, 0)


async def test_a_faster_voice_is_shorter(piper: Piper) -> None:
    fast = Piper(speed=1.6)
    ratio = len(await whole(fast.say(NEXT))) / len(await whole(piper.say(NEXT)))
    assert 0.5 < ratio < 0.8
    await fast.close()
