# SPDX-License-Identifier: Apache-2.0
"""The playground as a whole: the bot, the router, the web server, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.live.security import Hosts
from audio_connector.playground.app import Playground
from audio_connector.playground.bots import Bot
from audio_connector.playground.notices import Notices
from audio_connector.playground.served import ServedBot
from audio_connector.playground.session import Settings
from audio_connector.simulator import Router

SHUTDOWN_S: Final = 1.5
"""How long pages may take to end their calls, in seconds."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the playground is.

    Attributes:
        host: What it listens on.
        port: Its port.
    """

    host: str
    port: int

    @property
    def url(self) -> str:
        """What to open in a browser on this machine."""
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/"


async def serve(
    bot: Bot,
    settings: Settings,
    *,
    host: str,
    port: int,
    is_checked: bool,
    on_ready: Callable[[Address], None],
) -> None:
    """Serve the page until the program is interrupted or told to end.

    Args:
        bot: Whom the pages call.
        settings: How; the address in it is replaced by the bot's.
        host: What to listen on.
        port: TCP port; 0 for a free one.
        is_checked: Call a server once before anything else, so that a wrong address is told at once.
        on_ready: Told when the page can be opened.

    Raises:
        UsageError: The application's configuration is wrong.
        DialError: The server cannot be reached, or is no WebSocket server.
        AudioConnectorStartServerError: The address cannot be listened on.
    """
    is_ready = False

    async def run() -> None:
        nonlocal is_ready
        async with playground(bot, settings, host=host, port=port, is_checked=is_checked) as address:
            is_ready = True
            on_ready(address)
            await stop.wait()

    with _stop_signal() as stop:
        running, stopping = asyncio.ensure_future(run()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
            if is_ready:
                await asyncio.wait((running,))  # it ends by `stop`, in order
        finally:
            # Interrupted while an application is still being made, which may take for ever.
            for task in (running, stopping):
                task.cancel()
            await asyncio.gather(running, stopping, return_exceptions=True)
        if not running.cancelled():
            running.result()


@contextlib.asynccontextmanager
async def playground(
    bot: Bot, settings: Settings, *, host: str, port: int, is_checked: bool = False
) -> AsyncIterator[Address]:
    """Serve the page while the block lasts; arguments and errors as of `serve`."""
    notices = Notices()
    async with Router() as router, ServedBot(bot, notices) as reached:
        audio_transport = reached.audio_transport or settings.audio_transport
        settings = replace(settings, url=reached.url, label=bot.label, audio_transport=audio_transport)
        settings.call()  # so that wrong headers, or a wrong address, are told before the page is there
        if is_checked and bot.url is not None:
            await _check(settings, router)
        hosts = Hosts(host)
        application = Playground(settings, router=router, notices=notices, hosts=hosts).app
        runner = web.AppRunner(
            application, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_S
        )
        await runner.setup()
        try:
            hosts.port = await _listen(runner, host, port)
            yield Address(host, hosts.port)
        finally:
            await runner.cleanup()


async def _check(settings: Settings, router: Router) -> None:
    """Make a call and hang up: whatever is wrong with the address raises."""
    await router.run(replace(settings.call(), name="check", tail_s=0.0))


async def _listen(runner: web.AppRunner, host: str, port: int) -> int:
    try:
        await web.TCPSite(runner, host, port).start()
    except (OSError, UnicodeError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            what = (
                "the port is in use; choose another one, 0 for any free one, or end the program that has it"
            )
        else:
            what = getattr(error, "strerror", None) or str(error)
        raise AudioConnectorStartServerError(f"cannot listen on {host}:{port}: {what}") from error
    return int(runner.addresses[0][1])


@contextlib.contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Turn an interrupt into an event, so that everything ends in order; the second one is the system's again."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    taken: list[signal.Signals] = []

    def end() -> None:
        stop.set()
        for number in taken:
            loop.remove_signal_handler(number)
        taken.clear()

    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows has no such handlers: there an interrupt cancels the task, which ends in order as well.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, end)
            taken.append(number)
    try:
        yield stop
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
