# SPDX-License-Identifier: Apache-2.0
"""What the subcommands share: options of those that dial, running a coroutine, refreshing what is shown meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import typer

from audio_connector.audio.format import SUPPORTED_RATES_HZ
from audio_connector.errors import UsageError
from audio_connector.server.garbage import loaded_is_kept

T = TypeVar("T")

REFRESH_S = 0.1

Headers = Annotated[
    list[str] | None,
    typer.Option("--header", "-H", metavar="K=V", help="A custom header; may be repeated."),
]
Insecure = Annotated[bool, typer.Option("--insecure", "-k", help="wss: accept any certificate.")]


def check_rate(rate_hz: int) -> None:
    """Check the value of ``--rate``.

    Raises:
        UsageError: The protocol does not have it.
    """
    if rate_hz not in SUPPORTED_RATES_HZ:
        raise UsageError(f"--rate is {rate_hz}; expected one of {', '.join(map(str, SUPPORTED_RATES_HZ))}")


def parse_headers(texts: Sequence[str] | None) -> dict[str, str]:
    """Read the values of ``--header``: ``name=value`` each.

    Raises:
        UsageError: One has no equal sign or no name, or a name comes twice.
    """
    headers: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--header {text!r}: expected NAME=VALUE")
        if name.lower() in map(str.lower, headers):
            raise UsageError(f"--header {text!r}: {name} was given before")
        headers[name] = value
    return headers


def context_of(*, insecure: bool) -> ssl.SSLContext | None:
    """Return what ``--insecure`` stands for; None without it, which is the usual check."""
    if not insecure:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the fastest loop there is."""
    with loaded_is_kept():
        return _fastest_run()(main)


def _fastest_run() -> Callable[[Coroutine[Any, Any, T]], T]:
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return asyncio.run
    return uvloop.run


@asynccontextmanager
async def refreshing(refresh: Callable[[], None]) -> AsyncIterator[None]:
    """Call ``refresh`` again and again inside the block, and once at its end."""

    async def keep_on() -> None:
        while True:
            refresh()
            await asyncio.sleep(REFRESH_S)

    task = asyncio.ensure_future(keep_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        refresh()
