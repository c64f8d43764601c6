# SPDX-License-Identifier: Apache-2.0
"""Where an upgrade carries a token: a header, query or path, all that a REST call can set (PROTOCOL 1.28)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from audio_connector.errors import UsageError
from audio_connector.wire.transport import Headers

AUTHORIZATION: Final = "authorization"
"""The one header whose value is ``Bearer TOKEN`` (RFC 6750 2.1); any other has the token alone."""

MAX_FIELDS: Final = 100
"""Of a query; more are none that anybody sends."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)


class Carrier(NamedTuple):
    """One of them.

    Attributes:
        kind: "header", "query" or "path": the last part of the path.
        name: Of the header or the query's field; empty for the path.
    """

    kind: str
    name: str = ""

    @classmethod
    def of(cls, text: object) -> Carrier:
        """Read ``header:NAME``, ``query:NAME`` or ``path``.

        Raises:
            UsageError: It is none of these.
        """
        kind, colon, name = text.partition(":") if isinstance(text, str) else ("", "", "")
        if kind == "path" and not colon:
            return cls(kind)
        if kind in ("header", "query") and _NAME.fullmatch(name):
            return cls(kind, name.lower() if kind == "header" else name)
        raise UsageError(
            f"carrier={text!r}: expected 'header:authorization', 'header:NAME', 'query:NAME' or 'path'"
        )

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind

    def tokens_in(self, path: str, query: str, headers: Headers) -> list[str]:
        """All that stands there; of a good request it is one."""
        if self.kind == "path":
            last = path.rpartition("/")[2]
            return [last] if last else []
        if self.kind == "query":
            try:
                fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS)
            except ValueError:
                return []
            return [value for name, value in fields if name == self.name]
        values = headers.get_all(self.name)
        if self.name != AUTHORIZATION:
            return values
        return [bearer[1] if (bearer := _BEARER.fullmatch(value)) else "" for value in values]

    def headers_of(self, token: str) -> dict[str, str]:
        """The headers that carry it."""
        if self.kind != "header":
            return {}
        return {self.name: f"Bearer {token}" if self.name == AUTHORIZATION else token}

    def target_of(self, token: str, url: str) -> str | None:
        """Path and query that carry it, in place of the URL's; None where a header does."""
        parts = urlsplit(url)
        if self.kind == "path":
            return f"{parts.path.rstrip('/')}/{token}" + (f"?{parts.query}" if parts.query else "")
        if self.kind == "query":
            field = f"{quote(self.name)}={quote(token)}"
            return (
                f"{parts.path or '/'}?{parts.query}&{field}"
                if parts.query
                else f"{parts.path or '/'}?{field}"
            )
        return None
