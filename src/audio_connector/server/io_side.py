# SPDX-License-Identifier: Apache-2.0
"""The I/O side of one server: its listening sockets, its links and their timers, on whichever loop it is put.

It never runs application code, and the application never touches a socket. In production the loop is that of a
thread of its own (`io_thread`); a test in virtual time puts both sides on one loop.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol

from audio_connector.errors import ProtocolError
from audio_connector.playback.pacer import Pacer
from audio_connector.playback.speech import Interrupted
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.link import Link
from audio_connector.server.mailbox import Mailbox
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.json_audio import JsonAudio
from audio_connector.wire.transport import Headers, Receiver, WireLimits

logger = logging.getLogger("audio_connector.server")


class Listening(Protocol):
    """What is listened on."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""

    def stop(self) -> None:
        """Accept nothing more."""


class Listen(Protocol):
    """How it is listened; `wire.picows.listen` has this form."""

    async def __call__(
        self,
        accept: Callable[[Headers, str], Receiver | None],
        *,
        host: str,
        port: int,
        ssl_context: ssl.SSLContext | None,
        limits: WireLimits,
        handshake_timeout_s: float,
    ) -> Listening:
        """Listen, or raise OSError."""


class IoHost(Protocol):
    """What a server needs of whatever runs its I/O side; `io_thread.IoThread` is one."""

    inbox: Mailbox[mail.ToIo]
    """From the application, from any thread."""
    ended: Future[None]

    def start(self) -> None:
        """Make it run; on the application's loop."""

    async def listen(self) -> tuple[str, int]:
        """Open the listening socket; on the application's loop. Returns its address."""

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """See `IoSide.close_all`; on the application's loop."""

    def shut_down(self) -> None:
        """Have it end at once, and then ``ended`` done; from any thread."""

    def join(self, timeout_s: float) -> bool:
        """Wait, blocking, until nothing of it is left; True where that is so."""


class IoSide:
    """Every link of one server. All methods run on the loop that it is put on.

    Args:
        config: Where to listen, and the bounds and times of every connection.
        post: Hands a message to the application.
        listen: How it is listened.
        clock: Seconds of a monotonic clock.
        call_later: The loop's.
    """

    def __init__(
        self,
        config: AudioConnectorServerConfig,
        *,
        post: Callable[[mail.ToApplication], None],
        listen: Listen,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self.is_open = False
        """True from the listening to the first wish to end it."""
        self.links: dict[int, Link] = {}
        self.pacer = Pacer(clock, call_later, self._on_link_error)
        self._config = config
        self._audio_transport = AudioTransport.of(config.audio_transport)
        self._post = post
        self._listen = listen
        self._clock = clock
        self._link_count = 0
        self._listening: Listening | None = None
        self._all_gone: asyncio.Event | None = None
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

    async def listen(self) -> tuple[str, int]:
        """Open the listening socket. Returns its address."""
        config = self._config
        self._listening = await self._listen(
            self._accept,
            host=config.host,
            port=config.port,
            ssl_context=config.ssl,
            limits=WireLimits(
                max_message_bytes=config.limits.max_message_bytes, close_timeout_s=config.timeouts.close_s
            ),
            handshake_timeout_s=config.timeouts.handshake_s,
        )
        self.is_open = True
        return self._listening.address

    async def close_all(self, code: int, reason: str, timeout_s: float) -> None:
        """Stop listening, close every connection, and abort what is left at the deadline."""
        self.is_open = False
        if self._listening is not None:
            self._listening.stop()
            await asyncio.sleep(0)  # what it dropped is told so
        self._all_gone = asyncio.Event()
        for link in list(self.links.values()):
            link.on_close(mail.Close(link.id, code, reason))
        if await self._wait_until_gone(timeout_s):
            return
        for link in list(self.links.values()):
            link.abort(code, reason)
        await self._wait_until_gone(0.5)

    def stop(self) -> None:
        """End everything at once."""
        self.is_open = False
        self.pacer.stop()
        if self._listening is not None:
            self._listening.stop()
        for link in list(self.links.values()):
            link.abort(1001, "the server has stopped")

    def apply(self, message: mail.ToIo) -> None:
        """Do what the application asks of a link."""
        link = self.links.get(message.link_id)
        if link is None:
            answer_late(message)
            return
        try:
            self._actions[type(message)](link, message)
        except Exception as error:
            self._on_link_error(link, error)
            answer_late(message)

    def _accept(self, headers: Headers, path: str) -> Receiver | None:
        if not self.is_open:
            return None
        self._link_count += 1
        link = Link(
            self._link_count,
            self._config,
            post=self._post,
            pacer=self.pacer,
            clock=self._clock,
            on_end=self._forget,
        )
        self.links[link.id] = link
        if not self._audio_transport.is_json:
            return link
        return JsonAudio(
            link, self._audio_transport, role="server", on_fault=lambda error: self._note_fault(link, error)
        )

    def _note_fault(self, link: Link, error: ProtocolError) -> None:
        """Count all, and report the first: who is wrong once is wrong fifty times a second."""
        link.published.unreadable_messages += 1
        if link.published.unreadable_messages == 1:
            self._post(mail.Failed(link.id, error))

    def _forget(self, link_id: int) -> None:
        self.links.pop(link_id, None)
        if not self.links and self._all_gone is not None:
            self._all_gone.set()

    async def _wait_until_gone(self, timeout_s: float) -> bool:
        if not self.links or self._all_gone is None:
            return True
        try:
            await asyncio.wait_for(self._all_gone.wait(), timeout_s)
        except (asyncio.TimeoutError, TimeoutError):
            return False
        return True

    def _on_link_error(self, link: Link, error: Exception) -> None:
        logger.error("connection %d is closed with 1011 by an error of the library", link.id, exc_info=error)
        self._post(mail.Failed(link.id, error))
        link.on_close(mail.Close(link.id, 1011, "internal error"))


def answer_late(message: mail.ToIo) -> None:
    """Nobody is there to answer, because the connection is over. The asker looks at `Published.closed`."""
    reply: Future[Any] | None = getattr(message, "reply", None)
    if reply is not None and not reply.done() and reply.set_running_or_notify_cancel():
        is_about_audio = isinstance(message, mail.BeginSpeech | mail.AwaitPlayed)
        reply.set_result(Interrupted(0.0, 0.0) if is_about_audio else None)


def answer_all_late(messages: list[mail.ToIo]) -> None:
    """The whole I/O side is over."""
    for message in messages:
        answer_late(message)
