# SPDX-License-Identifier: Apache-2.0
"""HTTP requests whose every line is known: an upgrade, and a plain one to the same address."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import ssl
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from audio_connector.errors import DialError
from audio_connector.testing.conformance.rawline import SWITCHING, RawLine, Response
from audio_connector.wire.network import DIAL, DialOptions, with_target
from audio_connector.wire.quoting import without_secrets
from audio_connector.wire.transport import Receiver

_ACCEPT_SALT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3


async def dial_raw(
    url: str,
    receiver: Receiver,
    options: DialOptions = DIAL,
    *,
    connection: str = "Upgrade",
    **changes: object,
) -> RawLine:
    """Open a WebSocket, as `wire.picows.dial` does, by an upgrade request whose every line is known.

    Args:
        url: ``ws://`` or ``wss://``; path and query are sent as they are.
        receiver: Is told of everything; its ``on_open`` has run when this returns.
        options: Headers and the like; bounds there are none.
        connection: The value of ``Connection``.
        changes: Fields of the options that differ.

    Raises:
        DialError: With the address and what went wrong.
    """
    options = options.but(changes)
    parts = urlsplit(url if options.target is None else with_target(url, options.target))
    url = without_secrets(url)
    key = base64.b64encode(os.urandom(16))
    lines = [
        ("Upgrade", "websocket"),
        ("Connection", connection),
        ("Sec-WebSocket-Key", key.decode()),
        ("Sec-WebSocket-Version", "13"),
        *options.headers,
    ]
    line = await _ask(
        url, parts, receiver, request_bytes(parts, lines), options.ssl_context, options.timeout_s
    )
    response = line.response
    if response is None or response.status != SWITCHING:
        line.abort()
        said = "hung up" if response is None else f"answered with HTTP {response.status}"
        raise DialError(f"{url} {said} instead of 101", status=None if response is None else response.status)
    expected = base64.b64encode(hashlib.sha1(key + _ACCEPT_SALT, usedforsecurity=False).digest()).decode()
    if response.headers.get("sec-websocket-accept") != expected:
        line.abort()
        raise DialError(
            f"{url} answered with a wrong Sec-WebSocket-Accept; expected {expected}", status=SWITCHING
        )
    return line


async def ask_plain(
    url: str, receiver: Receiver, *, ssl_context: ssl.SSLContext | None, timeout_s: float
) -> Response | None:
    """Ask for the page of a WebSocket address by plain HTTP; None where the server hangs up without an answer.

    Raises:
        DialError: The server cannot be reached, or does not answer in time.
    """
    parts = urlsplit(url)
    url = without_secrets(url)
    request = request_bytes(parts, [("Connection", "close"), ("User-Agent", "audio-connector-check")])
    line = await _ask(url, parts, receiver, request, ssl_context, timeout_s)
    line.abort()
    return line.response


def request_bytes(parts: SplitResult, headers: Sequence[tuple[str, str]]) -> bytes:
    """The bytes of a GET request."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


async def _ask(
    url: str,
    parts: SplitResult,
    receiver: Receiver,
    request: bytes,
    ssl_context: ssl.SSLContext | None,
    timeout_s: float,
) -> RawLine:
    is_tls = parts.scheme == "wss"
    port = parts.port or (443 if is_tls else 80)
    tls: dict[str, Any] = {"ssl": ssl_context or ssl.create_default_context()} if is_tls else {}

    async def ask() -> RawLine:
        loop = asyncio.get_running_loop()
        transport, line = await loop.create_connection(
            lambda: RawLine(receiver), parts.hostname or "", port, **tls
        )
        try:
            transport.write(request)
            await line.answered
        except BaseException:
            transport.abort()
            raise
        return line

    try:
        return await asyncio.wait_for(ask(), timeout_s)
    except (asyncio.TimeoutError, TimeoutError) as error:
        raise DialError(f"{url} did not answer within {timeout_s:g} s") from error
    except OSError as error:
        raise DialError(f"{url} cannot be reached: {error.strerror or error}") from error
