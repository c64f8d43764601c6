# SPDX-License-Identifier: Apache-2.0
"""When the write buffer of a TLS connection is full, and when it has drained.

aiofastnet counts only what waits in front of its buffer for TLS records, and that buffer holds 16 KiB, half a
second of audio, before anything waits there. So the marks of its transport would speak late, and what leaves that
buffer leaves without a word.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, cast

from aiofastnet.ssl_transport import SSLTransport_Socket  # type: ignore[import-not-found]

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


def watch_write_buffer(
    transport: asyncio.Transport,
    high_bytes: int,
    on_full: Callable[[], None],
    on_drained: Callable[[], None],
) -> tuple[Callable[[], int], Watermarks | None]:
    """Have a transport tell its protocol of its marks, or watch them where that would be late.

    Returns:
        What tells how many bytes are unsent, and who watches; None where the transport does.
    """
    if not isinstance(transport, SSLTransport_Socket):
        transport.set_write_buffer_limits(high=high_bytes, low=high_bytes // 4)
        return transport.get_write_buffer_size, None
    transport.set_write_buffer_limits(high=sys.maxsize)
    # With what waits as TLS records.
    unsent_bytes = cast("Callable[[], int]", transport.get_local_write_buffer_size)
    call_later = asyncio.get_running_loop().call_later
    return unsent_bytes, Watermarks(
        unsent_bytes, high_bytes, on_full=on_full, on_drained=on_drained, call_later=call_later
    )


def _nothing() -> int:
    return 0
