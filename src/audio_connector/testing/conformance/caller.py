# SPDX-License-Identifier: Apache-2.0
"""The participant of one call, and the router's ear: says frames at their time, and notes all that comes."""

from __future__ import annotations

import asyncio
import math
import secrets
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.simulator.speech import Frames
from audio_connector.testing.conformance.model import Failed
from audio_connector.testing.conformance.notes import AudioNotes
from audio_connector.wire.codec import decode_command, encode_event
from audio_connector.wire.messages import ClearCommand, Cleared, ClearForm, Event
from audio_connector.wire.transport import Closed, Transport, Upgrade

_FRAME_S = FRAME_MS / 1000
_POLL_S = 0.02  # conditions are about time as often as about messages; each message has its own time noted
# A server that floods must not fill this side's memory; the checks look at much less.
_MOST_TEXTS = 1000
_MOST_TEXT_CHARACTERS = 4 << 20
_MOST_CLEARS = 10_000

ADVICE = "ignore what you do not know, and catch what fails"


class Text(NamedTuple):
    """A text message, and when it came."""

    at: float
    text: str


class Clear(NamedTuple):
    """A clear command, and when it came."""

    at: float
    form: ClearForm


class Caller:
    """One call; the `Receiver` of its socket.

    Args:
        audio_format: The format of the call.
        clock: Seconds of a monotonic clock.

    Attributes:
        audio: What came of audio.
        texts: What came of text, up to a bound.
        clears: The clear commands among it, up to a bound.
        closed: How the connection ended; None until then.
        acknowledges: Answer a clear, as the Voice API does (PROTOCOL 2 websocket:cleared).
        sends_silence: Send frames of zeros while nothing is said; False sends nothing then (PROTOCOL 2.8).
        latest_s: How late this side itself was with a frame, at worst.
    """

    def __init__(self, audio_format: AudioFormat, *, clock: Callable[[], float]) -> None:
        self.audio_format = audio_format
        self.audio = AudioNotes(audio_format)
        self.texts: list[Text] = []
        self.clears: list[Clear] = []
        self.closed: Closed | None = None
        self.acknowledges = True
        self.sends_silence = True
        self.latest_s = 0.0
        self.clock = clock
        self.transport: Transport = None  # type: ignore[assignment]  # set by on_open, before any use
        self._text_characters = 0
        self._pinged: set[bytes] = set()
        self._pongs: set[bytes] = set()
        self._to_say: deque[bytes] = deque()
        self._said_at = -math.inf

    # Receiver

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        """Take the transport."""
        del upgrade
        self.transport = transport

    def on_audio(self, payload: bytes) -> None:
        """Note a binary message."""
        self.audio.add(payload, self.clock())

    def on_text(self, text: str) -> None:
        """Note a text; obey a clear."""
        now = self.clock()
        self._text_characters += len(text)
        if len(self.texts) < _MOST_TEXTS and self._text_characters <= _MOST_TEXT_CHARACTERS:
            self.texts.append(Text(now, text))
        command = decode_command(text)
        if isinstance(command, ClearCommand):
            if len(self.clears) < _MOST_CLEARS:
                self.clears.append(Clear(now, command.form))
            self.audio.clear(now)
            if self.acknowledges:
                self.send(Cleared())

    def on_pong(self, payload: bytes) -> None:
        """Note the answer to a ping, and none that nobody asked for."""
        if payload in self._pinged:
            self._pongs.add(payload)

    def on_writable(self, writable: bool) -> None:
        """Nothing: what a check sends is little."""

    def on_closed(self, closed: Closed) -> None:
        """Note the end."""
        self.closed = closed

    # What is said

    async def speak(self) -> None:
        """Say frames in real time, each at its own time and never by a running sum, until the connection ends."""
        zeros = bytes(self.audio_format.frame_bytes)
        began_at = self.clock()
        tick = 0
        while self.closed is None:
            if self._to_say:
                self.transport.send_audio(self._to_say.popleft())
                self._said_at = self.clock()
            elif self.sends_silence:
                self.transport.send_audio(zeros)
            now = self.clock()
            self.latest_s = max(self.latest_s, now - began_at - tick * _FRAME_S)
            tick += 1
            await asyncio.sleep(max(0.0, began_at + tick * _FRAME_S - now))

    def say(self, frames: Frames) -> None:
        """Say this, behind what is being said."""
        self._to_say += frames

    def stop_speaking(self) -> None:
        """Say nothing more of it."""
        self._to_say.clear()

    async def said(self) -> float:
        """Wait until everything is said, or the connection is over; return when the last of it was."""
        await self.until(lambda: not self._to_say, math.inf)
        return self._said_at

    def send(self, event: Event | str) -> None:
        """Send an event, or a text as it is."""
        if self.closed is None and not self.transport.is_closing:
            self.transport.send_text(
                event if isinstance(event, str) else encode_event(event, leading_blank=False)
            )

    # What is waited for

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for something; False where it does not happen in time, or can no more."""
        give_up_at = self.clock() + within_s
        while not condition():
            if self.closed is not None or self.clock() >= give_up_at:
                return condition()
            await asyncio.sleep(_POLL_S)
        return True

    async def stays(self, seconds: float) -> bool:
        """Watch the connection for a while; False where it ends."""
        await self.until(lambda: False, seconds)
        return self.closed is None

    def is_quiet_for(self, seconds: float) -> bool:
        """No voice was heard for so long."""
        return self.clock() - self.audio.voice_end >= seconds

    async def answers(self, payload: bytes, *, within_s: float) -> bool:
        """Ping, and wait for the answer."""
        if self.closed is not None or self.transport.is_closing:
            return False
        self._pinged.add(payload)
        self.transport.send_ping(payload)
        return await self.until(lambda: payload in self._pongs, within_s)

    async def pings(self, after: str, *, within_s: float, advice: str = ADVICE) -> None:
        """Ping, and wait for the answer.

        Args:
            after: What happened before, for the text of the failure.
            within_s: How long the answer may take.
            advice: What to do where the connection was closed, for the same text.

        Raises:
            Failed: There is none, or the connection ended.
        """
        if await self.answers(secrets.token_bytes(8), within_s=within_s):
            return
        if self.closed is not None:
            raise Failed(
                f"{after}, the connection was closed {how(self.closed)}; expected that the call goes on; "
                f"{advice}"
            )
        raise Failed(
            f"{after}, a ping was not answered in {within_s:g} s; expected a pong; "
            "read on while your own code works, and answer pings at once"
        )


def how(closed: Closed) -> str:
    """How a connection ended, in words."""
    if closed.closed_by == "network":
        return "without a close frame (1006)"
    who = "by the server" if closed.closed_by == "peer" else "by this side"
    return f"{who} with {closed.code}" + (f" {closed.reason!r}" if closed.reason else "")
