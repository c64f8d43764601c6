# SPDX-License-Identifier: Apache-2.0
"""A worker: an application in a process of its own, whose calls are in others; the supervisor says when it ends.

It ends with the stream to its supervisor, and by no signal but SIGKILL: what is sent to every process of a service is
for the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from audio_connector.cluster.attached import AttachedIo
from audio_connector.port import words
from audio_connector.port.framing import SERVER, Message
from audio_connector.port.meters import Found
from audio_connector.port.stream import Stream
from audio_connector.server.children import crossing_of
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.garbage import loaded_is_kept
from audio_connector.server.io_meters import of_this_process
from audio_connector.server.log_output import logged_aside
from audio_connector.server.running import IO_HOST
from audio_connector.server.server import AudioConnectorServer, AudioConnectorServerHandle

logger = logging.getLogger("audio_connector.cluster")

Load = Callable[[str, str], AudioConnectorServerConfig]
"""Makes the configuration of an application and of settings, see `words.Serve`; raises what it cannot."""

MAX_MESSAGE_BYTES = 1 << 20

COUNT_S = 1.0
"""How old what a worker has counted may be."""


class Worker:
    """The main program of a worker."""

    def __init__(self, control: socket.socket, broker: socket.socket, load: Load) -> None:
        self._stream = Stream(control, self._take, max_message_bytes=MAX_MESSAGE_BYTES)
        self._broker = broker
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._serve: asyncio.Future[words.Serve] = self._loop.create_future()
        self._ending: asyncio.Future[float] = self._loop.create_future()
        """Done when it is to end, with the seconds for the calls to come to their end."""
        self._starting: asyncio.Task[AudioConnectorServerHandle] | None = None
        self._handle: AudioConnectorServerHandle | None = None
        self._io: AttachedIo | None = None
        self._tasks: list[asyncio.Task[object]] = []
        self._loop.add_reader(control, self._read)
        os.register_at_fork(after_in_child=self._let_go)

    def _let_go(self) -> None:
        """A process that the application forks does not keep the streams beyond the death of this one."""
        sockets = [] if self._io is None else self._io.sockets()
        for sock in (self._stream.sock, self._broker, *sockets):
            os.close(sock.detach())

    async def run(self) -> int:
        """Serve until the supervisor has enough; returns the exit status."""
        serve = await self._serve
        try:
            told = self._load(serve.app, serve.settings)
            # What cannot cross is said.
            config = AudioConnectorServerConfig(**{**dict(told), "isolation": "process"})
        except Exception as error:  # noqa: BLE001 - it is told
            self._say(words.NotLoaded(str(error)))
            return 2
        self._say(words.Loaded(crossing_of(config)))
        with logged_aside():
            return await self._serve_as(serve.number, config)

    async def _serve_as(self, number: int, config: AudioConnectorServerConfig) -> int:
        setattr(self._loop, IO_HOST, functools.partial(self._make_io, number))
        self._starting = self._loop.create_task(AudioConnectorServer().start_server(config))
        try:
            self._handle = await self._starting
        except asyncio.CancelledError:  # by `_end`; on_stop was called
            return 0
        except Exception as error:  # noqa: BLE001 - it is told
            self._say(words.NotLoaded(str(error)))
            return 2
        if self._io is not None:
            self._io.is_ready = True
        self._say(words.Ready())
        self._count(number)
        with loaded_is_kept():
            ended = await self._handle.drain(await self._ending)
        self._say(words.Drained(ended))
        return 0

    def _make_io(self, number: int, loop: asyncio.AbstractEventLoop, *arguments: Any) -> AttachedIo:  # noqa: ANN401
        self._io = AttachedIo(loop, *arguments, broker=self._broker, worker=number)
        return self._io

    def _count(self, number: int) -> None:
        """Say what was counted, now and then; a worker that is blocked says it later."""
        if self._io is not None and not self._stream.is_lost:
            rows = [*self._io.meters.snapshot(), *of_this_process(f"worker-{number}"), ("workers", (), 1.0)]
            self._say(words.Counted(Found(rows).as_json()))
            self._loop.call_later(COUNT_S, self._count, number)

    def _say(self, word: words.Word) -> None:
        self._stream.queue.append((SERVER, word))
        if not self._stream.flush():
            self._loop.add_writer(self._stream.sock, self._flush)

    def _flush(self) -> None:
        if self._stream.flush():
            self._loop.remove_writer(self._stream.sock)

    def _read(self) -> None:
        self._stream.read()
        if self._stream.is_lost:
            self._loop.remove_reader(self._stream.sock)
            logger.error("the supervisor has ended, and so does this worker")
            self._end(0.0)
            if not self._serve.done():
                self._serve.cancel()

    def _take(self, message: Message) -> None:
        match message[1]:
            case words.Serve() as serve:
                self._serve.set_result(serve)
            case words.Drain(timeout_s):
                self._end(timeout_s)
            case words.ShutDown():
                self._end(0.0)

    def _end(self, timeout_s: float) -> None:
        if not self._ending.done():
            self._ending.set_result(timeout_s)
            if self._starting is not None:
                self._starting.cancel()  # which does nothing once it has started
        elif self._handle is not None:  # a nearer deadline
            self._tasks.append(self._loop.create_task(self._handle.drain(timeout_s)))


async def _run(control: socket.socket, broker: socket.socket, load: Load) -> int:
    return await Worker(control, broker, load).run()


def work(load: Load) -> None:
    """Be a worker; the arguments are those of `server.children.ChildProcess`, and a broker's descriptor."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    status = 1
    control, broker = (socket.socket(fileno=int(number)) for number in (sys.argv[2], sys.argv[4]))
    control.setblocking(False)
    with control, broker:  # to the end: by the one of its stream the supervisor knows that it has ended
        with contextlib.suppress(asyncio.CancelledError):
            status = asyncio.run(_run(control, broker, load))
        logging.shutdown()
    sys.exit(status)
