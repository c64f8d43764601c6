# SPDX-License-Identifier: Apache-2.0
"""What the caller says as words: of whole utterances, or while they are said where the recogniser hears so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from audio_connector.engines import Hearing, Recogniser
from audio_connector.engines.base.deadline import within
from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechPaused, SpeechStarted

BEGIN_S = 5.0
"""For a recogniser that hears while words are said to begin; without it they are understood behind them."""

UNDERSTAND_S = 30.0
"""For an utterance; what takes longer will not come, and the caller is asked to say it again."""


class Listening:
    """The words of one call.

    Args:
        recogniser: Understands them.
        language: What they are in; None lets it guess.
        partials: Whether it hears while they are said.
        partial: Told what was understood so far.
        trouble: Told why something was not understood.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        *,
        language: str | None,
        partials: bool,
        partial: Callable[[str], Awaitable[None]],
        trouble: Callable[[Exception], None],
    ) -> None:
        self._recogniser = recogniser
        self._language = language
        self._partials = partials
        self._partial = partial
        self._trouble = trouble
        self._hearing: Hearing | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self, event: SpeechStarted) -> None:
        """An utterance begins."""
        await self.drop()
        if not self._partials:
            return
        try:
            hearing = self._recogniser.hear(sample_rate=event.sample_rate, language=self._language)
            self._hearing = await within(BEGIN_S, hearing.__aenter__())
            await self._hearing.write(event.audio)
        except Exception as error:  # noqa: BLE001 - it is told; of an engine of one's own too
            self._trouble(error)
            await self.drop()
        else:
            self._reading = asyncio.create_task(self._read(self._hearing))

    async def go_on(self, event: SpeechGoesOn) -> None:
        """It goes on."""
        if self._hearing is None:
            return
        try:
            await self._hearing.write(event.audio)
        except Exception as error:  # noqa: BLE001 - it is told; of an engine of one's own too
            self._trouble(error)
            await self.drop()

    def understand(self, event: SpeechPaused | SpeechEnded) -> asyncio.Task[str | None]:
        """Begin to understand an utterance, which may be over; the result is None where that failed."""
        hearing, self._hearing = self._hearing, None
        reading, self._reading = self._reading, None
        return asyncio.create_task(self._words(event, hearing, reading))

    async def drop(self) -> None:
        """Give up the utterance that goes on."""
        hearing, self._hearing = self._hearing, None
        reading, self._reading = self._reading, None
        await self._end(hearing, reading)

    async def _words(
        self,
        event: SpeechPaused | SpeechEnded,
        hearing: Hearing | None,
        reading: asyncio.Task[None] | None,
    ) -> str | None:
        try:
            if hearing is not None:
                final = hearing.finish()
            else:
                final = self._recogniser.transcribe(
                    event.audio, sample_rate=event.sample_rate, language=self._language
                )
            return (await within(UNDERSTAND_S, final)).text.strip()
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble(error)
            return None
        finally:
            await self._end(hearing, reading)

    async def _read(self, hearing: Hearing) -> None:
        try:
            async for transcript in hearing.partials():
                await self._partial(transcript.text)
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble(error)

    async def _end(self, hearing: Hearing | None, reading: asyncio.Task[None] | None) -> None:
        try:
            if hearing is not None:
                await hearing.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - as above
            self._trouble(error)
        finally:
            if reading is not None:
                await cancelled(reading)


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel it, and wait for that; what it fails with then was told, or nobody needs it."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
