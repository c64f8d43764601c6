# SPDX-License-Identifier: Apache-2.0
"""An application, as its I/O process has it: a stream, the calls that are its own, and how its loop is.

What is told in one round of the loop shares one call of the system. Where the application does not read, what it is
told waits: messages as they are, bounded by the window of each call and by what it has asked; of figures the newest.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable, Mapping
from typing import Any

from audio_connector.call import tells
from audio_connector.port import words
from audio_connector.port.framing import SERVER, Message
from audio_connector.port.stream import Stream
from audio_connector.server.link import Link
from audio_connector.wire.loop import add_prompt_reader, remove_prompt_reader

MAX_MESSAGE_BYTES = 1 << 28
"""Of what it asks, a text above all: more than anybody sends, since too much would end the stream, and all calls."""


class Application:
    """One of them; ``number`` is the supervisor's, 0 for the only one. ``take`` is given each message of it."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        loop: asyncio.AbstractEventLoop,
        take: Callable[[Application, Message], None],
        on_lost: Callable[[Application], None],
    ) -> None:
        self.number = number
        self.links: dict[int, Link] = {}
        self.is_retiring = False
        self.loaded_at = -math.inf
        """When it said last how its loop is; it gets no call before it has."""
        self.lag_s = 0.0
        self.untaken = 0
        """What it has read and its loop has not taken, as it said with that."""
        self.refused: Mapping[str, int] = {}
        """What it was told last of refusals."""
        self.stream = Stream(sock, lambda message: take(self, message), max_message_bytes=MAX_MESSAGE_BYTES)
        self._loop = loop
        self._queue = self.stream.queue
        self._on_lost = on_lost
        self._is_armed = self._is_closed = False
        self._late_figures: dict[int, tells.Figures] = {}
        add_prompt_reader(self._loop, sock.fileno(), self._read)

    def post(self, message: Message) -> None:
        """Tell it something of a link, in the order of events; the path of every incoming frame."""
        self._queue.append(message)
        if not self._is_armed:
            self._is_armed = True
            self._loop.call_soon(self.flush)

    def note(self, link_id: int, tell: Any) -> None:  # noqa: ANN401 - a tell, or figures
        """Tell it what is beside that order; all else comes by `post` as well."""
        kind = type(tell)
        if kind is tells.Figures and self.stream.is_full:
            self._late_figures[link_id] = tell
        elif kind is tells.Figures:
            self.post((link_id, tell))
        elif kind in tells.ANSWERS or kind is tells.Ended:
            late = self._late_figures.pop(link_id, None)
            if (
                late is not None
            ):  # every answer comes behind figures that are as new, and the end behind the last
                self.post((link_id, late))
            if kind is not tells.Ended:
                self.post((link_id, tell))

    def say(self, word: words.Word) -> None:
        """Tell it something about the server."""
        self.post((SERVER, word))

    @property
    def waiting(self) -> int:
        """Messages that its process has not read."""
        return len(self._queue)

    def flush(self) -> None:
        """Send what waits, as far as it reads."""
        self._is_armed = False
        if self._late_figures and not self.stream.is_full:
            self._queue.extend(self._late_figures.items())
            self._late_figures.clear()
        if not self.stream.flush():
            self._is_armed = True
            self._loop.add_writer(self.stream.sock.fileno(), self._flush_more)
        self._look()

    def close(self) -> None:
        """Close the stream, once nothing is wanted of it any more."""
        if not self._is_closed:
            self._is_closed = True
            remove_prompt_reader(self._loop, self.stream.sock.fileno())
            self._loop.remove_writer(self.stream.sock.fileno())
            self.stream.close()

    def _flush_more(self) -> None:
        if not self._is_closed and self.stream.flush():
            self._loop.remove_writer(self.stream.sock.fileno())
            self.flush()
        self._look()

    def _read(self) -> None:
        self.stream.read()
        self._look()

    def _look(self) -> None:
        if self.stream.is_lost and not self._is_closed:
            self.close()
            self._on_lost(self)
