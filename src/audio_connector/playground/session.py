# SPDX-License-Identifier: Apache-2.0
"""One page that is open: its session with up to two participants, and what it may ask for."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from audio_connector import AudioTransport
from audio_connector.errors import UsageError, VideoError
from audio_connector.playground import messages
from audio_connector.playground.messages import Speaker
from audio_connector.playground.outbox import Outbox
from audio_connector.playground.participant import Ears, Participant
from audio_connector.playground.recording import Recording
from audio_connector.playground.speeches import Speech, interruption, sentence
from audio_connector.simulator import PROFILES, Router, RouterCall
from audio_connector.simulator.config import Credentials

FIRST: Final[Speaker] = 1
SECOND: Final[Speaker] = 2

PUSH_S: Final = 0.05
"""Between two batches to the page, in seconds."""

FIGURES_EVERY: Final = 4
"""Figures go with every fourth batch: five times a second."""


RECORDING_EVERY: Final = 20
"""The length of the recording goes with every twentieth: once a second."""

_NOBODY: Final = "nobody is connected: connect first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the calls of all pages have in common.

    Attributes:
        url: The bot.
        label: How the page names it.
        rate_hz: Rate that a page begins with.
        profile: Router that a page begins with.
        headers: Custom headers of every call.
        audio_transport: How audio crosses the wire.
        ssl_context: For ``wss``; None checks certificates against the system's.
        credentials: For a bot that lets in nobody without a token.
    """

    url: str
    label: str
    rate_hz: int = 16000
    profile: str = "video"
    headers: Mapping[str, str] = field(default_factory=dict)
    audio_transport: AudioTransport = field(default_factory=AudioTransport)
    ssl_context: ssl.SSLContext | None = None
    credentials: Credentials | None = None

    def call(self) -> RouterCall:
        """Return a call that lasts until somebody hangs up.

        Raises:
            UsageError: A value is wrong.
        """
        call = RouterCall(
            url=self.url,
            rate_hz=self.rate_hz,
            profile=self.profile,
            headers=self.headers,
            audio_transport=self.audio_transport,
            ssl_context=self.ssl_context,
            tail_s=None,
            allow_silence=True,
            trace=False,
        )
        return call if self.credentials is None else self.credentials.put_on(call)


class PageSession:
    """What one page does.

    Args:
        settings: Whom it calls, and how.
        router: Makes the calls.
        outbox: To the page.
    """

    def __init__(self, settings: Settings, *, router: Router, outbox: Outbox) -> None:
        self.id = secrets.token_urlsafe(16)
        self.recording: Recording | None = None
        self._settings = settings
        self._router = router
        self._outbox = outbox
        self._call: RouterCall | None = None
        self._people: dict[Speaker, Participant] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._dropped = (0, 0)
        self._actions: dict[type, Callable[[Any], None]] = {
            messages.Connect: self._connect,
            messages.Disconnect: lambda _: self._disconnect(),
            messages.Join: lambda _: self._join(),
            messages.Leave: lambda _: self._part(SECOND),
            messages.Mute: self._mute,
            messages.Press: self._press,
            messages.BargeIn: self._barge_in,
            messages.Say: self._say,
            messages.Stop: self._stop,
        }

    # What the page sends.

    def take(self, text: str) -> None:
        """Do what a text of the page asks for; what is wrong with it is told to the page."""
        try:
            message = messages.decode(text)
            self._actions[type(message)](message)
        except VideoError as error:
            self.refuse("call", error)

    def listen(self, pcm: bytes) -> None:
        """Take speech of the microphone."""
        if FIRST in self._people:
            self._people[FIRST].listen(pcm)

    def say(self, speaker: Speaker, speech: Speech) -> None:
        """Let a participant say something.

        Raises:
            UsageError: It is not there, or muted.
        """
        person = self._person(speaker)
        if person.is_muted:
            raise UsageError("muted: nobody would hear it; unmute first")
        person.say(speech)

    def rate_of(self, speaker: Speaker) -> int:
        """The rate at which a participant speaks.

        Raises:
            UsageError: It is not there.
        """
        self._person(speaker)
        assert self._call is not None
        return self._call.rate_hz

    def refuse(self, where: str, error: Exception) -> None:
        """Tell the page that something could not be done."""
        self._outbox.post({"type": "fault", "where": where, "text": " ".join(str(error).split())})

    # Its life.

    async def run(self) -> None:
        """Send what comes together, until cancelled."""
        count = 0
        while True:
            await asyncio.sleep(PUSH_S)
            count += 1
            for person in self._people.values():
                person.push()
                if count % FIGURES_EVERY == 0:
                    person.push_figures()
            if count % RECORDING_EVERY == 0:
                self._tell_of_recording()
                self._tell_of_drops()

    async def close(self) -> None:
        """End every call, and wait for the end."""
        self._disconnect()
        await asyncio.gather(*self._leaving, return_exceptions=True)

    # Inside.

    def _tell_of_recording(self) -> None:
        if self.recording is not None:
            seconds = round(self.recording.seconds, 1)
            self._outbox.post({"type": "recording", "seconds": seconds, "is_full": self.recording.is_full})

    def _tell_of_drops(self) -> None:
        dropped = (self._outbox.audio_dropped, self._outbox.texts_dropped)
        if dropped != self._dropped:
            self._dropped = dropped
            self._outbox.post({"type": "dropped", "sounds": dropped[0], "texts": dropped[1]})

    def _mute(self, message: messages.Mute) -> None:
        self._person(FIRST).mute(message.muted)

    def _press(self, message: messages.Press) -> None:
        self._person(FIRST).press(message.digit)

    def _barge_in(self, _: messages.BargeIn) -> None:
        self.say(FIRST, interruption(self.rate_of(FIRST)))

    def _stop(self, message: messages.Stop) -> None:
        if message.speaker in self._people:
            self._people[message.speaker].stop()

    def _say(self, message: messages.Say) -> None:
        try:
            self.say(message.speaker, sentence(message.sample, self.rate_of(message.speaker)))
        except UsageError as error:
            self.refuse("say", error)

    def _person(self, speaker: Speaker) -> Participant:
        person = self._people.get(speaker)
        if person is None or not person.is_open:
            raise UsageError(_NOBODY if speaker == FIRST else "the second participant is not there")
        return person

    def _connect(self, message: messages.Connect) -> None:
        first = self._people.get(FIRST)
        if first is not None and not first.is_over:
            raise UsageError("connected already: disconnect first")
        if message.profile not in PROFILES:
            raise UsageError(f"there is no router {message.profile!r}; expected one of {', '.join(PROFILES)}")
        self._disconnect()
        settings = replace(self._settings, rate_hz=message.rate_hz, profile=message.profile)
        self._call = settings.call()
        self.recording = Recording(message.rate_hz)
        self._admit(FIRST, replace(self._call, name="you"), lambda: 0.0)

    def _disconnect(self) -> None:
        for speaker in list(self._people):
            self._part(speaker)

    def _join(self) -> None:
        first = self._person(FIRST)
        assert self._call is not None
        second = self._people.get(SECOND)
        if second is not None and not second.is_over:
            raise UsageError("the second participant is there already")
        call = replace(self._call, name="second", connection_id=secrets.token_hex(16))
        self._admit(SECOND, call, lambda: first.now_s)

    def _admit(self, speaker: Speaker, call: RouterCall, clock: Callable[[], float]) -> None:
        recording = self.recording
        assert recording is not None
        self._people[speaker] = person = Participant(
            speaker,
            call,
            router=self._router,
            outbox=self._outbox,
            record=lambda from_s: Ears(recording.spoken(from_s=from_s), recording.heard(from_s=from_s)),
            clock=clock,
        )
        person.start()

    def _part(self, speaker: Speaker) -> None:
        person = self._people.pop(speaker, None)
        if person is not None:
            task = asyncio.ensure_future(person.end())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
