# SPDX-License-Identifier: Apache-2.0
"""The test's own server, around the handlers of a bot, and calls to it; or calls to a server that runs elsewhere."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any, TypeAlias

from audio_connector.errors import UsageError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.registry import Connections
from audio_connector.server.run import configuration_of
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle
from audio_connector.simulator.config import RouterCall
from audio_connector.testing.call import Call, CallFailed
from audio_connector.testing.misfortunes import Misfortunes, watching
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.validation import told_in

App: TypeAlias = "Callable[..., Any] | AudioConnectorServerConfig | Mapping[str, Any] | None"
"""A bot: what `audio_connector.run` takes, or None for a configuration that the test says itself."""

CALL_HEADER = "x-audio-connector-test-call"
"""Added to the upgrade by `Server.call`, so that the server's handle of the call can be found, also with routers that
send no ids."""

KEPT = ("heard", "spoken")
CONNECT_S = 5.0


class BotFailed(AssertionError):
    """The bot failed, and its test did not notice; the text is what the server has logged."""


class Server:
    """The server of a test. Made by `serve`.

    Attributes:
        handle: What `AudioConnectorServer` gave.
        errors: What the server has logged as an error so far: exceptions of handlers, above all.
    """

    def __init__(
        self, handle: AudioConnectorServerHandle, config: AudioConnectorServerConfig, misfortunes: Misfortunes
    ) -> None:
        self.handle = handle
        self.errors: list[str] = []
        self._misfortunes = misfortunes
        self._config = config
        self._clients: dict[str, asyncio.Future[AudioConnectorConnection]] = {}

    @property
    def url(self) -> str:
        """The address to dial, without a path."""
        return self.handle.get_address()

    @property
    def connections(self) -> Connections:
        """The live connections."""
        return self.handle.connections

    def call(self, path: str = "/", **options: Any) -> AbstractAsyncContextManager[Call]:  # noqa: ANN401
        """Call the bot: ``async with server.call() as call:``; it is hung up at the end of the block.

        Args:
            path: What is dialled, with the query.
            options: Of a `simulator.RouterCall`: ``profile``, ``rate_hz``, ``headers``, ``steps``, ``impairments``
                and so on. Audio crosses the wire as the server is configured, and the call lasts until somebody
                hangs up.

        Raises:
            DialError: The server takes no calls any more.
            UsageError: An option is wrong.
        """
        if not path.startswith("/"):
            raise UsageError(f"path={path!r}: expected one that begins with a slash, such as /bot?lang=en")
        options = {"audio_transport": self._config.audio_transport, **options}
        return self._call(_router_call(self.url + path, options))

    @asynccontextmanager
    async def _call(self, planned: RouterCall) -> AsyncIterator[Call]:
        name = secrets.token_hex(8)
        client = self._clients[name] = asyncio.get_running_loop().create_future()
        call = Call(
            planned,
            extra_headers=[(CALL_HEADER, name)],
            client_of=lambda: self._client(name),
            errors=self._what_went_wrong,
        )
        async with call._open():
            await asyncio.wait((client,), timeout=CONNECT_S)
            if not client.done():
                raise CallFailed(f"the server did not call on_connect within {CONNECT_S:g} s")
            yield call

    def _what_went_wrong(self) -> list[str]:
        return [*(f"the server logged: {each}" for each in self.errors), *self._misfortunes.texts()]

    def _client(self, name: str) -> AudioConnectorConnection:
        return self._clients[name].result()

    def _note(self, client: AudioConnectorConnection) -> None:
        known = self._clients.get(client.headers.get(CALL_HEADER, ""))
        if known is None:
            return
        if known.done():  # it has dialled again
            known = self._clients[client.headers[CALL_HEADER]] = known.get_loop().create_future()
        known.set_result(client)


@asynccontextmanager
async def serve(
    app: App = None,
    /,
    *,
    allow_errors: bool = False,
    **config: Any,  # noqa: ANN401 - of the configuration
) -> AsyncIterator[Server]:
    """Run a bot for a test.

        async with serve(on_connect, playback={"lead_ms": 100}) as server:
            async with server.call() as call:
                ...

    It is the real server. In virtual time it runs without a thread and without sockets; on any other loop it listens
    on a free port of 127.0.0.1, whatever its configuration says.

    Args:
        app: What `audio_connector.run` takes: an on_connect, a configuration, a mapping of its fields, or a function
            without parameters that returns one of them. None where ``config`` says all.
        allow_errors: Do not fail the test for errors that the server has logged.
        config: Fields of the configuration, instead of those of ``app``.

    Raises:
        AudioConnectorConfigError: A value of the configuration is wrong.
        BotFailed: At the end of the block: the server has logged an error, such as an exception in a handler.
    """
    here: dict[str, Any] = {"host": "127.0.0.1", "port": 0}
    fields = {**(told_in(configuration_of(app, **here)) if app is not None else {}), **config, **here}
    on_connect = AudioConnectorServerConfig.from_values(fields).on_connect
    server: Server

    def connected(client: AudioConnectorConnection) -> object:
        server._note(client)
        return on_connect(client) if on_connect is not None else None

    checked = AudioConnectorServerConfig.from_values({**fields, "on_connect": connected})
    errors: list[str] = []
    with _noting_errors(errors), _watching() as misfortunes:
        async with AudioConnectorServer(checked) as handle:
            server = Server(handle, checked, misfortunes)
            server.errors = errors
            try:
                yield server
            except Exception as error:
                _add_notes(error, server._what_went_wrong())
                raise
    if errors and not allow_errors:
        raise BotFailed(
            "the bot failed, although nothing in the test did; expect it with serve(..., allow_errors=True):\n  "
            + "\n  ".join(errors)
        )


def connect(url: str, **options: Any) -> AbstractAsyncContextManager[Call]:  # noqa: ANN401
    """Call a server that runs elsewhere.

        async with connect("ws://localhost:8765/bot") as call:
            ...

    In virtual time there is nothing elsewhere: only servers that the test has started itself can be called.

    Args:
        url: ``ws://`` or ``wss://``.
        options: As `Server.call`.

    Raises:
        DialError: It cannot be reached.
        UsageError: An option is wrong.
    """
    return Call(_router_call(url, options))._open()


def _router_call(url: str, options: dict[str, Any]) -> RouterCall:
    taken = [name for name in KEPT if name in options]
    if taken:
        raise UsageError(f"{taken[0]}= is the test kit's own; after the call take call.{taken[0]}.save(path)")
    unknown = [name for name in options if name not in RouterCall.__dataclass_fields__]
    if unknown:
        known = ", ".join(name for name in RouterCall.__dataclass_fields__ if name not in (*KEPT, "url"))
        raise UsageError(f"a call has no {unknown[0]}=; expected {known}")
    # What the bot should say, and when the call should end, is the test's to expect.
    return RouterCall(**{"url": url, "tail_s": None, "allow_silence": True, **options})


class _Noting(logging.Handler):
    def __init__(self, errors: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._errors.append(record.getMessage() + (f": {error!r}" if error is not None else ""))


@contextmanager
def _noting_errors(errors: list[str]) -> Iterator[None]:
    logger, handler = logging.getLogger("audio_connector"), _Noting(errors)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


@contextmanager
def _watching() -> Iterator[Misfortunes]:
    """Watch the bot's own tasks; in virtual time the loop does."""
    loop = asyncio.get_running_loop()
    with nullcontext(loop.misfortunes) if isinstance(loop, VirtualLoop) else watching(loop) as misfortunes:
        yield misfortunes


def _add_notes(error: Exception, lines: list[str]) -> None:
    # The one has them in its text; notes are there from Python 3.11 on.
    if isinstance(error, CallFailed) or not hasattr(error, "add_note"):
        return
    for line in lines:
        error.add_note(line)
