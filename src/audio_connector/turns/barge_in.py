# SPDX-License-Identifier: Apache-2.0
"""When a caller who speaks over us is to be heard out, and when it was nothing: the decision. Pure.

States: *idle* while we do not speak, or nobody speaks over us; *holding* from the caller's first sound until that is
known to be an interruption, which ends in *interrupted*, or a false alarm, after which we go on.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, ClassVar

from pydantic import Field

from audio_connector.errors import UsageError
from audio_connector.turns.events import SpeechEnded, SpeechGoesOn, SpeechStarted, TurnEvent
from audio_connector.validation import FrozenValues


class Decision(Enum):
    """What is to be done with what we say."""

    PAUSE = "pause"
    """Hold it: somebody speaks."""

    RESUME = "resume"
    """Go on where it was held: it was nothing."""

    INTERRUPT = "interrupt"
    """Drop it: somebody has something to say."""


class BargeIn(FrozenValues):
    """What counts as an interruption.

    Attributes:
        min_speech_ms: Speech for so long: more than a cough or an "mhm", less than a short sentence. What
            `TurnSettings.min_speech_ms` takes is included.
        min_words: So many words as well, where a recogniser tells them (`Interrupter.heard`): speech without words, a
            television or a dog, is no interruption then. 0 goes by the length alone. See `count_words`.
        pause_first: Whether we fall silent at the first sound, and go on if it was nothing; else we speak on until
            it is certain.
        resume_after_ms: Silence after which what was no interruption is a false alarm. Longer than the gap between
            "no" and "wait". With ``min_words``, what your recogniser takes is a better value: words that come later
            interrupt all the same, but we have gone on meanwhile.

    Raises:
        UsageError: A value is out of its range; the text names it.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    min_speech_ms: Annotated[float, Field(ge=0, le=10_000)] = 250
    min_words: Annotated[int, Field(ge=0, le=20)] = 0
    pause_first: bool = True
    resume_after_ms: Annotated[float, Field(ge=0, le=10_000)] = 400


class BargeInMachine:
    """Decides, told what the caller does.

    Args:
        policy: What counts as an interruption.
    """

    def __init__(self, policy: BargeIn | None = None) -> None:
        self._policy = policy or BargeIn()
        self._over_us = False
        """Of the utterance that goes on, or the latest one, something was said over what we say now."""
        self._is_held = False
        self._speech_s = 0.0
        self._words = 0

    @property
    def is_held(self) -> bool:
        """Whether what we say is held until it is known what the caller wants."""
        return self._is_held

    def take(self, event: TurnEvent, *, we_speak: bool) -> Decision | None:
        """Take what the caller does; returns what is to be done.

        Args:
            event: As `listen` tells it.
            we_speak: Whether we are being heard, or are held.
        """
        if not isinstance(event, SpeechStarted | SpeechGoesOn | SpeechEnded):
            return None
        if isinstance(event, SpeechStarted) and not event.continues:
            self._over_us, self._speech_s, self._words = False, 0.0, 0
        if not we_speak:
            self._is_held = self._over_us = (
                False  # what was spoken over has ended, and what we say next is another
            )
            return None
        is_end = isinstance(event, SpeechEnded)
        pause_s = event.pause_s if isinstance(event, SpeechGoesOn) else 0.0
        if not is_end and not pause_s:  # else we began in a pause, and nobody speaks over us
            self._over_us = True
            self._speech_s = event.speech_s
        if self._is_interruption():
            return self._interrupt()
        if self._is_held:
            if is_end or pause_s * 1000 >= self._policy.resume_after_ms:
                self._is_held = False
                return Decision.RESUME
        elif self._over_us and not is_end and not pause_s and self._policy.pause_first:
            self._is_held = True
            return Decision.PAUSE
        return None

    def heard(self, words: int, *, we_speak: bool) -> Decision | None:
        """Take how many words of the utterance were understood so far, or in all; returns what is to be done."""
        self._words = max(self._words, words)
        if we_speak and self._is_interruption():
            return self._interrupt()
        return None

    def _is_interruption(self) -> bool:
        policy, is_long = self._policy, self._speech_s * 1000 >= self._policy.min_speech_ms
        return self._over_us and is_long and self._words >= policy.min_words

    def _interrupt(self) -> Decision:
        self._is_held = self._over_us = False
        return Decision.INTERRUPT
