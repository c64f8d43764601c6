# SPDX-License-Identifier: Apache-2.0
"""The router's end of a call, as cheap as it can be: per frame it stores a number and two times."""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import time
from array import array
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import uvloop
from benchmarks.frames import HEAD_BYTES, Matched, match, numbers_of
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

# The first message of a call, with the blank that routers put before it.
FIRST_MESSAGE = b' {"content-type":"audio/l16;rate=16000","event":"websocket:connected"}'
_DIALS_AT_ONCE = 25
_BINARY, _CLOSE = WSMsgType.BINARY, WSMsgType.CLOSE

now_s = time.perf_counter


def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


_ANY_CERTIFICATE = _any_certificate()
"""One for all: the server under load made its own."""


class Caller(WSListener):
    """One call: when frames were sent, and which came back when."""

    def __init__(self) -> None:
        self._transport: WSTransport | None = None
        self._is_over = False
        self.is_cut = False
        """Whether the server ended the call."""
        self.sent_at_s = array("d")
        self.arrived_at_s = array("d")
        self._heads = bytearray()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say what a router says first."""
        self._transport = transport
        transport.send(WSMsgType.TEXT, FIRST_MESSAGE)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Note a frame."""
        if frame.msg_type == _BINARY:
            self.arrived_at_s.append(now_s())
            self._heads += frame.get_payload_as_memoryview()[:HEAD_BYTES]
        elif frame.msg_type == _CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Send no more."""
        self._transport = None
        self.is_cut = not self._is_over

    def send(self, frame: bytes) -> None:
        """Send a frame; one that cannot be sent any more is one that is missing."""
        self.sent_at_s.append(now_s())
        if self._transport is not None:
            self._transport.send(_BINARY, frame)

    def matched(self) -> Matched:
        """Match what came to what was sent."""
        return match(self.sent_at_s, self.numbers(), self.arrived_at_s)

    def numbers(self) -> tuple[int, ...]:
        """The numbers of the frames that came."""
        return numbers_of(self._heads)

    async def hang_up(self) -> None:
        """Close in the way of a well-behaved peer."""
        self._is_over = True
        if self._transport is not None:
            transport = self._transport
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            await transport.wait_disconnected()


async def dial(url: str) -> Caller:
    """Open one call; with TLS, whatever the certificate."""
    _, caller = await ws_connect(
        Caller, url, ssl_context=_ANY_CERTIFICATE if url.startswith("wss:") else None
    )
    if not isinstance(caller, Caller):
        raise TypeError(f"got {caller!r}, expected a Caller")
    return caller


async def dial_all(url: str, count: int) -> list[Caller]:
    """Open many calls, some at once."""
    slots = asyncio.Semaphore(_DIALS_AT_ONCE)

    async def dial_one() -> Caller:
        async with slots:
            return await dial(url)

    return list(await asyncio.gather(*(dial_one() for _ in range(count))))


async def hang_up_all(callers: list[Caller]) -> None:
    """Close all calls."""
    await asyncio.gather(*(caller.hang_up() for caller in callers))


def load_arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every load generator is given; it adds its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("address", help="of the server")
    parser.add_argument("pid", type=int, help="of the server's process")
    return parser


def report(load: Callable[..., Awaitable[Any]], options: argparse.Namespace) -> None:
    """Run a load with its options as keywords, and print what it returns, a dataclass, as a line of JSON."""

    async def run() -> None:
        print(json.dumps(asdict(await load(**vars(options)))), flush=True)

    uvloop.run(run())
