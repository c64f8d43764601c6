# SPDX-License-Identifier: Apache-2.0
"""The main program of an I/O process: sockets, calls and their timers, and a stream to each application.

It ends with the stream to whoever has started it, whatever became of that, and by nothing else: a signal to the whole
group of processes is for the application, which decides what becomes of the calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

from audio_connector._version import __version__
from audio_connector.audio.resample import warm_up
from audio_connector.call import asks
from audio_connector.errors import VideoError
from audio_connector.intake.log_fields import NAMES
from audio_connector.port import words
from audio_connector.port.codec import VERSION
from audio_connector.port.framing import SERIAL_BITS, SERVER, Message
from audio_connector.port.meters import Found, Meters, Snapshot, read_found, total
from audio_connector.server.application import Application
from audio_connector.server.authentication import Verifier
from audio_connector.server.children import from_crossing
from audio_connector.server.endpoints import EndpointOptions
from audio_connector.server.io_meters import port_rows
from audio_connector.server.io_side import IoOptions, IoSide
from audio_connector.server.sharing import Sharing
from audio_connector.wire import picows
from audio_connector.wire.loop import close_loop, new_loop

logger = logging.getLogger("audio_connector.server")

GOODBYE_S = 1.0
"""For the closing handshakes where nobody is left who could say what becomes of the calls."""

CARE_S = 0.1
"""How old the count of refusals may be."""

PARENT_S = 1.0
"""How often it is asked whether the parent lives: others that it has forked may hold its end of the stream."""

MAX_WAITING = 20_000
"""Messages for an application that is stopped, beside the audio of its calls: from then on calls get 503."""

GC_OBJECTS = 20_000
"""New objects before it is looked for cycles: a frame makes some, and none in a circle."""

COLLECT_S = 1.0
"""For what the other processes have counted; a supervisor answers after `collecting.ANSWER_S` at most."""

MAX_LOGGED = 1000
"""Of these, records for the log."""


class _Phase(Enum):
    """Where the process is on its way to its end."""

    RUNNING, ENDING, STOPPED = range(3)


class IoChild:
    """The I/O process; ``verifiers`` are those that it may be told to judge by, by their names."""

    def __init__(
        self, stream_sock: socket.socket, parent: int, verifiers: Mapping[str, Callable[..., Verifier]]
    ) -> None:
        self._loop = new_loop()
        asyncio.set_event_loop(self._loop)
        self._parent = parent
        self._verifiers = verifiers
        self._control = Application(0, stream_sock, self._loop, self._take, lambda _: self._end())
        self._sharing: Sharing | None = None
        """Where several applications are attached; else the parent is the only one."""
        self._broker: socket.socket | None = None
        self._side: IoSide | None = None
        self._started = words.Started("", 0)
        self._tasks: set[asyncio.Task[None]] = set()
        self._tokens = itertools.count(1)
        self._gone = Meters()
        """What crossed to workers that are gone: a sum never drops."""
        self._collecting: dict[int, tuple[Callable[[Found | None], None], asyncio.TimerHandle]] = {}
        """Who has asked what the other processes have counted."""
        self._found: Found | None = None
        """What the only application has told last of itself."""
        self._unanswered_at: float | None = None
        """Since when it has not: it does so although its loop is blocked, and not where it is stopped."""
        self._unlogged = 0
        self._phase = _Phase.RUNNING

    def run(self) -> None:
        """Do everything, until the end."""
        loop = self._loop
        loop.call_later(PARENT_S, self._look_at_parent)
        try:
            loop.run_forever()
        finally:
            if self._side is not None:
                self._side.stop()
            for application in self._applications():
                application.flush()
                application.close()
            close_loop(loop)

    def _applications(self) -> list[Application]:
        """Whoever has started this, and all that are attached."""
        return [self._control, *(self._sharing.applications.values() if self._sharing else ())]

    # What is asked, and what is said.

    def _take(self, application: Application, message: Message) -> None:
        link_id, ask = message
        if link_id != SERVER:
            if self._side is not None:
                is_shared = self._sharing is not None
                self._side.apply(message, application if is_shared else None)
                if is_shared and type(ask) is asks.Released:
                    self._note_released(application, link_id)
        elif application is self._control:
            self._take_word(ask)
        elif isinstance(ask, words.Load) and self._sharing is not None:
            self._sharing.note_load(application, ask)
            if self._side is not None:
                self._side.note_application()
        elif isinstance(ask, words.CloseAll):
            self._start_task(self._close_links(application, ask))
        elif isinstance(ask, words.Retire) and self._sharing is not None:
            self._sharing.retire(application.number, ask.wait_s)

    def _take_word(self, word: words.Word) -> None:
        match word:
            case words.Start():
                self._start_task(self._start(word))
            case words.RefuseCalls() if self._side is not None:
                self._side.refuse_calls()
            case words.CloseAll():
                self._start_task(self._close_all(word))
            case words.Retire(number, wait_s) if self._sharing is not None:
                self._sharing.retire(number, wait_s)
            case words.Collect(token, with_calls) if self._side is not None:
                found = self._side.tell(with_calls=with_calls)
                self._control.say(words.Collected(token, found.as_json()))
            case words.Collected(token, text):
                self._take_collected(token, read_found(text))
            case words.ShutDown():
                self._stop()

    def _note_released(self, application: Application, link_id: int) -> None:
        if self._sharing is not None and (link := application.links.get(link_id)) is not None:
            self._sharing.released(link)

    def _start_task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _start(self, start: words.Start) -> None:
        try:
            _check_version(start)
            _log_to(self, start.log_level)
            if start.broker is not None:
                self._share(socket.socket(fileno=start.broker))
            self._side = side = self._make_side(start)
            sockets = [socket.socket(fileno=number) for number in start.sockets]
            host, port = await side.listen(sockets, are_lent=start.are_lent)
        except Exception as error:  # noqa: BLE001 - it is told
            kind = type(error).__name__ if isinstance(error, VideoError) else "AudioConnectorStartServerError"
            self._control.say(words.NotStarted(kind, str(error)))
            self._loop.call_later(GOODBYE_S, self._stop)
            return
        if not start.takes_calls:
            side.refuse_calls()
        gc.collect()
        gc.freeze()  # what is there now stays: no collection has to look at it
        gc.set_threshold(GC_OBJECTS, 20, 20)
        self._loop.run_in_executor(None, _warm_up)
        self._started = words.Started(host, port, start.id_prefix)
        self._control.say(self._started)
        for application in self._applications()[1:]:
            application.say(self._started)
        self._care()

    def _make_side(self, start: words.Start) -> IoSide:
        config = from_crossing(start.config, self._verifiers)
        sharing = self._sharing
        return IoSide(
            config,
            post=self._control.post,
            note=self._control.note,
            listen=picows.listen,
            clock=time.monotonic,
            call_later=self._loop.call_later,
            options=IoOptions(
                first_link=start.first_link,
                has_room=self._has_room,
                find_application=None if sharing is None else sharing.find,
                is_kept=(lambda _: False) if sharing is None else sharing.is_kept,
                endpoints=EndpointOptions(
                    process=f"io-{start.first_link >> SERIAL_BITS}",
                    rows=self._rows,
                    collect=self._collect,
                    why_not_ready=self._why_not_ready,
                    is_admin=start.is_admin,
                ),
                on_opened=None if sharing is None else sharing.open,
                on_ended=None if sharing is None else sharing.forget,
            ),
        )

    def _has_room(self) -> bool:
        return self._sharing is not None or self._control.waiting < MAX_WAITING

    def _why_not_ready(self) -> str:
        return "" if self._sharing is None or self._sharing.has_takers else "no worker takes calls"

    def _rows(self) -> Snapshot:
        """What is counted beside the calls."""
        applications = self._applications()[1:] if self._sharing is not None else [self._control]
        asked_at = self._unanswered_at
        lag_s = 0.0 if asked_at is None else time.monotonic() - asked_at
        if self._sharing is not None:
            lag_s = self._sharing.lag_s()
        waiting = sum(each.waiting + each.untaken for each in applications)
        rows: Snapshot = [
            ("port_waiting_messages", (), float(waiting)),
            ("port_lag_seconds_max", (), lag_s),
            ("calls_parked", (), float(0 if self._sharing is None else self._sharing.parked)),
        ]
        for each in applications:
            rows += _port_rows_of(each)
        return [
            *total([rows, self._gone.snapshot()]),
            *([("workers", (), 1.0)] if self._sharing is None else ()),
        ]

    def _collect(self, own: Found, with_calls: bool, then: Callable[[Found | None], None]) -> None:
        """Ask whoever has started this: it knows the others."""
        token = next(self._tokens)
        timer = self._loop.call_later(COLLECT_S, self._take_collected, token, None)
        if self._sharing is None:  # the application tells of itself alone, a supervisor the sum of all
            then = _with(own, then)
        self._collecting[token] = then, timer
        if self._unanswered_at is None:
            self._unanswered_at = time.monotonic()
        self._control.say(words.Collect(token, with_calls, own.as_json()))

    def _take_collected(self, token: int, found: Found | None) -> None:
        if found is not None:
            self._unanswered_at = None
        if self._sharing is None:
            # Nobody else tells what this application has counted: where it does not answer, its last word holds.
            self._found = found = found or self._found
        if (asked := self._collecting.pop(token, None)) is not None:
            then, timer = asked
            timer.cancel()
            then(found)

    async def _close_all(self, word: words.CloseAll) -> None:
        if self._side is not None:
            await self._side.close_all(word.code, word.reason, word.timeout_s)
            self._tell_refusals(self._side)
        self._control.say(words.AllClosed())

    async def _close_links(self, application: Application, word: words.CloseAll) -> None:
        """Those of an application that ends by itself."""
        application.is_retiring = True
        if self._side is not None:
            await self._side.close_links(application.links, word.code, word.reason, word.timeout_s)
        application.say(words.AllClosed())

    # Several applications.

    def _share(self, broker: socket.socket) -> None:
        self._sharing = sharing = Sharing(
            self._loop, time.monotonic, on_retired=lambda number: self._control.say(words.Retired(number))
        )
        self._broker = broker
        broker.setblocking(False)
        self._loop.add_reader(broker.fileno(), self._attach, sharing, broker)

    def _attach(self, sharing: Sharing, broker: socket.socket) -> None:
        """An application is handed over: its number, and the stream to it."""
        try:
            data, descriptors, _, _ = socket.recv_fds(broker, 64, 1)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._loop.remove_reader(broker.fileno())
            return
        number = int(data)
        if not descriptors:
            logger.error("worker %d cannot be attached: raise the limit of open files (ulimit -n)", number)
            self._control.say(words.Lost(number))  # so that another one is tried
            return
        sock = socket.socket(fileno=descriptors[0])
        sock.setblocking(False)
        application = Application(number, sock, self._loop, self._take, self._lose_application)
        sharing.add(application)
        if self._started.port:
            application.say(self._started)

    def _lose_application(self, application: Application) -> None:
        if self._sharing is not None and self._phase is _Phase.RUNNING:
            self._gone.fold(_port_rows_of(application))
            count = self._sharing.lose(application)
            if self._side is not None:
                self._side.lose_application(application)
            self._control.say(words.Lost(application.number))
            if count:
                text = "worker %d is gone (%s): its %d calls go to others"
                logger.warning(text, application.number, application.stream.why_lost, count)

    # By itself.

    def _care(self) -> None:
        if self._side is not None:
            self._tell_refusals(self._side)
        if self._unlogged and self._control.waiting < MAX_LOGGED:
            lost, self._unlogged = self._unlogged, 0
            logger.warning("%d lines of this log were lost, since the application did not read them", lost)
        self._loop.call_later(CARE_S, self._care)

    def _tell_refusals(self, side: IoSide) -> None:
        counts = dict(side.refusals())
        for application in self._applications():
            if counts != application.refused and not application.stream.is_full:
                application.refused = counts
                application.say(words.Refused(counts))

    def log(self, word: words.Logged) -> None:
        """Have something logged, where the application reads that."""
        if self._control.waiting < MAX_LOGGED:
            self._control.say(word)
        else:
            self._unlogged += 1

    def _look_at_parent(self) -> None:
        if os.getppid() != self._parent:
            self._end()
        self._loop.call_later(PARENT_S, self._look_at_parent)

    def _end(self) -> None:
        """Nobody is left who could say what becomes of the calls: say goodbye."""
        if self._phase is not _Phase.RUNNING:
            return
        self._phase = _Phase.ENDING
        if self._side is not None and os.getppid() == self._parent:
            self._side.lend()  # it lives, so that another process listens with them
        if self._side is None or not self._side.links:
            self._stop()
            return
        goodbye = self._start_task(self._side.close_all(1001, "the server has stopped", GOODBYE_S))
        goodbye.add_done_callback(lambda _: self._stop())

    def _stop(self) -> None:
        """Once: a second stop would be left for the loop's last round, in which its tasks come to their end."""
        if self._phase is not _Phase.STOPPED:
            self._phase = _Phase.STOPPED
            self._loop.stop()


def _port_rows_of(application: Application) -> Snapshot:
    stream = application.stream
    return [
        *port_rows("to_application", stream.batches, stream.messages),
        *port_rows("from_application", stream.reads, stream.messages_read),
    ]


def _warm_up() -> None:
    """Beside the first calls, which rarely resample: it takes a tenth of a second, once."""
    with contextlib.suppress(ImportError):  # whoever resamples is told
        warm_up()


def _check_version(start: words.Start) -> None:
    if (start.version, start.library) != (VERSION, __version__):
        raise VideoError(
            f"the application has version {start.library} of the library, and its I/O process {__version__}; start "
            "the program anew"
        )


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
            words.Logged(
                record.name,
                record.levelno,
                record.getMessage(),
                record.created,
                traceback,
                {name: str(value) for name in NAMES if (value := getattr(record, name, None)) is not None},
            )
        )


def _with(own: Found, then: Callable[[Found | None], None]) -> Callable[[Found | None], None]:
    """The same, given the sum with what was found here."""
    return lambda found: then(found and Found(total([own.snapshot, found.snapshot]), found.calls))


def _log_to(child: IoChild, level: int) -> None:
    logging.basicConfig(level=level, handlers=[_ToApplication(child)], force=True)


def main(verifiers: Mapping[str, Callable[..., Verifier]] = MappingProxyType({})) -> None:
    """Run; the arguments are the path of modules, the number of the stream's descriptor, and the parent's number."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[2]))
    sock.setblocking(False)
    IoChild(sock, int(sys.argv[3]), verifiers).run()
