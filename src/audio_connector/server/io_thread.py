# SPDX-License-Identifier: Apache-2.0
"""The I/O thread, so that an application that blocks its own loop, or spins in Python, makes nobody stutter."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from audio_connector.audio.resample import warm_up
from audio_connector.call.asks import Ask
from audio_connector.port.host import Block, Deliver, Note, tell_nobody
from audio_connector.port.mailbox import Inbox, Outbox
from audio_connector.port.meters import Meters, Snapshot
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.endpoints import EndpointOptions
from audio_connector.server.io_meters import port_rows
from audio_connector.server.io_side import IoOptions, IoSide
from audio_connector.server.load import LagMeter
from audio_connector.server.lost_loop import LostLoop
from audio_connector.server.watchdog import LoopWatchdog
from audio_connector.wire import picows
from audio_connector.wire.addresses import duplicates_of
from audio_connector.wire.loop import close_loop, new_loop
from audio_connector.wire.network import LISTEN

GOODBYE_S = 1.0
"""For the closing handshakes of calls that nobody has ended."""

T = TypeVar("T")


class IoThread:
    """Runs the I/O side of one server in a thread of its own; a `port.host.IoHost`."""

    is_virtual = False

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
    ) -> None:
        self._loop = new_loop()
        self._config = config
        self._ending: asyncio.Task[None] | None = None
        self._lost_loop = LostLoop()
        call_later = self._loop.call_later
        self.meters = Meters()
        self.worker: int | None = None
        self.on_block: Callable[[Block], None] = tell_nobody
        self._application_loop = application_loop
        self._lag = LagMeter(self.meters, "application", application_loop.call_later, time.monotonic)
        self._watchdog: LoopWatchdog | None = None
        self.outbox = Outbox(
            application_loop, deliver, note, call_later=call_later, on_lost=self._lose_application
        )
        self.side = IoSide(
            config,
            post=self.outbox.post,
            note=note,
            listen=picows.listen,
            clock=time.monotonic,
            call_later=call_later,
            options=IoOptions(endpoints=EndpointOptions(rows=self._rows)),
        )
        self.inbox: Inbox[tuple[int, Ask]] = Inbox(
            self._loop, self.side.apply, application_loop=application_loop, on_lost=lambda: None
        )
        self.refusals = self.side.refusals
        self.post = self.inbox.post
        self.owes_work = self.outbox.owes_work
        self.clock = time.monotonic
        self.id_prefix = uuid.uuid4().hex[:20]
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="audio-connector-io", daemon=True)

    # From the application's loop.

    def start(self) -> None:
        """Start the thread, which watches from now on over the loop that calls this."""
        # A daemon thread that is still in its loop while the interpreter goes down may crash it.
        atexit.register(self._end_at_exit)
        pacer = self.side.pacer
        self._watchdog = watchdog = LoopWatchdog(
            self.outbox,
            threading.get_ident(),
            meters=self.meters,
            tell=lambda block: self.on_block(block),  # noqa: PLW0108 - it may be set yet
            has_audio=True,
        )
        watchdog.start()
        self._lag.start()
        self._loop.call_soon(lambda: pacer.arm(watchdog, watchdog.wake(time.monotonic())))
        self._thread.start()

    async def listen(self) -> tuple[str, int]:
        """Open the listening sockets, or take duplicates of the configuration's. Returns the first address."""
        sockets = duplicates_of(self._config.sockets, LISTEN.backlog)
        return await self.call(self.side.listen(sockets, are_lent=bool(sockets)))

    def refuse_calls(self) -> None:
        """Answer every upgrade with 503 from now on."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self.side.refuse_calls)

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        await self.call(self.side.close_all(code, reason, timeout_s))

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the I/O thread and wait for it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def shut_down(self) -> None:
        """End the thread; from any thread. It ends by itself within milliseconds."""
        self._lost_loop.settle()  # at once: that loop may be busy, and find the application's closed first
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._lag.stop_from_anywhere(self._application_loop)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; True where it has ended."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        atexit.unregister(self._end_at_exit)
        return True

    def _end_at_exit(self) -> None:
        """The interpreter goes down and nobody has stopped the server: say goodbye all the same."""
        self._lost_loop.settle()
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._end_by_itself)
        if not self.join(GOODBYE_S + 0.5):
            self.shut_down()
            self.join(2.0)

    # On the I/O thread.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        # Before anybody can call, since it takes a tenth of a second, once. Not beside the rest: a process that was
        # forked in the middle of an import waits for ever where it imports the same.
        with contextlib.suppress(ImportError):  # whoever resamples is told
            warm_up()
        try:
            self._loop.run_forever()
        finally:
            if self._watchdog is not None:
                self._watchdog.stop()
            self.side.stop()
            close_loop(self._loop)
            self.inbox.give_up()
            self._lost_loop.tell()
            self.ended.set_result(None)

    def _rows(self) -> Snapshot:
        """What is counted beside the calls."""
        outbox, inbox = self.outbox, self.inbox
        since = outbox.pending_since
        return [
            *self.meters.snapshot(),
            *port_rows("to_application", outbox.batches, outbox.messages),
            *port_rows("from_application", inbox.batches, inbox.messages),
            ("port_waiting_messages", (), float(outbox.waiting)),
            ("port_lag_seconds_max", (), 0.0 if since is None else time.monotonic() - since),
            ("workers", (), 1.0),
        ]

    def _lose_application(self) -> None:
        """The application's loop was closed without stopping the server."""
        self._lost_loop.note()
        self._end_by_itself()

    def _end_by_itself(self) -> None:
        if self._ending is None:
            goodbye = self.side.close_all(1001, "the server has stopped", GOODBYE_S)
            self._ending = self._loop.create_task(goodbye)
            self._ending.add_done_callback(lambda _: self._loop.stop())
