# SPDX-License-Identifier: Apache-2.0
"""What a router does with the texts of a server: clear, notify, and their answers, on time, late or never."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from audio_connector.simulator.observer import Observer
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.simulator.profile import Profile
from audio_connector.simulator.script import Impairments
from audio_connector.simulator.tally import Tally
from audio_connector.simulator.trace import Source
from audio_connector.wire.codec import decode_command
from audio_connector.wire.messages import ClearCommand, Cleared, Event, Notified, NotifyCommand

_AUDIO_IN_JSON: Final = re.compile(r'"\s*:\s*"[A-Za-z0-9+/]{400,}={0,2}"')
"""A frame of 20 ms at 8 kHz has 428 characters in base64 (PROTOCOL 4.31)."""

Note = Callable[[Source, str, str], None]
"""Told that something happened: whose doing it was, what, and what else there is to say."""

_WAITING: Final = 1024
_WAITING_CHARACTERS: Final = 1 << 20
_SHOWN_CHARS: Final = 200


class CommandDesk:
    """Obeys the commands of one server, as far as the router does.

    Args:
        router: What the router understands.
        impairments: What is wrong with it.
        playout: Is cleared, and tells what was heard.
        observer: Notes barge-ins.
        tally: Counts.
        send: Sends an event; False where it could not.
        note: Notes what happened.
    """

    def __init__(
        self,
        router: Profile,
        impairments: Impairments,
        *,
        playout: PlayoutBuffer,
        observer: Observer,
        tally: Tally,
        send: Callable[[Event], bool],
        note: Note,
    ) -> None:
        self._router = router
        self._obeys_clear = impairments.obeys_clear
        self._ack_s = impairments.clear_ack_s
        self._playout = playout
        self._observer = observer
        self._tally = tally
        self._send = send
        self._note = note
        # Bounded, since a server may send as many as it likes, of any size; the oldest are forgotten.
        self._notifies: deque[tuple[int, object, int]] = deque()
        self._notify_characters = 0
        self._acks: deque[float] = deque(maxlen=_WAITING)
        self.is_waiting = False
        """Whether there is anything to answer."""

    def take(self, text: str, now: float, *, arrived_at: float) -> None:
        """Read a text.

        Args:
            text: What the server sent.
            now: Seconds of the playout buffer's clock.
            arrived_at: When it reached the router, on the same clock.
        """
        tally = self._tally
        if not self._router.reads_text:
            tally.texts_ignored += 1
            self._note("server", "text ignored", text[:_SHOWN_CHARS])
            return
        command = decode_command(text)
        if isinstance(command, ClearCommand) and command.form in self._router.clear_forms:
            tally.clears += 1
            self._clear(command, now, arrived_at)
        elif isinstance(command, NotifyCommand):
            tally.notifies += 1
            self._note("server", "notify", text[:_SHOWN_CHARS])
            if self._router.echo_notify:
                self._await(command.payload, len(text))
        else:
            tally.keep_text(text)
            tally.json_audio_texts += _AUDIO_IN_JSON.search(text) is not None
            self._note("server", "text", text[:_SHOWN_CHARS])

    def answer(self, now: float) -> None:
        """Send the answers that are due."""
        while self._notifies and self._playout.is_heard(self._notifies[0][0], now):
            self._send(Notified(payload=self._next_notify(), raw={}))
        while self._acks and self._acks[0] <= now:
            self._acks.popleft()
            self._acknowledge()
        self.is_waiting = bool(self._notifies or self._acks)

    def forget(self) -> None:
        """The connection was made anew: nothing of before is answered."""
        self._forget_notifies()
        self._acks.clear()

    def _await(self, payload: object, characters: int) -> None:
        """Answer a notify when what came before it was heard."""
        self._notifies.append((self._playout.mark(), payload, characters))
        self._notify_characters += characters
        while len(self._notifies) > _WAITING or self._notify_characters > _WAITING_CHARACTERS:
            self._next_notify()
        self.is_waiting = True

    def _next_notify(self) -> object:
        _, payload, characters = self._notifies.popleft()
        self._notify_characters -= characters
        return payload

    def _forget_notifies(self) -> None:
        self._notifies.clear()
        self._notify_characters = 0

    def _clear(self, command: ClearCommand, now: float, arrived_at: float) -> None:
        if not self._obeys_clear:
            self._note("server", "clear ignored", command.form)
            return
        was_heard = not self._playout.is_idle(now)
        dropped_ms = self._playout.clear(now)
        self._observer.cleared(arrived_at, now, dropped_ms, was_heard=was_heard)
        self._note("server", "clear", f"{command.form}, {dropped_ms} ms dropped")
        # What a notify waited for will never be played (PROTOCOL 3.6).
        self._forget_notifies()
        if self._ack_s == 0:
            self._acknowledge()
        elif self._ack_s is not None:
            self._acks.append(now + self._ack_s)
            self.is_waiting = True

    def _acknowledge(self) -> None:
        if self._send(Cleared(raw={})):
            self._note("router", "cleared", "")
