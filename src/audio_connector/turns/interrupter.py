# SPDX-License-Identifier: Apache-2.0
"""Applies a barge-in policy to a call: the driver of `BargeInMachine`."""

from __future__ import annotations

from typing import Protocol

from audio_connector.errors import ConnectionClosed
from audio_connector.playback.speech import Flushed
from audio_connector.server.statistics import PlaybackState
from audio_connector.turns.barge_in import BargeIn, BargeInMachine, Decision
from audio_connector.turns.events import TurnEvent
from audio_connector.turns.words import count_words


class Holdable(Protocol):
    """What can be held and go on: `audio_connector.Speech`."""

    @property
    def is_over(self) -> bool:
        """It was heard to its end, or cut."""

    async def pause(self) -> float:
        """Hold it; returns how many milliseconds of it were heard."""

    async def resume(self) -> None:
        """Go on where it was held."""


class Speaks(Protocol):
    """What is interrupted: `audio_connector.AudioConnectorConnection`."""

    @property
    def playback(self) -> PlaybackState:
        """How far the playback is."""

    async def flush_buffer(self) -> Flushed:
        """Cut everything that is being said."""


class Interrupter:
    """Listens for the caller while we speak: holds what we say, goes on, or drops it, as a policy says.

        interrupter = Interrupter(client, BargeIn(min_words=1))
        async for event in listen(client):
            if await interrupter.take(event) is Decision.INTERRUPT:
                ...  # interrupter.flushed says how much was heard

    Without a speech to hold (`watch`), or where ``pause_first`` is off, what we say goes on until it is certain that
    the caller interrupts.

    Args:
        client: The call.
        policy: What counts as an interruption.
    """

    def __init__(self, client: Speaks, policy: BargeIn | None = None) -> None:
        self._client = client
        self._machine = BargeInMachine(policy)
        self._speeches: list[Holdable] = []
        self.flushed: Flushed | None = None
        """How much was heard, and how much was not, of what was interrupted latest."""

    @property
    def is_speaking(self) -> bool:
        """Whether we say something, or are held, or have a speech open that says nothing yet."""
        playback = self._client.playback
        return bool(self._open() or playback.queued_ms or playback.in_flight_ms)

    def watch(self, speech: Holdable) -> None:
        """Have a speech held while it is not certain what the caller wants; call it at its beginning."""
        self._speeches = [*self._open(), speech]

    async def take(self, event: TurnEvent) -> Decision | None:
        """Take what the caller does, and do what the policy says of it; returns what that was."""
        return await self._do(self._machine.take(event, we_speak=self.is_speaking))

    async def heard(self, text: str) -> Decision | None:
        """Take what the caller was understood to say so far; returns what was done.

        Args:
            text: Of a partial or of a final transcript of the utterance that goes on, or was the latest, in any
                script, see `count_words`.
        """
        return await self._do(self._machine.heard(count_words(text), we_speak=self.is_speaking))

    def _open(self) -> list[Holdable]:
        return [speech for speech in self._speeches if not speech.is_over]

    async def _do(self, decision: Decision | None) -> Decision | None:
        try:
            if decision is Decision.PAUSE:
                for speech in self._open():
                    await speech.pause()
            elif decision is Decision.RESUME:
                await self._resume(self._open())
            elif decision is Decision.INTERRUPT:
                self.flushed = await self._client.flush_buffer()
        except ConnectionClosed:
            return None  # nobody hears us any more
        return decision

    async def _resume(self, speeches: list[Holdable]) -> None:
        """Have all of them go on, also where this is cancelled: nobody would ask for the rest again."""
        if not speeches:
            return
        first, *rest = speeches
        try:
            await first.resume()
        finally:
            await self._resume(rest)
