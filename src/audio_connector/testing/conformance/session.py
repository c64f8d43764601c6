# SPDX-License-Identifier: Apache-2.0
"""What the checks of one run share: the server, the times allowed, calls to it, and what its bot is like."""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import DialError
from audio_connector.simulator.speech import Frames
from audio_connector.testing.conformance.caller import ADVICE, Caller, how
from audio_connector.testing.conformance.model import Failed, Skipped, Target, Timing
from audio_connector.testing.conformance.notes import AudioNotes
from audio_connector.testing.conformance.rawdial import dial_raw
from audio_connector.testing.conformance.rawline import RawLine
from audio_connector.testing.conformance.tokens import claims_of, sign
from audio_connector.wire.carrier import Carrier
from audio_connector.wire.codec import encode_event
from audio_connector.wire.messages import Connected
from audio_connector.wire.network import Dial, DialOptions
from audio_connector.wire.picows import dial as dial_picows

T = TypeVar("T")

ENOUGH_VOICE_S = 0.06
"""So much voice is somebody talking, and no click."""

BYE_S = 0.5
"""For the answer to the close frame at the end of a check; what takes longer is another check's fault to find."""

IF_SILENT = "look for a reader that has ended, or a lock that is still held"

Manner: TypeAlias = Literal["silent", "unasked", "echo", "answers"]
"""How a bot talks: not at all; only unasked; while it is talked to; or when somebody has finished."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The first call of a run, with nothing odd in it.

    Attributes:
        caller: What it noted.
        manner: How the bot talks.
        began_at: When it was first spoken to.
        ended_at: When that was said.
    """

    caller: Caller
    manner: Manner
    began_at: float
    ended_at: float

    @property
    def responds(self) -> bool:
        """Whether the bot can be made to talk."""
        return self.manner in ("echo", "answers")

    @property
    def ended_by_server(self) -> str | None:
        """How the server, or the network, ended the call before it was hung up; None where it did not."""
        closed = self.caller.closed
        return how(closed) if closed is not None and closed.closed_by != "us" else None


class Session:
    """One run; an asynchronous context manager, at whose end no call is left.

    Args:
        target: The server.
        timing: How long things may take.
    """

    def __init__(self, target: Target, timing: Timing) -> None:
        self.target = target
        self.timing = timing
        self._shared: dict[object, asyncio.Task[Any]] = {}

    async def __aenter__(self) -> Session:
        """Return the session."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is shared."""
        for task in self._shared.values():
            task.cancel()
        await asyncio.gather(*self._shared.values(), return_exceptions=True)

    async def once(self, key: object, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something once in a run, for every check that needs it."""
        if key not in self._shared:
            self._shared[key] = asyncio.ensure_future(make())
        task: asyncio.Task[T] = self._shared[key]
        # Shielded: the deadline of one check must not end what others wait for.
        return await asyncio.shield(task)

    # Calls

    def upgrade_headers(self, session_id: str | None = None) -> list[tuple[str, str]]:
        """Return the headers of an upgrade as the router sends them, with identifiers of its own (PROTOCOL 1.2)."""
        ids = {
            "x-opentok-ws-sessionid": session_id or secrets.token_hex(16),
            "x-opentok-ws-connectionid": secrets.token_hex(16),
            "x-opentok-ws-conferenceid": secrets.token_hex(16),
        }
        return [*ids.items(), *self.target.headers.items()]

    def _options(self, url: str, headers: Sequence[tuple[str, str]], token: str | None) -> DialOptions:
        options = DialOptions(
            headers=headers, ssl_context=self.target.ssl_context, timeout_s=self.timing.dial_s
        )
        key = self.target.token_key
        if key is None or token is None:
            return options
        carrier = Carrier.of(self.target.token_carrier)
        made = token or sign(claims_of(dict(headers).get("x-opentok-ws-sessionid")), key)
        carried = [*headers, *carrier.headers_of(made).items()]
        return replace(options, headers=carried, target=carrier.target_of(made, url))

    def first_message(self, rate_hz: int | None = None) -> str:
        """Return what the router says first."""
        audio_format = AudioFormat(rate_hz or self.target.rate_hz)
        return encode_event(
            Connected(format=audio_format, headers=dict(self.target.headers)), leading_blank=False
        )

    @asynccontextmanager
    async def line(
        self,
        *,
        rate_hz: int | None = None,
        url: str | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
        dial: Dial = dial_picows,
        token: str | None = "",
    ) -> AsyncIterator[Caller]:
        """Open a connection on which nothing was said yet.

        Args:
            rate_hz: Rate of the call.
            url: Instead of the target's.
            headers: Of the upgrade, instead of the router's usual ones.
            dial: How it is made.
            token: Instead of a fresh one, where the target has a key; None for none.

        Raises:
            DialError: It cannot be made.
        """
        caller = Caller(AudioFormat(rate_hz or self.target.rate_hz), clock=time.monotonic)
        transport = await dial(
            url or self.target.url,
            caller,
            self._options(
                url or self.target.url, self.upgrade_headers() if headers is None else headers, token
            ),
        )
        try:
            yield caller
            if caller.closed is None:
                transport.close(1000)
                await caller.until(lambda: False, min(BYE_S, self.timing.close_s))
        finally:
            transport.abort()

    @asynccontextmanager
    async def call(self, *, first: str | None = None, **options: Any) -> AsyncIterator[Caller]:  # noqa: ANN401
        """Make a call: the router's first message, then frames in real time.

        Args:
            first: The first message; the usual one by default.
            options: Those of `line`.
        """
        async with self.line(**options) as caller, self.speaking(caller, first=first):
            yield caller

    @asynccontextmanager
    async def speaking(self, caller: Caller, *, first: str | None = None) -> AsyncIterator[None]:
        """Say the first message, and then frames while the block lasts; an empty text leaves the message out."""
        if first != "":
            caller.send(self.first_message(caller.audio_format.rate_hz) if first is None else first)
        speaking = asyncio.ensure_future(caller.speak())
        try:
            yield
        finally:
            speaking.cancel()
            with suppress(asyncio.CancelledError):
                await speaking

    @asynccontextmanager
    async def raw_call(self, **options: Any) -> AsyncIterator[tuple[Caller, RawLine]]:  # noqa: ANN401 - as `call`
        """Make a call whose every byte can be seen and written."""
        async with self.call(dial=dial_raw, **options) as caller:
            assert isinstance(caller.transport, RawLine)
            yield caller, caller.transport

    def prompt(self, caller: Caller, *, is_long: bool = False) -> Frames:
        """Return what the participant says in a call."""
        return self.target.speech.frames(caller.audio_format, most_s=self.timing.speech_s, is_long=is_long)

    # What the bot is like

    async def baseline(self) -> Baseline:
        """Return the first call of the run, made once.

        Raises:
            DialError: The server cannot be reached.
        """
        return await self.once("baseline", self._meet)

    async def _meet(self) -> Baseline:
        timing = self.timing
        async with self.call() as caller:
            if await caller.until(lambda: caller.audio.voiced_s > 0, timing.greeting_s):
                await caller.until(lambda: caller.is_quiet_for(timing.quiet_s), timing.listen_s)
            began_at, before_s = caller.clock(), caller.audio.voiced_s
            caller.say(self.prompt(caller, is_long=True))
            ended_at = await caller.said()
            await caller.until(lambda: caller.audio.voiced_s - before_s >= ENOUGH_VOICE_S, timing.reply_s)
            await caller.until(lambda: caller.is_quiet_for(timing.quiet_s), timing.listen_s)
        manner = _manner_of(caller.audio, began_at, ended_at, echo_is_over_s=timing.quiet_s / 2)
        return Baseline(caller, manner, began_at, ended_at)

    async def needs_talk(self) -> Baseline:
        """Return the baseline of a bot that can be made to talk.

        Raises:
            Skipped: This one cannot.
        """
        baseline = await self.baseline()
        if not baseline.responds:
            raise Skipped(self.silence_of(baseline.caller))
        return baseline

    def silence_of(self, caller: Caller) -> str:
        """Why a call in which nobody answered cannot be judged."""
        if caller.audio.voiced_s:
            return "the bot talks, but does not answer what is said to it; make it answer with --wav"
        if caller.audio.messages:
            return "the bot sent nothing but silence; make it talk with --wav"
        return f"the bot said nothing in {self.timing.reply_s:g} s; make it talk with --wav"

    # What a call must still be able to do

    async def pings(self, caller: Caller, after: str, *, advice: str = ADVICE) -> None:
        """Check that the connection lives.

        Raises:
            Failed: It does not.
        """
        await caller.pings(after, within_s=self.timing.pong_s, advice=advice)

    async def works(
        self, caller: Caller, after: str, *, advice: str = ADVICE, if_silent: str = IF_SILENT
    ) -> str:
        """Check that the call lives, and that its bot talks where it has talked before.

        Args:
            caller: The call.
            after: What happened to it, for the text of the failure: "after ...".
            advice: What to do where the connection was closed.
            if_silent: What to do where the bot says nothing more.

        Returns:
            What was seen, for the text of the pass.

        Raises:
            Failed: One of both is not so.
        """
        await self.pings(caller, after, advice=advice)
        baseline = await self.baseline()
        if not baseline.responds:
            return "it answers a ping"
        caller.say(self.prompt(caller))
        if baseline.manner == "answers":
            await caller.said()
        before_s = caller.audio.voiced_s
        talks = await caller.until(
            lambda: caller.audio.voiced_s - before_s >= ENOUGH_VOICE_S,
            self.timing.reply_s,
        )
        caller.stop_speaking()
        if not talks:
            await self.pings(caller, after, advice=advice)
            raise Failed(
                f"{after}, the bot said nothing more, though it answers otherwise; expected that the call goes on; "
                f"{if_silent}"
            )
        return "it answers a ping and talks"

    async def serves_others(self, after: str) -> None:
        """Check that a new connection works.

        Raises:
            Failed: It does not.
        """
        try:
            async with self.call() as caller:
                await self.pings(caller, f"{after}, on a new connection")
        except DialError as error:
            raise Failed(f"{after}, no new connection can be made: {error}") from error


def _manner_of(audio: AudioNotes, began_at: float, ended_at: float, *, echo_is_over_s: float) -> Manner:
    """Tell how a bot talks, by when its voice came: while it was talked to, just afterwards, or later."""
    during_s = audio.voiced_between(began_at, ended_at)
    afterwards_s = audio.voiced_between(ended_at, math.inf)
    later_s = audio.voiced_between(ended_at + echo_is_over_s, math.inf)
    if later_s >= ENOUGH_VOICE_S or (afterwards_s >= ENOUGH_VOICE_S > during_s):
        return "answers"
    if during_s >= ENOUGH_VOICE_S:
        return "echo"
    return "unasked" if audio.voiced_s else "silent"
