# SPDX-License-Identifier: Apache-2.0
"""An utterance over a connection of its own: audio goes out while it is said, and words come back.

Rules:

1. One utterance, one connection. It is dialled while the first words are said, so that it costs no time; nothing of
   an abandoned utterance can come back in the next; and two at once do not mix.
2. `LiveHearing.write` waits for nothing. What is not sent yet waits here, up to `MAX_WAITING_S` of it.
3. A partial that nobody took is replaced by the next.
4. Once the connection has failed, every method raises its error.
5. Leaving the block ends the conversation and its connection before anything else happens.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar

from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.engines.base.explained import SAID_CHARS
from audio_connector.engines.base.faults import EngineError
from audio_connector.engines.base.ports import Transcript
from audio_connector.engines.base.samples import check_whole
from audio_connector.errors import UsageError
from audio_connector.wire.quoting import printable, quoted

T = TypeVar("T")
HearingT = TypeVar("HearingT", bound="LiveHearing")

MAX_WAITING_S: Final = 60
"""Of audio that the network does not take. A connection is given up long before, unless it trickles."""
LAST_WORDS_S: Final = 0.5
"""For what a service said before it closed: that is here already, and only has to be read."""
PIECE_MS: Final = 100
"""Longest piece of audio in a message. The services advise 20 to 250 ms."""


class LiveHearing(ABC):
    """What such hearings do alike; a `Hearing`.

    Args:
        sample_rate: Of the audio, in Hz.
        timeout_s: Longest wait for the final transcript.
        who: What the service is called in errors.
        exchange: What turns the client's errors into ours.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        timeout_s: float,
        who: str,
        exchange: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._rate_hz = check_rate_hz(sample_rate)
        self._timeout_s = timeout_s
        self._who = who
        self._exchange = exchange
        self._waiting = bytearray()
        self._written_bytes = 0
        self._partial: Transcript | None = None
        self._is_finishing = False
        self._talk: asyncio.Task[Transcript] | None = None
        self._changed = asyncio.Event()

    @property
    def audio_s(self) -> float:
        """How much audio was written."""
        return self._written_bytes / SAMPLE_BYTES / self._rate_hz

    async def __aenter__(self: HearingT) -> HearingT:
        """Begin to dial."""
        if self._talk is not None:
            raise UsageError("this hearing was begun already; begin another utterance with hear()")
        self._talk = asyncio.create_task(self._run(), name="hearing")
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the connection, where `finish` has not."""
        self._is_finishing = True
        talk = self._begun()
        talk.cancel()
        self._change()
        await asyncio.wait({talk})
        if not talk.cancelled():
            talk.exception()  # looked at, or asyncio reports it as forgotten

    async def write(self, audio: bytes) -> None:
        """Take more of the utterance.

        Args:
            audio: Whole mono 16-bit samples.

        Raises:
            AudioDataError: An odd number of bytes.
            UsageError: It has ended, or was not begun with ``async with``.
            EngineError: The service failed, or takes audio too slowly.
        """
        check_whole(audio)
        self._check()
        if self._is_finishing:
            raise UsageError("the utterance has ended; begin another with hear()")
        if len(self._waiting) + len(audio) > MAX_WAITING_S * self._rate_hz * SAMPLE_BYTES:
            raise EngineError(
                f"{self._who} has not taken the last {MAX_WAITING_S} s of audio; check the network"
            )
        self._waiting += audio
        self._written_bytes += len(audio)
        self._change()

    async def partials(self) -> AsyncGenerator[Transcript, None]:
        """Iterate over what was understood so far, each newer than the one before, until `finish` is called.

        Raises:
            UsageError: It was not begun with ``async with``.
            EngineError: The service failed.
        """
        told = None
        while True:
            self._check()
            if self._is_finishing:
                return
            if self._partial is not told:
                told = self._partial
                if told is not None:
                    yield told
            else:
                await self._changed.wait()

    async def finish(self) -> Transcript:
        """Return the final transcript.

        Raises:
            UsageError: It was not begun with ``async with``, or has ended already.
            EngineError: The service failed, or does not answer in time.
        """
        if self._is_finishing:
            raise UsageError("the utterance has ended already; finish() is called once")
        self._check()
        self._is_finishing = True
        self._change()
        talk = self._begun()
        await asyncio.wait({talk}, timeout=self._timeout_s)
        if not talk.done():
            talk.cancel()
            raise EngineError(
                f"{self._who} gave no transcript for {self._timeout_s:g} s; try again, or raise timeout_s"
            )
        if talk.cancelled():
            raise UsageError("the utterance was abandoned meanwhile: its block was left")
        return talk.result()

    @abstractmethod
    async def _converse(self) -> Transcript:
        """Dial, send the audio, tell the partials, return what was said in all; cancelled where it is abandoned."""

    def _tell(self, partial: Transcript) -> None:
        """This is understood so far; services say the same again where nothing new was said."""
        if self._partial is None or self._partial.text != partial.text:
            self._partial = partial
            self._change()

    async def _next_audio(self, idle_s: float) -> bytes | None:
        """What is to be sent next: `PIECE_MS` at most; nothing after ``idle_s`` without any; None at the end."""
        if not self._waiting and not self._is_finishing:
            waiting = asyncio.ensure_future(self._wait_for_audio())
            try:
                await asyncio.wait({waiting}, timeout=idle_s)
            finally:
                waiting.cancel()
        if not self._waiting and self._is_finishing:
            return None
        piece_bytes = self._rate_hz * PIECE_MS // 1000 * SAMPLE_BYTES
        piece = bytes(self._waiting[:piece_bytes])
        del self._waiting[:piece_bytes]
        return piece

    async def _wait_for_audio(self) -> None:
        while not self._waiting and not self._is_finishing:
            await self._changed.wait()

    async def _run(self) -> Transcript:
        try:
            with self._exchange():
                return await self._converse()
        finally:
            self._change()

    def _check(self) -> None:
        """Raise what the connection has failed with."""
        talk = self._begun()
        if talk.done() and not talk.cancelled() and not self._is_finishing:
            talk.result()
            raise EngineError(f"{self._who} ended the utterance before it was over; begin another")

    def _begun(self) -> asyncio.Task[Transcript]:
        if self._talk is None:
            raise UsageError("the utterance was not begun; write: async with recogniser.hear(...) as hearing")
        return self._talk

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def both(sending: Coroutine[Any, Any, None], receiving: Coroutine[Any, Any, T]) -> T:
    """Send and receive at once until the receiver returns or either fails; the other one is cancelled.

    Where both fail, the receiver's error is raised: the service's own words, if it had any, are in that one.
    """
    sender, receiver = asyncio.ensure_future(sending), asyncio.ensure_future(receiving)
    try:
        await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
        if not receiver.done() and sender.exception() is not None:
            await asyncio.wait({receiver}, timeout=LAST_WORDS_S)
        if not receiver.done():
            sender.result()
        return await receiver
    finally:
        sender.cancel()
        receiver.cancel()
        await asyncio.wait({sender, receiver})
        if not sender.cancelled():
            sender.exception()  # looked at, or asyncio reports it as forgotten


def shown(text: str) -> str:
    """What a service sent for people to read, as an error shows it."""
    return quoted(printable(" ".join(text.split()), SAID_CHARS), SAID_CHARS)
