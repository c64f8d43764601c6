# SPDX-License-Identifier: Apache-2.0
"""The I/O side of a worker: processes that somebody else has started, over streams that it is handed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError

from audio_connector.port import words
from audio_connector.port.host import Block, Deliver, Note, tell_nobody
from audio_connector.port.meters import Meters
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.load import LagMeter
from audio_connector.server.remote import Remote, RemoteIo

logger = logging.getLogger("audio_connector.cluster")

LOAD_S = 0.2
"""How often it says how its loop is."""

ANSWER_S = 1.0
"""For the word of an I/O process that all is closed, beyond the deadline of that."""


ORPHAN_S = 5.0
"""For a worker without a supervisor to end by itself."""


class AttachedIo:
    """A `port.host.IoHost` whose streams come over ``broker``, each with the serial number of its process.

    ``worker`` is the number of this one.
    """

    is_virtual = False

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
        *,
        broker: socket.socket,
        worker: int,
    ) -> None:
        self.worker: int | None = worker
        self.meters = Meters()
        self.on_block: Callable[[Block], None] = tell_nobody
        self._loop = application_loop
        self._lag = LagMeter(self.meters, "application", application_loop.call_later, time.monotonic)
        self._remote_io = remote_io = RemoteIo(
            application_loop,
            deliver,
            note,
            max_message_bytes=config.limits.max_message_bytes,
            on_word=self._take_word,
            meters=self.meters,
            on_block=lambda block: self.on_block(block),  # noqa: PLW0108 - it is set later
            on_lost=lambda _: self._wakes.set(),
            on_orphaned=self.shut_down,
        )
        self.post, self.owes_work, self.clock = remote_io.post, remote_io.owes_work, remote_io.clock
        self.id_prefix = ""
        self.ended: Future[None] = Future()
        self.is_ready = False
        """It takes calls."""
        self._broker = broker
        broker.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="audio-connector-io", daemon=True)
        self._wakes = threading.Event()
        self._is_ending = False
        self._orphaned_at = math.inf
        self._listening: Future[tuple[str, int]] = Future()
        self._all_closed: dict[int, Future[None]] = {}
        self._refused: dict[int, Mapping[str, int]] = {}

    def start(self) -> None:
        """Take streams from now on."""
        self._lag.start()
        self._thread.start()

    async def listen(self) -> tuple[str, int]:
        """Wait for the first I/O process. Returns the address that it listens on."""
        return await asyncio.wrap_future(self._listening)

    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused so far by the I/O processes that there are; a moment old."""
        return dict(sum((Counter(counts) for counts in self._refused.values()), Counter()))

    def refuse_calls(self) -> None:
        """Take no more calls: others do."""
        self.is_ready = False
        for remote in self._remote_io.remotes:
            self._remote_io.say(remote, words.Retire(0, None))

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Close the connections of this worker, and abort what is left at the deadline."""
        self.is_ready = False
        self._all_closed = {remote.serial: Future() for remote in self._remote_io.remotes}
        for remote in self._remote_io.remotes:
            self._remote_io.say(remote, words.CloseAll(code, reason, timeout_s))
        if self._all_closed:
            waiting = [asyncio.wrap_future(future) for future in self._all_closed.values()]
            await asyncio.wait(waiting, timeout=timeout_s + ANSWER_S)

    def sockets(self) -> list[socket.socket]:
        """Those of the streams."""
        return [remote.stream.sock for remote in self._remote_io.remotes]

    def shut_down(self) -> None:
        """End; from any thread."""
        self._is_ending = True
        self._lag.stop_from_anywhere(self._loop)
        self._wakes.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; True where it has ended."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _take_word(self, remote: Remote, word: words.Word) -> None:
        match word:
            case words.Started(host, port, id_prefix):
                self.id_prefix = id_prefix
                with contextlib.suppress(InvalidStateError):
                    self._listening.set_result((host, port))
            case words.Refused(counts):
                self._refused[remote.serial] = counts
            case words.AllClosed():
                self._note_closed(remote)

    def _note_closed(self, remote: Remote) -> None:
        if (future := self._all_closed.get(remote.serial)) is not None:
            with contextlib.suppress(InvalidStateError):
                future.set_result(None)

    # The thread.

    def _run(self) -> None:
        said_at = 0.0
        self._remote_io.start_looking()
        while not self._is_ending:
            self._remote_io.wait(self._wakes)
            self._take_streams()
            self._remote_io.look()
            for remote in self._remote_io.remotes:
                if remote.stream.is_lost:
                    self._lose(remote)
            now = self.clock()
            if self.is_ready and now - said_at >= LOAD_S:
                said_at = now
                self._remote_io.beat()
                lag_s, waiting = self._remote_io.lag_s(), self._remote_io.waiting
                for remote in self._remote_io.remotes:
                    self._remote_io.say(remote, words.Load(lag_s, waiting))
                    waiting = 0  # what several are told is summed up
        self._remote_io.stop_looking()
        for remote in self._remote_io.remotes:
            self._remote_io.lose(remote, "the server has stopped")
        with contextlib.suppress(InvalidStateError):
            self._listening.set_exception(ConnectionError("the worker was stopped while it started"))
        self.ended.set_result(None)

    def _take_streams(self) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while True:
                data, descriptors, _, _ = socket.recv_fds(self._broker, 64, 1)
                if not data:
                    self._end_orphan()
                    return
                if not descriptors:  # none was left; the I/O process finds its end closed, and says so
                    logger.error("an I/O process is not reached: raise the limit of open files (ulimit -n)")
                    continue
                sock = socket.socket(fileno=descriptors[0])
                sock.setblocking(False)
                self._remote_io.add(sock, int(data))

    def _end_orphan(self) -> None:
        """The supervisor is gone. The loop ends the program by that; where it is blocked, nobody else could."""
        self._orphaned_at = min(self._orphaned_at, self.clock())
        if self.clock() - self._orphaned_at > ORPHAN_S:
            os._exit(1)

    def _lose(self, remote: Remote) -> None:
        count = self._remote_io.lose(remote, "the I/O process has ended")
        if count:
            logger.error(
                "the I/O process has ended (%s): its %d calls are over", remote.stream.why_lost, count
            )
        self._note_closed(remote)
        self._refused.pop(remote.serial, None)
