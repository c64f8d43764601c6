# SPDX-License-Identifier: Apache-2.0
"""Understands the bot while the call goes on: pieces are cut in the loop, and recognised off it, one after the other.

The machine's speed changes when something is understood, never what: `settled_s` tells up to which time of the call
everything that was said is known, and whoever waits for words waits for that, not for the clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from audio_connector.errors import DeadlineError
from audio_connector.simulator.talk.pieces import Piece, PieceCutter
from audio_connector.simulator.talk.ports import Recogniser
from audio_connector.simulator.talk.transcript import TranscriptLine, said_by

LONGEST_S: Final = 120
"""Time that a piece of 25 s may take; the largest models that are of any use here take half of it."""

MAX_WAITING: Final = 24
"""Pieces that wait to be recognised: ten minutes of speech at most, 29 MB at 24 kHz. A slower recogniser than that
is no use; what is beyond is counted in `Ear.unheard_s`."""


class Ear:
    """Hears one call.

    Args:
        recogniser: Understands.
        rate_hz: Rate of the call.
        language: ISO 639-1, where the recogniser is to be told.
        on_failure: Told where the recogniser fails; nothing more is recognised then.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        *,
        rate_hz: int,
        language: str | None = None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self._recogniser = recogniser
        self._rate_hz = rate_hz
        self._language = language
        self._on_failure = on_failure
        self._cutter = PieceCutter()
        self._waiting: deque[Piece] = deque()
        self._work: asyncio.Task[None] | None = None
        self._looked_s = 0.0
        self._failure: Exception | None = None
        self.sound_until_s = 0.0
        """When the bot's last sound ended that belongs to a piece; 0 before the first."""
        self.lines: list[TranscriptLine] = []
        """What was understood, in order."""
        self.unheard_s = 0.0
        """Speech that was not recognised, because the recogniser was too slow."""

    def played(self, frame: bytes, at_s: float) -> None:
        """The session hears a frame from a time on."""
        self._take(self._cutter.feed(frame, at_s))

    def look(self, now_s: float) -> None:
        """See whether silence has ended a piece; when all was told that is due by now."""
        self._take(self._cutter.look(now_s))
        self._looked_s = max(self._looked_s, now_s)

    @property
    def is_behind(self) -> bool:
        """Whether something that ended is not understood yet."""
        return bool(self._waiting)

    @property
    def open_since_s(self) -> float | None:
        """When the bot began what it is saying; None where it has been silent for a while."""
        return self._cutter.open_since_s

    @property
    def settled_s(self) -> float:
        """Up to which time of the call everything is understood that began before it."""
        if self._waiting:
            return self._waiting[0].at_s
        since_s = self._cutter.open_since_s
        return self._looked_s if since_s is None else min(since_s, self._looked_s)

    def text_since(self, since_s: float) -> str:
        """What was understood of what was heard after a time."""
        return said_by("bot", self.lines, since_s=since_s)

    async def finish(self) -> None:
        """The call is over: understand the rest.

        Raises:
            Exception: Whatever the recogniser raised.
        """
        self._take(self._cutter.finish())
        while self._work is not None:
            await self._work
        if self._failure is not None:
            raise self._failure

    async def abandon(self) -> None:
        """Understand nothing more; what is being recognised is let go."""
        self._waiting.clear()
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def _take(self, piece: Piece | None) -> None:
        if piece is None:
            return
        self.sound_until_s = piece.end_s
        if self._failure is not None or len(self._waiting) >= MAX_WAITING:
            self.unheard_s += piece.end_s - piece.at_s
            return
        self._waiting.append(piece)
        if self._work is None:
            self._work = asyncio.ensure_future(self._recognise())

    async def _understood(self, piece: Piece) -> str:
        recognising = self._recogniser.transcribe(
            piece.pcm, sample_rate=self._rate_hz, language=self._language
        )
        try:
            understood = await asyncio.wait_for(recognising, LONGEST_S)
        except (TimeoutError, asyncio.TimeoutError) as error:  # not the same before Python 3.11
            spoken_s = piece.end_s - piece.at_s
            raise DeadlineError(
                f"the recogniser took more than {LONGEST_S} s for {spoken_s:.1f} s of speech; take a smaller model, "
                "fewer calls at once, or a machine with less to do"
            ) from error
        return " ".join(understood.text.split())

    async def _recognise(self) -> None:
        try:
            while self._waiting:
                piece = self._waiting[0]
                text = await self._understood(piece)
                self.lines.append(TranscriptLine("bot", piece.at_s, piece.end_s - piece.at_s, text))
                self._waiting.popleft()
        except Exception as error:  # noqa: BLE001 - whatever it was, the call's owner raises it
            self._failure = error
            self._waiting.clear()
            self._on_failure(error)
        finally:
            self._work = None
