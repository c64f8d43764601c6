# SPDX-License-Identifier: Apache-2.0
"""The tapes of one call, one for each recorder: what its driver sees goes to all of them. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from audio_connector.call import asks, tells
from audio_connector.call.ends import is_abnormal
from audio_connector.call.machine import Call
from audio_connector.call.tape import Tape
from audio_connector.playback.schedule import Schedule
from audio_connector.wire.codec import name_of_text

TAPED: Final = frozenset(
    (
        asks.TapeOn,
        asks.TapeMore,
        asks.TakeTape,
        asks.Flush,
        asks.PauseSpeech,
        asks.ResumeSpeech,
        asks.SendText,
    )
)
"""Of what is asked: a recorder's, or what belongs into its recording."""


class Tapes:
    """All that record a call."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._schedule = call.schedule
        self._tapes: list[Tape] = []
        self.hear: Callable[[bytes, float], None] = self._hear
        """A message of the caller's audio arrived: mostly there is one tape, and it is told by itself."""
        self.play: Callable[[list[Any], Schedule, float], None] = self._play
        """These were written; what of it is audio are the last frames so far."""
        self.deadline = math.inf
        """When there is something to tell."""

    def __bool__(self) -> bool:
        return bool(self._tapes)

    # What happens.

    def _hear(self, payload: bytes, now: float) -> None:
        for tape in self._tapes:
            tape.hear(payload, now)

    def _play(self, writes: list[Any], schedule: Schedule, now: float) -> None:
        for tape in self._tapes:
            tape.play(writes, schedule, now)

    def text(self, source: str, text: str, now: float) -> None:
        """A text came, or is to be sent."""
        for tape in self._tapes:
            tape.follow(self._schedule, now)  # it may have been a notify
        self.note(source, name_of_text(text) or "text", now, text)

    def note(self, source: str, name: str, now: float, detail: str = "") -> None:
        """Something else happened."""
        for tape in self._tapes:
            tape.note(now, source, name, detail)

    def tell(self, tell: tells.Tell, now: float) -> None:
        """The application is told; what it hears of the call as such is noted."""
        match tell:
            case tells.Settled(audio_format):
                self.note("router", "format", now, f"{audio_format.rate_hz} Hz")
            case tells.Failed(kind, text):
                self.note("server", kind, now, text)
            case tells.Lost():
                self.note("network", "broke off", now)
            case tells.Resumed():
                self.note("router", "dialled again", now)

    def ask(self, ask: asks.Ask, now: float) -> list[tells.Taped]:
        """The application asks, for one of `TAPED`; returns what is to be told."""
        told = self._ask(ask, now)
        self._plan()
        return told

    def _ask(self, ask: asks.Ask, now: float) -> list[tells.Taped]:
        match ask:
            case asks.TapeOn(token, keep_s, batches, is_from_start, tell_s):
                early = self._call.buffer.early_audio() if is_from_start else []
                self._tapes.append(Tape(token, keep_s, batches, now, early, tell_s=tell_s))
            case asks.TapeMore(token):
                for tape in self._of(token):
                    tape.grant()
            case asks.TakeTape(token, is_last):
                taken = self._of(token)
                if is_last:
                    self._tapes = [tape for tape in self._tapes if tape.token != token]
                pieces = [tape.take(self._schedule.format, now, is_last=is_last) for tape in taken]
                return [piece for of_one in pieces for piece in of_one]
            case asks.Flush() | asks.PauseSpeech():
                for tape in self._tapes:
                    tape.follow(self._schedule, now)
                self.note("server", "flush" if isinstance(ask, asks.Flush) else "pause", now)
            case asks.ResumeSpeech():
                self.note("server", "resume", now)
            case asks.SendText(text):
                self.text("server", text, now)
        return []

    # What is told by itself.

    def wake(self, now: float) -> list[tells.Taped]:
        """Return what is due."""
        pieces = [piece for tape in self._tapes for piece in tape.wake(self._schedule.format, now)]
        self._plan()
        return pieces

    def end(self, told: list[tells.Tell], now: float) -> list[tells.Taped]:
        """The call is over, as one of these says, or is another application's. Returns the rest."""
        how = next((tell.how for tell in told if isinstance(tell, tells.Ended)), None)
        if how is not None:
            code = "no code" if how.code is None else str(how.code)
            self.note(how.closed_by, "closed", now, f"{code} {how.reason}".strip())
        is_wanted = how is not None and is_abnormal(how)
        tapes, self._tapes = self._tapes, []
        rest = [tape.end(self._schedule.format, now, is_wanted=is_wanted) for tape in tapes]
        return [piece for of_one in rest for piece in of_one]

    def _plan(self) -> None:
        is_one = len(self._tapes) == 1
        self.hear = self._tapes[0].hear if is_one else self._hear
        self.play = self._tapes[0].play if is_one else self._play
        self.deadline = min((tape.next_deadline() for tape in self._tapes), default=math.inf)

    def _of(self, token: int) -> list[Tape]:
        return [tape for tape in self._tapes if tape.token == token]
