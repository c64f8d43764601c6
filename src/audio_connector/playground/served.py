# SPDX-License-Identifier: Apache-2.0
"""An application, served on this machine by a loop of its own in a thread of its own.

So whatever it does with its loop, blocking it included, the router that listens to it keeps its clock, and what the
page shows is the application's doing and not the playground's.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from audio_connector import AudioConnectorServer, AudioTransport
from audio_connector.playground.bots import Bot
from audio_connector.playground.faults import LOGGER, FaultHandler
from audio_connector.playground.notices import Notices

STOP_S: Final = 6.0
"""How long an application may take to stop, in seconds; its thread does not keep the program after that."""


@dataclass(frozen=True, slots=True)
class Reached:
    """Where a bot can be called.

    Attributes:
        url: Its address.
        audio_transport: How audio crosses its wire, where its configuration is known; else None.
    """

    url: str
    audio_transport: AudioTransport | None = None


class ServedBot:
    """Makes sure that a bot can be called, while the block lasts.

    ``async with ServedBot(bot, notices) as reached:``

    Args:
        bot: Whom to serve; one with an address is not touched.
        notices: Told of its failures.
    """

    def __init__(self, bot: Bot, notices: Notices) -> None:
        self._bot = bot
        self._faults = FaultHandler(notices.tell_from_any_thread)
        self._address: concurrent.futures.Future[Reached] = concurrent.futures.Future()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._configuring: asyncio.Task[None] | None = None
        # A daemon: an application that blocks its loop for good must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="playground-bot", daemon=True)

    async def __aenter__(self) -> Reached:
        """Start the server.

        Returns:
            The address to call, and how.

        Raises:
            UsageError: The application's configuration is wrong.
            AudioConnectorStartServerError: Its on_start failed.
        """
        if self._bot.url is not None:
            return Reached(self._bot.url)
        logging.getLogger(LOGGER).addHandler(self._faults)
        self._thread.start()
        try:
            return await asyncio.wrap_future(self._address)
        except BaseException:
            await self._end()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server, and wait for its thread a bounded time."""
        if self._bot.url is None:
            await self._end()

    async def _end(self) -> None:
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None and self._thread.is_alive():
            configuring = self._configuring
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(stop.set if configuring is None else configuring.cancel)
        await asyncio.to_thread(self._thread.join, STOP_S)
        logging.getLogger(LOGGER).removeHandler(self._faults)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the address is told
            if not self._address.done():
                self._address.set_exception(error)

    async def _serve(self) -> None:
        assert self._bot.configure is not None
        self._configuring = asyncio.current_task()
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        config = await self._bot.configure()
        self._configuring = None
        async with AudioConnectorServer(config) as server:
            self._address.set_result(Reached(server.get_address(), AudioTransport.of(config.audio_transport)))
            await self._stop.wait()
