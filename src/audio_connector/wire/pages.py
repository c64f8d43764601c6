# SPDX-License-Identifier: Apache-2.0
"""What is answered to who asks a port for a page instead of an upgrade: health checks, and who collects figures."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Page(NamedTuple):
    """An answer: its HTTP status, its body, and what that is."""

    status: int
    body: bytes
    content_type: str = TEXT


Answer = Callable[[Page], None]
"""Takes the page; to be called once, now or later. Who asked may be gone by then."""

Pages = Callable[[str, Answer], bool]
"""Answers for a path; False where it has no page there."""


def no_pages(path: str, answer: Answer) -> bool:
    """For a port without any."""
    return False


def http_of(page: Page, *, has_body: bool) -> bytes:
    """The bytes of an answer after which the connection ends; of one to HEAD without the body (RFC 9110 9.3.2)."""
    head = (
        f"HTTP/1.1 {page.status} {HTTPStatus(page.status).phrase}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"Content-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n\r\n"
    )
    return head.encode("ascii") + (page.body if has_body else b"")
