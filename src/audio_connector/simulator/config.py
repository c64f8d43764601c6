# SPDX-License-Identifier: Apache-2.0
"""What one simulated call does, as a value that validates itself."""

from __future__ import annotations

import math
import re
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import urlsplit

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.wav import FilePath
from audio_connector.errors import UsageError
from audio_connector.simulator.profile import Close, Profile, Silence, profile_named
from audio_connector.simulator.script import Impairments, SayText, Step
from audio_connector.simulator.talk.expect import Expect
from audio_connector.simulator.talk.persona import Persona
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.carrier import Carrier
from audio_connector.wire.quoting import without_secrets

Sink: TypeAlias = "Callable[[bytes], None]"
"""Takes 16-bit PCM at the call's rate, piece by piece, with silence where nothing was said."""

Speech: TypeAlias = "FilePath | bytes | SayText"
"""What can be said: the path of a 16-bit WAV or ``sample:NAME``, PCM bytes, or words to be spoken."""

MAX_HEADERS_BYTES = 512
"""Most that the custom headers of a call may have in sum (PROTOCOL 2.4)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_RESERVED = frozenset({"event", "content-type"})


def new_id() -> str:
    """A random id, as the router's headers carry."""
    return secrets.token_hex(16)


@dataclass(frozen=True, kw_only=True)
class RouterCall:
    """One call that the simulated media router makes.

    Attributes:
        url: The server, ``ws://host:port/path`` or wss; path and query arrive as they are (PROTOCOL 1.5).
        name: The participant's name, for reports.
        profile: Which router: the name of one of `PROFILES`, or a profile of one's own.
        speech: What the participant says: the path of a 16-bit WAV, PCM bytes, a `SayText`, or None for a silent one.
            Another rate than the call's is resampled.
        speech_rate_hz: Rate of ``speech`` where it is bytes; the call's rate by default.
        rate_hz: Rate of the call: 8000, 16000 or 24000.
        steps: What else happens, and when.
        impairments: What is wrong with the network or the router during the whole call.
        audio_transport: How audio crosses the wire: as binary messages, or as base64 in JSON (PROTOCOL 4b).
        target: Path and query that are dialled in place of the URL's: with a token, which nothing shows.
        headers: Custom headers, sent with the upgrade and in the first message (PROTOCOL 1.3); names and
            values as text, 512 bytes in sum.
        session_id: Sent as ``x-opentok-ws-sessionid``; a random one by default.
        connection_id: Sent as ``x-opentok-ws-connectionid``; a random one by default.
        conference_id: Sent as ``x-opentok-ws-conferenceid``; a random one by default.
        duration_s: How long to speak, in seconds: the speech is repeated or cut to it. None: once, as it is.
        tail_s: How long to go on listening after the speech and the last step, in seconds; None: until
            somebody hangs up.
        silence: What is sent while nobody speaks: "frames" of zeros, or "none" at all (PROTOCOL 2.8); with
            "none", frames of the speech that are all zeros are not sent either. None: as the profile does.
        close: How the call ends: "announce", "goodbye" or "abrupt", see `Profile`. None: as the profile does.
        echo_notify: Whether ``notify`` is answered when the audio before it was played (PROTOCOL 3.6). None:
            as the profile does.
        max_buffer_ms: Bound of the playout buffer (PROTOCOL 4.12). None: the profile's.
        pause_after_ms: Longest hole in the received audio that counts as an underrun; None counts every one.
        heard: Where what the session hears goes: the path of a WAV to write, or a function.
        spoken: The same for what the participant says.
        dial_after_s: When the connection is made, in seconds after `run_calls` began.
        allow_silence: A bot that says nothing though it was spoken to is no problem: it records, or only listens.
        allow_hangup: A server that ends the call in good order before its time is no problem. It never is where
            ``tail_s`` is None: there, the end is as much the server's to choose as ours.
        expect: What has to be true of what the bot said.
        persona: Plays the participant: it listens, answers, and hangs up by itself; ``tail_s`` does not count then.
        transcribe: Write down what both sides said, also where nothing else needs the words.
        trace: Keep the call over time for the report; it costs some ten microseconds per frame.
        ssl_context: For ``wss``; None checks certificates against the system's.
        dial_timeout_s: Time for the connection to be made, in seconds; the router gives 6 (PROTOCOL 1.1).

    Raises:
        UsageError: A value out of its range; the text names it. `AudioFormatError` for the rate.
    """

    url: str
    name: str = ""
    profile: str | Profile = "video"
    speech: Speech | None = None
    speech_rate_hz: int | None = None
    rate_hz: int = 16000
    steps: Sequence[Step] = ()
    impairments: Impairments = field(default_factory=Impairments)
    audio_transport: AudioTransport = field(default_factory=AudioTransport)
    target: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    session_id: str = field(default_factory=new_id)
    connection_id: str = field(default_factory=new_id)
    conference_id: str = field(default_factory=new_id)
    duration_s: float | None = None
    tail_s: float | None = 2.0
    silence: Silence | None = None
    close: Close | None = None
    echo_notify: bool | None = None
    max_buffer_ms: float | None = None
    pause_after_ms: float | None = 400
    heard: FilePath | Sink | None = None
    spoken: FilePath | Sink | None = None
    dial_after_s: float = 0.0
    allow_silence: bool = False
    allow_hangup: bool = False
    expect: Expect = field(default_factory=Expect)
    persona: Persona | None = None
    transcribe: bool = False
    trace: bool = True
    ssl_context: ssl.SSLContext | None = None
    dial_timeout_s: float = 6.0

    def __post_init__(self) -> None:
        AudioFormat(rate_hz=self.rate_hz)
        check_url(self.url)
        check_headers(self.headers)
        if self.tail_s is not None:
            _check_duration("tail_s", self.tail_s)
        _check_duration("dial_timeout_s", self.dial_timeout_s, least=0.001)
        _check_duration("dial_after_s", self.dial_after_s)
        if self.max_buffer_ms is not None:
            _check_duration("max_buffer_ms", self.max_buffer_ms, least=FRAME_MS)
        if self.duration_s is not None:
            _check_duration("duration_s", self.duration_s)
        if self.pause_after_ms is not None:
            _check_duration("pause_after_ms", self.pause_after_ms)
        _check_choice("silence", self.silence, ("frames", "none", None))
        _check_choice("close", self.close, ("announce", "goodbye", "abrupt", None))
        if isinstance(self.profile, str):
            profile_named(self.profile)

    @property
    def listens_s(self) -> float | None:
        """How long it goes on listening in the end; None for until somebody hangs up, as a persona does."""
        return None if self.persona is not None else self.tail_s

    @property
    def needs_words(self) -> bool:
        """Whether somebody has to understand the bot."""
        waits = any(step.hear is not None for step in self.steps)
        return self.transcribe or waits or self.persona is not None or bool(self.expect.texts)

    @property
    def texts(self) -> tuple[SayText, ...]:
        """What has to be spoken before the call is made."""
        said = (self.speech, *(step.say for step in self.steps))
        return tuple(text for text in said if isinstance(text, SayText))

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the call's audio."""
        return AudioFormat(rate_hz=self.rate_hz)

    @property
    def address(self) -> str:
        """The URL as a report shows it: without a query, or a token."""
        return without_secrets(self.url)

    @property
    def router(self) -> Profile:
        """The profile, with what this call changes of it."""
        profile = profile_named(self.profile) if isinstance(self.profile, str) else self.profile
        buffer_ms = self.max_buffer_ms
        return replace(
            profile,
            silence=self.silence or profile.silence,
            close=self.close or profile.close,
            echo_notify=profile.echo_notify if self.echo_notify is None else self.echo_notify,
            max_buffer_frames=profile.max_buffer_frames if buffer_ms is None else int(buffer_ms // FRAME_MS),
            read_interval_ms=self.impairments.slow_reader_ms or profile.read_interval_ms,
        )

    def upgrade_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the upgrade: the router's own and the custom ones (PROTOCOL 1.2, 1.3)."""
        router = self.router
        identity = [
            ("x-opentok-ws-sessionid", self.session_id),
            ("x-opentok-ws-connectionid", self.connection_id),
            ("x-opentok-ws-conferenceid", self.conference_id),
        ]
        return [*(identity if router.sends_identity else []), *router.upgrade_headers, *self.headers.items()]


@dataclass(frozen=True)
class Credentials:
    """How calls are let in by a server that asks for a token.

    Attributes:
        carrier: Where it is.
        mint: Makes one, for a session.
    """

    carrier: Carrier
    mint: Callable[..., str] = field(repr=False)

    def put_on(self, call: RouterCall) -> RouterCall:
        """Return the call with a token of its own, as the REST call would have given it to the router.

        Raises:
            UsageError: It does not fit into the headers that a router sends.
        """
        token = self.mint(session_id=call.session_id)
        headers = {**call.headers, **self.carrier.headers_of(token)}
        return replace(call, headers=headers, target=self.carrier.target_of(token, call.url))


def check_url(url: str) -> None:
    """Refuse what is no URL of a WebSocket.

    Raises:
        UsageError: It is none.
    """
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in {"ws", "wss"}
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
            # The request's first line ends at a blank; and a fragment is for browsers.
            and not any(char.isspace() or not char.isprintable() or char == "#" for char in url)
        )
    except ValueError:  # a port that is no number, or a bracket that is not closed
        good = False
    if not good:
        raise UsageError(f"{url!r} is not a WebSocket URL: expected ws://host:port/path or wss://…")


def check_headers(headers: Mapping[str, str]) -> None:
    """Refuse custom headers that the router would not send.

    Raises:
        UsageError: A name or a value that cannot be sent, or too many of them.
    """
    size_bytes = 0
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} is not a header name: expected letters, digits and dashes")
        if name.lower() in _RESERVED:
            raise UsageError(
                f"the header {name!r} would be overwritten by the router's own; take another name"
            )
        if not (value.isprintable() and value.isascii()):
            raise UsageError(f"the value {value!r} of header {name!r} is not printable ASCII on one line")
        size_bytes += len(name) + len(value)
    if size_bytes > MAX_HEADERS_BYTES:
        raise UsageError(f"the headers have {size_bytes} bytes in sum; the router takes {MAX_HEADERS_BYTES}")


def _check_duration(name: str, value: float, *, least: float = 0) -> None:
    if not least <= value < math.inf:
        raise UsageError(f"{name} is {value!r}; expected a number from {least:g} up")


def _check_choice(name: str, value: str | None, allowed: tuple[str | None, ...]) -> None:
    if value not in allowed:
        shown = ", ".join(repr(each) for each in allowed if each is not None)
        raise UsageError(f"{name} is {value!r}; expected one of {shown}")
