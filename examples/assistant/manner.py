# SPDX-License-Identifier: Apache-2.0
"""How the assistant talks, as values."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from audio_connector import UsageError
from audio_connector.turns import BargeIn, TurnSettings
from audio_connector.validation import FrozenValues

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Phrases(FrozenValues):
    """What is said often; made before the first call.

    Attributes:
        greeting: At the beginning.
        moment: Where an answer takes long.
        sorry: Where something failed, or nothing was understood.
        still_there: Where the caller is silent.
        goodbye: Before it hangs up.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    greeting: str = "Hello! How can I help you?"
    moment: str = "One moment, please."
    sorry: str = "I am sorry, I did not get that. Could you say it again?"
    still_there: str = "Are you still there?"
    goodbye: str = "Thank you for calling. Goodbye!"


class Manner(FrozenValues):
    """How it talks.

    Attributes:
        phrases: What is said often.
        turns: When the caller has finished.
        barge_in: When the caller interrupts.
        partials: Recognise while the caller speaks, and not in the pause: for recognisers that hear as it is said.
        moment_after_s: An answer that takes longer is announced.
        ask_after_s: Silence after which the caller is asked whether they are there.
        hang_up_after_s: Silence after which the call ends.
        max_messages: So many of a conversation are remembered.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    phrases: Phrases = Phrases()
    turns: TurnSettings = TurnSettings()
    barge_in: BargeIn = BargeIn()
    partials: bool = False
    moment_after_s: Seconds = 2.0
    ask_after_s: Seconds = 15.0
    hang_up_after_s: Seconds = 30.0
    max_messages: Annotated[int, Field(ge=2, le=1000)] = 40
