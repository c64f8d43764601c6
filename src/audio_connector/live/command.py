# SPDX-License-Identifier: Apache-2.0
"""The command line of an application: settings, engines made ready, its page, its server, and a call that shows it.

::

    if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from audio_connector.live.command import Command

    COMMAND = Command("captions", folder=Path(__file__).parent, settings=Settings, make=make)

    if __name__ == "__main__":
        sys.exit(COMMAND.main())

``python -m captions`` serves until Ctrl-C. ``--demo`` serves, has the callers of its ``scenario.yaml`` call it, says
what came out, and ends; its exit status is 0 where that is what was expected. Imports take a
second or two, and until they are done Ctrl-C ends the program without a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, Protocol

from audio_connector.engines.base.ports import Engine
from audio_connector.engines.base.warm import Warmed, shown, warm_all
from audio_connector.errors import AudioConnectorStartServerError, UsageError, VideoError
from audio_connector.live.demo import Outcome, Warned, run_demo
from audio_connector.live.files import own_folder
from audio_connector.live.page import LivePage
from audio_connector.live.settings import AppSettings, S, read_settings
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.garbage import loaded_is_kept
from audio_connector.server.log_output import logged_aside
from audio_connector.server.program import (
    BAD_INPUT,
    INTERRUPTED,
    end_at_next_interrupt,
    print_what_can_be,
    take_interrupts,
)
from audio_connector.server.run import HOST, PORT, isolated, print_line, serving
from audio_connector.server.server import AudioConnectorServerHandle
from audio_connector.server.sessions import Sessions
from audio_connector.simulator import CallReport
from audio_connector.wire.addresses import listen_on, why_not_bound
from audio_connector.wire.network import LISTEN
from audio_connector.wire.tls_files import TlsFiles

MAX_PORT: Final = 65535
FAILED: Final = 1


class Application(Protocol):
    """What an application has to have for a `Command`."""

    @property
    def engines(self) -> Sequence[Engine]:
        """The engines that it uses: made ready before the first call, and closed at the end."""

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Serve a call."""

    async def close(self) -> None:
        """Finish what is written; all calls have ended."""

    def outcome(self, reports: Sequence[CallReport]) -> Outcome | Awaitable[Outcome]:
        """Say what came out of the demo's calls, and what of it was not as expected; a coroutine may wait for it."""


@dataclass
class Environment(Generic[S]):
    """What an application is made in.

    Attributes:
        settings: What it was told.
        page: Its page; what is shown before it is open is kept.
        folder: Where its settings lie; the files that they name are looked for there.
        output: Where it writes; the folder is there. For ``--demo`` it is one below that of the settings: what its
            callers leave is nobody's, and does not belong among what real ones left.
        is_demo: It is made for ``--demo``.
    """

    settings: S
    page: LivePage
    folder: Path
    output: Path
    is_demo: bool = False
    _handle: AudioConnectorServerHandle | None = field(default=None, repr=False)

    def path(self, name: str | Path) -> Path:
        """A file that the settings name."""
        return self.folder / name

    @property
    def sessions(self) -> Sessions:
        """The sessions that are live, as `AudioConnectorServerHandle.sessions`.

        Raises:
            UsageError: The server does not listen yet.
        """
        if self._handle is None:
            raise UsageError(
                "sessions are there once the server listens: ask for them in on_connect, not in make"
            )
        return self._handle.sessions


@dataclass(frozen=True)
class Task(Generic[S]):
    """Something else that the program does than serving: ``python -m NAME TASK``.

    Args:
        summary: For ``--help``.
        run: Does it, given the settings, the folder of the settings and the arguments; returns the exit status.
        add_arguments: Adds what it takes.
    """

    summary: str
    run: Callable[[S, Path, argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], object] = lambda _: None


class Command(Generic[S]):
    """The command line of one application.

    Args:
        name: Of its package.
        folder: Of its ``settings.toml``, ``page.html`` and ``scenario.yaml``.
        settings: What its settings are.
        make: Makes the application: engines by `engine_of`, nothing loaded yet.
        summary: What it does, for ``--help``.
        tasks: What else the program does, by name.
    """

    def __init__(
        self,
        name: str,
        *,
        folder: Path,
        settings: type[S],
        make: Callable[[Environment[S]], Application],
        summary: str = "",
        tasks: Mapping[str, Task[S]] | None = None,
    ) -> None:
        self.name = name
        self._folder = folder
        self._settings = settings
        self._make = make
        self._summary = summary
        self._tasks = dict(tasks or {})

    def main(self, argv: Sequence[str] | None = None) -> int:
        """Do what the command line says; returns the exit status.

        0 is good, 1 says that the demo was not as expected, 2 bad input or something missing, 130 Ctrl-C.
        """
        print_what_can_be()
        arguments = self._parser().parse_args(argv)
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
        logging.getLogger(self.name).setLevel(logging.INFO)
        try:
            if argv is None:
                take_interrupts()
            settings = read_settings(arguments.settings, self._settings)
            folder = arguments.settings.parent
            if arguments.task is not None:
                return self._tasks[arguments.task].run(settings, folder, arguments)
            told = {"port": arguments.port, "page_port": arguments.page_port}
            if arguments.demo:  # beside whatever listens on the usual ports
                told = {name: 0 if port is None else port for name, port in told.items()}
            return asyncio.run(
                self.run(
                    settings,
                    folder,
                    demo=arguments.demo,
                    keep=arguments.keep,
                    host=arguments.host,
                    say=print_line,
                    **told,
                )
            )
        except VideoError as error:
            sys.stderr.write(f"{self.name}: {error}\n")
            return BAD_INPUT
        except KeyboardInterrupt:
            if argv is None:
                end_at_next_interrupt()
            return INTERRUPTED

    async def run(
        self,
        settings: S,
        folder: Path,
        *,
        demo: bool = False,
        keep: bool = False,
        host: str | None = None,
        port: int | None = None,
        page_port: int | None = None,
        say: Callable[[str], None] = print_line,
    ) -> int:
        """Serve until a signal, or for the demo; returns the exit status.

        Args:
            settings: What the application is told.
            folder: Where the files are that they name.
            demo: Have the callers of ``scenario.yaml`` call it.
            keep: Go on serving after the demo.
            host: What the server listens on, instead of the settings'.
            port: Likewise.
            page_port: Of the page, likewise.
            say: Given a line for a person.

        Raises:
            VideoError: A value is wrong, a port is taken, the output has no place, or something is missing.
        """
        fields = _server_fields(settings, {"host": host, "port": port})
        # What is wrong is told before anything is made, as are a port in use and a certificate that is not there:
        # engines load for long.
        await _check_can_listen(AudioConnectorServerConfig.from_values(fields))
        async with AsyncExitStack() as stack:
            output = settings.output
            if demo:  # beside those of real calls, and of another demo
                output = stack.enter_context(own_folder(output / "demo"))
            page = LivePage(
                self._folder / "page.html",
                host=settings.page.host,
                port=settings.page.port if page_port is None else page_port,
                folder=output,
            )
            await stack.enter_async_context(page)
            around = Environment(settings, page, folder, output, is_demo=demo)
            app = self._make(around)
            say(f"page: {page.url}")
            for engine in app.engines:
                stack.push_async_callback(engine.close)
            stack.push_async_callback(app.close)  # before its engines, and also where one is missing
            await _warm(app, page)
            config = isolated(
                AudioConnectorServerConfig.from_values({**fields, "on_connect": app.on_connect})
            )
            stack.enter_context(logged_aside())
            around._handle = handle = await stack.enter_async_context(serving(config, say))
            stack.enter_context(loaded_is_kept())
            if not demo:
                await handle.wait_closed()
                return 0
            outcome = await _until_closed(self._demo(app, handle, output, say), handle)
            if outcome is None:
                return INTERRUPTED
            if keep:
                say(f"look at {page.url}; Ctrl-C ends it")
                await handle.wait_closed()
            else:
                say("its page ends with it; --keep leaves it open (with make: ARGS=--keep)")
            return FAILED if outcome.problems else 0

    def _parser(self) -> argparse.ArgumentParser:
        run = f"python -m {self.name}"
        parser = argparse.ArgumentParser(
            prog=run,
            description=self._summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=f"examples:\n  {run}\n  {run} --demo --keep\n  {run} --settings mine.toml --port 9000\n\n"
            "exit status: 0 good; 1 the demo was not as expected; 2 bad input, or something is missing",
        )
        standard = self._folder / "settings.toml"
        parser.add_argument(
            "--settings", type=Path, default=standard, metavar="FILE", help="instead of its own settings.toml"
        )
        parser.add_argument(
            "--host",
            metavar="NAME",
            help="what the server listens on; 0.0.0.0, and it can be called from elsewhere",
        )
        parser.add_argument("--port", type=_port, metavar="N", help="of the server; 0 takes a free one")
        parser.add_argument("--page-port", type=_port, metavar="N", help="of the page, likewise")
        parser.add_argument("--demo", action="store_true", help="have the callers of scenario.yaml call it")
        parser.add_argument("--keep", action="store_true", help="after the demo, go on until Ctrl-C")
        parser.set_defaults(task=None)
        if self._tasks:
            parsers = parser.add_subparsers(dest="task", metavar="TASK", title="instead of serving")
            for name, task in self._tasks.items():
                task.add_arguments(parsers.add_parser(name, help=task.summary, description=task.summary))
        return parser

    async def _demo(
        self,
        app: Application,
        handle: AudioConnectorServerHandle,
        output: Path,
        say: Callable[[str], None],
    ) -> Outcome:
        scenario = self._folder / "scenario.yaml"
        with Warned(self.name) as warned:
            reports, seen = await run_demo(scenario, handle.get_address(), output=output, say=say)
            said = app.outcome(reports)
            outcome = (said if isinstance(said, Outcome) else await said).beside(seen)
        outcome = outcome.beside(warned.outcome())
        for line in outcome.told():
            say(line)
        return outcome


def _server_fields(settings: AppSettings, told: Mapping[str, str | int | None]) -> dict[str, Any]:
    given = {name: value for name, value in told.items() if value is not None}
    return {"host": HOST, "port": PORT, **settings.server, **given}


async def _check_can_listen(config: AudioConnectorServerConfig) -> None:
    if config.tls is not None:
        TlsFiles(config.tls.certfile, config.tls.keyfile, config.tls.client_ca)
    if config.sockets:
        return
    try:
        for sock in await listen_on(config.host, config.port, LISTEN.backlog):
            sock.close()
    except (OSError, UnicodeError, OverflowError) as error:
        raise AudioConnectorStartServerError(why_not_bound(config.host, config.port, error)) from error


async def _warm(app: Application, page: LivePage) -> None:
    with shown("loading") as progress:

        def tell(warmed: Warmed) -> None:
            page.show("loading", key="loading", ready=warmed.ready, total=warmed.total, name=warmed.name)
            progress(warmed)

        await warm_all(*app.engines, progress=tell)


async def _until_closed(
    demo: Coroutine[Any, Any, Outcome], handle: AudioConnectorServerHandle
) -> Outcome | None:
    """Wait for the demo; None where a signal was earlier."""
    showing: asyncio.Task[Outcome] = asyncio.ensure_future(demo)
    closed = asyncio.ensure_future(handle.wait_closed())
    try:
        await asyncio.wait((showing, closed), return_when=asyncio.FIRST_COMPLETED)
        return showing.result() if showing.done() else None
    finally:
        for task in (showing, closed):
            task.cancel()
        await asyncio.gather(showing, closed, return_exceptions=True)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number from 0 to {MAX_PORT}")
    return int(text)
