# SPDX-License-Identifier: Apache-2.0
"""Our server, whose application notes everything, called by the simulated router; and a neighbour of each call."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from support.audio import real_speech
from support.serving import Heard, serving, traces_of

from audio_connector import AudioConnectorConnection, AudioConnectorServerHandle, Disconnected, Event
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.server.link import Link
from audio_connector.simulator import CallReport, Router, RouterCall
from audio_connector.testing.network import dial as dial_in_memory
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.wire.audio_transport import AudioTransport

NEIGHBOUR = "/neighbour"


@dataclass
class Noted(Heard):
    """What the application was told of one call, and what became of what it said."""

    events: list[Event] = field(default_factory=list)
    outcomes: list[Played | Interrupted] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)


class App:
    """The application of every test: notes what it is told, and speaks as it is asked to, by path.

    Args:
        talk: What it does in calls to ``/``, beside noting.
    """

    def __init__(self, talk: Callable[[AudioConnectorConnection, Noted], Any] | None = None) -> None:
        self._talk = talk
        self._calls: dict[str, list[Noted]] = defaultdict(list)

    @property
    def calls(self) -> list[Noted]:
        """The calls of the test, the neighbour's left out."""
        return self._calls["/"]

    @property
    def call(self) -> Noted:
        """The only one of them."""
        [call] = self.calls
        return call

    def at(self, path: str) -> Noted:
        """The only call to another path."""
        [call] = self._calls[path]
        return call

    async def __call__(self, client: AudioConnectorConnection) -> None:
        noted = Noted(client)
        self._calls[client.path].append(noted)
        is_echo = client.path == NEIGHBOUR

        async def on_message(message: bytes | str) -> None:
            noted.messages.append(message)
            if is_echo and isinstance(message, bytes):
                await client.send_audio_buffer(message)

        async def on_disconnect(how: Disconnected) -> None:
            noted.ends.append(how)

        client.set_handler(
            on_message=on_message,
            on_event=noted.events.append,
            on_error=noted.errors.append,
            on_disconnect=on_disconnect,
        )
        if self._talk is not None and not is_echo:
            try:
                await self._talk(client, noted)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
                noted.failures.append(error)


def saying(pcm: bytes) -> Callable[[AudioConnectorConnection, Noted], Any]:
    """Speak at once, and note what became of it."""

    async def talk(client: AudioConnectorConnection, noted: Noted) -> None:
        async with client.speech() as speech:
            await speech.write(pcm)
        noted.outcomes.append(await speech.finished())

    return talk


class Line:
    """The server's address, and the router that calls it."""

    def __init__(self, handle: AudioConnectorServerHandle, router: Router, neighbour_s: float) -> None:
        self.handle = handle
        self.router = router
        self._neighbour_s = neighbour_s

    async def call(self, **options: Any) -> CallReport:
        """Call the application, while a neighbour talks to the same server and must not notice anything."""
        [report] = await self.calls({"/": options})
        return report

    async def calls(self, options: Mapping[str, Mapping[str, Any]]) -> list[CallReport]:
        """The same with a call to each of these paths."""
        address = self.handle.get_address()
        spoken, heard = real_speech()[: round(32000 * self._neighbour_s)], bytearray()
        # Audio crosses the wire as the server is configured, which all calls have in common.
        audio_transport = next(iter(options.values())).get("audio_transport", AudioTransport())
        neighbour = RouterCall(
            url=address + NEIGHBOUR,
            speech=spoken,
            audio_transport=audio_transport,
            tail_s=0.3,
            trace=False,
            heard=heard.extend,
        )
        # Most applications here only note what they hear.
        calls = [
            RouterCall(**{"url": address + path, "allow_silence": True, **values})
            for path, values in options.items()
        ]
        *reports, beside = await asyncio.gather(*(self.router.run(call) for call in (*calls, neighbour)))
        assert beside.is_clean, beside.problems
        assert sound_of(heard) == sound_of(spoken)
        return reports


@asynccontextmanager
async def in_memory(app: App, **config: Any) -> AsyncIterator[Line]:
    """In virtual time: exact, and it takes no time. That no task is left the loop sees to itself."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    async with serving(app, **config) as handle, Router(dial=dial_in_memory, clock=loop.time) as router:
        yield Line(handle, router, 2.0)
        assert len(handle.connections) == 0


@asynccontextmanager
async def on_loopback(app: App, **config: Any) -> AsyncIterator[Line]:
    """On real sockets, where the kernel matters."""
    async with serving(app, **config) as handle, Router() as router:
        yield Line(handle, router, 0.4)
        give_up_at = time.monotonic() + 5.0
        while len(handle.connections):
            assert time.monotonic() < give_up_at, "a connection is left"
            await asyncio.sleep(0.005)
    assert traces_of(Link) == 0


def sound_of(pcm: bytes | bytearray) -> bytes:
    """What is left of a recording without the samples that are zero, which silence in between consists of."""
    samples = np.frombuffer(bytes(pcm), "<i2")
    return bytes(samples[samples != 0].tobytes())
