# SPDX-License-Identifier: Apache-2.0
"""Pages on a port of WebSockets: as load balancers and probes ask for them, which is not always by the book."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from audio_connector.wire.gate import Gate, Gates
from audio_connector.wire.network import ListenOptions
from audio_connector.wire.pages import JSON, Answer, Page, http_of
from audio_connector.wire.refusals import NOT_NOW

HOST = "Host: localhost\r\n"


class Wire(asyncio.Transport):
    """What a gate writes to; it closes as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name == "peername" else default


class Site:
    """Pages of a test, and a gate in front of them."""

    def __init__(self, **options: Any) -> None:
        self.asked: list[str] = []
        self.later: list[Answer] = []
        clock = asyncio.get_running_loop().time
        listen = ListenOptions(pages=self.pages, **options)
        self.gates = Gates(lambda *_: NOT_NOW, listen, clock, most_waiting=100)

    def pages(self, path: str, answer: Answer) -> bool:
        self.asked.append(path)
        if path == "/now":
            answer(Page(200, b"ok\n"))
        elif path == "/later":
            self.later.append(answer)
        else:
            return False
        return True

    def ask(
        self, request: str, *, by: Callable[[bytes], list[bytes]] = lambda data: [data]
    ) -> tuple[Gate, Wire]:
        gate, wire = Gate(self.gates, "127.0.0.1"), Wire()
        gate.connection_made(wire)
        for piece in by(request.encode("latin-1")):
            gate.data_received(piece)
        return gate, wire


ANSWER = (
    b"HTTP/1.1 200 OK\r\nConnection: close\r\nCache-Control: no-store\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\n"
)


@pytest.mark.parametrize(
    ("head", "has_body"),
    [
        (f"GET /now HTTP/1.1\r\n{HOST}\r\n", True),
        (f"HEAD /now HTTP/1.1\r\n{HOST}\r\n", False),
        ("GET /now HTTP/1.0\r\n\r\n", True),  # HAProxy's, and curl -0
        ("HEAD /now HTTP/1.0\r\n\r\n", False),
        (f"GET /now?verbose=1 HTTP/1.1\r\n{HOST}\r\n", True),
        (f"GET http://localhost/now?verbose=1 HTTP/1.1\r\n{HOST}\r\n", True),  # RFC 9112 3.2.2
        (f"GET /now HTTP/1.1\r\n{HOST}Connection: keep-alive\r\n\r\n", True),
        (f"GET /now HTTP/1.1\r\n{HOST}\r\nGET /now HTTP/1.1\r\n{HOST}\r\n", True),  # one answer, then the end
    ],
)
async def test_it_is_answered_once_and_nobody_is_told(
    head: str, has_body: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    site = Site()
    for by in (lambda data: [data], lambda data: [data[at : at + 1] for at in range(len(data))]):
        gate, wire = site.ask(head, by=by)
        assert wire.sent == ANSWER + (b"ok\n" if has_body else b"")
        assert wire.is_over
        gate.connection_lost(None)
    assert site.asked == ["/now", "/now"]
    assert site.gates.refusals.counts == {}
    assert not site.gates.waiting
    assert not caplog.records


@pytest.mark.parametrize(
    ("head", "is_shown"),
    [
        (f"GET /now HTTP/1.1\r\n{HOST}\r\n", True),
        ("GET /now HTTP/1.1\r\nhOST:\tLOCALHOST:9090 \r\n\r\n", True),
        ("GET /now HTTP/1.1\r\nHost: 127.0.0.1:9090\r\n\r\n", True),
        ("GET /now HTTP/1.1\r\nHost: 10.1.2.3\r\n\r\n", True),
        ("GET /now HTTP/1.1\r\nHost: [::1]:9090\r\n\r\n", True),
        ("GET /now HTTP/1.1\r\nHost:\r\n\r\n", True),
        ("GET /now HTTP/1.0\r\n\r\n", True),
        ("GET /now HTTP/1.1\r\nHost: localhost.example\r\n\r\n", False),
        ("GET /now HTTP/1.1\r\nX: a\r\nHost: example:9090\r\n\r\nHost: localhost\r\n\r\n", False),
        ("GET /now HTTP/1.0\r\nHost: 127.0.0.1.example\r\n\r\n", False),
        ("HEAD /now HTTP/1.1\r\nHost: \xff[\r\n\r\n", False),
    ],
)
async def test_a_name_that_a_browser_was_given_for_this_machine_shows_nothing(
    head: str, is_shown: bool
) -> None:
    site = Site(page_names=("localhost",))
    _, wire = site.ask(head)
    assert wire.sent.startswith(b"HTTP/1.1 200 " if is_shown else b"HTTP/1.1 421 Misdirected Request\r\n")
    assert site.asked == (["/now"] if is_shown else [])
    assert site.gates.refusals.counts == ({} if is_shown else {"421": 1})
    assert Site().ask(head)[1].sent.startswith(b"HTTP/1.1 200 ")


async def test_an_answer_may_come_later_and_more_bytes_meanwhile() -> None:
    site = Site()
    _, wire = site.ask(f"GET /later HTTP/1.1\r\n{HOST}\r\n")
    gate, gone = site.ask(f"GET /later HTTP/1.1\r\n{HOST}\r\n")
    first, second = site.later
    gone.close()
    gate.connection_lost(None)
    assert (wire.sent, wire.is_over) == (b"", False)
    first(Page(503, b"{}", JSON))
    second(Page(200, b"nobody is there"))
    assert wire.sent.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in wire.sent
    assert (wire.sent.endswith(b"\r\n\r\n{}"), gone.sent) == (True, b"")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("POST /now", "405"),
        ("OPTIONS /now", "405"),
        ("GET /other", "426"),
        ("GET http://localhost/other", "426"),
        ("GET localhost:1", "426"),
        ("GET *", "426"),
    ],
)
async def test_what_is_no_page_is_refused(line: str, status: str) -> None:
    site = Site()
    _, wire = site.ask(f"{line} HTTP/1.1\r\n{HOST}\r\n")
    assert wire.sent.startswith(f"HTTP/1.1 {status} ".encode())
    assert site.gates.refusals.counts == {status: 1}


@pytest.mark.parametrize(
    "head", ["GET /now HTTP/1.1\r\n\r\n", f"GET /now HTTP/1.1\r\n{HOST}{HOST}\r\n", "GET /now\r\n\r\n"]
)
async def test_what_is_no_valid_request_has_no_page(head: str) -> None:
    site = Site()
    _, wire = site.ask(head)
    assert wire.sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert site.asked == []


def test_the_length_is_that_of_the_body_in_bytes() -> None:
    assert b"\r\nContent-Length: 2\r\n" in http_of(Page(200, "é".encode()), has_body=False)
