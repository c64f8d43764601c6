# SPDX-License-Identifier: Apache-2.0
"""What happens in one stream of audio, as frozen values. All times are seconds of that stream's audio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from audio_connector.audio.format import SAMPLE_BYTES

EndCause: TypeAlias = Literal["pause", "length", "end"]
"""Why an utterance is over: nobody went on, it was as long as one may be, or the stream ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted:
    """Somebody began to speak; told once that was certain, `TurnSettings.min_speech_ms` later at the earliest.

    Attributes:
        start_s: When the speech began.
        at_s: When that was certain: up to here ``audio`` goes.
        audio: 16-bit mono PCM from ``audio_start_s`` on: some of what was before, or the first sound would be cut.
        sample_rate: Its rate in Hz.
        audio_start_s: When that begins.
        continues: True where the utterance before had become too long, and this one goes on with it.
    """

    start_s: float
    at_s: float
    audio: bytes
    sample_rate: int
    audio_start_s: float
    continues: bool = False

    @property
    def speech_s(self) -> float:
        """How long somebody has spoken."""
        return self.at_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechGoesOn:
    """The utterance goes on, or pauses: told of each frame of the detector.

    Attributes:
        start_s: When the speech began.
        at_s: Up to when it is known.
        audio: What follows what was told before, for who recognises while it is said.
        sample_rate: Its rate in Hz.
        pause_s: How long nobody has spoken; 0 while somebody does.
        probability: How likely this is speech, as the detector says.
    """

    start_s: float
    at_s: float
    audio: bytes
    sample_rate: int
    pause_s: float
    probability: float

    @property
    def speech_s(self) -> float:
        """How long somebody has spoken, from the first sound to the latest."""
        return self.at_s - self.pause_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechPaused:
    """A pause has begun that may be the end of the turn: what `listen` asks ``end_of_turn`` about.

    Attributes:
        start_s: When the speech began.
        end_s: Where it ends so far.
        at_s: Now: `TurnSettings.min_pause_ms` later.
        audio: All of the utterance, as `SpeechEnded` would have it, and the pause so far.
        sample_rate: Its rate in Hz.
        audio_start_s: When it begins.
    """

    start_s: float
    end_s: float
    at_s: float
    audio: bytes
    sample_rate: int
    audio_start_s: float

    @property
    def speech_s(self) -> float:
        """How long somebody has spoken, from the first sound to the latest."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnded:
    """The utterance is over.

    Attributes:
        start_s: When the speech began.
        end_s: When it ended; ``audio`` goes on for `TurnSettings.tail_ms`, as far as there is so much.
        at_s: When that was decided: after the pause.
        audio: All of it: a slice of the stream, from ``audio_start_s`` on. No two utterances share any.
        sample_rate: Its rate in Hz.
        audio_start_s: When the audio begins: times of words count from here.
        cause: "pause" after a pause, "length" where it was as long as one may be, and "end" where the stream ended.
    """

    start_s: float
    end_s: float
    at_s: float
    audio: bytes
    sample_rate: int
    audio_start_s: float
    cause: EndCause

    @property
    def speech_s(self) -> float:
        """How long somebody has spoken, from the first sound to the last."""
        return self.end_s - self.start_s

    @property
    def audio_s(self) -> float:
        """How long the audio is."""
        return len(self.audio) / SAMPLE_BYTES / self.sample_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Nobody speaks; told once a second.

    Attributes:
        start_s: Since when: the end of the utterance before, or the beginning.
        at_s: Now.
    """

    start_s: float
    at_s: float

    @property
    def silence_s(self) -> float:
        """How long nobody has spoken."""
        return self.at_s - self.start_s


TurnEvent: TypeAlias = SpeechStarted | SpeechGoesOn | SpeechPaused | SpeechEnded | Silence
"""What `listen` iterates over. Of one utterance: one `SpeechStarted`, then `SpeechGoesOn` and `SpeechPaused`, one
`SpeechEnded`; between them `Silence`."""
