# SPDX-License-Identifier: Apache-2.0
"""The checks of engines: those in clouds pass them, and one that breaks a promise is told which."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from support.cloud_engines import (
    OLD_WEBSOCKETS,
    RATE_HZ,
    RECOGNISERS,
    SYNTHESISERS,
    answerer,
    recogniser,
    synthesiser,
)
from support.clouds import Cloud, cloud_server, heard_in, speech_of, utterance_of

from audio_connector.engines import Message, Transcript
from audio_connector.testing import in_virtual_time
from audio_connector.testing.engines import (
    ContractBroken,
    Limits,
    check_answerer,
    check_recogniser,
    check_synthesiser,
)

pytestmark = OLD_WEBSOCKETS

ONE, OTHER = utterance_of(1, 2, 3, 4), utterance_of(5, 6, 7, 8)
BUSY = Limits(lag_ms=5000)  # whether a machine with much to do holds up the loop says nothing about an engine
QUICK = Limits(stop_s=0.3, wait_s=3, lag_ms=150)


@pytest.fixture
async def cloud() -> AsyncIterator[Cloud]:
    async with cloud_server() as cloud:
        cloud.sizes = [1001] * 4
        yield cloud


@pytest.mark.parametrize("vendor", SYNTHESISERS)
async def test_voices_in_clouds_keep_the_contract(vendor: str, cloud: Cloud) -> None:
    texts = ("Good.", "Good morning, caller.")
    await check_synthesiser(synthesiser(vendor, cloud), texts=texts, limits=BUSY)
    await cloud.until_free()


@pytest.mark.parametrize("vendor", RECOGNISERS)
async def test_ears_in_clouds_keep_the_contract(vendor: str, cloud: Cloud) -> None:
    settings = {"partial_every_s": 0.02} if vendor == "openai" else {}
    engine = recogniser(vendor, cloud, **settings)
    await check_recogniser(engine, audio=ONE, other=OTHER, sample_rate=RATE_HZ, pace=0.2, limits=BUSY)
    await cloud.until_free()


async def test_the_chat_in_clouds_keeps_the_contract(cloud: Cloud) -> None:
    await check_answerer(answerer(cloud), limits=BUSY)
    await cloud.until_free()


SAID = 9
"""How often a voice begins to say a text, while it is checked."""


class Voice:
    """Keeps the contract of a synthesiser; each way to break it is a setting."""

    sample_rate = 16000

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.left: list[asyncio.Task[Any]] = []
        self.rest = b""
        self.begun = 0

    def block(self) -> None:
        time.sleep(0.16)

    async def warm(self) -> None:
        if self.fault == "warms twice":
            await asyncio.sleep(1)

    async def close(self) -> None:
        for task in self.left:
            task.cancel()

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        self.begun = number = self.begun + 1
        if self.fault == "blocks" and not self.left:
            self.left.append(asyncio.ensure_future(asyncio.sleep(0)))
            self.block()
        if self.fault == "leaves a task":
            self.left.append(asyncio.ensure_future(asyncio.sleep(10)))
        if self.fault == "clings to its work":
            await asyncio.shield(asyncio.ensure_future(asyncio.sleep(0.5)))
        speech = self.rest + speech_of(text if self.fault != "says the same" else "Hello.")
        self.rest = b""
        is_over = False
        size = {"half samples": 333, "nothing": 0}.get(self.fault, 4000)
        try:
            for start in range(0, len(speech), size or 10**9):
                await asyncio.sleep(0.001)
                piece = speech[start : start + size]
                yield bytearray(piece) if self.fault == "other type" else piece  # type: ignore[misc]
                self.rest = speech[start + size :] if self.fault == "keeps the rest" else b""
            is_over = True
            if self.fault == "blocks at the end" and number == SAID:
                self.block()
        finally:
            if self.fault in ("is slow to stop", "hangs at a stop") and not is_over:
                await asyncio.sleep(5 if self.fault == "hangs at a stop" else 0.5)


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("warms twice", "expected warm\\(\\) to do nothing the second time, within 0.3 s"),
        ("leaves a task", "expected no task to be left, got <Task"),
        ("says the same", "expected more audio for a longer text"),
        ("half samples", "expected whole 16-bit samples in each piece"),
        ("nothing", "expected pieces that are bytes, and not empty"),
        ("other type", "expected pieces that are bytes"),
        ("keeps the rest", "expected a short text afterwards: the old one must not be in it of about"),
        ("is slow to stop", "expected aclose\\(\\) within 0.3 s, not 0.5"),
        ("hangs at a stop", "expected 1 pieces, and to be closed, within 3 s"),
    ],
)
@in_virtual_time
async def test_a_voice_that_breaks_the_contract_is_told_where(fault: str, text: str) -> None:
    with pytest.raises(ContractBroken, match=text):
        await check_synthesiser(Voice(fault), limits=QUICK)
    await asyncio.sleep(10)  # what clings on is let go, as the virtual time has it


@in_virtual_time
async def test_a_voice_of_ones_own_passes() -> None:
    await check_synthesiser(Voice(), limits=QUICK)


@pytest.mark.parametrize("fault", ["blocks", "blocks at the end"])
async def test_a_voice_that_holds_up_the_loop_is_told(fault: str) -> None:
    voice = Voice(fault)
    with pytest.raises(ContractBroken, match="expected the event loop held up for 150 ms at most, not"):
        await check_synthesiser(voice, texts=("No.", "No, no."), limits=QUICK)
    assert voice.begun == SAID


class Brittle(Voice):
    """Its own way to end fails where it is cancelled."""

    async def say(self, text: str, *, language: str | None = None) -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            raise RuntimeError("lost the connection") from None
        yield speech_of(text)


@in_virtual_time
async def test_an_error_of_a_voice_that_is_cancelled_is_not_passed_over() -> None:
    with pytest.raises(RuntimeError, match="lost the connection"):
        await check_synthesiser(Brittle(), limits=QUICK)


class Mind:
    """Likewise an answerer."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    async def warm(self) -> None: ...

    async def close(self) -> None:
        if self.fault == "closes once":
            self.fault = "closed"
        elif self.fault == "closed":
            await asyncio.sleep(1)

    async def answer(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        for word in [] if self.fault == "is silent" else ["Four", "."]:
            try:
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                if self.fault != "cannot be stopped":
                    raise
                await asyncio.sleep(1)
            yield word if self.fault != "other type" else word.encode()  # type: ignore[misc]


class List:
    """An iterator that cannot be closed."""

    def __init__(self, mind: Mind) -> None:
        self.words = mind.answer([])

    def __aiter__(self) -> List:
        return self

    async def __anext__(self) -> str:
        return await anext(self.words)


class Unclosable(Mind):
    def answer(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        return List(Mind())


@pytest.mark.parametrize(
    ("mind", "text"),
    [
        (Mind("is silent"), "expected an answer"),
        (Mind("other type"), "expected pieces that are str"),
        (Mind("cannot be stopped"), "expected to stop at once where its task is cancelled, within 0.3 s"),
        (Mind("closes once"), "expected close\\(\\) to do nothing the second time"),
        (Unclosable(), "expected an iterator with aclose\\(\\)"),
    ],
)
@in_virtual_time
async def test_a_mind_that_breaks_the_contract_is_told_where(mind: Mind, text: str) -> None:
    await check_answerer(Mind(), limits=QUICK)
    with pytest.raises(ContractBroken, match=text):
        await check_answerer(mind, limits=QUICK)
    await asyncio.sleep(10)  # what clings on is let go, as the virtual time has it


class Ear:
    """Likewise a recogniser, and its own hearing."""

    heard = b""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    async def warm(self) -> None: ...

    async def close(self) -> None: ...

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        seconds = 7 if self.fault == "counts wrongly" else len(audio) / 2 / sample_rate
        return Transcript(" ".join(heard_in(audio)), self.fault != "is never sure", audio_s=seconds)

    def hear(self, *, sample_rate: int, language: str | None = None) -> Heard:
        return Heard(self)


class Heard:
    def __init__(self, ear: Ear) -> None:
        self.ear = ear
        self.pcm = bytearray()
        self.ended = asyncio.Event()

    async def write(self, audio: bytes) -> None:
        if self.ear.fault == "waits in write":
            await asyncio.sleep(2)
        if self.ended.is_set() and self.ear.fault != "writes on":
            raise RuntimeError("ended")
        self.pcm += audio
        if self.ear.fault == "mixes":
            Ear.heard += audio

    async def partials(self) -> AsyncIterator[Transcript]:
        last = ""
        while not self.ended.is_set() or self.ear.fault == "goes on":
            text = " ".join(heard_in(bytes(self.pcm)))
            if text != last or (text and self.ear.fault == "says it again"):
                last = text
                yield Transcript(text, self.ear.fault == "is too sure")
            await asyncio.sleep(0.002)

    async def finish(self) -> Transcript:
        if self.ended.is_set() and self.ear.fault != "ends twice":
            raise RuntimeError("ended")
        self.ended.set()
        pcm = Ear.heard if self.ear.fault == "mixes" else bytes(self.pcm)
        words = heard_in(pcm)[: 1 if self.ear.fault == "forgets" else None]
        return Transcript(" ".join(words), audio_s=len(self.pcm) / 2 / RATE_HZ)

    async def __aenter__(self) -> Heard:
        Ear.heard = Ear.heard if self.ear.fault == "mixes" else b""
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.ear.fault == "is slow to leave":
            await asyncio.sleep(2)
        if self.ear.fault != "leaves who reads":
            self.ended.set()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("is never sure", "expected a final transcript"),
        ("counts wrongly", "expected audio_s=0.4, not 7"),
        ("waits in write", "expected write\\(\\) to wait for nothing"),
        ("writes on", "expected a write\\(\\) after finish\\(\\) to be refused"),
        ("ends twice", "expected a second finish\\(\\) to be refused"),
        ("goes on", "expected the end of partials\\(\\) after finish\\(\\)"),
        ("says it again", "expected partials that differ"),
        ("is too sure", "expected partials with is_final=False"),
        ("forgets", "expected piece by piece what it hears as a whole: 'w1 w2 w3 w4', not 'w1'"),
        ("is slow to leave", "expected to leave the block of an utterance at once"),
        ("leaves who reads", "expected the end of partials\\(\\) when the utterance is abandoned"),
        ("mixes", "expected the same words beside another utterance: 'w1 w2 w3 w4', not"),
    ],
)
@in_virtual_time
async def test_an_ear_that_breaks_the_contract_is_told_where(fault: str, text: str) -> None:
    Ear.heard = b""
    with pytest.raises(ContractBroken, match=text):
        await check_recogniser(
            Ear(fault), audio=ONE, other=OTHER, sample_rate=RATE_HZ, pace=0.1, limits=QUICK
        )


@in_virtual_time
async def test_an_ear_of_ones_own_passes() -> None:
    await check_recogniser(Ear(), audio=ONE, other=OTHER, sample_rate=RATE_HZ, pace=0.1, limits=QUICK)
    with pytest.raises(ContractBroken, match="expected two utterances with different words"):
        await check_recogniser(Ear(), audio=ONE, other=ONE, sample_rate=RATE_HZ, pace=0.1, limits=QUICK)
