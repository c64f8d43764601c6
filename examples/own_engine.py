# SPDX-License-Identifier: Apache-2.0
"""A synthesiser of one's own, in thirty lines: it hums each word."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator

import numpy as np

from audio_connector.engines.base.work import Stop, Worker


class Hummer:
    """Hums, one tone for each word; a `Synthesiser`."""

    name = "hummer"
    sample_rate = 16_000

    def __init__(self) -> None:
        self._worker = Worker(self.name, self._load)

    async def warm(self) -> None:
        """Load it, so that the first caller does not wait."""
        await self._worker.warm()

    async def close(self) -> None:
        """Stop what it does, and end its thread."""
        await self._worker.close()

    async def say(self, text: str, *, language: str | None = None) -> AsyncGenerator[bytes, None]:
        """Iterate over the tones; closing the iterator stops them."""
        stream = self._worker.stream(lambda model, stop: self._hum(model, text, stop))
        try:
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()

    def _load(self) -> np.ndarray:
        """What takes long; in the thread, before the first job, and again where it failed."""
        return np.arange(self.sample_rate // 5) * (2 * np.pi / self.sample_rate)

    def _hum(self, model: np.ndarray, text: str, stop: Stop) -> Iterator[bytes]:
        """The work itself; in the thread. It is stopped at a yield, or asks stop.is_set() by itself."""
        for word in text.split():
            yield (8_000 * np.sin(model * (200 + 20 * len(word)))).astype("<i2").tobytes()
