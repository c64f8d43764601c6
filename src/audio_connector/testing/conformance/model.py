# SPDX-License-Identifier: Apache-2.0
"""What a run is given, and how a check ends that does not pass: values only."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from audio_connector.audio.format import AudioFormat
from audio_connector.audio.resample import resample
from audio_connector.audio.wav import FilePath, read_wav
from audio_connector.simulator import SAMPLES, RouterCall, sample_speech
from audio_connector.simulator.speech import Frames, cut_to_frames
from audio_connector.wire.carrier import Carrier

PROMPT, LONG_PROMPT = SAMPLES
"""What the participant says: 3 s in most checks, and 5 s where the bot's pace is measured."""

MOST_SPEECH_S = 10
"""Of a WAV, only so much is said: a check that talks takes as long as what it says."""


class Failed(Exception):
    """The server does not do what a check asks; the text says what was got, what was expected and what to do."""


class Skipped(Exception):
    """A check cannot judge this server; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things may take, in seconds.

    Attributes:
        speech_s: Speech is cut to this length.
        dial_s: For a connection; the router gives 6 s (PROTOCOL 1.1).
        greeting_s: A bot that talks unasked has begun by then.
        reply_s: From the end of what is said to the first audio of the answer.
        listen_s: The most of one answer that is listened to.
        quiet_s: Silence after which an answer is over.
        into_reply_s: How far into an answer the participant speaks over it.
        over_s: How long the participant speaks over it.
        ahead_s: A bot that is no further ahead falls silent soon enough without a clear command.
        mute_s: How long no frames come while muted or silent.
        stall_s: How long the router does not read.
        settle_s: A connection that something ends has ended by then.
        pong_s: For the answer to a ping.
        close_s: For the answer to a close frame.
        check_s: For a whole check.
    """

    speech_s: float = float(MOST_SPEECH_S)
    dial_s: float = 6.0
    greeting_s: float = 1.0
    reply_s: float = 6.0
    listen_s: float = 12.0
    quiet_s: float = 0.8
    into_reply_s: float = 0.3
    over_s: float = 2.5
    ahead_s: float = 1.0
    mute_s: float = 3.0
    stall_s: float = 2.0
    settle_s: float = 0.4
    pong_s: float = 2.0
    close_s: float = 2.0
    check_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Speech:
    """What the participant says in order to get the bot talking.

    Attributes:
        prompt: Mono 16-bit PCM.
        long_prompt: Said where the bot's pace is measured.
        rate_hz: Samples per second of both.
    """

    prompt: bytes
    long_prompt: bytes
    rate_hz: int

    @classmethod
    def packaged(cls) -> Speech:
        """Two sentences of real speech that come with the package."""
        return cls(sample_speech([PROMPT]), sample_speech([LONG_PROMPT]), 16000)

    @classmethod
    def from_wav(cls, path: FilePath) -> Speech:
        """Take the beginning of a WAV, `MOST_SPEECH_S` at most, for both.

        Raises:
            AudioFileError: It cannot be read as 16-bit WAV, or is empty.
        """
        pcm, rate_hz = read_wav(path)
        pcm = pcm[: 2 * MOST_SPEECH_S * rate_hz]
        return cls(pcm, pcm, rate_hz)

    def frames(self, audio_format: AudioFormat, *, most_s: float, is_long: bool = False) -> Frames:
        """Return it as frames of a call, cut to a length."""
        pcm = resample(self.long_prompt if is_long else self.prompt, self.rate_hz, audio_format.rate_hz)
        return cut_to_frames(pcm[: audio_format.bytes_for_ms(most_s * 1000)], audio_format)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server that is checked, and how it is called.

    Attributes:
        url: ``ws://host:port/path`` or wss.
        headers: Custom headers, sent with every upgrade and first message (PROTOCOL 1.3).
        token_key: Of a server that lets in nobody without a token; each upgrade carries a fresh one.
        token_carrier: Where, as of `audio_connector.auth.SignedToken`.
        rate_hz: Rate of every call whose check asks for no other.
        speech: What is said.
        ssl_context: For ``wss``; None checks certificates against the system's.

    Raises:
        UsageError: A value out of its range; the text names it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    token_key: str | None = field(default=None, repr=False)
    token_carrier: str = "header:authorization"
    rate_hz: int = 16000
    speech: Speech = field(default_factory=Speech.packaged, repr=False)
    ssl_context: ssl.SSLContext | None = None

    def __post_init__(self) -> None:
        RouterCall(url=self.url, headers=self.headers, rate_hz=self.rate_hz)  # it says what is wrong
        Carrier.of(self.token_carrier)  # so does this
