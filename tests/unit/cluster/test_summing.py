# SPDX-License-Identifier: Apache-2.0
"""The figures of several I/O processes, whichever of them is asked: a counter that was told never comes out less."""

from __future__ import annotations

import asyncio
import math
import re
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from audio_connector import Monitoring
from audio_connector.cluster.collecting import Collecting
from audio_connector.cluster.member import Member
from audio_connector.port import words
from audio_connector.port.meters import Found, read_found
from audio_connector.server.endpoints import KEPT_S, EndpointOptions, Endpoints
from audio_connector.server.io_meters import IoMeters
from audio_connector.testing.virtual_time import run_in_virtual_time
from audio_connector.wire.pages import Page


class Process:
    """An I/O process: its pages, and its part in those of the others."""

    def __init__(self, cluster: Cluster) -> None:
        self.links: dict[int, Any] = {}
        self.meters = IoMeters(self.links, dict, {}, self.clock)
        self.endpoints = Endpoints(Monitoring(), self, EndpointOptions(collect=self._collect))
        self._cluster = cluster
        self._asked: dict[int, Any] = {}

    def clock(self) -> float:
        return self._cluster.loop.time()

    def why_not_ready(self) -> str:
        return ""

    def certificate_expires_at(self) -> float | None:
        return None

    def _collect(self, own: Found, with_calls: bool, then: Any) -> None:
        self._asked[token := len(self._asked)] = then
        self._cluster.take(self, words.Collect(token, with_calls, own.as_json()))

    def say(self, word: words.Word) -> None:
        """What the supervisor says arrives a moment later, and its answer too."""
        self._cluster.loop.call_later(0.001, self._take, word)

    def _take(self, word: words.Word) -> None:
        if isinstance(word, words.Collect):
            found = self.endpoints.tell(with_calls=word.with_calls)
            self._cluster.take(self, words.Collected(word.token, found.as_json()))
        elif isinstance(word, words.Collected):
            self._asked[word.token](read_found(word.found))


class Cluster:
    """Some of them, and a supervisor's part."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self.loop = loop
        self.ios = [Process(self) for _ in range(count)]
        self.gathered = 0
        self._collecting = Collecting(self._others, lambda: [("workers", (), 2.0)])
        self._tasks: list[asyncio.Task[None]] = []

    def _others(self, asking: Member) -> list[Member]:
        self.gathered += 1
        return [cast("Member", io) for io in self.ios if io is not cast("Any", asking)]

    def take(self, io: Process, word: words.Word) -> None:
        self.loop.call_later(0.001, self._take, cast("Member", io), word)

    def _take(self, member: Member, word: words.Word) -> None:
        if isinstance(word, words.Collect):
            self._collecting.note(member, word.found)
            self._tasks.append(self.loop.create_task(self._collecting.answer(member, word)))
        elif isinstance(word, words.Collected):
            self._collecting.take(member, word)

    async def opened(self, at: int) -> float:
        """What the page of one says."""
        answered: asyncio.Future[Page] = self.loop.create_future()
        assert self.ios[at].endpoints.of_port("/metrics", answered.set_result)
        page = await answered
        [count] = re.findall(rb"^audio_connector_calls_opened_total (\S+)$", page.body, flags=re.MULTILINE)
        return float(count)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([0.0, 0.002, 0.3, 0.6, 1.0])), max_size=25
)


@given(STEPS)
@example([(0, 0, 0.0), (1, 0, 0.6), (0, 0, 0.6), (1, 0, 0.0)])
def test_whoever_is_asked_a_counter_never_drops_and_is_not_old(
    steps: list[tuple[int, int, float]],
) -> None:
    async def scrape() -> None:
        loop = asyncio.get_running_loop()
        cluster, before, really = Cluster(loop, 3), 0.0, [(-math.inf, 0.0)]
        for asked, counting, pause_s in steps:
            cluster.ios[counting].meters.open()
            really.append((loop.time(), really[-1][1] + 1))
            await asyncio.sleep(pause_s)
            told = await cluster.opened(asked)
            assert told >= before
            assert told >= max(count for at, count in really if at <= loop.time() - 2.1 * KEPT_S)
            before = told

    run_in_virtual_time(scrape())


def test_who_asks_all_of_them_all_the_time_has_the_others_asked_once_a_second() -> None:
    async def scrape() -> int:
        loop = asyncio.get_running_loop()
        cluster = Cluster(loop, 3)
        until = loop.time() + 10.0
        while loop.time() < until:
            await asyncio.gather(*(cluster.opened(at) for at in range(3)))
            await asyncio.sleep(0.01)
        return cluster.gathered

    assert run_in_virtual_time(scrape()) <= 11
