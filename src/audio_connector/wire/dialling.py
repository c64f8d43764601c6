# SPDX-License-Identifier: Apache-2.0
"""Why a server could not be dialled, in words for who has asked for it."""

from __future__ import annotations

import asyncio
import ssl

from audio_connector.errors import DialError
from audio_connector.wire.addresses import reason_of


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


def hung_up(url: str) -> DialError:
    """The peer has closed the connection without an answer."""
    other = "wss" if url.startswith("ws:") else "ws"
    return DialError(f"{url} closed the connection before it answered; should it be {other}://?")
