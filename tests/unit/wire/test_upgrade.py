# SPDX-License-Identifier: Apache-2.0
"""Which requests are upgrades, and how the bytes of their heads are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.refusals import (
    BAD_UPGRADE,
    NOT_AN_UPGRADE,
    NOT_HTTP,
    OTHER_METHOD,
    OTHER_VERSION,
    TLS_AT_PLAIN_PORT,
    TOO_LARGE,
    Refusal,
)
from audio_connector.wire.upgrade import (
    MAX_HEADERS,
    MAX_METHOD_CHARACTERS,
    UpgradeRequest,
    header_text,
    read_upgrade,
    split_target,
    why_no_request,
)

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
        (head(line="POST / HTTP/1.1"), OTHER_METHOD),
        (head(("Content-Length", "12"), line="POST / HTTP/1.1"), OTHER_METHOD),
        (head(("Transfer-Encoding", "chunked"), line="PUT / HTTP/1.1"), OTHER_METHOD),
        (head(line="OPTIONS * HTTP/1.1"), OTHER_METHOD),
        (head(line="CONNECT localhost:80 HTTP/1.1"), OTHER_METHOD),
        (head(line="POST / HTTP/1.1", Host=None), NOT_HTTP),
        (head(line="HEAD / HTTP/1.1"), NOT_AN_UPGRADE),
        (head(line="GET * HTTP/1.1"), NOT_HTTP),
        (head(line="GET localhost:80 HTTP/1.1"), NOT_HTTP),
        (head(line="GET ftp://localhost/ HTTP/1.1"), NOT_HTTP),
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


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        ("/a?b=c", "/a?b=c"),
        ("http://localhost:8765/a?b=c", "/a?b=c"),
        ("WSS://localhost/a", "/a"),
        ("ws://localhost", "/"),
        ("ws://localhost?b=c", "/?b=c"),
        ("//a/b", "//a/b"),
        ("/http://a/b", "/http://a/b"),
    ],
)
def test_of_an_absolute_target_path_and_query_are_taken(sent: str, target: str) -> None:
    assert read(head(line=f"GET {sent} HTTP/1.1")).target == target


def test_the_bytes_of_a_path_are_read_as_those_of_a_header() -> None:
    utf_8 = read(head(("x", "/Zo\xc3\xab"), line="GET /Zo\xc3\xab HTTP/1.1"))
    assert utf_8.target == utf_8.headers["x"] == "/Zoë"
    assert read(head(line="GET /Zo\xeb HTTP/1.1")).target == "/Zoë"
    assert split_target("/a?b?c") == ("/a", "b?c")
    assert split_target("/a") == ("/a", "")


def test_headers_are_those_that_were_sent() -> None:
    assert read(head(Connection="keep-alive, Upgrade")).headers["connection"] == "keep-alive, Upgrade"


def first_refusal(raw: bytes, piece_bytes: int) -> tuple[int, Refusal | None]:
    """After how many bytes, read in pieces, a request is refused before its end."""
    for known in range(0, len(raw), piece_bytes):
        here = raw[: known + piece_bytes]
        if b"\r\n\r\n" in here:
            break
        refusal = why_no_request(here, known)
        if refusal is not None:
            return len(here), refusal
    return len(raw), None


@pytest.mark.parametrize(
    ("raw", "after_bytes", "why"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 1, TLS_AT_PLAIN_PORT),
        (b"\n", 1, NOT_HTTP),
        (b"\r\nGET", 1, NOT_HTTP),
        (b"\x00", 1, NOT_HTTP),
        (b" GET / HTTP/1.1", 1, NOT_HTTP),
        (b"GET\x00", 4, NOT_HTTP),
        (b"SSH-2.0-OpenSSH_9.6\r\n", 20, NOT_HTTP),
        (b"HELO\r\n", 5, NOT_HTTP),
        (b"GET / HTTP/2\r\nHost: x", 14, NOT_HTTP),
        (b"GET / HTTP/1.1\nHost: x", 15, NOT_HTTP),
        (b"GET / HTTP/1.1\r\nHost: x\ny", 24, NOT_HTTP),
        (b"A" * 100, MAX_METHOD_CHARACTERS + 1, NOT_HTTP),
        (b"PRI * HTTP/2.0\r\n", 16, NOT_HTTP),
    ],
)
@pytest.mark.parametrize("piece_bytes", [1, 1000])
def test_what_can_be_no_request_is_refused_at_the_byte_that_says_so(
    raw: bytes, after_bytes: int, why: Refusal, piece_bytes: int
) -> None:
    at, refusal = first_refusal(raw, piece_bytes)
    assert refusal == why
    if piece_bytes == 1:
        assert at == after_bytes


@given(
    st.sampled_from(
        [head(), head(line="POST / HTTP/1.1"), head(("x", "a" * 300), line="M-SEARCH /\xe9 HTTP/1.0")]
    ),
    st.integers(1, 50),
)
def test_no_request_is_refused_before_its_end(raw: bytes, piece_bytes: int) -> None:
    assert first_refusal(raw, piece_bytes) == (len(raw), None)


@given(st.binary(min_size=1, max_size=60), st.integers(1, 60))
def test_whatever_comes_is_refused_alike_in_one_piece_and_in_many(raw: bytes, piece_bytes: int) -> None:
    _, in_pieces = first_refusal(raw, piece_bytes)
    assert (in_pieces is None) == (first_refusal(raw, len(raw))[1] is None)
