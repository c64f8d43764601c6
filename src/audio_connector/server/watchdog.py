# SPDX-License-Identifier: Apache-2.0
"""Notices, from the I/O thread, that the application's loop is blocked, and says by which handler.

The audio does not suffer from that, but the application hears everything late, and nothing else would tell.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

from audio_connector.server import mail
from audio_connector.server.mailbox import Mailbox

logger = logging.getLogger("audio_connector.server")

CHECK_S = 0.2
BLOCKED_S = 0.5
"""25 frames: the point from which a caller notices that a reply is late."""

HANDED_OVER_BY = ("intake/dispatch.py", "server/session.py", "intake/handlers.py")


class LoopWatchdog:
    """Watches one application loop; a `playback.pacer.Paced`.

    Args:
        outbox: The mailbox to that loop.
        thread_id: The thread that it runs in.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        outbox: Mailbox[mail.ToApplication],
        thread_id: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.armed_at: float | None = None
        self.id = 0
        self._outbox = outbox
        self._thread_id = thread_id
        self._clock = clock
        self._blocked_since: float | None = None
        self._where = ""

    def wake(self, now: float) -> float:
        """Look; called every `CHECK_S` on the I/O thread."""
        if self._outbox.is_receiver_closed:
            self._outbox.give_up()
            return now + CHECK_S
        waiting_since = self._outbox.armed_since
        if self._blocked_since is not None and waiting_since != self._blocked_since:
            self._say(self._outbox.drained_at - self._blocked_since)
        elif waiting_since is None:
            self._outbox.post(mail.Heartbeat())
        elif self._blocked_since is None and now - waiting_since >= BLOCKED_S:
            self._blocked_since = waiting_since
            self._where = where_is(sys._current_frames().get(self._thread_id))
        return now + CHECK_S

    def _say(self, blocked_s: float) -> None:
        self._blocked_since = None
        logger.warning(
            "the application's event loop was blocked for %.1f s, in %s. Incoming audio was kept and playback went "
            "on, but every handler waited: await slow work, or run it with asyncio.to_thread()",
            blocked_s,
            self._where,
        )


def where_is(frame: FrameType | None) -> str:
    """Name the handler that a thread is in, and the line it is at."""
    stack: list[FrameType] = []
    while frame is not None:
        stack.append(frame)
        frame = frame.f_back
    handler: FrameType | None = None
    for inner, outer in pairwise(stack):
        if _is_ours(outer) and not _is_ours(inner):
            handler = inner
            break
    if handler is None:
        return f"{_name(stack[0])}, outside of handlers" if stack else "a thread that has ended"
    if stack[0] is handler:
        return f"the handler {_name(handler)}"
    return f"the handler {_name(handler)}, at {_name(stack[0])}"


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.replace("\\", "/").endswith(HANDED_OVER_BY)


def _name(frame: FrameType) -> str:
    code: Any = frame.f_code
    name = getattr(code, "co_qualname", code.co_name)
    line = traceback.extract_stack(frame, limit=1)[0].lineno
    return f"{name} ({code.co_filename}:{line})"
