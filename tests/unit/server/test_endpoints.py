# SPDX-License-Identifier: Apache-2.0
"""The pages of an I/O side: what they say, from whom they gather it, and what they cost who asks too often."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from support.serving import until

from audio_connector import Monitoring
from audio_connector.port.meters import Found
from audio_connector.server import endpoints
from audio_connector.server.endpoints import KEPT_S, MAX_WAITING, EndpointOptions, Endpoints
from audio_connector.server.io_meters import IoMeters
from audio_connector.server.link import Link
from audio_connector.wire.pages import JSON, Page


class Side:
    """An I/O side without calls."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.now = 100.0
        self.why = ""
        self.expires_at: float | None = None
        self.meters = IoMeters(self.links, dict, {}, self.clock)

    def clock(self) -> float:
        return self.now

    def why_not_ready(self) -> str:
        return self.why

    def certificate_expires_at(self) -> float | None:
        return self.expires_at


class Stage:
    """Its pages."""

    def __init__(self, options: EndpointOptions | None = None, **monitoring: Any) -> None:
        self.side = Side()
        self.endpoints = Endpoints(Monitoring(**monitoring), self.side, options)
        self.pages: list[Page] = []

    def port(self, path: str) -> bool:
        return self.endpoints.of_port(path, self.pages.append)

    def admin(self, path: str) -> Page:
        assert self.endpoints.of_admin(path, self.pages.append)
        return self.pages[-1]

    async def metrics(self, count: int = 1) -> str:
        """The text, asked for so many times at once."""
        before = len(self.pages)
        for _ in range(count):
            assert self.port("/metrics")
        await self.answered(before + count)
        assert {page.status for page in self.pages[before:]} == {200}
        return self.pages[-1].body.decode()

    async def answered(self, count: int) -> None:
        await until(lambda: len(self.pages) >= count, "the pages")


Then = Callable[[Found | None], None]


class Others:
    """The other processes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Found, bool, Then]] = []

    def __call__(self, own: Found, with_calls: bool, then: Then) -> None:
        self.asked.append((own, with_calls, then))


@pytest.mark.parametrize("why", ["", "draining", "overloaded", "no worker takes calls"])
def test_it_is_well_while_it_is_not_ready(why: str) -> None:
    stage = Stage(admin_port=0)
    stage.side.why = why
    for ask in (stage.port, stage.admin):
        ask("/healthz")
        ask("/readyz")
        status, body = (503, f"{why}\n".encode()) if why else (200, b"ok\n")
        assert [page[:2] for page in stage.pages[-2:]] == [(200, b"ok\n"), (status, body)]


@pytest.mark.parametrize("where", ["port", "admin", "off"])
def test_each_page_is_where_it_was_asked_for(where: str) -> None:
    stage = Stage(EndpointOptions(collect=Others()), health=where, metrics=where, admin_port=0)
    for path in ("/healthz", "/readyz", "/metrics"):
        assert stage.port(path) == (where == "port")
    stage.pages.clear()
    assert stage.admin("/healthz").status == (404 if where == "off" else 200)
    assert not stage.port("/calls"), "who calls is for the admin port only"
    assert not stage.port("/")
    assert b"/healthz, /readyz, /metrics and /calls" in stage.admin("/other").body


async def test_who_asks_at_once_or_again_gets_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    made: list[Any] = []

    def make(snapshot: Any) -> tuple[bytes, str]:
        made.append(snapshot)
        return b"%d" % len(made), "text/plain"

    monkeypatch.setattr(endpoints, "text_of", make)
    assert await stage.metrics(MAX_WAITING) == "1"
    stage.side.now += 0.99 * KEPT_S
    assert await stage.metrics() == "1"
    stage.side.now += 0.02 * KEPT_S
    assert await stage.metrics() == "2"


async def test_a_flood_is_told_to_come_again_and_makes_one_text() -> None:
    others = Others()
    stage = Stage(EndpointOptions(collect=others))
    for _ in range(3 * MAX_WAITING):
        stage.port("/metrics")
    assert [page.status for page in stage.pages] == [503] * (2 * MAX_WAITING)
    [(_, with_calls, then)] = others.asked
    assert not with_calls
    then(Found([("calls", (), 4.0)]))
    await stage.answered(3 * MAX_WAITING)
    assert {page.body for page in stage.pages[2 * MAX_WAITING :]} == {stage.pages[-1].body}
    assert b"\naudio_connector_calls 4.0\n" in stage.pages[-1].body


async def test_the_sum_is_what_it_is_told_and_none_where_others_cannot_be_asked() -> None:
    others = Others()
    stage = Stage(EndpointOptions(process="io-1", rows=lambda: [("workers", (), 1.0)], collect=others))
    stage.side.meters.open()
    stage.port("/metrics")
    own, _, then = others.asked.pop()
    assert ("calls_opened", (), 1.0) in own.snapshot
    assert ("workers", (), 1.0) in own.snapshot
    then(Found([("calls_opened", (), 3.0), ("workers", (), 4.0)]))
    await stage.answered(1)
    text = stage.pages[-1].body.decode()
    assert "\naudio_connector_calls_opened_total 3.0\n" in text
    assert "\naudio_connector_workers 4.0\n" in text
    stage.side.now += 2 * KEPT_S
    stage.port("/metrics")
    others.asked.pop()[2](None)
    assert stage.pages[-1] == (503, b"busy\n", "text/plain; charset=utf-8")


async def test_the_calls_of_all() -> None:
    others = Others()
    stage = Stage(EndpointOptions(collect=others), admin_port=0)
    assert stage.endpoints.of_admin("/calls", stage.pages.append)
    own, with_calls, then = others.asked.pop()
    assert with_calls
    then(Found(own.snapshot, [{"number": 7}]))
    page = stage.pages[-1]
    values = json.loads(page.body)
    assert (page.status, page.content_type) == (200, JSON)
    assert (values["server"], values["calls"]) == ("audio-connector", [{"number": 7}])
    assert ["ready", [], 1.0] in values["snapshot"]
    stage.endpoints.of_admin("/calls", stage.pages.append)
    others.asked.pop()[2](None)
    assert stage.pages[-1].status == 503


async def test_without_prometheus_client_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: Any) -> Any:
        raise ImportError("No module named 'prometheus_client'")

    stage = Stage()
    monkeypatch.setattr(endpoints, "text_of", missing)
    stage.port("/metrics")
    await stage.answered(1)
    assert stage.pages[0].status == 501
    assert b"pip install 'audio-connector[metrics]'" in stage.pages[0].body


async def test_an_error_of_ours_is_a_page_too_and_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> Any:
        raise KeyError("a secret")

    stage = Stage()
    monkeypatch.setattr(endpoints, "text_of", fail)
    for _ in range(5):
        stage.port("/metrics")
    await stage.answered(5)
    assert stage.port("/metrics"), "the failure is kept as well"
    assert {page.status for page in stage.pages} == {500}
    assert b"secret" not in stage.pages[0].body
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_failure_to_gather_leaves_nobody_waiting() -> None:
    rows: list[Any] = []
    stage = Stage(EndpointOptions(rows=lambda: rows[0]))
    for _ in range(2 * MAX_WAITING):
        with pytest.raises(IndexError):
            stage.port("/metrics")
    rows.append([])
    assert "audio_connector_calls 0.0" in await stage.metrics()
