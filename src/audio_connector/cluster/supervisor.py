# SPDX-License-Identifier: Apache-2.0
"""Starts the I/O processes and the workers, connects each with each, and keeps them running until it is told to end.

It never imports an application: the first worker does, and tells what of the configuration concerns the I/O side. The
listening sockets are the supervisor's, so that callers wait in them while an I/O process is started anew.

A worker is *starting* until it is ready, *serving* while it has a seat, *retiring* once another one has that
(its calls go to others, or stay to their end), and *ending* once it was told so. There are as many seats as there are
to be workers. Where the one of a seat dies it is filled anew, after a pause that doubles where that happens soon; its
calls have gone to others by then. A *reload* starts one for each seat, and only once all are ready they take these.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from audio_connector.cluster import memory
from audio_connector.cluster.collecting import Collecting
from audio_connector.cluster.member import IoPlace, Member, Seat, broker_pair
from audio_connector.cluster.plan import Plan
from audio_connector.cluster.sockets import address_of, sockets_for
from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.port import words
from audio_connector.port.stream import stream_pair
from audio_connector.server.children import (
    BackOff,
    ChildProcess,
    IoChildProcess,
    from_crossing,
    start_word,
)
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_meters import of_this_process
from audio_connector.server.remote import log_word
from audio_connector.server.service_manager import tell_ready, tell_reloading, tell_stopping
from audio_connector.wire.addresses import shut_down
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

LOST_S = 0.2
"""Between the end of a worker's stream to an I/O process and its own."""

NOT_REPLACED = "no worker takes the place of the one that has ended (%s); it is tried again"


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
        self._ios: list[IoPlace] = []
        self._workers: dict[int, Member] = {}
        self._seats: list[Seat] = []
        self._collecting = Collecting(
            lambda asking: [io.member for io in self._ios if io.member not in (None, asking)],
            lambda: of_this_process("supervisor"),
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending: asyncio.Future[None] = self._loop.create_future()
        self._drains_until: float | None = None
        self._reloading: asyncio.Task[None] | None = None
        self._wants_reload = self._was_cut = self._is_serving = False
        self.address = ""

    # From outside.

    async def run(self) -> bool:
        """Serve until `drain`; True where every call had come to its end.

        Raises:
            UsageError: The application cannot be had.
            AudioConnectorStartServerError: It cannot listen.
        """
        try:
            try:
                await self._start()
            except UsageError:
                if self._drains_until is None:
                    raise
            else:
                self._is_serving = True
                self._say(listens := f"listening on {self.address}")
                tell_ready(f"{listens}; workers: {len(self._seats)}")
                if self._wants_reload:
                    self.reload()
            await self._ending
            return not self._was_cut
        finally:
            await self._end_all()

    def drain(self) -> None:
        """Let every call come to its end, and end; asked again, end at once."""
        if self._drains_until is None:
            drain_s = self._plan.drain_within_s(self._config)
            text = f"draining, for {drain_s:g} s at most; workers: {len(self._workers)}"
            tell_stopping(text, within_s=drain_s + STOP_S + 2 * END_S)
            self._drains_until = self._loop.time() + drain_s
            self._spawn(self._drain())
        else:
            self._drains_until = self._loop.time()
            for worker in self._workers.values():
                worker.say(words.ShutDown())

    def reload(self) -> None:
        """Start new workers, and have them take the calls of the old ones; while it starts, once it has."""
        if self._drains_until is not None:
            return
        self._wants_reload = True
        if self._is_serving and (self._reloading is None or self._reloading.done()):
            self._reloading = self._spawn(self._reload())

    # Start.

    async def _start(self) -> None:
        (first,) = self._start_workers(1)
        self._seats.append(Seat(BackOff(time.monotonic), first))
        loaded = await first.wait_for(words.Loaded, START_S)
        if isinstance(loaded, words.NotLoaded):
            raise UsageError(loaded.text)
        if not isinstance(loaded, words.Loaded):
            raise UsageError(self._why_not_ready(first))
        self._crossing = loaded.config
        self._config = config = from_crossing(loaded.config)
        if config.tls is not None:
            TlsFiles(config.tls.certfile, config.tls.keyfile, config.tls.client_ca)
        for sockets in await sockets_for(config, self._lent, self._plan.io_processes):
            self._ios.append(IoPlace(sockets, BackOff(time.monotonic)))
        self.address = address_of(config, self._ios[0].sockets)
        for io in self._ios:
            await self._start_io(io)
        others = self._start_workers(self._plan.workers - 1)
        self._seats += (Seat(BackOff(time.monotonic), worker) for worker in others)
        await self._await_ready([seat.worker for seat in self._seats if seat.worker is not None])
        if self._plan.memory_mb is not None:
            self._spawn(self._watch_memory(self._plan.memory_mb))

    async def _await_ready(self, workers: Sequence[Member]) -> None:
        for worker in workers:
            ready = await worker.wait_for(words.Ready, START_S)
            if isinstance(ready, words.NotLoaded):
                raise UsageError(ready.text)
            if not isinstance(ready, words.Ready):
                raise UsageError(self._why_not_ready(worker))
        for worker in workers:
            if worker.is_lost:  # while the others were waited for
                raise UsageError(self._why_not_ready(worker))

    @staticmethod
    def _why_not_ready(worker: Member) -> str:
        if worker.is_lost:
            return f"worker {worker.number} has ended while it started ({worker.how_ended()})"
        return f"worker {worker.number} was not ready within {START_S:g} s"

    # I/O processes.

    async def _start_io(self, io: IoPlace) -> None:
        ours, theirs = broker_pair()
        io.is_started, io.broker = False, ours
        with theirs:
            child = IoChildProcess(self._crossing, io.sockets, theirs)
            word = start_word(
                self._crossing,
                io.sockets,
                serial=(serial := next(self._serials)),
                are_lent=bool(self._lent),
                takes_calls=self._drains_until is None,
                broker=theirs,
                id_prefix=self._id_prefix,
                is_admin=io is self._ios[0],
            )
            io.serial = serial
            io.member = member = Member(
                0, child, self._take_from_io(io), lambda lost: self._lose_io(io, lost)
            )
            member.say(word)
            self._introduce(io)
            started = await member.wait_for(words.Started, LISTEN_S)
        if isinstance(started, words.NotStarted):
            raise AudioConnectorStartServerError(started.text)
        if started is None:
            raise AudioConnectorStartServerError("an I/O process did not listen in time, or it ended")
        io.is_started = True

    def _introduce(self, io: IoPlace) -> None:
        """Connect it with all workers but those that get no more calls: what these had was in the one before."""
        io.retired = {worker.number for worker in self._workers.values() if worker.is_retiring}
        for worker in list(self._workers.values()):
            if worker.is_retiring:
                self._note_retired(worker.number)
            else:
                self._connect(worker, io)

    def _take_from_io(self, io: IoPlace) -> Callable[[Member, words.Word], None]:
        def take(member: Member, word: words.Word) -> None:
            if isinstance(word, words.Logged):
                log_word(word)
            elif isinstance(word, words.Retired):
                io.retired = (io.retired | {word.number}) & self._workers.keys()
                self._note_retired(word.number)
            elif isinstance(word, words.Lost):
                self._spawn(self._end_lost(word.number))
            elif isinstance(word, words.Collect):
                self._collecting.note(member, word.found)
                self._spawn(self._collecting.answer(member, word))
            elif isinstance(word, words.Collected):
                self._collecting.take(member, word)

        return take

    def _lose_io(self, io: IoPlace, lost: Member) -> None:
        self._collecting.forget(lost)
        if self._ending.done() or io.member is None or not io.is_started:
            return
        io.is_started = False
        how = io.member.how_ended()
        logger.error("an I/O process has ended (%s): its calls are over, and another one is started", how)
        self._spawn(self._restart_io(io))

    async def _restart_io(self, io: IoPlace) -> None:
        while not self._ending.done():
            io.close()
            await asyncio.sleep(io.back_off.pause_s())
            try:
                await self._start_io(io)
            except (OSError, AudioConnectorStartServerError) as error:
                logger.error("an I/O process could not be started again: %s", error)
            else:
                logger.warning("another I/O process listens")
                return

    # Workers.

    def _start_workers(self, count: int) -> list[Member]:
        """All of them, or none.

        Raises:
            UsageError: The system has no room for them.
        """
        before = self._workers.keys() | ()
        try:
            return [self._start_worker() for _ in range(count)]
        except OSError as error:
            for number in self._workers.keys() - before:
                self._discard(self._workers[number])
            raise UsageError(f"the system has no room for another worker: {error.strerror}") from error

    def _start_worker(self) -> Member:
        number = next(self._numbers)
        ours, theirs = broker_pair()
        with theirs:
            try:
                child = ChildProcess(self._plan.worker_module, (theirs.fileno(),), (theirs.fileno(),))
            except OSError:
                ours.close()
                raise
        worker = self._workers[number] = Member(
            number, child, self._take_from_worker, self._lose_worker, broker=ours
        )
        worker.say(words.Serve(self._plan.app, self._plan.settings, number))
        for io in self._ios:
            self._connect(worker, io)
        return worker

    def _connect(self, worker: Member, io: IoPlace) -> None:
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
        if isinstance(word, words.Counted):
            self._collecting.note(worker, word.found)
        elif isinstance(word, words.Loaded) and self._crossing and word.config != self._crossing:
            logger.warning(
                "the configuration of the new worker differs in what concerns the I/O side, which a reload does not "
                "change; start the program anew for that"
            )
        elif isinstance(word, words.Drained):
            worker.has_drained = True  # also one that retired, and ends while all are drained
            self._was_cut |= self._drains_until is not None and not word.ended

    async def _end_lost(self, number: int) -> None:
        """An I/O process has no stream to that worker any more: where that is not the worker's own end, end it."""
        worker = self._workers.get(number)
        if worker is None:
            return
        await worker.wait_for(words.Ready, START_S)
        if not await worker.wait_ended(LOST_S) and not worker.is_ending:
            logger.error("worker %d has lost its stream to an I/O process and is killed", number)
            worker.kill()

    def _lose_worker(self, worker: Member) -> None:
        self._workers.pop(worker.number, None)
        self._collecting.forget(worker)
        how = worker.how_ended()
        worker.close()
        is_draining = self._drains_until is not None and worker.was_ready
        if worker.is_ending and (not is_draining or worker.has_drained or worker.was_killed):
            return
        if self._drains_until is not None:
            self._was_cut = True
            logger.error("worker %d has ended (%s) in the middle of the drain", worker.number, how)
            return
        seat = next((seat for seat in self._seats if seat.worker is worker), None)
        if seat is not None and worker.was_ready:
            logger.error("worker %d has ended (%s); another one is started", worker.number, how)
            seat.worker = None
            self._spawn(self._fill(seat))

    async def _fill(self, seat: Seat) -> None:
        """Start workers until one is ready for it; a reload may be the first to have one."""
        while True:
            await asyncio.sleep(seat.back_off.pause_s())
            if not self._is_vacant(seat):
                return
            try:
                (worker,) = self._start_workers(1)
            except UsageError as error:
                logger.error(NOT_REPLACED, error)
                continue
            ready = await worker.wait_for(words.Ready, START_S)
            if not self._is_vacant(seat):
                self._discard(worker)
                return
            if isinstance(ready, words.Ready) and not worker.is_lost:
                seat.worker = worker
                logger.warning("worker %d takes calls", worker.number)
                return
            why = ready.text if isinstance(ready, words.NotLoaded) else self._why_not_ready(worker)
            logger.error(NOT_REPLACED, why)
            self._discard(worker)

    def _is_vacant(self, seat: Seat) -> bool:
        return seat.worker is None and self._drains_until is None

    @staticmethod
    def _discard(worker: Member) -> None:
        """It is not needed; no call is lost by that but to another worker."""
        worker.is_ending = True
        worker.kill()

    # Reload.

    async def _reload(self) -> None:
        while self._wants_reload and self._drains_until is None:
            self._wants_reload = False  # whoever asks from here on may have changed something
            tell_reloading(f"new workers start; workers: {len(self._seats)}")
            if is_new := await self._replace(self._seats):
                logger.warning("reloaded: %d new workers take the calls of the old ones", len(self._seats))
            if self._drains_until is None:
                how = "reloaded" if is_new else "not reloaded, the log says why"
                tell_ready(f"{how}; workers: {len(self._seats)}")

    async def _replace(self, seats: Sequence[Seat]) -> bool:
        """Start a worker for each, and have those that are there retire; False where the new ones are not ready."""
        new: list[Member] = []
        try:
            new = self._start_workers(len(seats))
            await self._await_ready(new)
            is_wanted = self._drains_until is None
        except UsageError as error:
            is_wanted = False
            if self._drains_until is None:
                logger.error("the new workers are not used, and the old ones go on: %s", error)
        for seat, worker in zip(seats, new, strict=False):
            if not is_wanted:
                self._discard(worker)
                continue
            before, seat.worker = seat.worker, worker
            if before is not None:
                self._retire(before)
        return is_wanted

    def _retire(self, worker: Member) -> None:
        worker.is_retiring = True
        for io in self._ios:
            if io.member is not None:
                io.member.say(words.Retire(worker.number, self._plan.move_s))

    def _note_retired(self, number: int) -> None:
        """It has no call any more, and its handlers may still have something to do."""
        worker = self._workers.get(number)
        is_called = any(number not in io.retired for io in self._ios if io.member is not None)
        if worker is None or worker.is_ending or is_called:
            return
        worker.is_ending = True
        worker.say(words.Drain(drain_s := self._plan.drain_within_s(self._config)))
        self._spawn(self._see_it_end(worker, drain_s + STOP_S))

    async def _see_it_end(self, worker: Member, within_s: float) -> None:
        if not await worker.wait_ended(within_s):
            logger.warning("worker %d did not end by itself and is killed", worker.number)
            worker.kill()

    async def _watch_memory(self, limit_mb: float) -> None:
        """Replace who takes too much, one after another."""
        limit = memory.MemoryLimit(limit_mb)
        while True:
            await asyncio.sleep(memory.LOOK_S)
            for seat in self._seats:
                if self._drains_until is None and limit.is_exceeded(seat, self._loop.time()):
                    await self._replace([seat])

    # End.

    async def _drain(self) -> None:
        for io in self._ios:
            if io.member is not None:
                io.member.say(words.RefuseCalls())
        for worker in self._workers.values():
            worker.is_ending = True
            if worker.was_ready:
                worker.say(words.Drain(self._plan.drain_within_s(self._config)))
            elif worker.was_loaded:  # its on_start runs, and is cancelled; on_stop is called
                worker.say(words.ShutDown())
                self._spawn(self._see_it_end(worker, STOP_S))
            else:
                worker.kill()
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
            io.close()
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
