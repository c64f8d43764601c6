# SPDX-License-Identifier: Apache-2.0
"""Whether somebody speaks, by the energy of the voice's band: the detector that needs no model. Pure.

The rules:

1. What counts is how far a frame is above the noise of the room, in the band of the voice. So the hum of a mains,
   mostly below it, and hiss, mostly above it, count for little.
2. The noise is the least that was heard within `WINDOW_S`, smoothed. It falls at once, and rises only once nothing
   was quieter for so long: a voice pauses more often, and does not become the noise itself.
3. Digital silence is no room. It says that there is no noise only where nothing else was heard so far; later it is a
   muted stream, or one that sends zeros for silence, and says nothing.
4. It is told apart from noise, not from anything else that comes and goes: music with pauses is taken for a voice.

It imports numpy, which takes long: import it where audio is at hand.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES, check_rate_hz
from audio_connector.errors import AudioDataError

BAND_HZ: Final = (120.0, 3800.0)
"""Above the mains, below most voices, and up to what a telephone carries: the same at each rate of the router."""

WINDOW_S: Final = 2.5
"""The longest stretch of connected speech without a pause that reaches the noise; a room that becomes louder is
taken for a voice for so long."""

WINDOW_PARTS: Final = 5
"""The least is kept for parts of the window, so that half a second more or less decides when it is forgotten."""

SMOOTHED: Final = 0.6
"""Of the level before, in that of which the noise is the least: one frame that was lost is no silent room."""

LEAST_NOISE: Final = 30.0
"""Root mean square, of 32,768, about -61 dB of full scale: a line is not taken to be quieter than that, or the last
bit of a codec would be speech."""

EVEN_DB: Final = 7.5
"""Above the noise, where speech is as likely as not. White noise stays within 3 dB of its least, and a voice that is
10 dB louder in all is so much above it in nearly all its syllables. With 9 dB here, first words were lost."""

LIKELIER_PER_DB: Final = 0.05
"""So that the noise itself is 0.13, and 4.5 dB are 0.35, where a stretch of speech may end (`Stretch`)."""

BEGINS_AT: Final = 0.5
ENDS_BELOW: Final = 0.35
"""Lower than where it began, or a voice that falls at the end of a word would flicker."""

UNDECIDED_ONSETS: Final = 10
"""What flickers for so many times the onset without becoming speech is none so far: else a beep that comes and goes
would be speech that began minutes ago, and whoever cuts utterances would keep the audio of all of them."""


class EnergyDetector:
    """How likely a frame is speech, by its energy over that of the room.

    Args:
        sample_rate: Samples per second of what it takes, 4,000 to 192,000.

    Raises:
        AudioFormatError: The rate is out of range.
    """

    def __init__(self, sample_rate: int = 16000) -> None:
        self._rate_hz = check_rate_hz(sample_rate)
        self._samples = sample_rate * FRAME_MS // 1000
        window = np.hanning(self._samples + 1)[:-1]
        self._window = window
        bin_hz = sample_rate / self._samples
        self._from, self._to = math.ceil(BAND_HZ[0] / bin_hz), int(BAND_HZ[1] / bin_hz) + 1
        # Parseval: twice the sum over the positive half of the spectrum, by what the window takes away.
        self._scale = 2 / (self._samples * float(np.square(window).sum()))
        self._part_frames = round(WINDOW_S * 1000 / FRAME_MS / WINDOW_PARTS)
        self.reset()

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the frames that it takes."""
        return self._rate_hz

    @property
    def frame_samples(self) -> int:
        """Samples of a frame: those of 20 ms."""
        return self._samples

    @property
    def noise(self) -> float:
        """The noise of the room, as root mean square of 32,768 in the band of the voice."""
        return math.sqrt(max(self._least, LEAST_NOISE**2))

    def reset(self) -> None:
        """Forget the room: another stream."""
        self._smooth = 0.0
        self._least = self._part_least = math.inf
        self._leasts: deque[float] = deque(maxlen=WINDOW_PARTS)
        self._frames = 0
        self._is_first = True  # nothing but digital silence so far

    def probability(self, frame: bytes) -> float:
        """Return how likely it is speech, 0 to 1.

        Args:
            frame: 20 ms of 16-bit PCM, `frame_samples` of them.

        Raises:
            AudioDataError: Another number of bytes.
        """
        if len(frame) != self._samples * SAMPLE_BYTES:
            raise AudioDataError(
                f"got a frame of {len(frame)} bytes; expected {self._samples * SAMPLE_BYTES}, 20 ms at "
                f"{self._rate_hz} Hz; cut the audio with audio_connector.turns.TurnDetector, or with a Framer"
            )
        if frame.count(0) == len(frame):
            if self._is_first:
                self._least = 0.0
            return 0.0
        spectrum = np.fft.rfft(np.frombuffer(frame, "<i2") * self._window)[self._from : self._to]
        energy = float(np.vdot(spectrum, spectrum).real) * self._scale
        self._follow(energy)
        noise = max(self._least, LEAST_NOISE**2)
        above_db = 10 * math.log10(max(energy, 1e-9) / noise)
        return min(1.0, max(0.0, BEGINS_AT + LIKELIER_PER_DB * (above_db - EVEN_DB)))

    def _follow(self, energy: float) -> None:
        """What the noise is, with this frame."""
        if self._is_first:
            self._is_first = False
            if self._least == 0:
                # Digital silence came before: a line without noise, until the window says otherwise.
                self._leasts.append(0.0)
                self._part_least = 0.0
            self._smooth = energy
        self._smooth = smooth = SMOOTHED * self._smooth + (1 - SMOOTHED) * energy
        if smooth < self._part_least:
            self._part_least = smooth
        if smooth < self._least:
            self._least = smooth
        self._frames += 1
        if self._frames == self._part_frames:
            self._leasts.append(self._part_least)
            self._least = min(self._leasts)
            self._part_least = math.inf
            self._frames = 0


class Stretch:
    """Turns how likely each frame is speech into stretches of speech: with hysteresis, and without clicks.

    It begins once frames of speech outweigh the others by ``onset_samples``, within `UNDECIDED_ONSETS` times as many,
    and ends once ``pause_samples`` passed without one. All positions are samples since the beginning.

    Args:
        onset_samples: Shorter speech than this is none.
        pause_samples: May be changed at any time.
        begins_at: How likely a frame has to be speech to begin one; it goes on with 0.15 less.
    """

    __slots__ = (
        "_onset",
        "_run",
        "begins_at",
        "ends_below",
        "is_open",
        "pause_samples",
        "position",
        "start",
        "stop",
    )

    def __init__(self, *, onset_samples: int, pause_samples: int, begins_at: float = BEGINS_AT) -> None:
        self._onset = onset_samples
        self.pause_samples = pause_samples
        self.begins_at, self.ends_below = begins_at, begins_at - (BEGINS_AT - ENDS_BELOW)
        self.is_open = False
        self.position = self.start = self.stop = 0
        """How far it is; where the speech began that goes on, or may become one; where its latest frame ends."""
        self._run = 0

    @property
    def earliest_start(self) -> int:
        """Where the next stretch may begin: it has begun already where frames of speech were heard."""
        return self.start if self._run else self.position

    @property
    def quiet_samples(self) -> int:
        """How long nobody has spoken."""
        return self.position - self.stop

    def push(self, probability: float, samples: int) -> bool:
        """Take a frame; True where a stretch begins or ends with it, as `is_open` then says."""
        before = self.position
        self.position = position = before + samples
        if self.is_open:
            if probability >= self.ends_below:
                self.stop = position
            elif position - self.stop >= self.pause_samples:
                self.close()
                return True
            return False
        if probability >= self.begins_at:
            if not self._run:
                self.start = before
            self._run += samples
            if self._run >= self._onset:
                self.is_open, self.stop = True, position
                return True
        elif self._run:
            self._run = max(0, self._run - samples)
        if self._run and position - self.start >= UNDECIDED_ONSETS * self._onset:
            self._run = 0
        return False

    def close(self, *, goes_on: bool = False) -> None:
        """End it here, whatever was said; with ``goes_on`` the next frame of speech begins another one at once."""
        self.is_open, self._run = False, self._onset if goes_on else 0
        if goes_on:
            self.start = self.position
