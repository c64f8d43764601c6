# SPDX-License-Identifier: Apache-2.0
"""A loop that reads many busy sockets in rounds instead of waking up for each message.

The rules:

1. Readers are watched by an epoll of their own, and that one by the loop: a *look* calls all that are readable.
2. While little arrives, each look comes as soon as something is readable.
3. Where looks follow one another within `GATHER_S`, the loop stops watching and looks by a timer, as long as that
   finds `WORTH_IT` readers or more at a time. So what arrives waits for `GATHER_S` at most, and only where many share
   the wake-up; writers, timers and other threads are not held up meanwhile.

4. A look lasts `LOOK_S` at most. Where it leaves readers, the next one comes in the loop's next round, whatever else
   is ready before it, and begins with them.
5. Readers that have been called for less than `PROVEN` times come last, and where only such are left, after a pause.
   Each dial and each beginning of a call costs as much as ten frames, so that a peer which opens 200 calls at once,
   for whatever they bring, would keep the audio of all others waiting, here and in the application. Who has not even
   asked for an opening stays new, see `GatheringLoop.keep_new`: 300 requests that came byte by byte, and whose last
   bytes came at once, passed before all audio.
6. A reader is called as long as its socket has something to tell. uvloop's own watch tells of a reset once: what came
   before it is read then, and nobody hears of the reset. A peer that broke off a TLS handshake so kept its descriptor
   until the time for that was over.

Each wake-up hands the interpreter from the application's thread to this one and back, which costs more than a frame.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Callable
from typing import Any

import uvloop

GATHER_S = 0.003
"""A sixth of a frame: with 150 calls a look then finds more than twenty messages. uvloop's timers add up to 1 ms."""

WORTH_IT = 2
"""With four, 20 calls were not read in rounds and took twice the CPU: `make bench BENCH_ARGS="echo --calls 20"`."""

RETRY_S = 0.05
"""After a look that found fewer: whoever opens calls one after another is not held up by each."""


LOOK_S = 0.002
"""A tenth of a frame; time for the messages of a hundred calls. With twice that, a flood of 200 peers left each of 50
calls a gap now and then: `make attack ATTACK_ARGS="--only held-back"`."""

PROVEN = 10
"""A fifth of a second of audio: whoever is to be refused is gone by then."""


class _Reader:
    """What is called for a descriptor, and how often that was done."""

    __slots__ = ("args", "callback", "calls")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback, self.args = callback, args
        self.calls = 0


class GatheringLoop(uvloop.Loop):
    """uvloop's, where there is epoll; for the descriptors of sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._readers: dict[int, _Reader] = {}
        self._left: list[int] = []
        """Those that the last look has left, in its order."""
        self._epoll = select.epoll()
        self._gathers = False
        self._looked_at = self._not_before = 0.0
        super().add_reader(self._epoll.fileno(), self._look)

    def add_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]  # noqa: ANN401 - as asyncio has it
        """Call back whenever the descriptor is readable."""
        if self._readers.pop(fd, None) is not None:
            with contextlib.suppress(OSError):  # it was closed meanwhile, and this is another of that number
                self._epoll.unregister(fd)
        self._epoll.register(fd, select.EPOLLIN)
        self._readers[fd] = _Reader(callback, args)

    def add_prompt_reader(self, fd: int, callback: Callable[..., object], *args: Any) -> None:  # noqa: ANN401
        """The same, without gathering."""
        super().add_reader(fd, callback, *args)

    def remove_prompt_reader(self, fd: int) -> None:
        """Call that back no more."""
        super().remove_reader(fd)

    def keep_new(self, fd: int) -> None:
        """Take it for one that was never called."""
        if (reader := self._readers.get(fd)) is not None:
            reader.calls = 0

    def remove_reader(self, fd: int) -> bool:  # type: ignore[override]
        """Call back no more; to be said before the descriptor is closed."""
        if self._readers.pop(fd, None) is None:
            return False
        self._epoll.unregister(fd)
        return True

    def close(self) -> None:
        """Close, where that was not done."""
        if not self._epoll.closed:
            super().remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._readers.clear()
        super().close()

    def _look(self) -> None:
        found = self._in_order([fd for fd, _ in self._epoll.poll(0)])
        until = time.monotonic() + LOOK_S
        for at, fd in enumerate(found):
            if time.monotonic() > until:
                self._left = [fd for fd in found[at:] if fd in self._readers]
                break
            reader = self._readers.get(fd)
            if reader is None:
                continue  # one of those before has removed it
            reader.calls += 1
            try:
                reader.callback(*reader.args)
            except Exception as error:  # noqa: BLE001 - it is logged, and the others are called
                self.call_exception_handler({"message": "a reader failed", "exception": error})
        if not self._epoll.closed:
            self._plan(len(found), self.time())

    def _in_order(self, found: list[int]) -> list[int]:
        """Those first that are proven, and of both those first that the last look has left."""
        readers, left = self._readers, self._left
        if left:
            self._left = []
            waited, ready = set(left), set(found)
            found = [*(fd for fd in left if fd in ready), *(fd for fd in found if fd not in waited)]
        proven = [fd for fd in found if readers[fd].calls >= PROVEN]
        if len(proven) < len(found):
            new = [fd for fd in found if readers[fd].calls < PROVEN]
            if left:  # one gets on, however much the others have to tell
                proven.insert(0, new.pop(0))
            proven += new
        return proven

    def _plan(self, found: int, now: float) -> None:
        """Decide how the next look comes about."""
        if self._gathers and found < WORTH_IT:
            self._gathers = False
            self._not_before = now + RETRY_S
            super().add_reader(self._epoll.fileno(), self._look)
        elif not self._gathers and (self._left or self._not_before <= now < self._looked_at + GATHER_S):
            self._gathers = True
            super().remove_reader(self._epoll.fileno())
        if self._left and self._readers[self._left[0]].calls >= PROVEN:
            self.call_soon(self._look)
        elif self._gathers:
            self.call_later(GATHER_S, self._look)
        self._looked_at = now
