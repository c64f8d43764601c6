# SPDX-License-Identifier: Apache-2.0
"""When the write buffer of a TLS connection is full, and when it has drained.

aiofastnet counts only what waits in front of its buffer for TLS records, and that buffer holds 16 KiB, half a
second of audio, before anything waits there. So the marks of its transport would speak late, and what leaves that
buffer leaves without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LOOK_AGAIN_S = 0.01
"""Half a frame: how late a buffer that has drained is noticed. It is looked at only while it is full."""


class Watermarks:
    """Those of one connection.

    Args:
        unsent_bytes: Asks for all bytes that the kernel has not taken yet.
        high_bytes: More than this is full; a quarter of it is drained.
        on_full: Told at the first write beyond.
        on_drained: Told once, after that.
        call_later: The loop's.
    """

    def __init__(
        self,
        unsent_bytes: Callable[[], int],
        high_bytes: int,
        *,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._unsent_bytes = unsent_bytes
        self._high_bytes = high_bytes
        self._on_full = on_full
        self._on_drained = on_drained
        self._call_later = call_later
        self._timer: Any = None

    def on_written(self) -> None:
        """Look after a write."""
        if self._timer is None and self._unsent_bytes() > self._high_bytes:
            self._timer = self._call_later(LOOK_AGAIN_S, self._look_again)
            self._on_full()

    def stop(self) -> None:
        """Tell nothing more; the connection has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._unsent_bytes = _nothing

    def _look_again(self) -> None:
        if self._unsent_bytes() > self._high_bytes // 4:
            self._timer = self._call_later(LOOK_AGAIN_S, self._look_again)
        else:
            self._timer = None
            self._on_drained()


def _nothing() -> int:
    return 0
