# SPDX-License-Identifier: Apache-2.0
"""Why a server could not be dialled, in words for who has asked for it."""

from __future__ import annotations

import asyncio
import ssl

from audio_connector.errors import DialError
from audio_connector.wire.addresses import reason_of

_NOT_LET_IN = (401, 403)
_NOT_NOW = (429, 503)


def dial_error(url: str, error: asyncio.TimeoutError | OSError, timeout_s: float) -> DialError:
    """What to raise for what the system, TLS or the time has ended."""
    if isinstance(error, asyncio.TimeoutError | TimeoutError):
        return DialError(f"{url} did not answer within {timeout_s:g} s")
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "verify_message", "")
        hint = f" ({why}); the command line takes any certificate with --insecure" if why else ""
        return DialError(f"{url}: TLS failed: {error.reason or error}{hint}")
    if isinstance(error, ConnectionError) and not error.errno:
        return hung_up(url)  # in the middle of the TLS handshake
    return DialError(f"{url} cannot be reached: {reason_of(error)}")


def not_a_websocket(url: str, status: int | None) -> DialError:
    """The peer has answered the upgrade with something else."""
    answer = f"HTTP {status}" if status is not None else "something that is not HTTP"
    hint = "is the path right, and is it an Audio Connector server?"
    if status in _NOT_LET_IN:
        hint = (
            "it does not let this caller in, and its log says why at INFO; "
            "the command line sends a token with --token-key, of a key that the server has"
        )
    elif status in _NOT_NOW:
        hint = "it takes no call now: it drains, is overloaded or at a limit, and its log says which"
    return DialError(f"{url} answered with {answer} instead of a WebSocket (101); {hint}", status=status)


def hung_up(url: str) -> DialError:
    """The peer has closed the connection without an answer."""
    other = "wss" if url.startswith("ws:") else "ws"
    return DialError(f"{url} closed the connection before it answered; should it be {other}://?")
