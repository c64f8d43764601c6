# SPDX-License-Identifier: Apache-2.0
"""What can be set about turns, validated, with units in the names."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from audio_connector.errors import UsageError
from audio_connector.validation import FrozenValues

Ms = Annotated[float, Field(ge=0, le=60_000)]
SomeMs = Annotated[float, Field(ge=20, le=60_000)]


class TurnSettings(FrozenValues):
    """When somebody speaks, and when they have finished.

    Attributes:
        pause_ms: A pause for so long ends the utterance. Within a sentence, pauses of up to 400 ms are usual; each
            100 ms more is felt as an answer that comes late.
        min_pause_ms: Where ``end_of_turn`` is sure that the turn is over, a pause for so long does. It is asked then.
        max_pause_ms: Where it is sure that it is not, the pause lasts so long.
        min_speech_ms: Speech that is shorter is none: a click, a key, a breath. A syllable has 100 ms at least.
        pre_roll_ms: Audio kept from before the speech: the first consonant is often too soft to be told from noise.
        tail_ms: Audio kept behind it, for the last consonant.
        max_speech_s: An utterance that becomes longer ends here, and what follows is the next one. What Whisper hears
            at a time is 30 s; at 16 kHz that is 960 kB.
        threshold: How likely a frame has to be speech, as the detector says, for speech to begin; it goes on with
            0.15 less. Below 0.5 the built-in one takes noise for speech, since the noise itself is 0.13 to it.
        silence_s: How often `Silence` is told.

    Raises:
        UsageError: A value is out of its range; the text names it.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    pause_ms: SomeMs = 500
    min_pause_ms: SomeMs = 200
    max_pause_ms: SomeMs = 1500
    min_speech_ms: SomeMs = 100
    pre_roll_ms: Ms = 200
    tail_ms: Ms = 100
    max_speech_s: Annotated[float, Field(ge=1, le=600)] = 30
    threshold: Annotated[float, Field(ge=0.3, le=0.95)] = 0.5
    silence_s: Annotated[float, Field(ge=0.1, le=3600)] = 1

    @model_validator(mode="after")
    def _is_in_order(self) -> TurnSettings:
        if not self.min_pause_ms <= self.pause_ms <= self.max_pause_ms:
            raise ValueError(
                f"min_pause_ms={self.min_pause_ms:g}, pause_ms={self.pause_ms:g}, "
                f"max_pause_ms={self.max_pause_ms:g}: expected them in this order, the shortest first"
            )
        if self.max_pause_ms >= self.max_speech_s * 1000:
            raise ValueError(
                f"max_pause_ms={self.max_pause_ms:g}: expected less than max_speech_s={self.max_speech_s:g}"
            )
        return self
