# SPDX-License-Identifier: Apache-2.0
"""What a server answers over HTTP: whether it is well, whether it takes calls, what it has counted, and its calls.

Whether it is well is known at once. What was counted is elsewhere too, in the processes that share the work, and is
made into text by a library, beside the loop of the calls; who asks again meanwhile, or soon, gets the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from audio_connector._version import __version__
from audio_connector.port.meters import Found, Snapshot
from audio_connector.server.config import Monitoring
from audio_connector.server.io_meters import IoMeters, calls_of
from audio_connector.server.link import Link
from audio_connector.server.prometheus import text_of
from audio_connector.wire.pages import JSON, Answer, Page

logger = logging.getLogger("audio_connector.server")

SERVER = "audio-connector"
"""By this who reads the page of the calls knows what it is of."""

KEPT_S = 1.0
"""So long a text of figures is answered again: who asks all the time costs no more than who asks each second."""

MAX_WAITING = 100
"""For a text that is being made."""

OK = Page(200, b"ok\n")
BUSY = Page(503, b"busy\n")
NOT_FOUND = Page(404, b"There is no such page: /healthz, /readyz, /metrics and /calls are.\n")
NO_METRICS = Page(501, b"The figures need prometheus-client: pip install 'audio-connector[metrics]'\n")
FAILED = Page(500, b"The page could not be made; the log says why.\n")

Collect = Callable[[Found, bool, Callable[[Found | None], None]], None]
"""Tell the other processes what was found here, and ask what they have: their calls too, where that is True.

Who is called gets the sum of all, this process among them, and the calls of the others; None where that could not be
had. Then there is no sum at all: one that drops and rises again would be read as a restart, and all that was counted
before as new.
"""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What the I/O side does not know by itself.

    Attributes:
        process: What this process is called in figures.
        rows: What else is counted in it.
        collect: How the other processes are asked; None where there are none.
        why_not_ready: Why it takes no call, in a word or two; "" where it does.
        is_admin: Whether the admin port is this process's.
    """

    process: str = "server"
    rows: Callable[[], Snapshot] = list
    collect: Collect | None = None
    why_not_ready: Callable[[], str] = lambda: ""
    is_admin: bool = True


class Side(Protocol):
    """The I/O side, as far as it is asked."""

    links: dict[int, Link]
    meters: IoMeters

    def why_not_ready(self) -> str:
        """Why it takes no call; "" where it does."""

    def certificate_expires_at(self) -> float | None:
        """When its certificate ends, as of `time.time`; None where it has none, or cannot read it."""

    def clock(self) -> float:
        """Seconds of its monotonic clock."""


class Endpoints:
    """The pages of one I/O side, on its loop."""

    def __init__(self, monitoring: Monitoring, side: Side, options: EndpointOptions | None) -> None:
        self.options = options or EndpointOptions()
        self._side = side
        self._health, self._metrics = monitoring.health, monitoring.metrics
        self._kept: Page | None = None
        self._kept_at = 0.0
        self._is_newest = True
        """Nobody has asked for another sum since the last one was asked for here."""
        self._waiting: list[Answer] = []

    def of_port(self, path: str, answer: Answer) -> bool:
        """Answer on the port that routers dial; a `wire.pages.Pages`."""
        if path in ("/healthz", "/readyz") and self._health == "port":
            answer(self._health_page(path))
        elif path == "/metrics" and self._metrics == "port":
            self._answer_metrics(answer)
        else:
            return False
        return True

    def of_admin(self, path: str, answer: Answer) -> bool:
        """Answer on the admin port, which has no other use."""
        if path in ("/healthz", "/readyz") and self._health != "off":
            answer(self._health_page(path))
        elif path == "/metrics" and self._metrics != "off":
            self._answer_metrics(answer)
        elif path == "/calls":
            self._gather(True, lambda found: answer(_calls_page(found) if found else BUSY))
        else:
            answer(NOT_FOUND)
        return True

    def tell(self, *, with_calls: bool) -> Found:
        """Say what there is here, for a sum that another process tells: a text that is kept here would be older."""
        self._kept, self._is_newest = None, False
        return self._found(with_calls=with_calls)

    def _found(self, *, with_calls: bool) -> Found:
        side, options = self._side, self.options
        why = side.why_not_ready()
        gauges: Snapshot = [("ready", (), 0.0 if why else 1.0), ("io_processes", (), 1.0)]
        if (expires_at := side.certificate_expires_at()) is not None:
            gauges.append(("certificate_expires_timestamp_seconds", (), expires_at))
        snapshot = [*side.meters.snapshot(options.process), *options.rows(), *gauges]
        return Found(snapshot, calls_of(side.links.values(), side.clock()) if with_calls else ())

    def _health_page(self, path: str) -> Page:
        why = self._side.why_not_ready() if path == "/readyz" else ""
        return Page(503, f"{why}\n".encode()) if why else OK

    def _gather(self, with_calls: bool, then: Callable[[Found | None], None]) -> None:
        own, collect = self._found(with_calls=with_calls), self.options.collect
        if collect is None:
            then(own)
            return

        def take(all_found: Found | None) -> None:
            then(all_found and Found(all_found.snapshot, [*own.calls, *all_found.calls]))

        collect(own, with_calls, take)

    def _answer_metrics(self, answer: Answer) -> None:
        if self._kept is not None and self._side.clock() - self._kept_at < KEPT_S:
            answer(self._kept)
        elif len(self._waiting) >= MAX_WAITING:
            answer(BUSY)
        else:
            if not self._waiting:  # before anyone waits, so that nobody does where it fails
                self._is_newest = True
                self._gather(False, self._make_text)
            self._waiting.append(answer)

    def _make_text(self, found: Found | None) -> None:
        if found is None:
            self._answer_all(BUSY)
            return
        made = asyncio.get_running_loop().run_in_executor(None, text_of, found.snapshot)
        made.add_done_callback(self._take_text)

    def _take_text(self, made: asyncio.Future[tuple[bytes, str]]) -> None:
        if made.cancelled():
            page = BUSY
        elif isinstance(error := made.exception(), ImportError):
            page = NO_METRICS
        elif error is not None:
            logger.error(
                "the page of figures could not be made; this is an error of the library", exc_info=error
            )
            page = FAILED
        else:
            page = Page(200, *made.result())
        self._answer_all(page)

    def _answer_all(self, page: Page) -> None:
        if self._is_newest:
            self._kept, self._kept_at = page, self._side.clock()
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer(page)


def _calls_page(found: Found) -> Page:
    values = {"server": SERVER, "version": __version__, "calls": found.calls, "snapshot": found.snapshot}
    return Page(200, json.dumps(values).encode(), JSON)
