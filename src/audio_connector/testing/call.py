# SPDX-License-Identifier: Apache-2.0
"""One call of a test: the participant who speaks, and the ear that hears the bot."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from audio_connector.errors import UsageError
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.simulator.activity import is_loud
from audio_connector.simulator.call import LiveCall
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.profile import Close
from audio_connector.simulator.report import CallReport
from audio_connector.simulator.router import Router
from audio_connector.simulator.talk.ports import Talk
from audio_connector.simulator.trace import BargeIn, TraceEvent
from audio_connector.testing import network
from audio_connector.testing.audio import Audio, AudioSource
from audio_connector.testing.ear import Ear
from audio_connector.testing.virtual_time import VirtualLoop
from audio_connector.wire import picows
from audio_connector.wire.network import Dial, DialOptions
from audio_connector.wire.transport import Receiver, Transport

T = TypeVar("T")

PAUSE_S = 0.5
"""Silence after which a bot has said what it wanted to say."""

KEYS = "0123456789*#ABCD"
SHOWN_EVENTS = 6
END_S = 10.0
"""Longest that the end of a call may take, with a server that does not answer the close."""


# In the methods of a call `__tracebackhide__` lets pytest show the line of the test instead of theirs.


class CallFailed(AssertionError):
    """A bot did not do in time what a test waits for; the text says what was heard of it instead."""


def router(*, dial: Dial | None = None, talk: Talk | None = None) -> Router:
    """Make a simulated router for the running loop: on real sockets, or in virtual time on those in memory.

    Args:
        dial: How connections are made; None for what suits the loop.
        talk: What speaks texts and understands the bot, for calls that need it.
    """
    loop = asyncio.get_running_loop()
    suiting: Dial = network.dial if isinstance(loop, VirtualLoop) else picows.dial
    return Router(dial=dial or suiting, clock=_clock_of(loop), talk=talk)


def _clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    return loop.time if isinstance(loop, VirtualLoop) else time.monotonic


class Call:
    """A call to a bot, as the media router makes it. Made by `Server.call` and `connect`.

    Args:
        call: What is dialled, and everything else that a `simulator.RouterCall` can be told.
        extra_headers: Of the upgrade, beside the call's own.
        client_of: Gives the server's handle of this call, where the server is the test's own.
        errors: What went wrong in the bot so far, for the texts of failures.
    """

    def __init__(
        self,
        call: RouterCall,
        *,
        extra_headers: Sequence[tuple[str, str]] = (),
        client_of: Callable[[], AudioConnectorConnection] | None = None,
        errors: Callable[[], list[str]] = list,
    ) -> None:
        self._call = replace(call, heard=self._hear, spoken=self._speak)
        self._extra_headers = list(extra_headers)
        self._client_of = client_of
        self._errors = errors
        self._loop = asyncio.get_running_loop()
        self._clock = _clock_of(self._loop)
        self._ear, self._voice = Ear(call.rate_hz), Ear(call.rate_hz)
        self._events: list[TraceEvent] = []
        self._texts: list[str] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._replied_until_s = 0.0
        self._running: asyncio.Task[CallReport]
        self.live: LiveCall
        """The simulated call itself, for whatever has no method here."""

    # What the participant does.

    async def say(self, speech: AudioSource, *, rate_hz: int | None = None) -> None:
        """Speak, after what is being said; returns when it was said.

        Args:
            speech: See `AudioSource`.
            rate_hz: Of bytes and arrays; the call's by default.

        Raises:
            CallFailed: The call ended meanwhile.
            AudioFileError: The file cannot be read as audio.
            AudioDataError: Not audio that is taken.
        """
        __tracebackhide__ = True
        self._check_open("speak")
        audio = Audio.of(speech, rate_hz=rate_hz or self._call.rate_hz)
        until_s = self.live.say(audio.at_rate(self._call.rate_hz).pcm)

        def is_said() -> bool | None:
            return (self.live.now_s >= until_s - 1e-6 and not self.live.unsaid_ms) or None

        # The router's clock never stops, so it is said in time, or the call is over.
        if not await self._until(is_said, until_s - self.live.now_s + END_S):
            raise self._failed("the call ended before everything was said")

    def mute(self) -> None:
        """Mute the participant: the bot is told so, and no frames come (PROTOCOL 2.7)."""
        __tracebackhide__ = True
        self._check_open("mute")
        self.live.mute()

    def unmute(self) -> None:
        """Let the participant be heard again."""
        __tracebackhide__ = True
        self._check_open("unmute")
        self.live.unmute()

    def press(self, digits: str, *, duration_ms: int | None = 260) -> None:
        """Press telephone keys: 0 to 9, * and #, A to D.

        Raises:
            UsageError: There is no such key.
        """
        __tracebackhide__ = True
        self._check_open("press keys")
        if not set(digits) <= set(KEYS):
            raise UsageError(f"digits={digits!r}: expected keys of a telephone, {KEYS}")
        for digit in digits:
            self.live.press(digit, duration_ms)

    async def interrupt(
        self, speech: AudioSource, *, after_s: float = 0.5, within_s: float = 5.0, rate_hz: int | None = None
    ) -> BargeIn:
        """Speak over the bot, and wait until it is silent; what it says then is the next `reply`.

        Args:
            speech: See `AudioSource`.
            after_s: How long to listen to the bot before.
            within_s: How long the bot may take to begin, and after what was said, to be silent.
            rate_hz: Of bytes and arrays; the call's by default.

        Returns:
            How it went: `BargeIn.speech_to_silence_ms`, ``latency_ms`` from the clear on, ``stale_ms``.

        Raises:
            CallFailed: The bot did not speak, or did not fall silent.
        """
        __tracebackhide__ = True
        await self.until_speaking(within_s=within_s)
        await asyncio.sleep(after_s)
        if self._ear.quiet_s() > PAUSE_S and not any(map(is_loud, self.live.playout.waiting)):
            raise self._failed(f"the bot spoke for less than {after_s:g} s, so nothing was left to interrupt")
        begun_s = self.live.now_s
        await self.say(speech, rate_hz=rate_hz)
        deadline_s = self.live.now_s + within_s
        while True:
            over = [each for each in self._barge_ins() if each.silent_at_s is not None]
            if over and (over[-1].silent_at_s or 0.0) >= begun_s:
                self._replied_until_s = over[-1].silent_at_s or 0.0
                return over[-1]
            if self.is_over or self.live.now_s > deadline_s:
                raise self._failed(
                    "the bot had just said its last word, so that nothing was interrupted; take a shorter after_s"
                    if not any(each.silent_at_s is None for each in self._barge_ins())
                    else f"the bot spoke on for {within_s:g} s after it was interrupted"
                )
            await asyncio.sleep(0.1)

    async def hang_up(self, how: Close | None = None) -> CallReport:
        """End the call, in the way of the router's profile or another one; returns when it is over."""
        self.live.hang_up(how)
        await asyncio.wait((self._running,), timeout=END_S)
        return self.report()

    # What the bot does.

    async def reply(
        self, *, within_s: float = 5.0, pause_s: float = PAUSE_S, longest_s: float = 60.0
    ) -> Audio:
        """Wait for what the bot says next, until it is silent again.

        Each call gives the next thing that it said, in order, also where that was said already: the first one after a
        greeting is the greeting.

        Args:
            within_s: It has to be heard in so many seconds from now.
            pause_s: So much silence ends it.
            longest_s: It may last so long.

        Returns:
            From its first sound to its last.

        Raises:
            CallFailed: Nothing was heard in time, or it did not end; the text says what was heard.
        """
        __tracebackhide__ = True
        after_s = self._replied_until_s
        began = await self._until(lambda: self._ear.utterance(after_s, pause_s=pause_s), within_s)
        if began is None:
            raise self._failed(f"no reply within {within_s:g} s")

        def is_over() -> bool | None:
            found = self._ear.utterance(after_s, pause_s=pause_s)
            return (found is not None and found.is_over) or None

        ended = await self._until(is_over, longest_s)
        reply = self._ear.utterance(after_s, pause_s=pause_s) or began
        if not ended and not self.is_over:
            raise self._failed(
                f"the bot spoke for more than {longest_s:g} s without a pause of {pause_s:g} s"
            )
        start_s, self._replied_until_s = self._ear.widened(reply)
        return self._ear.audio(start_s, self._replied_until_s)

    async def until_speaking(self, *, within_s: float = 5.0) -> None:
        """Wait until the bot is heard.

        Raises:
            CallFailed: It was not in time.
        """
        __tracebackhide__ = True
        if not await self._until(lambda: self._ear.is_loud_now() or None, within_s):
            raise self._failed(f"the bot said nothing within {within_s:g} s")

    async def until_silent(self, *, within_s: float = 5.0, pause_s: float = PAUSE_S) -> None:
        """Wait until nothing was heard of the bot for a while; the next `reply` is what it says then.

        Raises:
            CallFailed: It still spoke.
        """
        __tracebackhide__ = True
        if not await self._until(lambda: self._ear.quiet_s() >= pause_s or None, within_s):
            raise self._failed(f"the bot was not silent for {pause_s:g} s within {within_s:g} s")
        self._replied_until_s = self._ear.heard_s

    async def expect_silence(self, for_s: float) -> None:
        """Listen for a while, and see to it that the bot says nothing.

        Raises:
            CallFailed: It did.
        """
        __tracebackhide__ = True
        begun_s = self._listen()
        heard = await self._until(lambda: self._ear.utterance(begun_s, pause_s=PAUSE_S), for_s)
        if heard is not None:
            raise self._failed(f"the bot spoke at {heard.start_s:.2f} s, where silence was expected")

    @property
    def heard(self) -> Audio:
        """All that the session has heard so far, silence included: its position is the time since the connection."""
        self._listen()
        return self._ear.audio()

    @property
    def spoken(self) -> Audio:
        """All that the participant has said so far, likewise."""
        return self._voice.audio()

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text message of the server so far, as it was read: clear, notify, and its own; no audio."""
        return tuple(self._texts)

    @property
    def events(self) -> tuple[TraceEvent, ...]:
        """What has happened so far, on either side and in between."""
        return tuple(self._events)

    @property
    def client(self) -> AudioConnectorConnection:
        """The server's handle of this call, for what the bot sees of it.

        Raises:
            UsageError: The server is not one of this test.
        """
        if self._client_of is None:
            raise UsageError(
                "the handle of a call is in the program that serves it; here that is not this one: use serve()"
            )
        return self._client_of()

    @property
    def now_s(self) -> float:
        """Seconds since the connection was made."""
        return self.live.now_s

    @property
    def is_over(self) -> bool:
        """Whether the connection is over."""
        return self._running.done()

    def report(self) -> CallReport:
        """The figures so far, as ``audio-connector simulate`` gives them; final once the call is over."""
        return self.live.report()

    # Inside.

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Call]:
        started: asyncio.Future[LiveCall] = self._loop.create_future()
        async with router(dial=self._dial) as made_by:
            self._running = self._loop.create_task(
                made_by.run(
                    self._call,
                    on_start=started.set_result,
                    on_event=self._events.append,
                    on_text=self._texts.append,
                ),
                name=f"the call to {self._call.address}",
            )
            self._running.add_done_callback(lambda _: self._wake())
            try:
                await asyncio.wait((self._running, started), return_when=asyncio.FIRST_COMPLETED)
                if not started.done():
                    await self._running  # raises
                self.live = started.result()
                yield self
                await self.hang_up()
            finally:
                if started.done():
                    self.live.abort()
                self._running.cancel()
                await asyncio.wait((self._running,))
            if not self._running.cancelled():
                self._running.result()  # a recording may have failed

    async def _dial(self, url: str, receiver: Receiver, options: DialOptions, /) -> Transport:
        dial: Dial = network.dial if isinstance(self._loop, VirtualLoop) else picows.dial
        return await dial(url, receiver, replace(options, headers=[*options.headers, *self._extra_headers]))

    # The router calls these every 20 ms.

    def _hear(self, pcm: bytes) -> None:
        self._ear.write(pcm)
        self._wake()

    def _speak(self, pcm: bytes) -> None:
        self._voice.write(pcm)
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _until(self, condition: Callable[[], T | None], within_s: float) -> T | None:
        """Wait until there is something; None at the deadline, or when the call is over."""
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self._wake()

        timer = self._loop.call_later(within_s, expire)
        try:
            while True:
                found = condition()
                if found is not None or expired or self.is_over:
                    return found
                waiter: asyncio.Future[None] = self._loop.create_future()
                self._waiters.append(waiter)
                await waiter
        finally:
            timer.cancel()

    def _listen(self) -> float:
        """Hear up to now, and say how much that is."""
        if not self.is_over:
            self.live.playout.advance(self._clock())
        return self._ear.heard_s

    def _barge_ins(self) -> tuple[BargeIn, ...]:
        return self.live.report(with_trace=False).barge_ins

    def _check_open(self, what: str) -> None:
        __tracebackhide__ = True
        if self.is_over:
            raise self._failed(f"cannot {what}: the call is over")

    def _failed(self, what: str) -> CallFailed:
        lines = [
            f"{what}, {self.live.now_s:.2f} s into the call" if not self.is_over else what,
            f"heard of the bot: {self._ear}",
            f"said to it: {self._voice}",
        ]
        lines += [
            f"{each.at_s:.2f} s: {each.source} {each.name} {each.detail}"
            for each in self._events[-SHOWN_EVENTS:]
        ]
        lines += self._errors()
        return CallFailed("\n".join(textwrap.indent(line.rstrip(), "  ") for line in lines)[2:])
