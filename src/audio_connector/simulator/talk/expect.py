# SPDX-License-Identifier: Apache-2.0
"""What has to be true of what the bot said, as a value. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import BeforeValidator, Field

from audio_connector.errors import UsageError
from audio_connector.simulator.talk.transcript import TranscriptLine, said_by
from audio_connector.simulator.talk.words import MAX_REFERENCE_CHARS, AnyWanted, Wanted, folded, word_errors
from audio_connector.validation import FrozenValues
from audio_connector.wire.quoting import quoted

SHOWN_CHARS = 160
"""How much of what was said instead a failure shows."""


def _as_wanted(value: Any) -> Any:  # noqa: ANN401 - whatever a file has
    return tuple(map(Wanted.of, value)) if isinstance(value, list | tuple) else (Wanted.of(value),)


def _as_reference(text: str) -> str:
    if not folded(text):
        raise ValueError("expected a text with words in it")
    return text


if TYPE_CHECKING:  # as `AnyWanted`
    ManyWanted: TypeAlias = AnyWanted | Sequence[AnyWanted]
else:
    ManyWanted = Annotated[tuple[Wanted, ...], BeforeValidator(_as_wanted), Field(max_length=100)]


NOTHING_UNDERSTOOD: Final = "the bot said nothing that was understood"


def not_judged(unheard_s: float) -> str:
    """Say why nobody knows what the bot said, and what it did not."""
    return f"{unheard_s:.1f} s of what the bot said were not recognised: its words cannot be judged"


class WordErrors(FrozenValues):
    """How near the bot's words have to be to a text.

    Attributes:
        reference: What it should say in the whole call.
        max: The greatest word error rate that passes: 0.1 is one wrong word in ten.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    reference: Annotated[str, Field(max_length=MAX_REFERENCE_CHARS), BeforeValidator(_as_reference)]
    max: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class Expect(FrozenValues):
    """What has to be true of what the bot said in a call; each that is not fails the run.

    Attributes:
        said: Each of these was said: phrases, or mappings as `Wanted`.
        never_said: None of these was, in words that were understood: of a bot of which none was, nobody knows.
        word_errors: How near its words are to a text.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    said: ManyWanted = ()
    never_said: ManyWanted = ()
    word_errors: WordErrors | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """Each of them in a line, as a gate shows it."""
        return tuple(text for text, _ in self._checks(""))

    def failures(
        self, lines: Iterable[TranscriptLine], *, unheard_s: float = 0.0, may_be_silent: bool = False
    ) -> tuple[str, ...]:
        """Say what does not hold, one line each.

        Args:
            lines: What was said.
            unheard_s: How much of the bot's speech was not recognised: then nobody knows what was never said.
            may_be_silent: The bot made no sound, as it was meant to: so it said nothing wrong either. Else nobody
                knows what was never said where no word was understood.
        """
        text = said_by("bot", lines)
        if self.texts and unheard_s:
            return (not_judged(unheard_s),)
        return tuple(f"{name}: {why}" for name, why in self._checks(text, may_be_silent) if why)

    def _checks(self, text: str, may_be_silent: bool = False) -> Iterable[tuple[str, str]]:
        """Each check by its name, and why it fails; empty where it holds."""
        got = f"the bot said {quoted(text, SHOWN_CHARS)}" if text else NOTHING_UNDERSTOOD
        not_so = f"the bot did not; it said {quoted(text, SHOWN_CHARS)}" if text else got
        is_known = bool(text) or may_be_silent
        for wanted in _as_wanted(self.said):
            yield f"said {wanted}", "" if wanted.found_in(text) else not_so
        for wanted in _as_wanted(self.never_said):
            yield f"never_said {wanted}", got if not is_known or wanted.found_in(text) else ""
        if self.word_errors is not None:
            rate, limit = word_errors(self.word_errors.reference, text), self.word_errors.max
            yield f"word_errors>{limit:g}", f"{rate:.3f}; {got}" if rate > limit else ""
