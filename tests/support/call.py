# SPDX-License-Identifier: Apache-2.0
"""One call in virtual time: the I/O side of a server, a socket in memory, and a router that plays what it gets."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from support.clock import VirtualClock

from audio_connector.audio.format import AudioFormat
from audio_connector.intake.items import TextItem
from audio_connector.playback.pacer import Pacer
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.server import mail
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.link import Link
from audio_connector.simulator.playout import PlayoutBuffer, PlayoutReport
from audio_connector.wire.codec import decode_command, encode_event
from audio_connector.wire.memory import MemoryTransport, connect
from audio_connector.wire.messages import ClearCommand, Connected, Event
from audio_connector.wire.transport import Closed, Transport, Upgrade

MailT = TypeVar("MailT")


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


class VirtualCall:
    """A `Link` and everything around it. What the application would do is done by the methods.

    Args:
        rate_hz: What the router's first message says; None where it sends none.
        kernel_bytes: As `MemoryTransport`.
        clock: Shared by several calls; None makes one.
        pacer: Likewise.
        groups: ``playback``, ``intake``, ``timeouts`` of the configuration, as dicts.
    """

    def __init__(
        self,
        rate_hz: int | None = 16000,
        *,
        kernel_bytes: int = 0,
        clock: VirtualClock | None = None,
        pacer: Pacer | None = None,
        **groups: dict[str, Any],
    ) -> None:
        self.clock = clock or VirtualClock()
        self.pacer = pacer or Pacer(self.clock.time, self.clock.call_later, self._fail)
        self.start = self.clock.now
        self.mail: list[mail.ToApplication] = []
        self.ended = 0
        config = AudioConnectorServerConfig(host="localhost", port=0, **groups)  # type: ignore[arg-type]
        self.link = Link(
            1, config, post=self.mail.append, pacer=self.pacer, clock=self.clock.time, on_end=self._end
        )
        self.router = Router(self.clock, rate_hz or 16000)
        call_later = self.clock.call_later
        self.socket = MemoryTransport(self.link, call_later=call_later, kernel_bytes=kernel_bytes)
        self.router_socket = MemoryTransport(self.router, call_later=call_later)
        self._ids = itertools.count(1)
        connect(self.socket, self.router_socket)
        if rate_hz is not None:
            self.router_says(Connected(format=AudioFormat(rate_hz)))

    def _end(self, link_id: int) -> None:
        assert link_id == 1
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

    def router_says(self, event: Event) -> None:
        self.router_socket.send_text(encode_event(event))
        self.run_for(0.0)

    def router_sends(self, audio: bytes) -> None:
        self.router_socket.send_audio(audio)
        self.run_for(0.0)

    # What the application does.

    def write(
        self,
        pcm: bytes,
        utterance_id: int = 0,
        *,
        is_end: bool = False,
        has_tail: bool = False,
        rate_hz: int | None = None,
    ) -> None:
        rate_hz = rate_hz or self.link.published.format.rate_hz
        self.link.on_write(mail.Write(1, utterance_id, pcm, rate_hz, is_end, has_tail))
        self.run_for(0.0)

    def begin(self, utterance_id: int) -> FollowedSpeech:
        speech = FollowedSpeech(mail.SpeechProgress(), mail.Reply())
        self.link.on_begin_speech(mail.BeginSpeech(1, utterance_id, speech.progress, speech.reply))
        return speech

    def say(self, pcm: bytes, utterance_id: int = 1) -> FollowedSpeech:
        """A whole speech, in one call."""
        speech = self.begin(utterance_id)
        self.write(pcm, utterance_id, is_end=True)
        return speech

    def send_text(self, text: str) -> None:
        self.link.on_send_text(mail.SendText(1, text))
        self.run_for(0.0)

    def flush(self, up_to_id: int = 1) -> Flushed:
        reply: mail.Reply[Flushed] = mail.Reply()
        self.link.on_flush(mail.Flush(1, up_to_id, reply))
        self.run_for(0.0)
        return reply.result(timeout=0)

    def await_played(self) -> mail.Reply[Played | Interrupted]:
        reply: mail.Reply[Played | Interrupted] = mail.Reply()
        self.link.on_await_played(mail.AwaitPlayed(1, reply))
        return reply

    def await_room(self, taken_bytes: int) -> mail.Reply[None]:
        reply: mail.Reply[None] = mail.Reply()
        self.link.on_await_room(mail.AwaitRoom(1, taken_bytes, reply))
        return reply

    def await_closed(self) -> mail.Reply[Any]:
        reply: mail.Reply[Any] = mail.Reply()
        self.link.on_await_closed(mail.AwaitClosed(1, reply))
        return reply

    def want(self, *, audio: bool = True, texts: bool = True, credit: int = 0) -> None:
        self.link.on_want(mail.Want(1, audio, texts, credit))

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.link.on_close(mail.Close(1, code, reason))
        self.run_for(0.0)

    # What the application was told.

    def posted(self, kind: type[MailT]) -> list[MailT]:
        return [message for message in self.mail if isinstance(message, kind)]

    @property
    def arrived(self) -> list[bytes | str]:
        """Audio, and texts as they came."""
        items = [message.item for message in self.posted(mail.Arrived)]
        return [item.text if isinstance(item, TextItem) else item for item in items]

    @property
    def errors(self) -> list[Exception]:
        return [message.error for message in self.posted(mail.Failed)]

    @property
    def played_ms(self) -> float:
        """By what is published, as the application works it out."""
        return self.link.published.progress.played_ms(self.clock.now)


@dataclass(frozen=True)
class FollowedSpeech:
    """What the application holds of a speech."""

    progress: mail.SpeechProgress
    reply: mail.Reply[Played | Interrupted]

    @property
    def outcome(self) -> Played | Interrupted | None:
        return self.reply.result() if self.reply.done() else None
