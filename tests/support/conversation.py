# SPDX-License-Identifier: Apache-2.0
"""Both sides of one connection on one loop in virtual time: handle, session, I/O side, socket and router.

Threads are left out, and nothing else: what the two sides say to each other is delivered by ``call_soon``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

from support.call import Router
from support.virtual_loop import rest

from audio_connector.intake.handlers import Handler
from audio_connector.playback.pacer import Pacer
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.io_side import answer_late
from audio_connector.server.line import Line
from audio_connector.server.link import Link
from audio_connector.server.session import Session
from audio_connector.wire.codec import encode_event
from audio_connector.wire.memory import MemoryTransport, connect
from audio_connector.wire.messages import Connected, Event
from audio_connector.wire.transport import Headers, Upgrade


class LoopClock:
    """The loop's time, for the router."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    @property
    def now(self) -> float:
        return self._loop.time()


class Conversation:
    """A connection that was dialled, and its application.

    Args:
        on_connect: As in the configuration.
        rate_hz: What the router's first message says; None where it sends none.
        headers: Of the upgrade.
        first_message: Further keys of the first message.
        path: What was dialled, with the query.
        groups: ``playback``, ``intake``, ``timeouts`` of the configuration, as dicts.
    """

    def __init__(
        self,
        on_connect: Handler | None = None,
        *,
        rate_hz: int | None = 16000,
        headers: tuple[tuple[str, str], ...] = (),
        first_message: dict[str, object] | None = None,
        path: str = "/",
        **groups: dict[str, Any],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.start = self.loop.time()
        self.config = AudioConnectorServerConfig(host="localhost", port=0, **groups)  # type: ignore[arg-type]
        self.pacer = Pacer(self.loop.time, self.loop.call_later, self._fail)
        self.link = Link(
            1,
            self.config,
            post=self._to_application,
            pacer=self.pacer,
            clock=self.loop.time,
            on_end=self._forget,
        )
        self._is_linked = True
        self.router = Router(LoopClock(self.loop), rate_hz or 16000)
        self.socket = MemoryTransport(self.link, call_later=self.loop.call_later)
        self.router_socket = MemoryTransport(self.router, call_later=self.loop.call_later)
        self.over = 0
        self.client: AudioConnectorConnection
        self.session: Session
        self._on_connect = on_connect
        self._actions: dict[type, Callable[[Any], None]] = {
            mail.Write: self.link.on_write,
            mail.Want: self.link.on_want,
            mail.BeginSpeech: self.link.on_begin_speech,
            mail.SendText: self.link.on_send_text,
            mail.Flush: self.link.on_flush,
            mail.AwaitRoom: self.link.on_await_room,
            mail.AwaitPlayed: self.link.on_await_played,
            mail.AwaitClosed: self.link.on_await_closed,
            mail.SetLead: self.link.on_set_lead,
            mail.Close: self.link.on_close,
        }
        name, _, query = path.partition("?")
        self._upgrade = Upgrade(name, query, Headers(headers), ("203.0.113.7", 4711), secure=False)
        self._first = None
        if rate_hz is not None:
            text = Connected(headers=first_message or {}, content_type=f"audio/l16;rate={rate_hz}")
            self._first = encode_event(text)

    async def __aenter__(self) -> Conversation:
        connect(self.socket, self.router_socket, self._upgrade)
        if self._first is not None:
            self.router_socket.send_text(self._first)
        await rest()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.router_socket.reset()
        if kind is None:
            await asyncio.wait_for(asyncio.shield(self.session.task), 3600.0)
            assert self.over == 1

    # The two mailboxes.

    def _to_application(self, message: mail.ToApplication) -> None:
        self.loop.call_soon(self._deliver, message)

    def _deliver(self, message: mail.ToApplication) -> None:
        if isinstance(message, mail.Arrived):
            self.session.feed(message.item)
        elif isinstance(message, mail.Opened):
            line = Line(1, message.published, self._to_io, self._report)
            self.client = AudioConnectorConnection(line, message.upgrade, self.config)
            self.session = Session(
                self.client,
                on_connect=self._on_connect,
                handler_s=self.config.timeouts.handler_s,
                on_over=self._note_over,
            )
        elif isinstance(message, mail.Failed):
            self.session.feed_error(message.error)
        elif isinstance(message, mail.TailRequested):
            self.client._on_tail_requested(message.utterance_id)
        elif isinstance(message, mail.Ended):
            self.session.end(message.how)

    def _report(self, error: Exception) -> None:
        self.session.feed_error(error)

    def _to_io(self, message: mail.ToIo) -> None:
        self.loop.call_soon(self._apply, message)

    def _apply(self, message: mail.ToIo) -> None:
        if self._is_linked:
            self._actions[type(message)](message)
        else:
            answer_late(message)

    def _forget(self, link_id: int) -> None:
        self._is_linked = False

    def _note_over(self) -> None:
        self.over += 1

    @staticmethod
    def _fail(item: object, error: Exception) -> None:
        raise AssertionError(f"{item!r} failed") from error

    # What the router does.

    async def router_says(self, event: Event) -> None:
        self.router_socket.send_text(encode_event(event))
        await rest()

    async def router_sends(self, audio: bytes) -> None:
        self.router_socket.send_audio(audio)
        await rest()

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.loop.time() - self.start
