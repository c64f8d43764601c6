# SPDX-License-Identifier: Apache-2.0
"""Texts for a page. Names, details and close reasons come from a peer: each passes `shown` or `attribute`."""

from __future__ import annotations

import html
from collections.abc import Iterable

from audio_connector.wire.quoting import printable

_MINUTE_S = 60


def attribute(text: str, limit: int = 300) -> str:
    """A text of a peer for an attribute or for SVG."""
    return html.escape(printable(text, limit))


def shown(text: str, limit: int = 300) -> str:
    """A text of a peer for HTML; its direction of writing ends with it."""
    return f"<bdi>{attribute(text, limit)}</bdi>"


def items(lines: Iterable[str]) -> str:
    """Texts of a peer as the items of a list."""
    return "".join(f"<li>{shown(line)}</li>" for line in lines)


def at(seconds: float) -> str:
    """A time of a call: ``13.50 s``, ``2:13.50``."""
    if seconds < _MINUTE_S:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 2), _MINUTE_S)
    return f"{minutes:.0f}:{rest:05.2f}"


def milliseconds(ms: float) -> str:
    """A duration as it is written into a picture."""
    return f"{ms:,.0f} ms"
