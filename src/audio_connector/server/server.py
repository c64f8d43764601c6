# SPDX-License-Identifier: Apache-2.0
"""A server: it starts, and it stops, and whoever has its handle can ask for that from anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from pydantic import BaseModel, ConfigDict, PrivateAttr

from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.registry import Connections
from audio_connector.server.running import Running
from audio_connector.server.sessions import Sessions
from audio_connector.validation.arguments import check_number
from audio_connector.validation.handlers import call_handler
from audio_connector.wire.addresses import why_not_bound
from audio_connector.wire.tls import check_context


class AudioConnectorServerHandle(BaseModel):
    """A running server.

    Attributes:
        host: The host of the configuration, or the address of the first of its sockets.
        port: The port that is listened on, also where the configuration said 0.
        running: True from the start until `stop`.
        secure: True where it speaks TLS.
    """

    model_config = ConfigDict(defer_build=True)

    host: str
    port: int
    running: bool = False
    secure: bool = False
    _server: AudioConnectorServer | None = PrivateAttr(default=None)

    @property
    def connections(self) -> Connections:
        """The live connections: by id, and ``by_session``."""
        return Connections() if self._server is None else self._server.connections

    @property
    def sessions(self) -> Sessions:
        """The live sessions by id: all streams of one on one clock, who speaks, and what they say together."""
        return Sessions() if self._server is None else self._server.sessions

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused so far, or ended by a bound of time or size: each in one of these counts.

        By the name of the limit, such as "max_connections" or "session_s"; else by the HTTP status, with the reason
        beside it where ``authenticate`` did not let somebody in ("401 expired", "403 rejected"); else "timeout" (no
        whole request came in time), "crowded" (dropped in favour of newer ones that had none either), "tls" or
        "probe" (it hung up without a request, as a health check does).
        """
        running = self._server._running if self._server is not None else None
        return {} if running is None else running.io.refusals()

    def get_address(self) -> str:
        """Return the address to dial: ``ws://host:port`` or ``wss://host:port``, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host or "localhost"
        return f"{'wss' if self.secure else 'ws'}://{host}:{self.port}"

    async def drain(self, timeout: float = 30.0) -> bool:
        """Let every call come to its end, and stop; for a deploy.

        New calls get 503. ``on_drain`` is called; what each call was given to say so far is heard, and every speech
        that is open to its end; then it is closed with 1001. May be called again, to move the deadline nearer.

        Args:
            timeout: Seconds, 0 or more; what is left then is stopped as by `stop`.

        Returns:
            True where every call had ended by then.

        Raises:
            UsageError: The timeout is no number of seconds.
        """
        check_number("timeout", timeout, lambda s: s >= 0, "seconds, 0 or more")
        ended = True if self._server is None else await self._server.drain(timeout)
        self.running = False
        return ended

    async def stop(self) -> None:
        """Stop listening, close every connection with 1001, and return when on_stop has run. Idempotent."""
        if self._server is not None:
            await self._server.stop()
        self.running = False

    async def wait_closed(self) -> None:
        """Wait until the server has stopped."""
        if self._server is not None:
            await self._server.wait_closed()


class AudioConnectorServer:
    """A WebSocket server for the Vonage media router.

    ``async with AudioConnectorServer(config) as server:`` starts it and stops it at the end of the block;
    ``server`` is an `AudioConnectorServerHandle`. Or call `start_server` and `stop`.

    Args:
        config: The configuration, or a mapping of its fields; None where `start_server` is given it.

    Raises:
        AudioConnectorConfigError: A value is wrong.
    """

    def __init__(self, config: AudioConnectorServerConfig | dict[str, Any] | None = None) -> None:
        self._config = None if config is None else AudioConnectorServerConfig.from_values(config)
        self.connections = Connections()
        self.sessions = Sessions()
        self._running: Running | None = None
        self._closed: Future[None] = Future()

    async def __aenter__(self) -> AudioConnectorServerHandle:
        if self._config is None:
            raise UsageError(
                "AudioConnectorServer() has no configuration; pass one, or call start_server(config)"
            )
        return await self.start_server(self._config)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start_server(
        self, config: AudioConnectorServerConfig | dict[str, Any]
    ) -> AudioConnectorServerHandle:
        """Start; returns when the socket listens and on_start has run.

        Handlers run on the loop that calls this.

        Raises:
            AudioConnectorConfigError: A value of the configuration is wrong.
            AudioConnectorStartServerError: The address cannot be bound, the certificate cannot be used, or
                on_start failed.
            UsageError: It was started before.
        """
        config = AudioConnectorServerConfig.from_values(config)
        if self._running is not None:
            raise UsageError("this server was started before; make another AudioConnectorServer")
        if config.ssl is not None:
            check_context(config.ssl)
        running = self._running = Running(config, self.connections, self.sessions, self._closed)
        port = await self._listen(running, config)
        handle = AudioConnectorServerHandle(
            host=config.host, port=port, running=True, secure=config.is_secure
        )
        handle._server = self
        running.handle = handle
        if config.on_start is not None:
            try:
                await call_handler(config.on_start)
            except BaseException as error:
                await self.stop()
                if isinstance(error, Exception):
                    text = (
                        f"on_start failed with {type(error).__name__}: {error}; the server was stopped again"
                    )
                    raise AudioConnectorStartServerError(text) from error
                raise
        return handle

    async def _listen(self, running: Running, config: AudioConnectorServerConfig) -> int:
        try:
            port = await running.listen()
        except BaseException as error:
            if running.stopping is None:
                self._running = None
                await running.end_io()
                if isinstance(error, OSError | UnicodeError | OverflowError):  # ssl.SSLError is an OSError
                    text = why_not_bound(config.host, config.port, error)
                    raise AudioConnectorStartServerError(text) from None  # it says all that the system did
                raise
        if running.stopping is not None:
            await asyncio.shield(running.stopping)
            raise AudioConnectorStartServerError("the server was stopped while it started")
        return port

    async def drain(self, timeout: float = 30.0) -> bool:
        """Let every call come to its end, and stop; see `AudioConnectorServerHandle.drain`."""
        return True if self._running is None else await self._running.drain(timeout)

    async def stop(self) -> None:
        """Stop; see `AudioConnectorServerHandle.stop`."""
        if self._running is not None:
            await self._running.stop()

    async def wait_closed(self) -> None:
        """Wait until the server has stopped; from any loop."""
        await asyncio.shield(asyncio.wrap_future(self._closed))


class Video:
    """Starts Audio Connector servers, under the name that the vendor's programs use."""

    async def start_audio_connector_server(
        self, options: AudioConnectorServerConfig | dict[str, Any]
    ) -> AudioConnectorServerHandle:
        """Start a server; returns when it listens and on_start has run.

        Args:
            options: The configuration, or a mapping of its fields.

        Raises:
            AudioConnectorConfigError: A value of the configuration is wrong.
            AudioConnectorStartServerError: The server could not start; the text says why and what to do.
        """
        return await AudioConnectorServer().start_server(options)
