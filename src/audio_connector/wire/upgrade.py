# SPDX-License-Identifier: Apache-2.0
"""Judges the headers of an upgrade request, which RFC 6455 4.2.1 asks of a server."""

from __future__ import annotations

import re
from collections.abc import Iterable

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)


def judge_upgrade(connection: Iterable[str], key: str, version: str | None) -> int | None:
    """Judge an upgrade request: None where it is one, else the status to answer with.

    Args:
        connection: Every value of ``Connection``; a list of tokens, as Firefox and some proxies send it.
        key: ``Sec-WebSocket-Key``: 16 bytes in base64.
        version: ``Sec-WebSocket-Version``.
    """
    tokens = [token.strip().lower() for value in connection for token in value.split(",")]
    if "upgrade" not in tokens or _KEY.fullmatch(key) is None:
        return 400
    return None if version == "13" else 426


def header_text(value: str) -> str:
    """Read bytes beyond ASCII, which come as surrogates: UTF-8 is sent in practice, Latin-1 never fails."""
    raw = value.encode("ascii", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
