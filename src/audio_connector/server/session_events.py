# SPDX-License-Identifier: Apache-2.0
"""What happens in a session, and what is said in it, as frozen values. Times are seconds of the session's clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from audio_connector.server.session_stream import SessionStream


@dataclass(frozen=True, slots=True)
class StreamJoined:
    """A stream is there; those that were there before are told first."""

    stream: SessionStream
    at_s: float


@dataclass(frozen=True, slots=True)
class StreamLeft:
    """A stream has ended, and nothing of it follows."""

    stream: SessionStream
    at_s: float


@dataclass(frozen=True, slots=True)
class StreamActive:
    """A stream was muted by its publisher, or is lost, or is back: ``is_active`` tells; right within 0.1 s."""

    stream: SessionStream
    at_s: float
    is_active: bool


@dataclass(frozen=True, slots=True)
class StreamSpeaks:
    """Somebody began to speak, or fell silent; ``at_s`` is when they did, and it is told once that is certain."""

    stream: SessionStream
    at_s: float
    is_speaking: bool


@dataclass(frozen=True, slots=True)
class ActiveSpeaker:
    """Another one is the active speaker from now on, or None: nobody speaks."""

    stream: SessionStream | None
    at_s: float


SessionEvent: TypeAlias = StreamJoined | StreamLeft | StreamActive | StreamSpeaks | ActiveSpeaker
"""What `LiveSession.events` iterates over."""


@dataclass(frozen=True, slots=True)
class SessionAudio:
    """20 ms of what is said in a session.

    Attributes:
        stream: Whose; None in the mix of all.
        start_s: When it begins: a multiple of 0.02.
        audio: 16-bit mono PCM, 640 bytes at 16 kHz.
    """

    stream: SessionStream | None
    start_s: float
    audio: bytes
