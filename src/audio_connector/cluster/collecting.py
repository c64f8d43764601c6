# SPDX-License-Identifier: Apache-2.0
"""Answers an I/O process that asks what the others have counted: for `/metrics` and `/calls` of several processes.

What was told once never comes out less: what a process has said last holds where it does not answer, and stays where
it has ended. So an I/O process that asks says what it has counted itself, before it tells that to anybody. Whoever
asks at the same time, or soon after, is told the same sum; who is asked for another one lets go of what it has kept.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from audio_connector.cluster.member import Member
from audio_connector.port import words
from audio_connector.port.meters import Found, Meters, Snapshot, read_found, total
from audio_connector.server.endpoints import KEPT_S
from audio_connector.wire.closing import ABNORMAL

ANSWER_S = 0.3
"""For the others; of who does not answer by then it is told what it has said before."""


class Collecting:
    """For a supervisor: ``others`` returns the I/O processes besides the one that asks, ``own`` its own figures."""

    def __init__(self, others: Callable[[Member], Sequence[Member]], own: Callable[[], Snapshot]) -> None:
        self._others, self._own = others, own
        self._tokens = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Sequence[dict[str, Any]]]] = {}
        """Who is asked for its calls, by the token."""
        self._latest: dict[Member, Snapshot] = {}
        self._ended = Meters()
        """Of processes that are gone."""
        self._sum: asyncio.Future[Snapshot] | None = None
        """The last one, which may be in the making."""
        self._kept_until = -math.inf

    def note(self, member: Member, text: str) -> Found | None:
        """A worker or an I/O process says what it has counted."""
        found = read_found(text)
        if found is not None:
            self._latest[member] = found.snapshot
        return found

    def forget(self, member: Member) -> None:
        """It is gone; its counts stay, and the calls that it still had are over."""
        latest = self._latest.pop(member, [])
        self._ended.fold(latest)
        for name, _, sample in latest:
            if name == "calls" and isinstance(sample, float | int) and sample:
                self._ended.add("calls_ended", float(sample), "server", str(ABNORMAL))

    def take(self, member: Member, word: words.Collected) -> None:
        """An I/O process has answered."""
        found = self.note(member, word.found)
        future = self._asked.get(word.token)
        if found is not None and future is not None and not future.done():
            future.set_result(found.calls)

    async def answer(self, asking: Member, word: words.Collect) -> None:
        """Tell whoever asks the sum of all, and the calls of the others."""
        loop = asyncio.get_running_loop()
        calls: list[dict[str, Any]] = []
        if self._sum is not None and loop.time() < self._kept_until and not word.with_calls:
            snapshot = await asyncio.shield(self._sum)
        else:
            made = self._sum = loop.create_future()
            self._kept_until = math.inf
            try:
                calls = await self._ask(self._others(asking), word.with_calls)
                snapshot = total([self._own(), self._ended.snapshot(), *self._latest.values()])
                made.set_result(snapshot)
            finally:
                made.cancel()  # where it could not be made
                if self._sum is made:
                    self._kept_until = loop.time() + KEPT_S
        asking.say(words.Collected(word.token, Found(snapshot, calls).as_json()))

    async def _ask(self, others: Sequence[Member], with_calls: bool) -> list[dict[str, Any]]:
        """Have them say what they have counted; returns their calls."""
        asked: dict[int, asyncio.Future[Sequence[dict[str, Any]]]] = {}
        for other in others:
            token = next(self._tokens)
            asked[token] = self._asked[token] = asyncio.get_running_loop().create_future()
            other.say(words.Collect(token, with_calls))
        try:
            if asked:
                await asyncio.wait(asked.values(), timeout=ANSWER_S)
        finally:
            for token in asked:
                del self._asked[token]
        return [call for future in asked.values() if future.done() for call in future.result()]
