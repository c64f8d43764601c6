# SPDX-License-Identifier: Apache-2.0
"""Listening and dialling in virtual time: on the network of the running `VirtualLoop`."""

from __future__ import annotations

import asyncio

from audio_connector.errors import UsageError
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.memory_network import MemoryListening
from audio_connector.wire.network import DIAL, LISTEN, AcceptUpgrade, DialOptions, ListenOptions
from audio_connector.wire.transport import Receiver


async def listen(
    accept: AcceptUpgrade, options: ListenOptions = LISTEN, **changes: object
) -> MemoryListening:
    """Listen on a port of the running `VirtualLoop`; see `MemoryNetwork.listen`."""
    return await _loop().network.listen(accept, options, **changes)


async def dial(
    url: str, receiver: Receiver, options: DialOptions = DIAL, **changes: object
) -> MemoryTransport:
    """Connect to what listens on the running `VirtualLoop`; see `MemoryNetwork.dial`."""
    return await _loop().network.dial(url, receiver, options, **changes)


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        raise UsageError("sockets in memory are for virtual time: put @in_virtual_time above the test")
    return loop
