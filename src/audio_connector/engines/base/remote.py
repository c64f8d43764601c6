# SPDX-License-Identifier: Apache-2.0
"""An engine in a network, spoken to through its vendor's own client.

Rules:

1. The client's package is imported and the client made in a thread: it takes up to a second, which no call should
   hear. `RemoteEngine.warm` does it, or the first use. Neither opens a connection.
2. Nothing is tried twice. In a call somebody waits; who wants to try again, or another engine, has the error at once.
3. Every wait has an end: ``timeout_s`` without a next piece is an error.
4. Leaving the iteration, by its end, an error, ``aclose()`` or a cancellation, closes the request.
5. Whatever the client raises becomes an `EngineError`. The key is in none, nor in what they are chained to.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from audio_connector.engines.base.explained import explained, has_secret
from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.masking import mask
from audio_connector.engines.base.samples import WholeSamples
from audio_connector.errors import UsageError, VideoError

T = TypeVar("T")

MAX_CONNECTIONS: Final = 1000
"""To one service, as OpenAI's client has it. httpx has 100 by default, and the 101st call would wait for another."""

MIN_KEY_CHARS: Final = 8
"""What is shorter is no secret but a word that a server of one's own is content with, and is part of other words."""

Foreign: TypeAlias = Any
"""An object of a vendor's client: its types are not there where the package is not."""


class Access(NamedTuple):
    """What a client is made with.

    Attributes:
        key: The key; empty where there is none, which only a server of one's own may want.
        url: The service's address.
        timeout_s: Longest wait of the client's own, in seconds.
    """

    key: str
    url: str
    timeout_s: float


class Opened(NamedTuple):
    """A client, and what frees its connections."""

    client: Foreign
    close: Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Service:
    """A vendor's service and its client.

    Attributes:
        name: What it is called in errors.
        package: The distribution that its client comes in.
        extra: Our extra that installs it.
        key_variable: The environment variable with its key.
        url: The vendor's own address.
        load: Imports the client's package and returns it; called in a thread. Raises ImportError.
        open: Makes a client; called in a thread.
        url_variable: The environment variable with another address, where the vendor has one.
    """

    name: str
    package: str
    extra: str
    key_variable: str
    url: str
    load: Callable[[], ModuleType]
    open: Callable[[ModuleType, Access], Opened]
    url_variable: str | None = None


class RemoteEngine:
    """What all of them do alike; see the rules above.

    Args:
        service: Whose it is.
        api_key: Its key; None for the vendor's environment variable.
        base_url: Its address; None for the vendor's.
        timeout_s: Longest wait for a connection, and for each next piece of an answer.
        label: The model or voice, for errors.

    Raises:
        UsageError: An address that is none, or a time that is no positive number.
    """

    def __init__(
        self, service: Service, *, api_key: str | None, base_url: str | None, timeout_s: float, label: str
    ) -> None:
        if not (isinstance(timeout_s, int | float) and 0 < timeout_s < math.inf):
            raise UsageError(f"got timeout_s={timeout_s!r}; expected seconds above 0, such as 10")
        self._service = service
        # Not as texts: what prints an object, such as a debugger or a reporter of errors, does not print them.
        self._given_key = SecretStr(api_key or "")
        self._key = SecretStr("")
        given = base_url or (os.environ.get(service.url_variable) if service.url_variable else None)
        self._url = _checked_url(given or service.url).rstrip("/")
        self._timeout_s = float(timeout_s)
        self._label = label
        self._opening = asyncio.Lock()
        self._opened: Opened | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label!r} at {_shown_url(self._url)}>"

    async def warm(self) -> None:
        """Import the vendor's client and find the key. Nothing is sent, so a wrong key is not noticed yet.

        Raises:
            EngineMissing: The package or the key is not there.
        """
        await self._ready()

    async def close(self) -> None:
        """Close the connections; requests end with an `EngineError`, and what `hear` began ends with its block."""
        self._is_closed = True
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.close()

    async def _ready(self) -> Foreign:
        """Return the client."""
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            raise UsageError(f"{self!r} was first used in another event loop; make one for each loop")
        if self._opened is None and not self._is_closed:
            self._loop = loop
            async with self._opening:
                if self._opened is None:
                    opened = await asyncio.to_thread(self._load_and_open)
                    if self._is_closed:
                        await opened.close()
                    else:
                        self._opened = opened
        if self._opened is None or self._is_closed:
            raise UsageError(f"{self!r} is closed; make another one")
        return self._opened.client

    def _load_and_open(self) -> Opened:
        service = self._service
        try:
            package = service.load()
        except ImportError as error:
            raise EngineMissing(
                f"{service.name} needs the package {service.package}, which cannot be imported ({error})",
                mend=f"pip install 'audio-connector[{service.extra}]'",
            ) from error
        key = self._given_key.get_secret_value() or os.environ.get(service.key_variable, "")
        self._key = SecretStr(key if len(key) >= MIN_KEY_CHARS else "")
        if not key and self._url == service.url:
            raise EngineMissing(
                f"{service.name} needs a key, and neither the argument api_key nor {service.key_variable} has one",
                mend=f"export {service.key_variable}=...",
            )
        mask(self._key.get_secret_value())
        anyio = importlib.import_module("anyio")  # what all the clients stand on
        anyio.run(anyio.sleep, 0)  # imports the rest of it, which else the first request does, in the loop
        return service.open(package, Access(key, self._url, self._timeout_s))

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Around everything that the client does: its errors become ours."""
        try:
            yield
        except EngineError:
            raise
        except VideoError as error:
            raise EngineError(f"{self._who()}: {self._without_key(str(error))}") from error
        except Exception as error:  # noqa: BLE001 - the client's, its transport's, and what they forgot to catch
            raise self._error_of(error) from (
                None if has_secret(error, self._key.get_secret_value()) else error
            )

    def _error_of(self, error: Exception) -> EngineError:
        if self._is_closed:
            return EngineError(f"{self._who()} was closed meanwhile; make another one")
        key_name = f"{self._service.key_variable} or the argument api_key"
        happened, remedy = explained(error, key_name=key_name, timeout_s=self._timeout_s)
        return EngineError(f"{self._who()} {self._without_key(happened)}; {remedy}")

    def _who(self) -> str:
        return f"{self._service.name} ({self._label} at {_shown_url(self._url)})"

    def _without_key(self, text: str) -> str:
        key = self._key.get_secret_value()
        return text.replace(key, "…") if key else text

    async def _step(self, awaitable: Awaitable[T]) -> T:
        """Wait for one step of an exchange, for ``timeout_s`` at most."""
        # asyncio.timeout() is not in Python 3.10.
        with importlib.import_module("anyio").fail_after(self._timeout_s):
            return await awaitable

    async def _paced(self, pieces: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """The same pieces; each has to come in time. Closes their iterator."""
        try:
            while True:
                try:
                    piece = await self._step(anext(pieces))
                except StopAsyncIteration:
                    return
                yield piece
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()


class RemoteSynthesiser(RemoteEngine, ABC):
    """Text to speech over a network; a `Synthesiser`.

    Args:
        service: As in `RemoteEngine`.
        sample_rate: Of the audio that comes, in Hz.
        api_key: Likewise.
        base_url: Likewise.
        timeout_s: Likewise.
        label: Likewise.
    """

    def __init__(
        self,
        service: Service,
        *,
        sample_rate: int,
        api_key: str | None,
        base_url: str | None,
        timeout_s: float,
        label: str,
    ) -> None:
        super().__init__(service, api_key=api_key, base_url=base_url, timeout_s=timeout_s, label=label)
        self._sample_rate = sample_rate

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the audio that `say` gives."""
        return self._sample_rate

    async def say(self, text: str, *, language: str | None = None) -> AsyncGenerator[bytes, None]:
        """Iterate over the speech as it comes: whole samples, the first as soon as 1,500 bytes are there.

        Closing the iterator, or cancelling who iterates, closes the request at once.

        Args:
            text: What to say. Nothing but spaces is said without a request.
            language: ISO 639-1, where the service is told it.

        Raises:
            EngineError: The service failed, was not reached or gave no PCM; or the package or key is missing.
        """
        if not text.strip():
            return
        client = await self._ready()
        samples = WholeSamples()
        with self._exchange():
            async with aclosing(self._paced(self._chunks(client, text, language))) as chunks:
                async for chunk in chunks:
                    if piece := samples.push(chunk):
                        yield piece
            if rest := samples.finish():
                yield rest

    @abstractmethod
    def _chunks(self, client: Foreign, text: str, language: str | None) -> AsyncIterator[bytes]:
        """The audio as the service sends it, cut anywhere."""


def http_client(access: Access) -> Foreign:
    """Make the HTTP client of clients that take one: it can be closed, and serves a thousand calls at once."""
    httpx = importlib.import_module("httpx")
    limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS // 10)
    return httpx.AsyncClient(timeout=access.timeout_s, limits=limits)


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_one = False
    if not is_one:
        raise UsageError(f"got base_url={url!r}; expected an address such as 'http://localhost:8000/v1'")
    return url


def _shown_url(url: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
