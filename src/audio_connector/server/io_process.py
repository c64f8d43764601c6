# SPDX-License-Identifier: Apache-2.0
"""The I/O side in a process of its own, seen from the application's: nothing that this does makes anyone stutter.

The states: *starting* from the start of a process until it listens, *running* while its stream holds, *lost* when
that ends without our wish: its calls are over, and the next process is started, at once the first time and then after
a pause that doubles; *ending* from our wish on, until nothing of it is left.

The listening sockets are this process's, so that callers wait in them, and are not turned away, while there is no
other. The stream is read on the application's loop. A thread looks after the process, and reads and writes where that
loop does not come to it: answers reach those who wait in other loops, and what they ask is done.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError

from audio_connector import errors
from audio_connector._version import __version__
from audio_connector.call import tells
from audio_connector.call.asks import Ask
from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.intake.items import TextItem
from audio_connector.port import words
from audio_connector.port.codec import SERVER, VERSION, Message
from audio_connector.port.host import Deliver, NoProcess, Note, can_start_process
from audio_connector.port.mailbox import BUSY_S, Outbox
from audio_connector.port.stream import Stream, stream_pair
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.watchdog import LoopWatchdog
from audio_connector.wire.addresses import duplicates_of, listen_on, shut_down
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.network import LISTEN
from audio_connector.wire.tls_files import TlsFiles

logger = logging.getLogger("audio_connector.server")

LOOK_S = 0.05
"""How often the thread looks whether the application's loop has come to the stream; a quarter of the lead."""

START_S = 30.0
"""For a process to listen; it takes half a second on an idle machine."""

END_S = 2.0
"""For a process to end by itself; then it is killed."""

ANSWER_S = 1.0
"""For its word that all is closed, beyond the deadline of that: what it aborts takes half of it."""

GOODBYE_S = 1.5
"""For the closing handshakes of calls that nobody has ended, before the process ends by itself."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Between two processes that die soon."""

LIVED_S = 10.0
"""A process that lived for so long did not die of how it was started."""

CODE = "import sys; sys.path[:] = sys.argv[2].split('\\n'); from audio_connector.server.io_child import main; main()"
"""What the child runs; by text, since -m would take modules of the current folder for the standard library's."""

CROSSING = ("host", "port", "tls", "audio_transport", "playback", "intake", "limits", "timeouts")
"""The fields of the configuration that concern the I/O side."""

NOT_ANSWERED = (tells.Figures, *tells.ANSWERS)
"""Tells that are not part of the order of events."""


class IoProcess:
    """Runs the I/O side of one server in a process of its own; a `port.host.IoHost`."""

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        config: AudioConnectorServerConfig,
    ) -> None:
        self._loop = application_loop
        self._note = note
        self._config = config
        self._outbox = Outbox(
            application_loop, deliver, note, call_later=lambda _, wake: wake(), on_lost=self._lose_application
        )
        self.owes_work = self._outbox.owes_work
        self.clock = time.monotonic
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="audio-connector-io", daemon=True)
        self._application_thread = threading.get_ident()
        self._watchdog = LoopWatchdog(self._outbox, self._application_thread)
        self._sockets: list[socket.socket] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: Stream | None = None
        self._listening: Future[tuple[str, int]] = Future()
        self._all_closed: Future[None] = Future()
        self._wakes = threading.Event()
        """Set to have the thread look at once."""
        self._is_ending = False
        self._ends_at = math.inf
        """When it is not waited any longer for the process."""
        self._is_orphan = False
        """The application's loop is gone, or the interpreter ends: nobody has asked for the end."""
        self._takes_calls = True
        self._links: set[int] = set()
        self._last_link = 0
        self._refused: Counter[str] = Counter()
        self._refused_before: Counter[str] = Counter()
        self._reads = 0
        """How often the application's loop has read."""
        self._is_armed = False
        """It will flush at the end of its round."""
        self._flushed_at = 0.0

    # From the application's loop.

    def start(self) -> None:
        """Nothing yet: a process is started once there are sockets for it."""

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
        """How many connections were refused so far, by HTTP status, "timeout" or "tls"; a moment old."""
        return dict(self._refused_before + self._refused)

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        self._is_ending = True
        if self._stream is None:
            return
        self._say(words.CloseAll(code, reason, timeout_s))
        closed = asyncio.wrap_future(self._all_closed)
        await asyncio.wait((closed,), timeout=timeout_s + ANSWER_S)

    # From any thread.

    def post(self, ask: tuple[int, Ask]) -> None:
        """Ask something of the connection of that number; never blocking."""
        stream = self._stream
        if stream is None or stream.is_lost:
            return  # its calls are over, and have been told so
        stream.queue.append(ask)
        if self._is_armed:
            return
        if threading.get_ident() == self._application_thread and self.clock() - self._flushed_at < BUSY_S:
            # It is amid a round of many. Where it blocks instead of ending the round the thread looks again.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._is_armed = True
                self._loop.call_soon(self._flush_round)
                return
        self._flush(stream)

    def shut_down(self) -> None:
        """End the process, and then everything."""
        self._is_ending = True
        self._ends_at = min(self._ends_at, self.clock() + END_S)
        self._say(words.ShutDown())
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
        if (stream := self._stream) is not None and not stream.is_lost:
            stream.queue.append((SERVER, word))
            self._flush(stream)

    def _flush_round(self) -> None:
        self._is_armed = False
        if (stream := self._stream) is not None:
            self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        self._flushed_at = self.clock()
        if not stream.flush():
            self._on_loop(self._await_room, stream)
        if stream.is_lost:
            self._wakes.set()

    def _on_loop(self, work: object, *arguments: object) -> None:
        """Have the application's loop do it, where that is not closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, *arguments)  # type: ignore[arg-type]

    def _end_at_exit(self) -> None:
        """The interpreter goes down and nobody has stopped the server: the process says goodbye by itself."""
        self._is_orphan = self._is_ending = True
        self._wakes.set()
        self.join(END_S)

    # The stream, on the application's loop.

    def _watch_stream(self, stream: Stream) -> None:
        if not stream.is_lost:
            self._loop.add_reader(stream.sock, self._read_on_loop, stream)

    def _read_on_loop(self, stream: Stream) -> None:
        """What came is delivered here and now, without a wake-up."""
        self._reads += 1
        stream.read()
        self._outbox.drain()
        if stream.is_lost:
            self._loop.remove_reader(stream.sock)
            self._wakes.set()

    def _await_room(self, stream: Stream) -> None:
        if not stream.is_lost:
            self._loop.add_writer(stream.sock, self._write_on_loop, stream)

    def _write_on_loop(self, stream: Stream) -> None:
        if stream.flush():
            self._loop.remove_writer(stream.sock)

    def _forget_stream(self, stream: Stream) -> None:
        self._loop.remove_reader(stream.sock)
        self._loop.remove_writer(stream.sock)
        stream.close()

    def _take(self, message: Message) -> None:
        """Take what the process tells; on whichever thread reads."""
        link_id, tell = message
        kind = type(tell)
        if kind is bytes or kind is TextItem:
            self._outbox.hold(message)
        elif link_id == SERVER:
            self._take_word(tell)
        else:
            if kind is tells.Opened:
                self._links.add(link_id)
                self._last_link = max(self._last_link, link_id)
            elif kind is tells.Ended:
                self._links.discard(link_id)
            self._note(link_id, tell)
            if kind not in NOT_ANSWERED:
                self._outbox.hold(message)

    def _take_word(self, word: words.Word) -> None:
        match word:
            case words.Logged():
                _log(word)
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
            case words.AllClosed():
                _settle(self._all_closed, None)

    def _lose_application(self) -> None:
        """The application's loop was closed without stopping the server."""
        if not self._is_ending:
            logger.warning(
                "the event loop that started the server has ended without handle.stop(); its connections are "
                "closed with 1001. Await handle.stop() before the loop ends, or let audio_connector.run() do it"
            )
        self._is_orphan = self._is_ending = True
        self._wakes.set()

    # The thread.

    def _run(self) -> None:
        pause_s = 0.0
        try:
            while not self._is_ending:
                started_at = self.clock()
                try:
                    stream = self._start_process()
                except OSError as error:
                    self._fail_start(f"{error.strerror or error}")
                else:
                    self._watch(stream)
                    self._lose(stream)
                if self._is_ending:
                    break
                lived = self.clock() - started_at > LIVED_S
                pause_s = 0.0 if lived else min(LONGEST_PAUSE_S, 2 * pause_s or FIRST_PAUSE_S)
                self._wakes.clear()
                if not self._is_ending:
                    self._wakes.wait(pause_s)
        finally:
            self._end()

    def _start_process(self) -> Stream:
        ours, theirs = stream_pair()
        with theirs:
            handed = [theirs.fileno(), *(sock.fileno() for sock in self._sockets)]
            try:
                self._process = subprocess.Popen(
                    [
                        sys.executable,
                        *subprocess._args_from_interpreter_flags(),  # type: ignore[attr-defined]
                        "-c",
                        CODE,
                        f"{theirs.fileno()}",
                        "\n".join(sys.path),
                        f"{os.getpid()}",
                    ],
                    stdin=subprocess.DEVNULL,
                    pass_fds=handed,
                    start_new_session=True,  # Ctrl-C in a terminal reaches this process alone
                )
            except BaseException:
                ours.close()
                raise
        stream = Stream(ours, self._take, max_message_bytes=self._config.limits.max_message_bytes)
        self._refused_before += self._refused
        self._refused = Counter()
        start = words.Start(
            version=VERSION,
            library=__version__,
            config=self._config.model_dump_json(include=set(CROSSING)),
            sockets=tuple(handed[1:]),
            are_lent=bool(self._config.sockets),
            first_link=self._last_link + 1,
            takes_calls=self._takes_calls,
            log_level=min(logging.INFO, logging.getLogger("audio_connector.wire").getEffectiveLevel()),
        )
        stream.queue.append((SERVER, start))
        self._stream = stream
        self._flush(stream)
        self._on_loop(self._watch_stream, stream)
        return stream

    def _watch(self, stream: Stream) -> None:
        """Look after the process until its stream is lost, or it has ended as was wished."""
        poll = select.poll()
        poll.register(stream.sock, select.POLLIN)
        reads, looks_at, give_up_at = -1, 0.0, self.clock() + START_S
        is_late = False
        while not stream.is_lost and not self._is_orphan:
            if is_late:
                poll.poll(LOOK_S * 1000)
            else:
                self._wakes.wait(LOOK_S)
                self._wakes.clear()
            if stream.queue or stream.is_full:
                stream.flush()
            is_late = self._reads == reads and bool(poll.poll(0))
            reads = self._reads
            if is_late and stream.read():
                self._outbox.post_heartbeat()
            now = self.clock()
            if now >= looks_at:
                looks_at = self._watchdog.wake(now)
            if now > self._ends_at or (not self._listening.done() and now > give_up_at):
                stream.lose("it did not answer in time")
            if self._process is not None and self._process.poll() is not None:
                while stream.read():
                    pass  # what it said last
                stream.lose("it has ended")
        if stream.is_lost and self._outbox.pending_since is None:
            self._outbox.post_heartbeat()  # whatever was read here

    def _fail_start(self, why: str) -> None:
        if self._listening.done():
            logger.error("the I/O process could not be started again: %s", why)
        else:
            self._is_ending = True
            self._listening.set_exception(NoProcess(why))

    def _lose(self, stream: Stream) -> None:
        """The stream is lost: end the process, and the calls that it had."""
        self._stream = None
        why = stream.why_lost
        if self._loop.is_closed():
            stream.close()
        else:
            self._on_loop(self._forget_stream, stream)
        how = self._reap(min(END_S, self._ends_at - self.clock()) if self._listening.done() else END_S)
        if not self._listening.done():
            self._fail_start(f"it ended with {how} before it listened")
        elif not self._is_ending:
            logger.error(
                "the I/O process has ended (%s; %s): its %d calls are over, and another one is started",
                how,
                why,
                len(self._links),
            )
        ended = tells.Ended(
            Disconnected(code=1006, reason=f"the I/O process has ended ({how})", closed_by="server")
        )
        for link_id in sorted(self._links):
            self._note(link_id, ended)
            self._outbox.hold((link_id, ended))
        self._links.clear()
        self._outbox.post_heartbeat()
        _settle(self._all_closed, None)

    def _reap(self, timeout_s: float) -> str:
        """Wait for the process, and kill it where it goes on; says how it ended."""
        process = self._process
        if process is None:
            return "nothing"
        try:
            status = process.wait(GOODBYE_S + END_S if self._is_orphan else max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        return f"signal {-status}" if status < 0 else f"status {status}"

    def _end(self) -> None:
        for sock in self._sockets:
            if not self._config.sockets:
                shut_down(sock)
            sock.close()
        with contextlib.suppress(InvalidStateError):
            self._listening.set_exception(NoProcess("the server was stopped"))
        _settle(self._all_closed, None)
        _settle(self.ended, None)


def _settle(future: Future[object] | Future[None] | Future[tuple[str, int]], value: object) -> None:
    with contextlib.suppress(InvalidStateError):
        future.set_result(value)  # type: ignore[arg-type]


def _log(word: words.Logged) -> None:
    """Say in this process's log what was said in the other one's."""
    log = logging.getLogger(word.logger)
    if log.isEnabledFor(word.level):
        record = log.makeRecord(word.logger, word.level, "(I/O process)", 0, word.text, (), None)
        record.created, record.exc_text = word.created, word.traceback
        log.handle(record)
