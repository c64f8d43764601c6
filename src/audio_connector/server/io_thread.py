# SPDX-License-Identifier: Apache-2.0
"""The I/O thread: its loop, the two mailboxes, and every socket of one server.

The thread owns sockets, schedules and intake buffers. It never runs application code, and the application
never touches a socket. So an application that blocks its loop, or spins in Python, makes nobody stutter.

The mailboxes are bounded by what feeds them: to the application by the window of each connection, from it by
``Playback.max_buffer_s`` and by `MAX_UNSENT_BYTES`. A batch costs one wake-up, however many messages it holds.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from audio_connector.playback.pacer import Pacer
from audio_connector.playback.speech import Interrupted
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.link import Link
from audio_connector.wire.picows import Listening, listen
from audio_connector.wire.transport import Headers, Receiver, WireLimits

logger = logging.getLogger("audio_connector.server")

REST_S = 0.004
"""How long the I/O thread rests after a round with arrivals, while it is busy.

What arrives meanwhile shares the next round and the next wake-up of the application, instead of costing a round
and a wake-up each. It adds at most as much delay, a fifth of a frame, and the lead and the priming cover that.
"""

LONG_REST_S = 0.008
LONG_REST_MESSAGES = 16
"""After a round with so many arrivals, as from a hundred calls on, it rests for longer."""

BUSY_ROUND_S = 0.012
"""Rounds with arrivals that follow each other within this make the thread busy: two calls and more. With one it
never rests."""

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Messages from one thread, or many, to one loop; in order.

    Args:
        loop: The loop that receives.
        deliver: Called on that loop for each message.
        gather_on: The sender's own loop, where waking is put off to the end of its round, so that all that is
            posted in a round shares it. None wakes at once, which a sender needs that may block its loop right
            after it has posted.
        on_lost: Given what cannot be delivered, because the receiving loop is closed.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[T], None],
        *,
        gather_on: asyncio.AbstractEventLoop | None,
        on_lost: Callable[[list[T]], None],
    ) -> None:
        self._loop = loop
        self._deliver = deliver
        self._gather_on = gather_on
        self._on_lost = on_lost
        self._messages: deque[T] = deque()
        self._is_armed = False
        self._woken_at = 0.0
        self.armed_since: float | None = None
        """When the oldest message that nobody has looked at was posted; for the watchdog."""
        self.drained_at = 0.0
        self.peak_messages = 0

    def post(self, message: T) -> None:
        """Send a message, never blocking; from any thread, but where the mailbox gathers from that loop's alone."""
        self._messages.append(message)
        if self._is_armed:
            return
        # Two threads may both get here; the second wake-up then finds nothing.
        self._is_armed = True
        now = time.monotonic()
        self.armed_since = now
        if self._gather_on is None:
            self._wake()
        else:
            self._gather_on.call_soon(self._end_round)

    @property
    def is_receiver_closed(self) -> bool:
        """True where the receiving loop is closed: a wake-up that was pending in it never comes."""
        return self._loop.is_closed()

    def _end_round(self) -> None:
        is_busy = time.monotonic() - self._woken_at < BUSY_ROUND_S
        rest_s = LONG_REST_S if len(self._messages) >= LONG_REST_MESSAGES else REST_S
        self._wake()
        if is_busy:
            time.sleep(rest_s)

    def _wake(self) -> None:
        self._woken_at = time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:
            self.give_up()

    def give_up(self) -> None:
        """The receiving loop is closed: hand back what it has not looked at, and from now on every message."""
        # Disarm first, as in `_drain`: whoever posts later finds the loop closed by itself.
        self._is_armed = False
        lost: list[T] = []
        while self._messages:
            with contextlib.suppress(IndexError):  # another thread does the same
                lost.append(self._messages.popleft())
        self._on_lost(lost)

    def _drain(self) -> None:
        # Disarm first: what is posted from here on wakes again, what was posted before is in the deque.
        self._is_armed = False
        self.armed_since = None
        self.drained_at = time.monotonic()
        messages, deliver = self._messages, self._deliver
        count = len(messages)
        self.peak_messages = max(self.peak_messages, count)
        for _ in range(count):
            try:
                deliver(messages.popleft())
            except Exception:
                logger.exception("a message was lost; this is an error of the library")


class IoThread:
    """The I/O side of one server.

    Args:
        application_loop: Where `mail.ToApplication` messages are delivered.
        deliver: Called there for each.
        config: Where to listen, and the bounds and times of every connection.
    """

    def __init__(
        self,
        application_loop: asyncio.AbstractEventLoop,
        deliver: Callable[[mail.ToApplication], None],
        config: AudioConnectorServerConfig,
    ) -> None:
        self._config = config
        self._loop = _new_loop()
        self._links: dict[int, Link] = {}
        self._link_count = 0
        self._is_open = False
        self._ending: asyncio.Task[None] | None = None
        self._listening: Listening | None = None
        self._all_gone: asyncio.Event | None = None
        self.outbox: Mailbox[mail.ToApplication] = Mailbox(
            application_loop, deliver, gather_on=self._loop, on_lost=lambda _: self._lose_application()
        )
        self.inbox: Mailbox[mail.ToIo] = Mailbox(
            self._loop, self._apply, gather_on=None, on_lost=_answer_all_late
        )
        self.pacer = Pacer(time.monotonic, self._loop.call_later, self._on_link_error)
        self._actions: dict[type, Callable[[Link, Any], None]] = {
            mail.Write: Link.on_write,
            mail.Want: Link.on_want,
            mail.BeginSpeech: Link.on_begin_speech,
            mail.SendText: Link.on_send_text,
            mail.Flush: Link.on_flush,
            mail.AwaitRoom: Link.on_await_room,
            mail.AwaitPlayed: Link.on_await_played,
            mail.AwaitClosed: Link.on_await_closed,
            mail.SetLead: Link.on_set_lead,
            mail.Close: Link.on_close,
        }
        self.ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="audio-connector-io", daemon=True)

    # From the application's loop.

    def start(self) -> None:
        """Start the thread."""
        # A daemon thread that is still in its loop while the interpreter goes down may crash it.
        atexit.register(self._end_at_exit)
        self._thread.start()

    async def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the I/O thread and wait for it."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def listen(self) -> tuple[str, int]:
        """Open the listening socket; on the I/O thread. Returns its address."""
        config = self._config
        self._listening = await listen(
            self._accept,
            host=config.host,
            port=config.port,
            ssl_context=config.ssl,
            limits=WireLimits(
                max_message_bytes=config.limits.max_message_bytes, close_timeout_s=config.timeouts.close_s
            ),
            handshake_timeout_s=config.timeouts.handshake_s,
        )
        self._is_open = True
        return self._listening.address

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline; on the I/O thread."""
        self._is_open = False
        if self._listening is not None:
            self._listening.stop()
            await asyncio.sleep(0)  # what it dropped is told so
        self._all_gone = asyncio.Event()
        for link in list(self._links.values()):
            link.on_close(mail.Close(link.id, code, reason))
        if await self._wait_until_gone(timeout_s):
            return
        for link in list(self._links.values()):
            link.abort(code, reason)
        await self._wait_until_gone(0.5)

    def shut_down(self) -> None:
        """End the thread; from any thread. It ends by itself within milliseconds."""
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
        except RuntimeError:
            return  # it has ended

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; True where it has ended."""
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        atexit.unregister(self._end_at_exit)
        return True

    def _end_at_exit(self) -> None:
        self.shut_down()
        self.join(2.0)

    # On the I/O thread.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_log_loop_error)
        try:
            self._loop.run_forever()
        finally:
            self.pacer.stop()
            if self._listening is not None:
                self._listening.stop()
            for link in list(self._links.values()):
                link.abort(1001, "the server has stopped")
            _cancel_all(self._loop)
            self._loop.close()
            self.inbox.give_up()
            self.ended.set_result(None)

    def _accept(self, headers: Headers, path: str) -> Receiver | None:
        if not self._is_open:
            return None
        self._link_count += 1
        link = Link(
            self._link_count,
            self._config,
            post=self.outbox.post,
            pacer=self.pacer,
            clock=time.monotonic,
            on_end=self._forget,
        )
        self._links[link.id] = link
        return link

    def _forget(self, link_id: int) -> None:
        self._links.pop(link_id, None)
        if not self._links and self._all_gone is not None:
            self._all_gone.set()

    async def _wait_until_gone(self, timeout_s: float) -> bool:
        if not self._links or self._all_gone is None:
            return True
        try:
            await asyncio.wait_for(self._all_gone.wait(), timeout_s)
        except (asyncio.TimeoutError, TimeoutError):
            return False
        return True

    def _apply(self, message: mail.ToIo) -> None:
        link = self._links.get(message.link_id)
        if link is None:
            _answer_late(message)
            return
        try:
            self._actions[type(message)](link, message)
        except Exception as error:
            self._on_link_error(link, error)
            _answer_late(message)

    def _on_link_error(self, link: Link, error: Exception) -> None:
        logger.error("connection %d is closed with 1011 by an error of the library", link.id, exc_info=error)
        self.outbox.post(mail.Failed(link.id, error))
        link.on_close(mail.Close(link.id, 1011, "internal error"))

    def _lose_application(self) -> None:
        """The application's loop was closed without stopping the server."""
        if self._ending is not None:
            return
        if self._is_open:
            logger.warning(
                "the event loop that started the server has ended without handle.stop(); its connections are "
                "closed with 1001. Await handle.stop() before the loop ends"
            )
        self._ending = self._loop.create_task(self._end_alone())

    async def _end_alone(self) -> None:
        await self.close_all(1001, "the server has stopped", 1.0)
        self._loop.stop()


def _answer_all_late(messages: list[mail.ToIo]) -> None:
    for message in messages:
        _answer_late(message)


def _answer_late(message: mail.ToIo) -> None:
    """Nobody is there to answer, because the connection is over. The asker looks at `Published.closed`."""
    reply: Future[Any] | None = getattr(message, "reply", None)
    if reply is not None and not reply.done() and reply.set_running_or_notify_cancel():
        is_about_audio = isinstance(message, mail.BeginSpeech | mail.AwaitPlayed)
        reply.set_result(Interrupted(0.0, 0.0) if is_about_audio else None)


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no connection was told of. Who fails at TLS is no error of ours, and must not fill the log."""
    error = context.get("exception")
    if isinstance(error, OSError):  # ssl.SSLError is one
        logger.info("a connection failed: %s", error)
    else:
        logger.error("%s", context.get("message"), exc_info=error if isinstance(error, Exception) else None)


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - there is none for Windows

    return uvloop.new_event_loop()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
