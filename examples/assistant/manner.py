# SPDX-License-Identifier: Apache-2.0
"""How the assistant talks, as values."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from audio_connector import UsageError
from audio_connector.turns import BargeIn, TurnSettings
from audio_connector.validation import FrozenValues

Seconds = Annotated[float, Field(gt=0, le=3600)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""Something to say: of nothing a voice makes nothing, and the caller would be told that something failed."""


class Phrases(FrozenValues):
    """What is said often; made before the first call.

    Attributes:
        greeting: At the beginning.
        moment: Where an answer takes long.
        sorry: Where something failed, or nothing was understood.
        cannot_help: Where that happens again and again, before it hangs up.
        still_there: Where the caller is silent.
        goodbye: Before it hangs up.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    greeting: Words = "Hello! How can I help you?"
    moment: Words = "One moment, please."
    sorry: Words = "I am sorry, I did not get that. Could you say it again?"
    cannot_help: Words = "I am sorry, I cannot help you now. Please call again later. Goodbye!"
    still_there: Words = "Are you still there?"
    goodbye: Words = "Thank you for calling. Goodbye!"


class Manner(FrozenValues):
    """How it talks.

    Attributes:
        phrases: What is said often.
        turns: When the caller has finished.
        barge_in: When the caller interrupts.
        partials: Recognise while the caller speaks, and not in the pause: for recognisers that hear as it is said.
        moment_after_s: An answer that takes longer is announced.
        give_up_after: So many turns in a row that failed, and it says that it cannot help, and hangs up.
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
    give_up_after: Annotated[int, Field(ge=1, le=100)] = 3
    ask_after_s: Seconds = 15.0
    hang_up_after_s: Seconds = 30.0
    max_messages: Annotated[int, Field(ge=2, le=1000)] = 40
