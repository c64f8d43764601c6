# SPDX-License-Identifier: Apache-2.0
"""Answers an I/O process that asks what the others have counted: for `/metrics` and `/calls` of several processes."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

from audio_connector.cluster.member import Member
from audio_connector.port import words
from audio_connector.port.meters import Meters, is_snapshot

ANSWER_S = 0.3
"""For the others; what does not come is missing in the answer."""


class Collecting:
    """For a supervisor: ``others`` returns the I/O processes besides the one that asks."""

    def __init__(self, others: Callable[[Member], Sequence[Member]], own: Callable[[], Any]) -> None:
        self._others, self._own = others, own
        self._tokens = itertools.count(1)
        self._asked: dict[int, asyncio.Future[str]] = {}
        self._counted: dict[int, list[Any]] = {}
        """By the number of a worker, its latest snapshot."""
        self._ended = Meters()
        """Of workers that are gone."""

    def note(self, worker: int, word: words.Counted) -> None:
        """A worker says what it has counted."""
        snapshot = json.loads(word.snapshot)
        if is_snapshot(snapshot):
            self._counted[worker] = snapshot

    def forget(self, worker: int) -> None:
        """A worker is gone; its counts stay."""
        self._ended.fold(
            (name, tuple(labels), sample) for name, labels, sample in self._counted.pop(worker, ())
        )

    def take(self, word: words.Collected) -> None:
        """An I/O process has answered."""
        future = self._asked.get(word.token)
        if future is not None and not future.done():
            future.set_result(word.found)

    async def answer(self, io: Member, word: words.Collect) -> None:
        """Gather what there is, and tell whoever asked."""
        loop = asyncio.get_running_loop()
        asked: dict[int, asyncio.Future[str]] = {}
        for other in self._others(io):
            token = next(self._tokens)
            asked[token] = self._asked[token] = loop.create_future()
            other.say(words.Collect(token, word.with_calls))
        try:
            if asked:
                await asyncio.wait(asked.values(), timeout=ANSWER_S)
        finally:
            for token in asked:
                del self._asked[token]
        found = [each for future in asked.values() if future.done() for each in json.loads(future.result())]
        snapshots = [self._own(), self._ended.snapshot(), *self._counted.values()]
        io.say(words.Collected(word.token, json.dumps(found + [{"snapshot": each} for each in snapshots])))
