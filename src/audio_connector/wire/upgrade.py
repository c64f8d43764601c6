# SPDX-License-Identifier: Apache-2.0
"""Reads the head of an HTTP request, and judges whether it is a WebSocket upgrade (RFC 9112, RFC 6455 4.2.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from audio_connector.wire.forwarded import is_address
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
from audio_connector.wire.transport import Headers

MAX_HEADERS = 128
"""As picows has it."""

MAX_METHOD_CHARACTERS = 32
"""Of a request that is not complete; the longest registered method has 17."""

_BEGINNING = re.compile(rb"[!#$%%&'*+.^_`|~0-9A-Za-z-]{1,%d}(?: |\Z)" % MAX_METHOD_CHARACTERS)
_LONE_NEWLINE = re.compile(rb"(?<!\r)\n")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~\x80-\xff]+) HTTP/1\.([01])")
_HEADERS = re.compile(r"\r\n([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\U0010ffff]*)(?=\r\n|\Z)")
"""Blanks around a value are taken off afterwards. Matched here, 15 kB of them before a wrong byte took a second."""
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
_NO_BODY = re.compile(r"0+", re.ASCII)
_HOST = re.compile(rb"\r\nhost:[ \t]*(\[[^\]\r]*\]|[^:\r]*)", re.IGNORECASE)
"""Without the port."""
_TLS_HANDSHAKE = b"\x16"
"""No method begins with it."""

_ABSOLUTE = re.compile(r"(?:https?|wss?)://[^/?#]*", re.IGNORECASE)

_ABSENT = ("",)
_NO_LENGTH = ("0",)

_SINGLE = frozenset({"upgrade", "host", "sec-websocket-key", "sec-websocket-version", "content-length"})
"""Headers that may come once: of two, everyone who reads the request might go by another (RFC 9110 5.3)."""


class UpgradeRequest(NamedTuple):
    """A valid WebSocket upgrade.

    Attributes:
        target: Path and query, as sent; of an absolute-form target (RFC 9112 3.2.2) what follows the authority.
        headers: All of them.
        key: ``Sec-WebSocket-Key``.
    """

    target: str
    headers: Headers
    key: str


def why_no_request(head: bytes, known_bytes: int = 0) -> Refusal | None:
    """Say why what has come can be the beginning of no request, however it goes on; None where it can.

    So who speaks TLS, SSH or nonsense at this port hears so at once, and not after the time for a whole request.

    Args:
        head: All that has come; the end of the headers is not among it.
        known_bytes: So many of them were asked about before.
    """
    # With a lone newline a line ends elsewhere than others see it end.
    if _LONE_NEWLINE.search(head, max(0, known_bytes - 1)):
        return _no_request(head)
    line, newline, _ = head.partition(b"\r\n")
    if newline:
        is_possible = len(line) + len(newline) <= known_bytes or _REQUEST_LINE.fullmatch(line)
    else:
        is_possible = _BEGINNING.match(head[: MAX_METHOD_CHARACTERS + 1])
    return None if is_possible else _no_request(head)


def _no_request(head: bytes) -> Refusal:
    return TLS_AT_PLAIN_PORT if head.startswith(_TLS_HANDSHAKE) else NOT_HTTP


def read_upgrade(head: bytes) -> UpgradeRequest | Refusal:
    """Read and judge a request.

    Args:
        head: Request line and headers, without the empty line at the end.
    """
    line = head.partition(b"\r\n")[0]
    request = _REQUEST_LINE.fullmatch(line)
    if request is None:
        return _no_request(line)
    line_count = head.count(b"\r\n")
    if line_count > MAX_HEADERS:
        return TOO_LARGE
    try:
        found = _HEADERS.findall(head[len(line) :].decode())
    except UnicodeDecodeError:
        found = [
            (name, _text(value)) for name, value in _HEADERS.findall(head[len(line) :].decode("latin-1"))
        ]
    if len(found) != line_count:
        return NOT_HTTP
    values: dict[str, list[str]] = {}
    for each, value in found:
        name = each.lower()
        if name not in values:
            values[name] = [value.strip(" \t")]
        elif name in _SINGLE:
            return NOT_HTTP
        else:
            values[name].append(value.strip(" \t"))
    refusal = _judge(request[1], request[3] == b"1", values)
    if refusal is not None:
        return refusal
    target = _target_of(_text(request[2].decode("latin-1")))
    if target is None:
        return NOT_HTTP
    return UpgradeRequest(target, Headers.of(values), values["sec-websocket-key"][0])


def _target_of(sent: str) -> str | None:
    """Path and query (RFC 9112 3.2); None for the forms that no GET has."""
    if sent.startswith("/"):
        return sent
    absolute = _ABSOLUTE.match(sent)
    if absolute is None:
        return None
    rest = sent[absolute.end() :]
    return rest if rest.startswith("/") else f"/{rest}"


def split_target(target: str) -> tuple[str, str]:
    """Path and query."""
    path, _, query = target.partition("?")
    return path, query


def page_asked(head: bytes) -> str | None:
    """The path that a valid request other than an upgrade asks for; None where it wants something else of it."""
    request = _REQUEST_LINE.fullmatch(head.partition(b"\r\n")[0])
    if request is None or request[1] not in (b"GET", b"HEAD"):
        return None
    target = _target_of(request[2].decode("latin-1"))
    return None if target is None else split_target(target)[0]


def is_asked_for(names: Sequence[str], head: bytes) -> bool:
    """Whether a valid request is for one of these hosts, for an address, or does not say for which.

    A page in a browser may have its own name point to this machine, and would read what it gets as its own (DNS
    rebinding). An address has no name.
    """
    found = _HOST.search(head)
    name = "" if found is None else found[1].decode("latin-1").rstrip().lower()
    return not name or name in names or is_address(name.strip("[]"))


def _judge(method: bytes, is_newest: bool, values: dict[str, list[str]]) -> Refusal | None:
    def single(name: str) -> str:
        return values.get(name, _ABSENT)[0]

    if is_newest and "host" not in values:  # RFC 9112 3.2
        return NOT_HTTP
    if method not in (b"GET", b"HEAD"):
        return OTHER_METHOD
    length = values.get("content-length", _NO_LENGTH)[0]
    if "transfer-encoding" in values or _NO_BODY.fullmatch(length) is None:
        return NOT_HTTP
    if method == b"HEAD" or not is_newest or single("upgrade").lower() != "websocket":
        return NOT_AN_UPGRADE
    # A list of tokens, as Firefox and some proxies send it.
    tokens = [token.strip() for token in ",".join(values.get("connection", ())).lower().split(",")]
    if "upgrade" not in tokens or _KEY.fullmatch(single("sec-websocket-key")) is None:
        return BAD_UPGRADE
    return None if single("sec-websocket-version") == "13" else OTHER_VERSION


def _text(value: str) -> str:
    """Read a value again that was read as Latin-1: UTF-8 is sent in practice, Latin-1 never fails."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError:
        return value


def header_text(value: str) -> str:
    """Read bytes beyond ASCII, which picows hands out as surrogates, in the same way."""
    return _text(value.encode(errors="surrogateescape").decode("latin-1"))
