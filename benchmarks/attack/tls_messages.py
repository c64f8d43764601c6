# SPDX-License-Identifier: Apache-2.0
"""Attacks on the time that TLS takes by itself: messages that ask for new keys, and bring nothing."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.attack.peers import DIAL_LIMIT_S, FIRST_TEXT, REDIAL_S, TEXT, Outcome, Target, frame, head

_MESSAGES = 400
"""Made at a time; an attacker in Python makes 20,000 a second of them."""


def in_a_call(target: Target, seconds: float) -> Outcome:
    """In a call that has begun as calls do."""
    return asyncio.run(_flood(target, seconds, head() + frame(TEXT, FIRST_TEXT)))


def before_the_request(target: Target, seconds: float) -> Outcome:
    """Where the request should be."""
    return asyncio.run(_flood(target, seconds, b""))


def after_a_refusal(target: Target, seconds: float) -> Outcome:
    """Where the server only waits for the other side's goodbye."""
    return asyncio.run(_flood(target, seconds, b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n"))


async def _flood(target: Target, seconds: float, first: bytes) -> Outcome:
    from benchmarks.attack.key_updates import TlsPeer  # noqa: PLC0415 - other attackers need no cryptography

    messages = dials = 0
    loop = asyncio.get_running_loop()
    until_s = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < until_s:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            peer = TlsPeer(context, Path(folder) / f"keys-{dials}")
            dials += 1
            with suppress(OSError, asyncio.TimeoutError):
                await asyncio.wait_for(peer.dial(target.port), DIAL_LIMIT_S)
                if first:
                    await peer.send(first)
                stream = peer.stream(1 if first else 0)
                while time.monotonic() < until_s:
                    data = stream.take(_MESSAGES)
                    await asyncio.wait_for(loop.sock_sendall(peer.sock, data), until_s - time.monotonic())
                    messages += _MESSAGES
            peer.sock.close()
            await asyncio.sleep(REDIAL_S)
    return Outcome(f"{messages} messages, {dials} dials")
