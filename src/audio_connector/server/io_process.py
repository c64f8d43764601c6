# SPDX-License-Identifier: Apache-2.0
"""The I/O side in a process of its own, seen from the application's: nothing that this does makes anyone stutter.

The states: *starting* from the start of a process until it listens, *running* while its stream holds, *lost* when
that ends without our wish: its calls are over, and the next process is started, at once the first time and then after
a pause that doubles; *ending* from our wish on, until nothing of it is left.

The listening sockets are this process's, so that callers wait in them, and are not turned away, while there is no
other. A thread looks after all of it.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError

from audio_connector import errors
from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.port import words
from audio_connector.port.host import Block, Deliver, NoProcess, Note, can_start_process, tell_nobody
from audio_connector.port.meters import Found, Meters
from audio_connector.server.children import BackOff, IoChildProcess, crossing_of, start_word
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_meters import of_this_process
from audio_connector.server.load import LagMeter
from audio_connector.server.lost_loop import LostLoop
from audio_connector.server.remote import Remote, RemoteIo, log_word
from audio_connector.wire.addresses import duplicates_of, listen_on, shut_down
from audio_connector.wire.closing import ABNORMAL
from audio_connector.wire.network import LISTEN
from audio_connector.wire.tls_files import TlsFiles

logger = logging.getLogger("audio_connector.server")

START_S = 30.0
"""For a process to listen; it takes half a second on an idle machine."""

END_S = 2.0
"""For a process to end by itself; then it is killed."""

ANSWER_S = 1.0
"""For its word that all is closed, beyond the deadline of that: what it aborts takes half of it."""

GOODBYE_S = 1.5
"""For the closing handshakes of calls that nobody has ended, before the process ends by itself."""


class IoProcess:
    """Runs the I/O side of one server in a process of its own; a `port.host.IoHost`."""

    is_virtual = False

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
    ) -> None:
        self._config = config
        self.meters = Meters()
        self.worker: int | None = None
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
            on_orphaned=self._lose_application,
        )
        self.post, self.owes_work, self.clock = remote_io.post, remote_io.owes_work, remote_io.clock
        self.id_prefix = uuid.uuid4().hex[:20]
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="audio-connector-io", daemon=True)
        self._sockets: list[socket.socket] = []
        self._process: IoChildProcess | None = None
        self._remote: Remote | None = None
        self._serial = 0
        self._listening: Future[tuple[str, int]] = Future()
        self._all_closed: Future[None] = Future()
        self._wakes = threading.Event()
        """Set to have the thread look at once."""
        self._is_ending = False
        self._ends_at = math.inf
        """When it is not waited any longer for the process."""
        self._is_orphan = False
        """The application's loop is gone, or the interpreter ends: nobody has asked for the end."""
        self._lost_loop = LostLoop()
        self._takes_calls = True
        self._refused: Counter[str] = Counter()
        self._refused_before: Counter[str] = Counter()

    # From the application's loop.

    def start(self) -> None:
        """Measure how late the loop is. A process is started once there are sockets for it."""
        self._lag.start()

    async def listen(self) -> tuple[str, int]:
        """Open the listening sockets, or take duplicates of the configuration's, and start a process for them.

        Returns the first address.

        Raises:
            OSError: The address cannot be bound.
            AudioConnectorStartServerError: The certificate cannot be used.
            NoProcess: There can be no process; the sockets are closed again.
        """
        config = self._config
        if not can_start_process():
            self.shut_down()
            raise NoProcess("this program has no interpreter that a process could be started with")
        if config.tls is not None:  # here as well, so that whoever starts the server hears of it
            TlsFiles(config.tls.certfile, config.tls.keyfile, config.tls.client_ca)
        self._sockets = duplicates_of(config.sockets, LISTEN.backlog) or await listen_on(
            config.host, config.port, LISTEN.backlog
        )
        atexit.register(self._end_at_exit)
        self._thread.start()
        return await asyncio.wrap_future(self._listening)

    def refuse_calls(self) -> None:
        """Answer every upgrade with 503 from now on."""
        self._takes_calls = False
        self._say(words.RefuseCalls())

    def refusals(self) -> Mapping[str, int]:
        """How many connections were refused so far, by `wire.refusals.Refusal.name`; a moment old."""
        return dict(self._refused_before + self._refused)

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        self._is_ending = True
        if self._remote is None:
            return
        self._say(words.CloseAll(code, reason, timeout_s))
        closed = asyncio.wrap_future(self._all_closed)
        await asyncio.wait((closed,), timeout=timeout_s + ANSWER_S)

    # From any thread.

    def shut_down(self) -> None:
        """End the process, and then everything."""
        self._is_ending = True
        self._lost_loop.settle()
        self._ends_at = min(self._ends_at, self.clock() + END_S)
        self._say(words.ShutDown())
        self._lag.stop_from_anywhere(self._loop)
        self._wakes.set()
        if self._thread.ident is None:
            self._end()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; True where it has ended."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        atexit.unregister(self._end_at_exit)
        return True

    def _say(self, word: words.Word) -> None:
        if (remote := self._remote) is not None:
            self._remote_io.say(remote, word)

    def _end_at_exit(self) -> None:
        """The interpreter goes down and nobody has stopped the server: the process says goodbye by itself."""
        self._is_orphan = self._is_ending = True
        self._lost_loop.settle()
        self._wakes.set()
        self.join(END_S)

    def _lose_application(self) -> None:
        """The application's loop was closed without stopping the server."""
        if not self._is_ending:
            self._lost_loop.note()
        self._is_orphan = self._is_ending = True
        self._wakes.set()

    def _take_word(self, _: Remote, word: words.Word) -> None:
        match word:
            case words.Logged():
                log_word(word)
            case words.Refused(counts):
                self._refused = Counter(counts)
            case words.Started(host, port):
                if self._listening.done():
                    logger.warning("another I/O process listens")
                _settle(self._listening, (host, port))
            case words.NotStarted(kind, text):
                if self._listening.done():
                    logger.error("the I/O process cannot start again: %s", text)
                else:
                    made: type[Exception] = getattr(errors, kind, AudioConnectorStartServerError)
                    self._listening.set_exception(made(text))
            case words.Collect(token):
                rows = self._remote_io.rows()
                found = Found([*self.meters.snapshot(), *rows, *of_this_process("application")])
                self._say(words.Collected(token, found.as_json()))
            case words.AllClosed():
                _settle(self._all_closed, None)

    # The thread.

    def _run(self) -> None:
        back_off = BackOff(self.clock)
        self._remote_io.start_looking()
        try:
            while not self._is_ending:
                try:
                    remote = self._start_process()
                except OSError as error:
                    self._fail_start(f"{error.strerror or error}")
                else:
                    self._look_after(remote)
                    self._lose(remote)
                pause_s = back_off.pause_s()
                self._wakes.clear()
                if not self._is_ending:
                    self._wakes.wait(pause_s)
        finally:
            self._remote_io.stop_looking()
            self._end()

    def _start_process(self) -> Remote:
        crossing = crossing_of(self._config)
        self._process = IoChildProcess(crossing, self._sockets)
        self._serial += 1
        self._refused_before += self._refused
        self._refused = Counter()
        self._remote = remote = self._remote_io.add(self._process.sock, self._serial)
        start = start_word(
            crossing,
            self._sockets,
            serial=self._serial,
            are_lent=bool(self._config.sockets),
            takes_calls=self._takes_calls,
        )
        self._say(start)
        return remote

    def _look_after(self, remote: Remote) -> None:
        """Until the stream is lost, or the process has ended as was wished."""
        give_up_at = self.clock() + START_S
        while not remote.stream.is_lost and not self._is_orphan:
            self._remote_io.wait(self._wakes)
            self._remote_io.look()
            now = self.clock()
            if now > self._ends_at or (not self._listening.done() and now > give_up_at):
                remote.stream.lose("it did not answer in time")
            if self._process is not None and not self._process.is_alive():
                break

    def _fail_start(self, why: str) -> None:
        if self._listening.done():
            logger.error("the I/O process could not be started again: %s", why)
        else:
            self._is_ending = True
            self._listening.set_exception(NoProcess(why))

    def _lose(self, remote: Remote) -> None:
        """End the process, and the calls that it had."""
        patience_s = min(END_S, self._ends_at - self.clock()) if self._listening.done() else END_S
        if self._is_orphan:
            remote.stream.lose("the application has ended")
            remote.stream.hang_up()
            patience_s = GOODBYE_S + END_S
        assert self._process is not None
        how = self._process.reap(patience_s)
        why = remote.stream.why_lost or "it has ended"
        count = self._remote_io.lose(remote, f"the I/O process has ended ({how})")
        self._remote = None
        if not self._listening.done():
            self._fail_start(f"it ended with {how} before it listened")
        elif not self._is_ending:
            if count:  # nobody else is left who could tell of them
                self.meters.add("calls_ended", float(count), "server", str(ABNORMAL))
            text = "the I/O process has ended (%s; %s): its %d calls are over, and another one is started"
            logger.error(text, how, why, count)
        _settle(self._all_closed, None)

    def _end(self) -> None:
        for sock in self._sockets:
            if not self._config.sockets:
                shut_down(sock)
            sock.close()
        with contextlib.suppress(InvalidStateError):
            self._listening.set_exception(NoProcess("the server was stopped"))
        _settle(self._all_closed, None)
        self._lost_loop.tell()
        _settle(self.ended, None)


def _settle(future: Future[object] | Future[None] | Future[tuple[str, int]], value: object) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_result(value)  # type: ignore[arg-type]
