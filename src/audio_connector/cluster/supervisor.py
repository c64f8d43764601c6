# SPDX-License-Identifier: Apache-2.0
"""Starts the I/O processes and the workers, connects each with each, and keeps them running until it is told to end.

It never imports an application: the first worker does, and tells what of the configuration concerns the I/O side. The
listening sockets are the supervisor's, so that callers wait in them while an I/O process is started anew.

A worker is *starting* until it is ready, *serving*, *retiring* once it gets no more calls (its calls go to others, or
stay to their end), and *ending* once it was told so. One that dies is started anew, after a pause that doubles where
that happens soon; its calls have gone to others by then. A *reload* starts as many new ones, and only once all of
these are ready the old ones retire.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audio_connector.cluster.member import Member
from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.port import words
from audio_connector.port.stream import stream_pair
from audio_connector.server.children import BackOff, ChildProcess, IoChildProcess, start_word
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.remote import log_word
from audio_connector.wire.addresses import duplicates_of, listen_on, shut_down, why_not_bound
from audio_connector.wire.network import LISTEN
from audio_connector.wire.tls_files import TlsFiles

logger = logging.getLogger("audio_connector.cluster")

START_S = 60.0
"""For a worker to be ready: an application may load a model."""

LISTEN_S = 30.0
"""For an I/O process to listen."""

END_S = 5.0
"""For a process to end once it was told so; then it is killed."""

STOP_S = 4.0
"""Beyond the deadline of a drain, for handlers that still run."""

MEMORY_S = 2.0
"""How often the memory of the workers is looked at."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be served, and how.

    Attributes:
        app: The application, as ``words.Serve`` says it to a worker.
        settings: Its settings, likewise.
        worker_module: The module whose ``main()`` is a worker.
        workers: How many of them.
        io_processes: How many I/O processes share the port.
        memory_mb: A worker that takes more is replaced; None for any.
        move_s: A call of a worker that retires goes to another one while nothing is said, at the latest after so
            long; None: it stays to its end.
        drain_s: For all calls to come to their end.
    """

    app: str
    settings: str
    worker_module: str
    workers: int = 2
    io_processes: int = 1
    memory_mb: float | None = None
    move_s: float | None = 10.0
    drain_s: float = 30.0


@dataclass(eq=False)
class _Io:
    """An I/O process and what it listens on."""

    sockets: list[socket.socket]
    back_off: BackOff
    member: Member | None = None
    broker: socket.socket | None = None
    serial: int = 0
    retired: set[int] = field(default_factory=set)


class Supervisor:
    """The main program; on the running loop. ``say`` is given a line when it listens."""

    def __init__(self, plan: Plan, say: Callable[[str], None], sockets: Sequence[socket.socket] = ()) -> None:
        self._plan = plan
        self._say = say
        self._lent = sockets
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._serials = itertools.count(0)
        self._id_prefix = uuid.uuid4().hex[:20]
        self._config: AudioConnectorServerConfig | None = None
        self._crossing = ""
        self._ios: list[_Io] = []
        self._workers: dict[int, Member] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Future[None] = self._loop.create_future()
        self._drains_until: float | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._wants_reload = self._was_cut = False
        self.address = ""

    # From outside.

    async def run(self) -> bool:
        """Serve until `drain`; True where every call had come to its end.

        Raises:
            UsageError: The application cannot be had.
            AudioConnectorStartServerError: It cannot listen.
        """
        try:
            await self._start()
            self._say(f"listening on {self.address}")
            await self._ending
            return not self._was_cut
        finally:
            await self._end_all()

    def drain(self) -> None:
        """Let every call come to its end, and end; asked again, end at once."""
        if self._drains_until is None:
            self._drains_until = self._loop.time() + self._plan.drain_s
            self._spawn(self._drain())
        else:
            self._drains_until = self._loop.time()
            for worker in self._workers.values():
                worker.say(words.ShutDown())

    def reload(self) -> None:
        """Start new workers, and have them take the calls of the old ones."""
        if self._drains_until is not None:
            return
        self._wants_reload = True
        if self._reloading is None or self._reloading.done():
            self._reloading = self._spawn(self._reload())

    # Start.

    async def _start(self) -> None:
        first = self._start_worker()
        loaded = await first.wait_for(words.Loaded, START_S)
        if isinstance(loaded, words.NotLoaded):
            raise UsageError(loaded.text)
        if not isinstance(loaded, words.Loaded):
            raise UsageError(f"the application did not load within {START_S:g} s, or its process ended")
        self._crossing = loaded.config
        self._config = config = AudioConnectorServerConfig.model_validate_json(loaded.config)
        if config.tls is not None:
            TlsFiles(config.tls.certfile, config.tls.keyfile, config.tls.client_ca)
        for sockets in await self._listen(config):
            self._ios.append(_Io(sockets, BackOff(time.monotonic)))
        for io in self._ios:
            await self._start_io(io)
        others = [self._start_worker() for _ in range(self._plan.workers - 1)]
        await self._await_ready([first, *others])
        if self._plan.memory_mb is not None:
            self._spawn(self._watch_memory(self._plan.memory_mb))

    async def _listen(self, config: AudioConnectorServerConfig) -> list[list[socket.socket]]:
        """The sockets of each I/O process; where there are several they share the port."""
        count = self._plan.io_processes
        if self._lent:
            lent = duplicates_of(self._lent, LISTEN.backlog)
            self._note_address(config, lent[0].getsockname()[1])
            return [lent, *(duplicates_of(self._lent, LISTEN.backlog) for _ in range(count - 1))]
        try:
            if count > 1 and config.port:  # a port that may be shared tells nobody that it is in use
                for sock in await listen_on(config.host, config.port, LISTEN.backlog):
                    sock.close()
            listening = [await listen_on(config.host, config.port, LISTEN.backlog, shares_port=count > 1)]
            port = listening[0][0].getsockname()[1]
            while len(listening) < count:
                listening.append(await listen_on(config.host, port, LISTEN.backlog, shares_port=True))
        except (OSError, UnicodeError, OverflowError) as error:
            text = why_not_bound(config.host, config.port, error)
            raise AudioConnectorStartServerError(text) from error
        self._note_address(config, port)
        return listening

    def _note_address(self, config: AudioConnectorServerConfig, port: int) -> None:
        host = f"[{config.host}]" if ":" in config.host else config.host or "localhost"
        self.address = f"{'wss' if config.is_secure else 'ws'}://{host}:{port}"

    async def _await_ready(self, workers: Sequence[Member]) -> None:
        for worker in workers:
            ready = await worker.wait_for(words.Ready, START_S)
            if isinstance(ready, words.NotLoaded):
                raise UsageError(ready.text)
            if ready is None:
                raise UsageError(f"a worker was not ready within {START_S:g} s, or it ended")

    # I/O processes.

    async def _start_io(self, io: _Io) -> None:
        assert self._config is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = IoChildProcess(io.sockets, theirs)
            word = start_word(
                self._config,
                io.sockets,
                serial=(serial := next(self._serials)),
                are_lent=bool(self._lent),
                takes_calls=self._drains_until is None,
                broker=theirs,
                id_prefix=self._id_prefix,
            )
            io.broker, io.serial, io.retired = ours, serial, set()
            io.member = member = Member(0, child, self._take_from_io(io), lambda _: self._lose_io(io))
            member.say(word)
            started = await member.wait_for(words.Started, LISTEN_S)
        if isinstance(started, words.NotStarted):
            raise AudioConnectorStartServerError(started.text)
        if started is None:
            raise AudioConnectorStartServerError("an I/O process did not listen in time, or it ended")
        for worker in self._workers.values():
            self._connect(worker, io)

    def _take_from_io(self, io: _Io) -> Callable[[Member, words.Word], None]:
        def take(_: Member, word: words.Word) -> None:
            if isinstance(word, words.Logged):
                log_word(word)
            elif isinstance(word, words.Retired):
                io.retired.add(word.number)
                self._note_retired(word.number)

        return take

    def _lose_io(self, io: _Io) -> None:
        if self._ending.done() or io.member is None:
            return
        how = io.member.how_ended()
        logger.error("an I/O process has ended (%s): its calls are over, and another one is started", how)
        self._spawn(self._restart_io(io))

    async def _restart_io(self, io: _Io) -> None:
        while not self._ending.done():
            self._close_io(io)
            await asyncio.sleep(io.back_off.pause_s())
            try:
                await self._start_io(io)
            except (OSError, AudioConnectorStartServerError) as error:
                logger.error("an I/O process could not be started again: %s", error)
            else:
                logger.warning("another I/O process listens")
                return

    @staticmethod
    def _close_io(io: _Io) -> None:
        if io.member is not None:
            io.member.close()
            io.member = None
        if io.broker is not None:
            io.broker.close()
            io.broker = None

    # Workers.

    def _start_worker(self) -> Member:
        number = next(self._numbers)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            child = ChildProcess(self._plan.worker_module, (theirs.fileno(),), (theirs.fileno(),))
        worker = self._workers[number] = Member(
            number, child, self._take_from_worker, self._lose_worker, broker=ours
        )
        worker.say(words.Serve(self._plan.app, self._plan.settings, number))
        for io in self._ios:
            self._connect(worker, io)
        return worker

    def _connect(self, worker: Member, io: _Io) -> None:
        """Give both ends of a stream away."""
        if io.broker is None or worker.broker is None:
            return
        ends = stream_pair()
        with contextlib.suppress(OSError):  # one of them has just ended: that is noticed by itself
            socket.send_fds(io.broker, [b"%d" % worker.number], [ends[0].fileno()])
            socket.send_fds(worker.broker, [b"%d" % io.serial], [ends[1].fileno()])
        for end in ends:
            end.close()

    def _take_from_worker(self, worker: Member, word: words.Word) -> None:
        if isinstance(word, words.Loaded) and self._crossing and word.config != self._crossing:
            logger.warning(
                "the configuration of the new worker differs in what concerns the I/O side, which a reload does not "
                "change; start the program anew for that"
            )
        elif isinstance(word, words.Drained):
            self._was_cut |= not word.ended

    def _lose_worker(self, worker: Member) -> None:
        self._workers.pop(worker.number, None)
        how = worker.how_ended()
        worker.close()
        if worker.is_ending:
            return
        if self._drains_until is not None:
            self._was_cut = True
            logger.error("worker %d has ended (%s) in the middle of the drain", worker.number, how)
        elif worker.was_ready and not worker.is_retiring:
            logger.error("worker %d has ended (%s); another one is started", worker.number, how)
            self._spawn(self._restart_worker(worker.back_off))

    async def _restart_worker(self, back_off: BackOff) -> None:
        while self._drains_until is None:
            await asyncio.sleep(back_off.pause_s())
            worker = self._start_worker()
            worker.back_off = back_off
            ready = await worker.wait_for(words.Ready, START_S)
            if isinstance(ready, words.Ready):
                logger.warning("worker %d takes calls", worker.number)
                return
            why = ready.text if isinstance(ready, words.NotLoaded) else worker.how_ended()
            logger.error("worker %d is not ready (%s); it is tried again", worker.number, why)
            worker.kill()

    # Reload.

    async def _reload(self) -> None:
        while self._wants_reload and self._drains_until is None:
            self._wants_reload = False  # whoever asks from here on may have changed something
            old = [worker for worker in self._workers.values() if not worker.is_retiring]
            if await self._replace(old):
                logger.warning("reloaded: %d new workers take the calls of the old ones", len(old))

    async def _replace(self, old: Sequence[Member]) -> bool:
        """Start as many new ones, and have these retire; False where the new ones are not ready."""
        new = [self._start_worker() for _ in old]
        try:
            await self._await_ready(new)
        except UsageError as error:
            logger.error("the new workers are not used, and the old ones go on: %s", error)
            for worker in new:
                worker.is_ending = True
                worker.kill()
            return False
        for worker in old:
            worker.is_retiring = True
            for io in self._ios:
                if io.member is not None:
                    io.member.say(words.Retire(worker.number, self._plan.move_s))
        return True

    def _note_retired(self, number: int) -> None:
        worker = self._workers.get(number)
        if worker is not None and all(number in io.retired for io in self._ios if io.member is not None):
            worker.is_ending = True
            worker.say(words.ShutDown())
            self._spawn(self._see_it_end(worker))

    async def _see_it_end(self, worker: Member) -> None:
        if not await worker.wait_ended(END_S + STOP_S):
            logger.warning("worker %d did not end by itself and is killed", worker.number)
            worker.kill()

    async def _watch_memory(self, limit_mb: float) -> None:
        """Replace who takes too much, one after another."""
        while self._drains_until is None:
            await asyncio.sleep(MEMORY_S)
            for worker in list(self._workers.values()):
                used_mb = memory_mb(worker.pid)
                if worker.was_ready and not worker.is_retiring and used_mb > limit_mb:
                    logger.warning("worker %d takes %.0f MB and is replaced", worker.number, used_mb)
                    await self._replace([worker])

    # End.

    async def _drain(self) -> None:
        for io in self._ios:
            if io.member is not None:
                io.member.say(words.RefuseCalls())
        for worker in self._workers.values():
            worker.is_ending = True
            worker.say(words.Drain(self._plan.drain_s))
        while self._workers and self._drains_until is not None:
            left_s = self._drains_until + STOP_S - self._loop.time()
            if left_s <= 0:
                self._was_cut = True
                break
            waits = [self._loop.create_task(worker.wait_ended(left_s)) for worker in self._workers.values()]
            await asyncio.wait(waits, timeout=min(left_s, 0.5))
            for each in waits:
                each.cancel()
        if not self._ending.done():
            self._ending.set_result(None)

    async def _end_all(self) -> None:
        """Leave nothing behind."""
        if not self._ending.done():
            self._ending.set_result(None)
        for task in list(self._tasks):
            task.cancel()
        for worker in list(self._workers.values()):
            worker.is_ending = True
            worker.kill()
            worker.close()
        for io in self._ios:
            if io.member is not None:
                io.member.say(words.CloseAll(1001, "the server has stopped", 1.0))
                await io.member.wait_for(words.AllClosed, 2.0)
                io.member.say(words.ShutDown())
                if not await io.member.wait_ended(END_S):
                    io.member.kill()
            self._close_io(io)
            for sock in io.sockets:
                if not self._lent:
                    shut_down(sock)
                sock.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    def _spawn(self, work: Any) -> asyncio.Task[Any]:  # noqa: ANN401 - a coroutine
        task: asyncio.Task[Any] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("the supervisor failed at something; it goes on", exc_info=error)


def memory_mb(pid: int) -> float:
    """The memory of a process that is in use; 0 where the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0
