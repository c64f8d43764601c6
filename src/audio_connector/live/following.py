# SPDX-License-Identifier: Apache-2.0
"""What applications share that listen to calls and do not speak: they follow each of them in a task of its own.

The task begins with the first stream, and outlives the call for as long as the last that was said takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar

from audio_connector.engines.base.deadline import within
from audio_connector.engines.base.faults import EngineError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.session_stream import SessionStream
from audio_connector.server.sessions import LiveSession
from audio_connector.turns import TurnEvent, TurnSettings, listen, listen_apart

logger = logging.getLogger("audio_connector.live")

T = TypeVar("T")

Turns: TypeAlias = AsyncGenerator[tuple[AudioConnectorConnection, TurnEvent], None]
"""What is said, and by whom."""


def turns_of(
    client: AudioConnectorConnection, session: LiveSession | None, *, settings: TurnSettings | None = None
) -> Turns:
    """Iterate over what is said from this call on: in a session, or by a call that is in none.

    Args:
        client: The call.
        session: Its session; None where the router names none, as that of the Voice API. Times are the call's then.
        settings: When an utterance begins and ends.
    """
    if session is None:
        return _alone(client, listen(client, settings=settings))
    return _together(listen_apart(session, settings=settings))


def is_there(client: AudioConnectorConnection, session: LiveSession | None) -> bool:
    """Whether a call has not ended; one that is in no session is taken to be there."""
    return session is None or any(stream.connection is client for stream in session.streams)


async def _together(turns: AsyncGenerator[tuple[SessionStream, TurnEvent], None]) -> Turns:
    async with aclosing(turns):
        async for stream, event in turns:
            yield stream.connection, event


async def _alone(client: AudioConnectorConnection, turns: AsyncGenerator[TurnEvent, None]) -> Turns:
    async with aclosing(turns):
        async for event in turns:
            yield client, event


class Following:
    """The tasks that follow calls, or sessions; one that fails is told in the log.

    Args:
        finish_s: The end of the program waits so long for them.
    """

    def __init__(self, *, finish_s: float) -> None:
        self._finish_s = finish_s
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def __contains__(self, whose: Hashable) -> bool:
        """Whether this call or session is followed by now."""
        return whose in self._tasks

    def begin(self, whose: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """Follow it; once is for whoever calls to see to."""
        task = self._tasks[whose] = asyncio.create_task(work, name="following a call")
        task.add_done_callback(lambda _: self._forget(whose, task))

    async def settle(self) -> None:
        """Wait until none is followed, for a while."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=self._finish_s)

    async def close(self) -> None:
        """Let those that have ended finish, and give up the rest."""
        await self.settle()
        late = list(self._tasks.values())
        if late:
            logger.warning("gave up what %d calls or sessions still had at work", len(late))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _forget(self, whose: Hashable, task: asyncio.Task[None]) -> None:
        del self._tasks[whose]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call is not followed to its end", exc_info=error)


class OneByOne(Generic[T]):
    """Understands utterances one after the other, beside who reads the call; leaving the block gives up the rest.

    What fails with one of them is told, and the next one is another chance.

    Args:
        understand: Given each, a `SpeechEnded` or something that has one.
        most: That wait; the oldest of more is left out.
        tell: Given a line where something is left out or failed.
        each_s: For one of them: an engine in a network may never answer, and those behind it would wait for ever.
    """

    def __init__(
        self,
        understand: Callable[[T], Awaitable[None]],
        *,
        most: int,
        tell: Callable[[str], None],
        each_s: float = 60.0,
    ) -> None:
        self._understand, self._most, self._tell, self._each_s = understand, most, tell, each_s
        self._waiting: asyncio.Queue[T | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def put(self, utterance: T) -> None:
        """Have it understood."""
        if self._waiting.qsize() >= self._most:
            self._waiting.get_nowait()
            self._tell("the recogniser is too slow for this call: an utterance is left out")
        self._waiting.put_nowait(utterance)

    async def finish(self, within_s: float | None = None) -> None:
        """Nothing follows: wait until the last one is understood."""
        self._waiting.put_nowait(None)
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)
            if not self._task.done():
                self._tell(f"the recogniser was more than {within_s:.0f} s behind at the end of the call")

    async def __aenter__(self) -> OneByOne[T]:
        self._task = asyncio.create_task(self._work(), name="understanding a call")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _work(self) -> None:
        while (utterance := await self._waiting.get()) is not None:
            try:
                await within(self._each_s, self._understand(utterance))
            except EngineError as error:
                self._tell(f"an utterance was not understood: {error}")
            # A mistake of the program's, which is not to cost the rest of the call.
            except Exception as error:
                logger.exception("an utterance was not understood")
                self._tell(f"an utterance was not understood: {type(error).__name__}")
