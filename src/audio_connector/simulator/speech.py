# SPDX-License-Identifier: Apache-2.0
"""What a simulated participant says: a WAV or PCM at any rate in, the call's 20 ms frames out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files

from audio_connector.audio.format import SAMPLE_BYTES, AudioFormat
from audio_connector.audio.framing import Framer
from audio_connector.audio.resample import resample
from audio_connector.audio.wav import FilePath, read_wav
from audio_connector.errors import AudioDataError
from audio_connector.simulator.config import RouterCall, Speech
from audio_connector.simulator.samples import (
    SAMPLE_RATE_HZ,
    SAMPLES,
    is_sample,
    sample_named,
)
from audio_connector.simulator.script import SayText

__all__ = [
    "SAMPLES",
    "Frames",
    "Lines",
    "SpeechLibrary",
    "cut_to_frames",
    "sample_speech",
]

Frames = tuple[bytes, ...]


def sample_speech(
    names: Sequence[str] = SAMPLES, *, rate_hz: int = 16000, pauses_s: Sequence[float] = (0.8,)
) -> bytes:
    """Return the packaged sentences as one piece of speech.

    Args:
        names: Which sentences, see `SAMPLES`.
        rate_hz: The rate to return them at.
        pauses_s: Silence between the sentences, in seconds; the last value also serves the pauses after it.

    Returns:
        Mono 16-bit little-endian PCM.
    """
    parts: list[bytes] = []
    for number, name in enumerate(names):
        if number:
            pause_s = pauses_s[min(number, len(pauses_s)) - 1]
            parts.append(bytes(2 * round(pause_s * rate_hz)))
        with as_file(files("audio_connector") / "samples" / name) as path:
            pcm, sample_rate_hz = read_wav(str(path))
        parts.append(resample(pcm, sample_rate_hz, rate_hz))
    return b"".join(parts)


def cut_to_frames(pcm: bytes, audio_format: AudioFormat) -> Frames:
    """Cut PCM into whole frames; the last is padded with silence."""
    framer = Framer(audio_format.frame_bytes)
    frames = framer.push(pcm)
    rest = framer.finish()
    return (*frames, rest) if rest is not None else tuple(frames)


@dataclass(frozen=True, slots=True)
class Lines:
    """What one participant has to say.

    Attributes:
        speech: From the beginning.
        says: The frames of each ``say``, in the order of the steps; empty for other steps.
    """

    speech: Frames = ()
    says: tuple[Frames, ...] = ()


class SpeechLibrary:
    """The frames of each speech, read and resampled once however many calls say it."""

    def __init__(self) -> None:
        # The bytes object is kept beside its id, so that the id cannot be given to another one meanwhile.
        self._frames: dict[tuple[object, int, int], tuple[Frames, object]] = {}
        self._spoken: dict[SayText, tuple[bytes, int]] = {}

    def keep(self, text: SayText, pcm: bytes, rate_hz: int) -> None:
        """Take the audio of a text, before `lines_of` is asked for it."""
        self._spoken[text] = (pcm, rate_hz)

    def lines_of(self, call: RouterCall) -> Lines:
        """Return what a call says, at its rate.

        Raises:
            AudioFileError: A file cannot be read as 16-bit WAV.
            AudioDataError: PCM bytes with half a sample at the end.
            AudioFormatError: ``speech_rate_hz`` is out of range.
            UsageError: There is no packaged sentence of that name.
            KeyError: A text was not given to `keep` before.
        """
        speech = () if call.speech is None else self._frames_of(call.speech, call.speech_rate_hz, call)
        says = tuple(() if step.say is None else self._frames_of(step.say, None, call) for step in call.steps)
        return Lines(speech, says)

    def _frames_of(self, speech: Speech, rate_hz: int | None, call: RouterCall) -> Frames:
        rate_hz = rate_hz or call.rate_hz
        key = (_name_of(speech), rate_hz, call.rate_hz)
        if key not in self._frames:
            pcm, rate_hz = self._spoken[speech] if isinstance(speech, SayText) else _read(speech, rate_hz)
            pcm = resample(pcm, rate_hz, call.rate_hz)
            self._frames[key] = (cut_to_frames(pcm, call.audio_format), speech)
        return self._frames[key][0]


def _name_of(speech: Speech) -> object:
    if isinstance(speech, bytes):
        return id(speech)
    return speech if isinstance(speech, SayText) else os.fspath(speech)


def _read(speech: FilePath | bytes, rate_hz: int) -> tuple[bytes, int]:
    if isinstance(speech, bytes):
        if len(speech) % SAMPLE_BYTES:
            raise AudioDataError(f"speech has {len(speech)} bytes: expected 16-bit samples, an even number")
        return speech, rate_hz
    path = os.fspath(speech)
    if isinstance(path, str) and is_sample(path):
        return sample_speech([sample_named(path)], rate_hz=SAMPLE_RATE_HZ), SAMPLE_RATE_HZ
    return read_wav(path)
