# SPDX-License-Identifier: Apache-2.0
"""Which requests are upgrades, and how the bytes of their heads are read."""

from __future__ import annotations

import pytest

from audio_connector.wire.refusals import (
    BAD_UPGRADE,
    NOT_AN_UPGRADE,
    NOT_HTTP,
    OTHER_VERSION,
    TLS_AT_PLAIN_PORT,
    TOO_LARGE,
    Refusal,
)
from audio_connector.wire.upgrade import MAX_HEADERS, UpgradeRequest, header_text, read_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {
    "Host": "localhost",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def head(*more: tuple[str, str], line: str = "GET /a?b=c HTTP/1.1", **changes: str | None) -> bytes:
    """A right head with these changes; None leaves a header out."""
    named = {name.replace("_", "-"): value for name, value in changes.items()}
    pairs = [*{**UPGRADE, **named}.items(), *more]
    lines = [f"{name}: {value}" for name, value in pairs if value is not None]
    return "\r\n".join([line, *lines]).encode("latin-1")


def read(raw: bytes) -> UpgradeRequest:
    request = read_upgrade(raw)
    assert isinstance(request, UpgradeRequest)
    return request


def test_an_upgrade_is_read_whole() -> None:
    request = read(head(("X-Name", "Zo\xc3\xab \t"), ("x-name", "Zo\xeb"), line="GET /\xe9?b=c HTTP/1.1"))
    assert (request.target, request.key) == ("/\xe9?b=c", KEY)
    assert request.headers.get_all("X-Name") == ["Zoë", "Zoë"]
    assert list(request.headers)[:2] == ["host", "upgrade"]
    assert request.headers["UPGRADE"] == "websocket"


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", " UPGRADE ,x"])
def test_an_upgrade_is_one_among_any_tokens(connection: str) -> None:
    read(head(Connection=connection))
    read(head(("connection", connection), Connection="keep-alive"))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (head(Connection=None), BAD_UPGRADE),
        (head(Connection="keep-alive"), BAD_UPGRADE),
        (head(Connection="upgrades"), BAD_UPGRADE),
        (head(Sec_WebSocket_Key=""), BAD_UPGRADE),
        (head(Sec_WebSocket_Key=None), BAD_UPGRADE),
        (head(Sec_WebSocket_Key=KEY[1:]), BAD_UPGRADE),
        (head(Sec_WebSocket_Key="short", Sec_WebSocket_Version="8"), BAD_UPGRADE),
        (head(Sec_WebSocket_Version="8"), OTHER_VERSION),
        (head(Sec_WebSocket_Version=None), OTHER_VERSION),
        (head(Upgrade=None), NOT_AN_UPGRADE),
        (head(Upgrade="h2c"), NOT_AN_UPGRADE),
        (head(line="POST / HTTP/1.1"), NOT_AN_UPGRADE),
        (head(line="GET / HTTP/1.0"), NOT_AN_UPGRADE),
        (head(line="GET / HTTP/2"), NOT_HTTP),
        (head(line="GET /a b HTTP/1.1"), NOT_HTTP),
        (head(Host=None), NOT_HTTP),
        (head(("Host", "again")), NOT_HTTP),
        (head(("Bad Name", "x")), NOT_HTTP),
        (head(("X", "a\x00b")), NOT_HTTP),
        (head(("Content-Length", "+0")), NOT_HTTP),
        (head(("Transfer-Encoding", "chunked")), NOT_HTTP),
        (head(*[(f"x-{at}", "y") for at in range(MAX_HEADERS)]), TOO_LARGE),
        (b"\x16\x03\x01\x02\x00", TLS_AT_PLAIN_PORT),
        (b"", NOT_HTTP),
        (b"GET / HTTP/1.1", NOT_HTTP),
        (head() + b"\r\n", NOT_HTTP),
        (head() + b"\r\n folded", NOT_HTTP),
        (head().replace(b"Upgrade\r\n", b"Upgrade\r\r\n"), NOT_HTTP),
        (head().replace(b"Upgrade\r\n", b"Upgrade\n"), NOT_HTTP),
        (head(("Connection", "x")).replace(b"\r\nConn", b"\nConn"), NOT_HTTP),
        (head() + b"\r\nX:" + b" " * 16_000 + b"\0", NOT_HTTP),  # in no time
    ],
)
def test_what_is_none_is_refused(raw: bytes, why: Refusal) -> None:
    assert read_upgrade(raw) == why


def test_bytes_beyond_ascii_are_utf_8_or_else_latin_1() -> None:
    one_of_each = read(head(("x", "Zo\xc3\xab"), ("x", "Zo\xeb")))
    assert one_of_each.headers.get_all("x") == ["Zoë", "Zoë"]
    assert read(head(("x", "Zo\xc3\xab\xc2\xa0 "))).headers["x"] == "Zoë\xa0"
    assert header_text("plain") == "plain"
    assert header_text("Zoë".encode().decode("ascii", "surrogateescape")) == "Zoë"
    assert header_text("Zoë".encode("latin-1").decode("ascii", "surrogateescape")) == "Zoë"
