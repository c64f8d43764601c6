# SPDX-License-Identifier: Apache-2.0
"""One call in virtual time: the I/O side of a server, a socket in memory, and a router that plays what it gets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from support.clock import VirtualClock

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.call.machine import Call
from audio_connector.call.states import State
from audio_connector.intake.items import TextItem
from audio_connector.playback.pacer import Pacer
from audio_connector.playback.speech import PLAIN, Answered, Finished, Flushed, Interrupted, Played
from audio_connector.port.meters import Meters
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.link import Link, Refresher, Shared
from audio_connector.simulator.playout import PlayoutBuffer, PlayoutReport
from audio_connector.wire.codec import decode_command, encode_event
from audio_connector.wire.memory import UPGRADE, MemoryTransport, connect
from audio_connector.wire.messages import ClearCommand, Connected, Disconnected, Event
from audio_connector.wire.one_by_one import OneByOne
from audio_connector.wire.transport import Closed, Transport, Upgrade

TellT = TypeVar("TellT")

LINK_ID = 1


class Clock(Protocol):
    """Whatever knows the time."""

    @property
    def now(self) -> float: ...


@dataclass(frozen=True)
class Arrival:
    """A message at the router, and when."""

    at: float
    message: bytes | str


class Router:
    """The other end of the socket: notes what arrives, and plays it as the media router does.

    Args:
        clock: Of the test.
        rate_hz: Of the call.
    """

    def __init__(self, clock: Clock, rate_hz: int) -> None:
        self.clock = clock
        self.format = AudioFormat(rate_hz)
        # No silence counts as a pause: whoever tests a pause says so by not asking for underruns.
        self.playout = PlayoutBuffer(self.format, pause_after_ms=None)
        self.obeys_clear = True
        self.arrivals: list[Arrival] = []
        self.pongs = 0
        self.closed: Closed | None = None

    @property
    def frames(self) -> list[bytes]:
        return [arrival.message for arrival in self.arrivals if isinstance(arrival.message, bytes)]

    @property
    def texts(self) -> list[str]:
        return [arrival.message for arrival in self.arrivals if isinstance(arrival.message, str)]

    def report(self) -> PlayoutReport:
        return self.playout.report(self.clock.now)

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        pass

    def on_audio(self, payload: bytes) -> None:
        self.arrivals.append(Arrival(self.clock.now, payload))
        self.playout.receive(payload, self.clock.now)

    def on_text(self, text: str) -> None:
        self.arrivals.append(Arrival(self.clock.now, text))
        if self.obeys_clear and isinstance(decode_command(text), ClearCommand):
            self.playout.clear(self.clock.now)

    def on_pong(self, payload: bytes) -> None:
        self.pongs += 1

    def on_writable(self, writable: bool) -> None:
        pass

    def on_closed(self, closed: Closed) -> None:
        assert self.closed is None
        self.closed = closed


class Told:
    """The application's end of the port: notes all that it is told."""

    def __init__(self) -> None:
        self.in_order: list[tells.Tell] = []
        """Tells in the order of events."""
        self.at_once: list[tells.Tell | tells.Figures] = []
        """What is told at once, figures among it."""

    def post(self, message: tuple[int, tells.Tell], /) -> None:
        assert message[0] == LINK_ID
        self.in_order.append(message[1])

    def note(self, link_id: int, tell: tells.Tell | tells.Figures) -> None:
        assert link_id == LINK_ID
        self.at_once.append(tell)


@dataclass(frozen=True)
class Wait:
    """Somebody who waits for an answer."""

    told: Told
    token: int

    @property
    def answers(self) -> list[object]:
        """All that came; never more than one."""
        return [
            tell.value
            for tell in self.told.at_once
            if isinstance(tell, Answered) and tell.token == self.token
        ]

    @property
    def is_done(self) -> bool:
        return bool(self.answers)

    @property
    def answer(self) -> object:
        [answer] = self.answers
        return answer


@dataclass(frozen=True)
class FollowedSpeech:
    """What the application holds of a speech."""

    call: VirtualCall
    lane: int

    @property
    def outcomes(self) -> list[Played | Interrupted]:
        """All that came; never more than one."""
        noted = self.call.told.at_once
        return [tell.outcome for tell in noted if isinstance(tell, Finished) and tell.lane == self.lane]

    @property
    def outcome(self) -> Played | Interrupted | None:
        outcomes = self.outcomes
        assert len(outcomes) <= 1
        return outcomes[0] if outcomes else None

    @property
    def played_ms(self) -> float:
        """By what is published."""
        found = [p for lane, p in self.call.published.speeches if lane == self.lane]
        return found[0].played_ms(self.call.clock.now) if found else 0.0


class VirtualCall:
    """A `Link`, its machine and everything around it. What the application would do is done by the methods.

    Args:
        rate_hz: What the router's first message says; None where it sends none.
        kernel_bytes: As `MemoryTransport`.
        clock: Shared by several calls; None makes one.
        pacer: Likewise.
        is_movable: It may go from one application to another.
        groups: ``playback``, ``intake``, ``timeouts`` of the configuration, as dicts.
    """

    def __init__(
        self,
        rate_hz: int | None = 16000,
        *,
        kernel_bytes: int = 0,
        clock: VirtualClock | None = None,
        pacer: Pacer | None = None,
        is_movable: bool = False,
        **groups: dict[str, Any],
    ) -> None:
        self.clock = clock or VirtualClock()
        self.pacer = pacer or Pacer(self.clock.time, self.clock.call_later, self._fail)
        self.start = self.clock.now
        self.told = Told()
        self.ended = 0
        config = AudioConnectorServerConfig(host="localhost", port=0, **groups)  # type: ignore[arg-type]
        self.machine = Call(config.playback, config.intake, config.timeouts, is_movable=is_movable)
        self.link = Link(
            LINK_ID,
            self.machine,
            post=self.told.post,
            note=self.told.note,
            shared=Shared(
                self.pacer,
                Refresher(self.pacer),
                OneByOne(self.clock.call_later),
                self.clock.time,
                Meters(),
            ),
            on_end=self._end,
        )
        self._kernel_bytes = kernel_bytes
        self._numbers = itertools.count(1)
        self.routers: list[Router] = []
        """One for each socket; the latest is ``router``."""
        self.dial(rate_hz)

    def _end(self, link_id: int) -> None:
        assert link_id == LINK_ID
        self.ended += 1

    @staticmethod
    def _fail(item: object, error: Exception) -> None:
        raise AssertionError(f"{item!r} failed") from error

    # Time.

    @property
    def now_s(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now - self.start

    def run_for(self, seconds: float) -> None:
        self.clock.run_for(seconds)

    def run_until(self, seconds: float) -> None:
        """Go on to so many seconds after the beginning."""
        self.clock.run_until(self.start + seconds)

    # What the router does.

    def dial(self, rate_hz: int | None = 16000, upgrade: Upgrade = UPGRADE) -> None:
        """Once more, whatever became of the socket before, as one that is taken for the same router."""
        self.router = Router(self.clock, rate_hz or 16000)
        self.routers.append(self.router)
        call_later = self.clock.call_later
        self.socket = MemoryTransport(self.link, call_later=call_later, kernel_bytes=self._kernel_bytes)
        self.router_socket = MemoryTransport(self.router, call_later=call_later)
        connect(self.socket, self.router_socket, upgrade)
        if rate_hz is not None:
            self.router_says(Connected(format=AudioFormat(rate_hz)))
        elif len(self.routers) > 1:
            self.run_for(0.0)

    def lose(self, for_s: float = 0.0) -> None:
        """Its connection breaks off, and so much time passes."""
        self.router_socket.reset()
        self.run_for(for_s)

    def router_says(self, event: Event) -> None:
        self.router_socket.send_text(encode_event(event))
        self.run_for(0.0)

    def router_sends(self, audio: bytes) -> None:
        self.router_socket.send_audio(audio)
        self.run_for(0.0)

    # What the application asks.

    def ask(self, ask: asks.Ask) -> None:
        """Without any time passing, not even for what is due now."""
        if not self.ended:
            self.link.ask(ask)

    def new_number(self) -> int:
        return next(self._numbers)

    def write(
        self, pcm: bytes, lane: int = PLAIN, *, is_end: bool = False, rate_hz: int | None = None
    ) -> None:
        """Plainly, or to a speech."""
        is_plain = lane == PLAIN and rate_hz is None and not is_end
        self.ask(pcm if is_plain and pcm else asks.Write(lane, pcm, rate_hz, is_end))
        self.run_for(0.0)

    def begin(self) -> FollowedSpeech:
        lane = self.new_number()
        self.ask(asks.BeginSpeech(lane))
        return FollowedSpeech(self, lane)

    def end_speech(self, speech: FollowedSpeech) -> None:
        self.ask(asks.EndSpeech(speech.lane))
        self.run_for(0.0)

    def say(self, pcm: bytes) -> FollowedSpeech:
        """A whole speech, in one write."""
        speech = self.begin()
        self.write(pcm, speech.lane)
        self.end_speech(speech)
        return speech

    def stand_in_line(self, lane: int = PLAIN, *, is_end: bool = False) -> Wait:
        token = self.new_number()
        self.ask(asks.StandInLine(lane, token, is_end))
        return Wait(self.told, token)

    def wait_played(self) -> Wait:
        token = self.new_number()
        self.ask(asks.WaitPlayed(token, None))
        return Wait(self.told, token)

    def send_text(self, text: str, wait: Wait | None = None) -> None:
        self.ask(asks.SendText(text, None if wait is None else wait.token))
        self.run_for(0.0)

    def stand_in_text_line(self) -> Wait:
        token = self.new_number()
        self.ask(asks.StandInTextLine(token))
        return Wait(self.told, token)

    def leave(self, wait: Wait) -> None:
        self.ask(asks.Leave(wait.token))

    def flush(self) -> Flushed:
        token = self.new_number()
        self.ask(asks.Flush(token))
        self.run_for(0.0)
        flushed = Wait(self.told, token).answer
        assert isinstance(flushed, Flushed)
        return flushed

    def want(
        self, *, audio: bool = True, texts: bool = True, credit: int = 0, is_settled: bool = False
    ) -> None:
        self.ask(asks.Want(audio, texts, credit, is_settled))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.ask(asks.Close(code, reason))
        self.run_for(0.0)

    # What the application was told.

    def told_of(self, kind: type[TellT]) -> list[TellT]:
        return [tell for tell in self.told.in_order if isinstance(tell, kind)]

    @property
    def arrived(self) -> list[bytes | str]:
        """Audio, and texts as they came."""
        return [
            tell.text if isinstance(tell, TextItem) else tell
            for tell in self.told.in_order
            if isinstance(tell, bytes | TextItem)
        ]

    @property
    def errors(self) -> list[Exception]:
        return [failed.error() for failed in self.told_of(tells.Failed)]

    @property
    def end(self) -> Disconnected | None:
        """How it ended; None before that."""
        ends = self.told_of(tells.Ended)
        assert len(ends) <= 1
        return ends[0].how if ends else None

    def is_in(self, state: State) -> bool:
        return self.machine.state is state

    @property
    def format(self) -> AudioFormat | None:
        """What was told last; None before it is settled."""
        settled = self.told_of(tells.Settled)
        return settled[-1].format if settled else None

    @property
    def published(self) -> tells.Figures:
        """The latest figures that the application was told."""
        noted = (tell for tell in reversed(self.told.at_once) if isinstance(tell, tells.Figures))
        return next(noted, tells.Figures())

    @property
    def figures(self) -> tells.Figures:
        """The figures as of now, whether or not they are due."""
        machine = self.machine
        before = machine.has_news, machine.is_stale
        figures = machine.figures()
        machine.has_news, machine.is_stale = before
        return figures

    @property
    def played_ms(self) -> float:
        """By what is published, as the application works it out."""
        return self.published.progress.played_ms(self.clock.now)


RESUME_S = 5.0


def lasting_call(rate_hz: int | None = 16000, **groups: Any) -> VirtualCall:
    """One that goes on where the router dials again within `RESUME_S`, unless ``timeouts`` says otherwise."""
    groups["timeouts"] = {"resume_s": RESUME_S, **groups.get("timeouts", {})}
    return VirtualCall(rate_hz, **groups)
