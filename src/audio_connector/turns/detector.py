# SPDX-License-Identifier: Apache-2.0
"""Finds the utterances in one stream of audio. Pure: the only clock is the audio itself.

The rules:

1. Time is samples. Where no audio comes, no time passes: who drives it feeds silence for it.
2. What is found does not depend on how the audio was cut.
3. An utterance begins with its first frame of speech, once there was enough, and ends with its last one, once the
   pause behind it was long enough. One that is too long ends there, and the next goes on with the next sample.
4. Its audio is a slice of the stream: some before its beginning, some behind its end, none of another utterance.
5. No more is kept than the longest utterance and its pre-roll.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from audio_connector.audio.activity import EnergyDetector, Stretch
from audio_connector.audio.format import SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.framing import Framer
from audio_connector.audio.resample import Resampler
from audio_connector.errors import AudioDataError, UsageError
from audio_connector.turns.events import (
    EndCause,
    Silence,
    SpeechEnded,
    SpeechGoesOn,
    SpeechPaused,
    SpeechStarted,
    TurnEvent,
)
from audio_connector.turns.settings import TurnSettings

DEFAULT_RATE_HZ = 16000
"""What recognisers and detectors take, and what the router sends unless it is told otherwise."""


@runtime_checkable
class SpeechDetector(Protocol):
    """Whether a frame is speech; `EnergyDetector` is one, and so are those of ``audio_connector.engines``.

    One serves one stream, since it remembers what came before. It is called in the event loop, so it has to be quick.
    """

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the frames that it takes."""

    @property
    def frame_samples(self) -> int:
        """Samples of a frame that it takes."""

    def probability(self, frame: bytes) -> float:
        """Return how likely the frame is speech, 0 to 1; one without shades says 0 or 1."""

    def reset(self) -> None:
        """Forget what came before."""


class TurnDetector:
    """Takes the audio of one stream, piece by piece, and tells what happens in it.

    Args:
        detector: What tells speech from the rest; an `EnergyDetector` where there is none. Audio of another rate is
            converted for it, and cut into the frames that it takes.
        settings: When an utterance begins and ends.
        sample_rate: Rate of the audio in Hz, 4,000 to 192,000.
        start_s: What the clock of the events shows at the first sample.

    Raises:
        UsageError: The detector is none.
        AudioFormatError: The rate is out of range.
    """

    def __init__(
        self,
        detector: SpeechDetector | None = None,
        settings: TurnSettings | None = None,
        *,
        sample_rate: int = DEFAULT_RATE_HZ,
        start_s: float = 0.0,
    ) -> None:
        self._rate_hz = check_rate_hz(sample_rate)
        self._detector = detector = EnergyDetector(sample_rate) if detector is None else detector
        if not isinstance(detector, SpeechDetector):
            raise UsageError(
                f"got {type(detector).__name__} as detector; expected an object with sample_rate, frame_samples, "
                "probability(frame) and reset(), such as audio_connector.turns.EnergyDetector()"
            )
        detector.reset()  # it may have heard another stream before
        self._settings = settings = settings or TurnSettings()
        self._start_s = start_s
        self._resampler = Resampler(sample_rate, detector.sample_rate)
        self._framer = Framer(detector.frame_samples * SAMPLE_BYTES)
        self._frames = 0
        self._stretch = Stretch(
            onset_samples=self._samples(settings.min_speech_ms),
            pause_samples=self._samples(settings.pause_ms),
            begins_at=settings.threshold,
        )
        self._audio = bytearray()
        self._audio_from = 0  # the sample that it begins with
        self._start = 0  # of the audio of the utterance that goes on
        self._free_from = 0  # what is before belongs to another utterance
        self._cut_at = -1
        self._judged = -1  # the end of speech that `SpeechPaused` was told of
        self._silent_from = self._silence_told = 0

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the audio that it takes."""
        return self._rate_hz

    @property
    def is_speech(self) -> bool:
        """Whether an utterance goes on, a pause in it included."""
        return self._stretch.is_open

    @property
    def now_s(self) -> float:
        """How far the audio was looked at."""
        return self._s(self._stretch.position)

    @property
    def fed_s(self) -> float:
        """How far there is audio: where what is fed next begins."""
        return self._s(self._audio_from + len(self._audio) // SAMPLE_BYTES)

    def feed(self, audio: bytes) -> list[TurnEvent]:
        """Take more of the stream; returns what happens in it.

        Args:
            audio: 16-bit mono PCM, any number of whole samples.

        Raises:
            AudioDataError: An odd number of bytes; nothing was taken.
        """
        if len(audio) % SAMPLE_BYTES:
            raise AudioDataError(
                f"got {len(audio)} bytes; expected whole 16-bit samples; keep the odd byte for the next piece"
            )
        self._audio += audio
        events: list[TurnEvent] = []
        detector, frame_samples = self._detector, self._detector.frame_samples
        for frame in self._framer.push(self._resampler.push(audio)):
            self._frames += 1
            # From the number of frames, so that nothing adds up where the rates are no multiples.
            until = self._frames * frame_samples * self._rate_hz // detector.sample_rate
            self._step(float(detector.probability(frame)), until, events)
        return events

    def finish(self) -> list[TurnEvent]:
        """The stream is over; returns the end of the utterance that went on, if one did.

        The rest, shorter than a frame of the detector, belongs to none.
        """
        return [self._end("end")] if self._stretch.is_open else []

    def judge(self, paused: SpeechPaused, is_over: float) -> list[TurnEvent]:
        """Say how likely the turn is over in a pause that was told; returns its end, where that is now.

        Args:
            paused: The pause; nothing happens where somebody has gone on meanwhile.
            is_over: 0 to 1: 1 ends it after ``min_pause_ms``, 0 after ``max_pause_ms``, and others in between.

        Raises:
            UsageError: It is not from 0 to 1.
        """
        try:
            is_likelihood = 0 <= is_over <= 1
        except TypeError:  # above all None, of a function that returns nothing
            is_likelihood = False
        if not is_likelihood:
            raise UsageError(
                f"end_of_turn gave {is_over!r}; expected how likely the turn is over, from 0 to 1"
            )
        stretch, settings = self._stretch, self._settings
        if not stretch.is_open or self._s(stretch.stop) != paused.end_s:
            return []
        pause_ms = settings.max_pause_ms - is_over * (settings.max_pause_ms - settings.min_pause_ms)
        stretch.pause_samples = self._samples(pause_ms)
        return [self._end("pause")] if stretch.quiet_samples >= stretch.pause_samples else []

    # Inside.

    def _step(self, probability: float, until: int, events: list[TurnEvent]) -> None:
        stretch, before = self._stretch, self._stretch.position
        was_open = stretch.is_open
        stretch.push(probability, until - before)
        if was_open:
            self._go_on(probability, before, events)
        elif stretch.is_open:
            events.append(self._begin())
        else:
            self._stay_silent(events)

    def _begin(self) -> SpeechStarted:
        stretch = self._stretch
        self._start = max(stretch.start - self._samples(self._settings.pre_roll_ms), self._free_from)
        return SpeechStarted(
            start_s=self._s(stretch.start),
            at_s=self._s(stretch.position),
            audio=self._slice(self._start, stretch.position),
            sample_rate=self._rate_hz,
            audio_start_s=self._s(self._start),
            continues=stretch.start == self._cut_at,
        )

    def _go_on(self, probability: float, before: int, events: list[TurnEvent]) -> None:
        stretch, settings = self._stretch, self._settings
        events.append(
            SpeechGoesOn(
                start_s=self._s(stretch.start),
                at_s=self._s(stretch.position),
                audio=self._slice(before, stretch.position),
                sample_rate=self._rate_hz,
                pause_s=stretch.quiet_samples / self._rate_hz,
                probability=probability,
            )
        )
        if not stretch.is_open:
            events.append(self._end("pause"))
        elif stretch.position - self._start >= settings.max_speech_s * self._rate_hz:
            events.append(self._end("length"))
        elif not stretch.quiet_samples:
            stretch.pause_samples = self._samples(settings.pause_ms)
        elif stretch.quiet_samples >= self._samples(settings.min_pause_ms) and self._judged != stretch.stop:
            self._judged = stretch.stop
            events.append(
                SpeechPaused(
                    start_s=self._s(stretch.start),
                    end_s=self._s(stretch.stop),
                    at_s=self._s(stretch.position),
                    audio=self._slice(self._start, stretch.position),
                    sample_rate=self._rate_hz,
                    audio_start_s=self._s(self._start),
                )
            )

    def _end(self, cause: EndCause) -> SpeechEnded:
        stretch = self._stretch
        until = min(stretch.stop + self._samples(self._settings.tail_ms), stretch.position)
        ended = SpeechEnded(
            start_s=self._s(stretch.start),
            end_s=self._s(stretch.stop),
            at_s=self._s(stretch.position),
            audio=self._slice(self._start, until),
            sample_rate=self._rate_hz,
            audio_start_s=self._s(self._start),
            cause=cause,
        )
        goes_on = cause == "length" and not stretch.quiet_samples
        stretch.close(goes_on=goes_on)
        stretch.pause_samples = self._samples(self._settings.pause_ms)
        self._free_from, self._cut_at = until, stretch.position if goes_on else -1
        self._silent_from = self._silence_told = stretch.stop
        self._forget()
        return ended

    def _stay_silent(self, events: list[TurnEvent]) -> None:
        position = self._stretch.position
        self._forget()
        if position - self._silence_told >= self._settings.silence_s * self._rate_hz:
            self._silence_told = position
            events.append(Silence(start_s=self._s(self._silent_from), at_s=self._s(position)))

    def _forget(self) -> None:
        """Drop the audio that no utterance can have any more."""
        earliest = self._stretch.earliest_start - self._samples(self._settings.pre_roll_ms)
        keep_from = max(earliest, self._free_from, self._audio_from)
        del self._audio[: (keep_from - self._audio_from) * SAMPLE_BYTES]
        self._audio_from = keep_from

    def _slice(self, start: int, stop: int) -> bytes:
        first = self._audio_from
        return bytes(self._audio[(start - first) * SAMPLE_BYTES : (stop - first) * SAMPLE_BYTES])

    def _samples(self, ms: float) -> int:
        return round(ms * self._rate_hz / 1000)

    def _s(self, samples: int) -> float:
        return self._start_s + samples / self._rate_hz
