# SPDX-License-Identifier: Apache-2.0
"""The main program of the I/O process: sockets, calls and their timers, and a stream to the application's process.

It ends with that stream, whatever became of the other end, and by nothing else: a signal to the whole group of
processes is for the application, which decides what becomes of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from typing import Any

from audio_connector._version import __version__
from audio_connector.audio.resample import warm_up
from audio_connector.call import tells
from audio_connector.errors import VideoError
from audio_connector.port import words
from audio_connector.port.codec import SERVER, VERSION, Message
from audio_connector.port.stream import Stream
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide
from audio_connector.wire import picows
from audio_connector.wire.loop import add_prompt_reader, close_loop, new_loop, remove_prompt_reader

logger = logging.getLogger("audio_connector.server")

GOODBYE_S = 1.0
"""For the closing handshakes where the application is gone."""

CARE_S = 0.1
"""How old the count of refusals may be."""

PARENT_S = 1.0
"""How often it is asked whether the application's process lives: others that it has forked may hold the stream."""

MAX_WAITING = 20_000
"""Messages for an application that is stopped, beside the audio of its calls: from then on calls get 503."""

MAX_LOGGED = 1000
"""Of these, records for the log."""


class IoChild:
    """The I/O process."""

    def __init__(self, stream_sock: socket.socket, parent: int) -> None:
        self._loop = new_loop()
        self._stream = Stream(stream_sock, self._take, max_message_bytes=1 << 30)
        self._queue = self._stream.queue
        self._parent = parent
        self._side: IoSide | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_armed = False
        self._late_figures: dict[int, tells.Figures] = {}
        """The newest of each link that were not sent, since the application does not read."""
        self._refused: dict[str, int] = {}
        self._unlogged = 0
        self._is_over = False

    def run(self) -> None:
        """Do everything, until the end."""
        loop = self._loop
        asyncio.set_event_loop(loop)
        add_prompt_reader(loop, self._stream.sock.fileno(), self._read)
        loop.call_later(PARENT_S, self._look_at_parent)
        try:
            loop.run_forever()
        finally:
            if self._side is not None:
                self._side.stop()
            self._flush()
            remove_prompt_reader(loop, self._stream.sock.fileno())
            close_loop(loop)
            self._stream.close()

    # To the application.

    def post(self, message: Message) -> None:
        """Tell the application something of a link, in the order of events; the path of every incoming frame."""
        self._queue.append(message)
        if not self._is_armed:
            self._is_armed = True
            self._loop.call_soon(self._flush)

    def note(self, link_id: int, tell: Any) -> None:  # noqa: ANN401 - a tell, or figures
        """Tell it what is beside that order."""
        kind = type(tell)
        if kind is tells.Figures and self._stream.is_full:
            self._late_figures[link_id] = tell
        elif kind is tells.Figures:
            self.post((link_id, tell))
        elif kind in tells.ANSWERS:
            late = self._late_figures.pop(link_id, None)
            if late is not None:  # every answer comes behind figures that are as new
                self.post((link_id, late))
            self.post((link_id, tell))

    def say(self, word: words.Word) -> None:
        """Tell it something about the server."""
        self.post((SERVER, word))

    def _flush(self) -> None:
        self._is_armed = False
        if self._late_figures and not self._stream.is_full:
            self._queue.extend(self._late_figures.items())
            self._late_figures.clear()
        if not self._stream.flush():
            self._is_armed = True
            self._loop.add_writer(self._stream.sock.fileno(), self._flush_more)
        if self._stream.is_lost:
            self._end("the stream is lost")

    def _flush_more(self) -> None:
        if self._stream.flush():
            self._loop.remove_writer(self._stream.sock.fileno())
            self._flush()

    # From the application.

    def _read(self) -> None:
        self._stream.read()
        if self._stream.is_lost:
            remove_prompt_reader(self._loop, self._stream.sock.fileno())
            self._end("the stream is lost")

    def _take(self, message: Message) -> None:
        if message[0] != SERVER:
            if self._side is not None:
                self._side.apply(message)
            return
        match message[1]:
            case words.Start() as start:
                self._start_task(self._start(start))
            case words.RefuseCalls() if self._side is not None:
                self._side.refuse_calls()
            case words.CloseAll(code, reason, timeout_s):
                self._start_task(self._close_all(code, reason, timeout_s))
            case words.ShutDown():
                self._loop.stop()

    def _start_task(self, work: Any) -> None:  # noqa: ANN401 - a coroutine
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, start: words.Start) -> None:
        try:
            self._check_version(start)
            _log_to(self, start.log_level)
            config = AudioConnectorServerConfig(**json.loads(start.config))
            with contextlib.suppress(ImportError):  # whoever resamples is told
                warm_up()
            self._side = side = IoSide(
                config,
                post=self.post,
                note=self.note,
                listen=picows.listen,
                clock=time.monotonic,
                call_later=self._loop.call_later,
                first_link=start.first_link,
                has_room=lambda: len(self._queue) < MAX_WAITING,
            )
            sockets = [socket.socket(fileno=number) for number in start.sockets]
            host, port = await side.listen(sockets, are_lent=start.are_lent)
        except Exception as error:  # noqa: BLE001 - it is told
            kind = type(error).__name__ if isinstance(error, VideoError) else "AudioConnectorStartServerError"
            self.say(words.NotStarted(kind, str(error)))
            self._loop.call_later(GOODBYE_S, self._loop.stop)
            return
        if not start.takes_calls:
            side.refuse_calls()
        gc.collect()
        gc.freeze()  # what is there now stays: no collection has to look at it
        self.say(words.Started(host, port))
        self._care()

    @staticmethod
    def _check_version(start: words.Start) -> None:
        if (start.version, start.library) != (VERSION, __version__):
            raise VideoError(
                f"the application has version {start.library} of the library, and its I/O process {__version__}; "
                "start the program anew"
            )

    async def _close_all(self, code: int, reason: str, timeout_s: float) -> None:
        if self._side is not None:
            await self._side.close_all(code, reason, timeout_s)
            self._tell_refusals()
        self.say(words.AllClosed())

    # By itself.

    def _care(self) -> None:
        self._tell_refusals()
        if self._unlogged and len(self._queue) < MAX_LOGGED:
            lost, self._unlogged = self._unlogged, 0
            logger.warning("%d lines of this log were lost, since the application did not read them", lost)
        self._loop.call_later(CARE_S, self._care)

    def _tell_refusals(self) -> None:
        if self._side is not None and (counts := dict(self._side.refusals())) != self._refused:
            self._refused = counts
            self.say(words.Refused(counts))

    def log(self, word: words.Logged) -> None:
        """Have something logged, where the application reads that."""
        if len(self._queue) < MAX_LOGGED:
            self.say(word)
        else:
            self._unlogged += 1

    def _look_at_parent(self) -> None:
        if os.getppid() != self._parent:
            self._end("the application's process has ended")
        self._loop.call_later(PARENT_S, self._look_at_parent)

    def _end(self, why: str) -> None:
        """Nobody is left who could say what becomes of the calls: say goodbye."""
        if self._is_over:
            return
        self._is_over = True
        if self._side is None or not self._side.links:
            self._loop.stop()
            return
        task = self._loop.create_task(self._side.close_all(1001, "the server has stopped", GOODBYE_S))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._loop.stop())


class _ToApplication(logging.Handler):
    """Hands what is logged here to the log of the application."""

    def __init__(self, child: IoChild) -> None:
        super().__init__()
        self._child = child

    def emit(self, record: logging.LogRecord) -> None:
        traceback = None
        if record.exc_info:
            traceback = logging.Formatter().formatException(record.exc_info)
        self._child.log(
            words.Logged(record.name, record.levelno, record.getMessage(), record.created, traceback)
        )


def _log_to(child: IoChild, level: int) -> None:
    logging.basicConfig(level=level, handlers=[_ToApplication(child)], force=True)


def main() -> None:
    """Run; the arguments are the number of the stream's descriptor, the path of modules, and the parent's number."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    IoChild(sock, int(sys.argv[3])).run()
