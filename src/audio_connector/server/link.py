# SPDX-License-Identifier: Apache-2.0
"""Drives the machine of one call: what the socket and the application bring goes in, what it answers goes out.

Every method runs on the I/O side's loop, and none of them blocks or calls the application. Nothing is written to the
socket but in `Link._write`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from audio_connector.call import asks, tells
from audio_connector.call.machine import Call
from audio_connector.call.states import State
from audio_connector.call.tapes import TAPED, Tapes
from audio_connector.call.writes import Abort, Ping
from audio_connector.playback.pacer import Pacer
from audio_connector.playback.speech import Beside
from audio_connector.port.host import Deliver, Note
from audio_connector.port.meters import Meters
from audio_connector.wire.closing import ABNORMAL
from audio_connector.wire.one_by_one import OneByOne
from audio_connector.wire.transport import Closed, Transport, Upgrade

BURST_FRAMES = 4
"""So many frames are written before it is asked whether the router still reads: 80 ms."""

FIGURES_S = 0.1
"""How old the figures of an undisturbed call may be. What is played is worked out from them, so only what was sent
since then is missing: half of the usual lead."""

FIGURES_PER_S = 2000
"""So many are told at most, or of many calls they would be a tenth of what these cost; then they grow older."""


BROKEN = Closed(ABNORMAL, "", "network")
"""How a socket has ended that nobody closed."""


class Refresher:
    """Has figures told that have grown old, without a timer for each call; a `playback.pacer.Paced`."""

    def __init__(self, pacer: Pacer) -> None:
        self.armed_at: float | None = None
        self._pacer = pacer
        self._due: OrderedDict[Callable[[float], None], float] = OrderedDict()

    def add(self, refresh: Callable[[float], None], now: float) -> None:
        """Call ``refresh`` once, in `FIGURES_S`; for each frame only where the figures had not changed before."""
        at = self._due[refresh] = now + max(FIGURES_S, len(self._due) / FIGURES_PER_S)
        if self.armed_at is None:
            self._pacer.arm(self, at)

    def remove(self, refresh: Callable[[float], None]) -> None:
        """Do not call it, and forget it."""
        self._due.pop(refresh, None)

    def wake(self, now: float) -> float:
        """Call those that are due; they come in the order in which they were added."""
        due = self._due
        while due:
            refresh, at = next(iter(due.items()))
            if at > now:
                return at
            del due[refresh]
            refresh(now)
        return math.inf


class Shared(NamedTuple):
    """What the links of one I/O side share.

    Attributes:
        pacer: Wakes them.
        refresher: Has their figures told.
        ends: Has their ends come one by one.
        clock: In seconds.
        meters: Count what is of no link alone.
    """

    pacer: Pacer
    refresher: Refresher
    ends: OneByOne
    clock: Callable[[], float]
    meters: Meters


class Link:
    """One connection on the I/O side; a `wire.transport.Receiver` and a `playback.pacer.Paced`.

    ``post`` tells the application in the order of events, ``note`` at once; `hand_over` changes both.
    """

    def __init__(
        self,
        link_id: int,
        call: Call,
        *,
        post: Deliver,
        note: Note,
        shared: Shared,
        on_end: Callable[[int], None],
    ) -> None:
        self.id = link_id
        self.call = call
        self.opened_at = shared.clock()
        self.armed_at: float | None = None
        self.owner: object | None = None
        """The application that has the call, where there are several."""
        self.identity: object | None = None
        """Of who has dialled last."""
        self.deaths = 0
        """How many that had it have died."""
        self._post = post
        self._note = note
        self._pacer, self._refresher, self._ends, self._clock, self._meters = shared
        self._is_refreshing = False
        """The refresher knows that the figures have changed."""
        self._on_end = on_end
        self._transport: Transport | None = None
        self._tapes: Tapes | None = None
        """Of recorders; mostly there is none, and a frame costs a look at that."""
        self._is_open = False
        """The first socket was; it may be lost, and another one follow."""
        self._is_ending = False
        """The last socket is over, and the end waits for its turn."""

    # The wire calls these.

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Start, or go on where the connection was lost."""
        self.identity = upgrade.identity
        if not self._is_open:
            self._is_open = True
            self._transport = transport
            self._do(self.call.opened, upgrade)
        elif self.can_resume:
            ghost, self._transport = self._transport, transport
            if ghost is not None:  # we have not noticed yet that it is
                ghost.disown()
                ghost.abort()
                self.call.lost(BROKEN, self._clock())
            self._do(self.call.resumed, upgrade)
        else:  # it has ended since that was asked
            transport.disown()
            transport.close(1013, "the call has ended; dial again")

    @property
    def can_resume(self) -> bool:
        """Whether the call would go on over another socket."""
        transport = self._transport
        is_broken = transport is None or transport.closed_by == BROKEN.closed_by
        return self._is_open and is_broken and not self._is_ending and self.call.can_resume

    def on_audio(self, payload: bytes) -> None:
        """The path of every incoming frame."""
        now = self._clock()
        call = self.call
        goes_on = call.audio_received(payload, now)
        if call.has_news or call.tells:
            self._follow(now)
        if goes_on:
            self._post((self.id, payload))
        if not self._is_refreshing:
            self._refresh_later(now)
        if self._tapes is not None:
            self._tapes.hear(payload, now)

    def on_text(self, text: str) -> None:
        """Hand it on."""
        self._do(self.call.text_received, text)
        if self._tapes is not None:
            self._tapes.text("router", text, self._clock())

    def on_pong(self, payload: bytes) -> None:
        """The router lives."""
        if (round_trip_ms := self.call.pong_received(now := self._clock())) is not None:
            self._meters.observe("round_trip_seconds", round_trip_ms / 1000)
        self._follow(now)

    def on_writable(self, writable: bool) -> None:
        """The write buffer has filled up, in the middle of `_write`, or has drained."""
        now = self._clock()
        self.call.writable_changed(writable, self._unsent_bytes, now)
        if self._tapes is not None:
            self._tapes.note("network", "takes more" if writable else "takes nothing", now)
        if writable:
            self._follow(now)
        else:
            self._arm()

    def on_closed(self, closed: Closed) -> None:
        """It is over, unless the router may dial again."""
        now = self._clock()
        self._transport = None
        if self.call.lost(closed, now):
            self._follow(now)
        else:
            self._is_ending = True
            self._ends.do(lambda: self._end(closed, now))  # what would be heard until its turn is not heard

    def _end(self, closed: Closed, now: float) -> None:
        self._pacer.disarm(self)
        self._refresher.remove(self.refresh)
        self._is_refreshing = True  # never again
        self.call.ended(closed, now)
        self._note(self.id, self.call.figures())
        self._end_tapes(now)
        self._tell()
        self._on_end(self.id)

    # The pacer and the refresher call these.

    def wake(self, now: float) -> float:
        """Do what is due."""
        if self._is_ending:
            return math.inf
        self.call.wake(now, self._unsent_bytes)
        self._write(now)
        self._settle_up(now)
        if self._tapes is not None and now >= self._tapes.deadline:
            self._tell_taped(self._tapes.wake(now))
        return self._next_deadline()

    def refresh(self, now: float) -> None:
        """The figures were not told for a while."""
        self._is_refreshing = False
        if self.call.is_stale:
            self._note(self.id, self.call.figures())
            if self.call.is_stale:
                self._refresh_later(now)

    # The application's asks end here.

    def ask(self, ask: asks.Ask) -> None:
        """Do what is asked; for plain bytes, the path of every outgoing frame."""
        now = self._clock()
        call = self.call
        call.ask(ask, now)
        if type(ask) is not asks.Want:  # by which nothing is to be sent
            self._write(now)
        self._settle_up(now)
        if type(ask) is not bytes:
            if type(ask) in TAPED and (self._tapes is not None or type(ask) is asks.TapeOn):
                self._tape(ask, now)
            self._arm()
        elif call.schedule.queued_bytes:  # else no deadline comes earlier by it
            self._arm()

    def bind(self, owner: object, post: Deliver, note: Note) -> None:
        """Have all that is told go to an application."""
        self.owner, self._post, self._note = owner, post, note

    def release(self) -> None:
        """Have the application end its part in the call."""
        self._end_tapes(self._clock())
        self.call.release()
        self._tell()

    def hand_over(self, owner: object, post: Deliver, note: Note, *, replays: bool = False) -> None:
        """Give the call to another application, see `call.machine.Call.hand_over`."""
        is_first = self.owner is None
        self._tapes = None  # of the application before
        self.bind(owner, post, note)
        now = self._clock()
        self.call.hand_over(now, is_first=is_first, replays=replays)
        self._tell()
        self._follow(now)

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""
        self.ask(asks.Close(code, reason))

    def abort(self, code: int, reason: str) -> None:
        """End at once; ``code`` is what the application is told."""
        self.call.abort(code, reason)
        self._follow(self._clock())

    def note_fault(self, error: Exception) -> None:
        """Count a text that should have been audio, and report the first: who is wrong once is wrong each time."""
        self.call.unreadable_messages += 1
        self.call.is_stale = True
        if self.call.unreadable_messages == 1:
            self.report(error)
        self._settle_up(self._clock())

    def report(self, error: Exception) -> None:
        """Tell the application of an error."""
        self.call.tells.append(tells.Failed.of(error))
        self._tell()

    # What follows.

    def _do(self, action: Callable[..., None], *arguments: object) -> None:
        now = self._clock()
        action(*arguments, now)
        self._follow(now)

    def _follow(self, now: float) -> None:
        self._write(now)
        self._settle_up(now)
        self._arm()

    def _settle_up(self, now: float) -> None:
        """The application hears what has come of it: figures before what they belong to."""
        call = self.call
        if call.has_news:
            self._note(self.id, call.figures())
        if call.tells:
            self._tell()
        if call.is_stale and not self._is_refreshing:
            self._refresh_later(now)

    def _write(self, now: float) -> None:
        """The gate. A full write buffer says so from within a write, and the machine then has no more frames."""
        transport, call = self._transport, self.call
        if transport is None:
            self._write_nowhere(now)
            return
        while True:
            if transport.is_closing and call.can_send:
                call.lose()
            writes = call.writes(now, BURST_FRAMES)
            if writes and self._tapes is not None:
                self._tapes.play(writes, call.schedule, now)
            for at, write in enumerate(writes):
                if type(write) is bytes:
                    if at and transport.is_closing:
                        break  # the router went in the middle of a burst; the transport logs a warning for each write
                    transport.send_audio(write)
                else:
                    self._write_word(transport, write)
            if len(writes) < BURST_FRAMES:
                break
        if writes and call.liveness.is_blocked:
            call.liveness.note_unsent(transport.write_buffer_bytes)

    def _write_nowhere(self, now: float) -> None:
        """The socket is lost: what is asked is answered, and whoever wants the end has it."""
        if not self._is_open or self._is_ending or self.call.state is State.CLOSED:
            return
        for word in self.call.writes(now, 0):
            if isinstance(word, asks.Close):
                self._end(Closed(word.code, word.reason, "us"), now)
                return
            if isinstance(word, Abort):
                self._end(BROKEN, now)
                return

    def _write_word(self, transport: Transport, word: object) -> None:
        if isinstance(word, Abort):
            transport.abort()
        elif transport.is_closing:
            return
        elif isinstance(word, str):
            transport.send_text(word)
        elif isinstance(word, Beside):
            transport.send_audio(word.pcm)
        elif isinstance(word, asks.Close):
            transport.close(word.code, word.reason)
        elif isinstance(word, Ping):
            transport.send_ping()

    def _refresh_later(self, now: float) -> None:
        self._is_refreshing = True
        self._refresher.add(self.refresh, now)

    def _tell(self) -> None:
        told, self.call.tells = self.call.tells, []
        for tell in told:
            if type(tell) is not bytes:
                if self._tapes is not None:
                    self._tapes.tell(tell, self._clock())
                self._note(self.id, tell)
                if type(tell) in tells.ANSWERS:
                    continue
            self._post((self.id, tell))

    def _arm(self) -> None:
        self._pacer.arm(self, self._next_deadline())

    def _next_deadline(self) -> float:
        if self._is_ending:
            return math.inf
        deadline = self.call.next_deadline()
        return deadline if self._tapes is None else min(deadline, self._tapes.deadline)

    # Recorders.

    def _tape(self, ask: asks.Ask, now: float) -> None:
        tapes = self._tapes or Tapes(self.call)
        self._tell_taped(tapes.ask(ask, now))
        self._tapes = tapes if tapes else None

    def _end_tapes(self, now: float) -> None:
        """The call is over, or is another application's: every recorder gets the rest."""
        if self._tapes is not None:
            tapes, self._tapes = self._tapes, None
            self._tell_taped(tapes.end(self.call.tells, now))

    def _tell_taped(self, pieces: list[tells.Taped]) -> None:
        for piece in pieces:
            self._note(self.id, piece)

    @property
    def _unsent_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.write_buffer_bytes
