# SPDX-License-Identifier: Apache-2.0
"""A server in virtual time, called by a router that does nothing by itself: it says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from support.ends import End
from support.serving import serving

from audio_connector import AudioConnectorConnection
from audio_connector.testing.network import dial
from audio_connector.wire.codec import encode_event
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Connected
from audio_connector.wire.transport import Transport, Upgrade

FIRST_S = 0.005
"""When the router's first message comes, as on a network."""


class BareRouter(End):
    """What a router hears, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[tuple[float, bytes]] = []
        self.texts: list[tuple[float, str]] = []
        self.socket: MemoryTransport

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        super().on_open(transport, upgrade)
        assert isinstance(transport, MemoryTransport)
        self.socket = transport

    def on_audio(self, payload: bytes) -> None:
        self.frames.append((asyncio.get_running_loop().time(), payload))

    def on_text(self, text: str) -> None:
        self.texts.append((asyncio.get_running_loop().time(), text))

    @property
    def samples(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """All it has heard."""
        return np.frombuffer(b"".join(frame for _, frame in self.frames), "<i2").astype(np.int64)

    def loud(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The same from the first loud sample to the last."""
        samples = self.samples
        at = np.flatnonzero(np.abs(samples) > 500)
        return samples[at[0] : at[-1] + 1] if len(at) else samples[:0]

    def count(self, value: int) -> int:
        """How many samples have this value."""
        return int((self.samples == value).sum())

    def say_first(self, rate_hz: int) -> None:
        """The message that says the rate."""
        self.socket.send_text(encode_event(Connected(headers={}, content_type=f"audio/l16;rate={rate_hz}")))

    async def say_silence(self, rate_hz: int) -> None:
        """A frame every 20 ms, as long as anybody listens."""
        while not self.socket.is_closing:
            self.socket.send_audio(bytes(rate_hz // 25))
            await asyncio.sleep(0.02)


@asynccontextmanager
async def bare_call(
    on_connect: Callable[[AudioConnectorConnection], Awaitable[object]] | None = None,
    *,
    rate_hz: int = 16000,
    first_s: float | None = FIRST_S,
    **config: Any,
) -> AsyncIterator[tuple[AudioConnectorConnection, BareRouter]]:
    """A call, whose first message comes after ``first_s``; None sends none."""
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[AudioConnectorConnection] = loop.create_future()

    async def begin(client: AudioConnectorConnection) -> None:
        connected.set_result(client)
        client.set_handler(on_message=lambda _: None)
        if on_connect is not None:
            await on_connect(client)

    async with serving(begin, **config) as handle:
        router = BareRouter()
        await dial(handle.get_address(), router)
        if first_s is not None:
            loop.call_later(first_s, router.say_first, rate_hz)
        client = await connected
        if first_s == FIRST_S and on_connect is None:
            await asyncio.sleep(0.01)
        yield client, router
        router.socket.close()


def constant(value: int, samples: int) -> bytes:
    """Samples that show whose they are."""
    return np.full(samples, value, "<i2").tobytes()


def sine(seconds: float, rate_hz: int, *, hz: float = 440, amplitude: float = 8000) -> bytes:
    """A tone."""
    at = np.arange(round(seconds * rate_hz))
    return bytes((amplitude * np.sin(2 * np.pi * hz * at / rate_hz)).astype("<i2").tobytes())


def clicks(samples: np.ndarray[Any, Any], rate_hz: int, *, hz: float = 440, above: float = 500) -> int:
    """How often a sine is no sine, by its recurrence: x[n] = 2 cos(w) x[n - 1] - x[n - 2]."""
    x = samples.astype(float)
    error = x[2:] - 2 * np.cos(2 * np.pi * hz / rate_hz) * x[1:-1] + x[:-2]
    return int((np.abs(error) > above).sum())


def pitch_hz(samples: np.ndarray[Any, Any], rate_hz: int) -> float:
    """The loudest tone."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * rate_hz / len(samples)
