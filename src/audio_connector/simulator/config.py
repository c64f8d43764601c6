# SPDX-License-Identifier: Apache-2.0
"""What one simulated call does, as a value that validates itself."""

from __future__ import annotations

import math
import re
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from audio_connector.audio.format import FRAME_MS, AudioFormat
from audio_connector.audio.wav import FilePath
from audio_connector.errors import UsageError

Sink: TypeAlias = "Callable[[bytes], None]"
"""Takes 16-bit PCM at the call's rate, piece by piece, with silence where nothing was said."""

MAX_HEADERS_BYTES = 512
"""Most that the custom headers of a call may have in sum (PROTOCOL 2.4)."""

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_RESERVED = frozenset({"event", "content-type"})


def _new_id() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True, kw_only=True)
class RouterCall:
    """One call that the simulated media router makes.

    Attributes:
        url: The server, ``ws://host:port/path`` or wss; path and query arrive as they are (PROTOCOL 1.5).
        speech: What the participant says: the path of a 16-bit WAV, PCM bytes, or None for a silent one.
            Another rate than the call's is resampled.
        speech_rate_hz: Rate of ``speech`` where it is bytes; the call's rate by default.
        rate_hz: Rate of the call: 8000, 16000 or 24000.
        headers: Custom headers, sent with the upgrade and in the first message (PROTOCOL 1.3); names and
            values as text, 512 bytes in sum.
        session_id: Sent as ``x-opentok-ws-sessionid``; a random one by default.
        connection_id: Sent as ``x-opentok-ws-connectionid``; a random one by default.
        conference_id: Sent as ``x-opentok-ws-conferenceid``; a random one by default.
        duration_s: How long to speak, in seconds: the speech is repeated or cut to it. None: once, as it is.
        tail_s: How long to go on listening after the speech, in seconds.
        silence: What is sent while nobody speaks: "frames" of zeros, or "none" at all (PROTOCOL 2.8). With
            "none", frames of the speech that are all zeros are not sent either.
        mutes: Stretches, in seconds since the connection was made, in which the participant is muted: told by
            ``websocket:media:update``, and no frames come (PROTOCOL 2.7).
        close: How the call ends: "announce" sends ``websocket:disconnected`` and closes with 1000; "abrupt"
            drops the TCP connection.
        echo_notify: Whether ``notify`` is answered when the audio before it was played. Documented for Voice,
            not for Video (PROTOCOL 3.6), hence off.
        max_buffer_ms: Bound of the playout buffer (PROTOCOL 4.12).
        pause_after_ms: Longest hole in the received audio that counts as an underrun; None counts every one.
        heard: Where what the session hears goes: the path of a WAV to write, or a function.
        spoken: The same for what the participant says.
        ssl_context: For ``wss``; None checks certificates against the system's.
        dial_timeout_s: Time for the connection to be made, in seconds; the router gives 6 (PROTOCOL 1.1).

    Raises:
        UsageError: A value out of its range; the text names it. `AudioFormatError` for the rate.
    """

    url: str
    speech: FilePath | bytes | None = None
    speech_rate_hz: int | None = None
    rate_hz: int = 16000
    headers: Mapping[str, str] = field(default_factory=dict)
    session_id: str = field(default_factory=_new_id)
    connection_id: str = field(default_factory=_new_id)
    conference_id: str = field(default_factory=_new_id)
    duration_s: float | None = None
    tail_s: float = 2.0
    silence: Literal["frames", "none"] = "frames"
    mutes: Sequence[tuple[float, float]] = ()
    close: Literal["announce", "abrupt"] = "announce"
    echo_notify: bool = False
    max_buffer_ms: float = 60_000
    pause_after_ms: float | None = 400
    heard: FilePath | Sink | None = None
    spoken: FilePath | Sink | None = None
    ssl_context: ssl.SSLContext | None = None
    dial_timeout_s: float = 6.0

    def __post_init__(self) -> None:
        AudioFormat(rate_hz=self.rate_hz)
        _check_url(self.url)
        _check_headers(self.headers)
        _check_duration("tail_s", self.tail_s)
        _check_duration("dial_timeout_s", self.dial_timeout_s, least=0.001)
        _check_duration("max_buffer_ms", self.max_buffer_ms, least=FRAME_MS)
        if self.duration_s is not None:
            _check_duration("duration_s", self.duration_s)
        if self.pause_after_ms is not None:
            _check_duration("pause_after_ms", self.pause_after_ms)
        _check_choice("silence", self.silence, ("frames", "none"))
        _check_choice("close", self.close, ("announce", "abrupt"))
        _check_mutes(self.mutes)

    @property
    def audio_format(self) -> AudioFormat:
        """The format of the call's audio."""
        return AudioFormat(rate_hz=self.rate_hz)

    def upgrade_headers(self) -> list[tuple[str, str]]:
        """Return the headers of the upgrade: the router's three and the custom ones (PROTOCOL 1.2, 1.3)."""
        return [
            ("x-opentok-ws-sessionid", self.session_id),
            ("x-opentok-ws-connectionid", self.connection_id),
            ("x-opentok-ws-conferenceid", self.conference_id),
            *self.headers.items(),
        ]


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in {"ws", "wss"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        )
    except ValueError:  # a port that is no number, or a bracket that is not closed
        good = False
    if not good:
        raise UsageError(f"{url!r} is not a WebSocket URL: expected ws://host:port/path or wss://…")


def _check_headers(headers: Mapping[str, str]) -> None:
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


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}; expected one of {', '.join(map(repr, allowed))}")


def _check_mutes(mutes: Sequence[tuple[float, float]]) -> None:
    last_s = 0.0
    for start_s, end_s in mutes:
        if not last_s <= start_s < end_s:
            raise UsageError(
                f"mutes is {mutes!r}; expected (start, end) pairs in seconds, in order, not overlapping"
            )
        last_s = end_s
