# SPDX-License-Identifier: Apache-2.0
"""Keeps keys out of what `websockets` logs at DEBUG: all headers of its handshakes, and the key is in one of them."""

from __future__ import annotations

import logging


class _Mask(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without keys."""
        if isinstance(record.args, tuple):
            record.args = tuple(self._masked(arg) if isinstance(arg, str) else arg for arg in record.args)
        return True

    def _masked(self, text: str) -> str:
        for key in self.keys:
            text = text.replace(key, "…")
        return text


_MASK = _Mask()


def mask(key: str) -> None:
    """Show a key as "…" from here on. A filter and no more: level and handlers stay as they are."""
    if key:
        _MASK.keys.add(key)
        logging.getLogger("websockets.client").addFilter(_MASK)  # which adds it once
