# SPDX-License-Identifier: Apache-2.0
"""The application's end of its streams to I/O processes: who asks, who is told, on which thread.

Each stream is read on the application's loop, which costs no wake-up from a thread. Where that loop does not come to
it, whoever looks after the streams (`RemoteIo.look`, in a thread of its own) reads and writes in its place: answers
reach those who wait in other loops, and what these ask is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from functools import partial

from audio_connector.call import tells
from audio_connector.call.asks import Ask
from audio_connector.intake.items import TextItem
from audio_connector.intake.log_fields import NAMES
from audio_connector.port import words
from audio_connector.port.framing import SERIAL_BITS, SERVER, Message
from audio_connector.port.host import Block, Deliver, Note
from audio_connector.port.mailbox import BUSY_S, Outbox
from audio_connector.port.meters import Meters, Snapshot
from audio_connector.port.stream import Stream
from audio_connector.server.watchdog import LoopWatchdog
from audio_connector.wire.messages import Disconnected

logger = logging.getLogger("audio_connector.server")

LOOK_S = 0.05
"""How often it is looked whether the application's loop has come to a stream; a quarter of the lead."""

NOT_IN_ORDER = (tells.Figures, *tells.ANSWERS)
"""Tells that are not part of the order of events."""


class Remote:
    """One stream, and the connections behind it; ``serial`` is in the numbers of these."""

    def __init__(
        self,
        sock: socket.socket,
        serial: int,
        take: Callable[[Remote, Message], None],
        max_message_bytes: int,
    ) -> None:
        self.stream = Stream(sock, partial(take, self), max_message_bytes=max_message_bytes)
        self.serial = serial
        self.links: set[int] = set()
        self.reads = self.reads_seen = 0
        """How often the application's loop has read, and how often it had when it was looked last."""


class RemoteIo:
    """All streams of an application.

    ``on_word`` is given what an I/O process says about the server, in any thread; ``on_lost`` a stream that was lost;
    ``on_orphaned`` is called where the application's loop has ended; ``on_block`` is told of each time that it was
    blocked, which is counted in ``meters``.
    """

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        note: Note,
        *,
        max_message_bytes: int,
        on_word: Callable[[Remote, words.Word], None],
        on_lost: Callable[[Remote], None],
        on_orphaned: Callable[[], None],
        meters: Meters,
        on_block: Callable[[Block], None],
    ) -> None:
        self._loop = application_loop
        self._note = note
        self._max_message_bytes = max_message_bytes
        self._on_word = on_word
        self._on_lost = on_lost
        self._outbox = Outbox(
            application_loop, deliver, note, call_later=lambda _, wake: wake(), on_lost=on_orphaned
        )
        self._application_thread = threading.get_ident()
        self._watchdog = LoopWatchdog(
            self._outbox, self._application_thread, meters=meters, tell=on_block, has_audio=False
        )
        self._watchdog_at = 0.0
        self._remotes: dict[int, Remote] = {}
        self._poll = select.poll()
        self._is_late = False
        self._is_armed = False
        """It will flush at the end of its round."""
        self._flushed_at = 0.0
        self.owes_work = self._outbox.owes_work
        self.clock = time.monotonic

    # From any thread.

    def add(self, sock: socket.socket, serial: int) -> Remote:
        """Have a stream to an I/O process of that number, over a socket that does not block."""
        remote = self._remotes[serial] = Remote(sock, serial, self._take, self._max_message_bytes)
        self._poll.register(sock, select.POLLIN)
        self._on_loop(self._watch, remote)
        self._watchdog.pause()  # who looks may have waited for another process meanwhile
        return remote

    def post(self, ask: tuple[int, Ask]) -> None:
        """Ask something of the connection of that number; never blocking."""
        remote = self._remotes.get(ask[0] >> SERIAL_BITS)
        if remote is None or remote.stream.is_lost:
            return  # its calls are over, and have been told so
        remote.stream.queue.append(ask)
        if self._is_armed:
            return
        if threading.get_ident() == self._application_thread and self.clock() - self._flushed_at < BUSY_S:
            # It is amid a round of many. Where it blocks instead of ending the round, `look` flushes.
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._is_armed = True
                self._loop.call_soon(self._flush_round)
                return
        self._flush(remote)

    def say(self, remote: Remote, word: words.Word) -> None:
        """Say something about the server."""
        if not remote.stream.is_lost:
            remote.stream.queue.append((SERVER, word))
            self._flush(remote)

    def _take(self, remote: Remote, message: Message) -> None:
        """Take what an I/O process tells; in the thread that reads."""
        link_id, tell = message
        kind = type(tell)
        if kind is bytes or kind is TextItem:  # the path of every incoming frame
            self._outbox.hold(message)
        elif link_id == SERVER:
            self._on_word(remote, tell)
        else:
            if kind is tells.Opened:
                remote.links.add(link_id)
            elif kind is tells.Ended or kind is tells.Release:
                remote.links.discard(link_id)
            self._note(link_id, tell)
            if kind not in NOT_IN_ORDER:
                self._outbox.hold(message)

    @property
    def remotes(self) -> list[Remote]:
        """Those that there are."""
        return list(self._remotes.values())

    def lag_s(self) -> float:
        """How long something has waited for the application's loop."""
        since = self._outbox.pending_since
        return 0.0 if since is None else self.clock() - since

    @property
    def waiting(self) -> int:
        """Messages that it has not taken."""
        return self._outbox.waiting

    def rows(self) -> Snapshot:
        """What of it is counted where there is one application."""
        return [
            ("port_waiting_messages", (), float(self.waiting)),
            ("port_lag_seconds_max", (), self.lag_s()),
        ]

    def beat(self) -> None:
        """Have that loop look, so that it is known how it lags although nothing comes."""
        self._outbox.post_heartbeat()

    def _flush_round(self) -> None:
        self._is_armed = False
        for remote in tuple(self._remotes.values()):
            if remote.stream.queue:
                self._flush(remote)

    def _flush(self, remote: Remote) -> None:
        self._flushed_at = self.clock()
        if not remote.stream.flush():
            self._on_loop(self._await_room, remote)
        if remote.stream.is_lost:
            self._on_lost(remote)

    def _on_loop(self, work: Callable[[Remote], None], remote: Remote) -> None:
        """Have the application's loop do it, where that is not closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(work, remote)

    # On the application's loop.

    def _watch(self, remote: Remote) -> None:
        if not remote.stream.is_lost:
            self._loop.add_reader(remote.stream.sock, self._read, remote)

    def _read(self, remote: Remote) -> None:
        """What came is delivered here and now."""
        remote.reads += 1
        remote.stream.read()
        self._outbox.drain()
        if not self._is_armed:
            # Behind the tasks that were just woken, in their round: what they ask shares a flush.
            self._is_armed = True
            self._loop.call_soon(self._flush_round)
        if remote.stream.is_lost:
            self._loop.remove_reader(remote.stream.sock)
            self._on_lost(remote)

    def _await_room(self, remote: Remote) -> None:
        if not remote.stream.is_lost:
            self._loop.add_writer(remote.stream.sock, self._write, remote)

    def _write(self, remote: Remote) -> None:
        if remote.stream.flush():
            self._loop.remove_writer(remote.stream.sock)

    def _close(self, remote: Remote) -> None:
        self._loop.remove_reader(remote.stream.sock)
        self._loop.remove_writer(remote.stream.sock)
        remote.stream.close()

    # In the thread that looks after it.

    def start_looking(self) -> None:
        """It will `look` from now on."""
        self._watchdog.start()

    def stop_looking(self) -> None:
        """No more."""
        self._watchdog.stop()

    def wait(self, wakes: threading.Event) -> None:
        """Wait until `look` has something to do, for `LOOK_S` at most."""
        if self._is_late:
            self._poll.poll(LOOK_S * 1000)  # the loop does not read: what comes is read at once
        else:
            wakes.wait(LOOK_S)
            wakes.clear()

    def look(self) -> None:
        """Do what the application's loop has not come to."""
        now = self.clock()
        # First: once this thread waits for anything, that of the loop is elsewhere.
        if now >= self._watchdog_at:
            self._watchdog_at = self._watchdog.wake(now)
        readable = {fd for fd, _ in self._poll.poll(0)}
        is_late = has_read = False
        for remote in tuple(self._remotes.values()):
            stream = remote.stream
            if stream.is_lost:
                continue
            if stream.queue or stream.is_full:
                stream.flush()
            if remote.reads == remote.reads_seen and stream.sock.fileno() in readable:
                is_late = True
                has_read |= bool(stream.read())
            remote.reads_seen = remote.reads
            if stream.is_lost:
                self._on_lost(remote)
        self._is_late = is_late
        if has_read:
            self._outbox.post_heartbeat()

    def lose(self, remote: Remote, how: str) -> int:
        """Give up a stream: its calls are over. Returns how many these were."""
        stream = remote.stream
        while stream.read():
            pass  # what it said last
        stream.lose(how)
        if self._remotes.pop(remote.serial, None) is None:
            return 0
        with contextlib.suppress(KeyError, ValueError):
            self._poll.unregister(stream.sock)
        if self._loop.is_closed():
            stream.close()
        else:
            self._on_loop(self._close, remote)
        ended = tells.Ended(Disconnected(code=1006, reason=how, closed_by="server"))
        count = len(remote.links)
        for link_id in sorted(remote.links):
            self._note(link_id, ended)
            self._outbox.hold((link_id, ended))
        remote.links.clear()
        self._outbox.post_heartbeat()
        return count


def log_word(word: words.Logged) -> None:
    """Say in this process's log what was said in another one's."""
    log = logging.getLogger(word.logger)
    if log.isEnabledFor(word.level):
        record = log.makeRecord(word.logger, word.level, "(I/O process)", 0, word.text, (), None)
        record.created, record.exc_text = word.created, word.traceback
        record.__dict__.update((name, word.fields[name]) for name in NAMES if name in word.fields)
        log.handle(record)
