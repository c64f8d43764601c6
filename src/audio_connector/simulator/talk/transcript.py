# SPDX-License-Identifier: Apache-2.0
"""What was said in a call, line by line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Who: TypeAlias = Literal["participant", "bot"]


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """What one side said without a pause.

    Attributes:
        who: "participant" or "bot".
        at_s: When it began, in seconds since the connection was made.
        for_s: How long it was, in seconds.
        text: The words: of a participant, those that were to be spoken, or a file's name in brackets; of the bot,
            those that were recognised.
    """

    who: Who
    at_s: float
    for_s: float
    text: str

    @property
    def end_s(self) -> float:
        """When it ended."""
        return self.at_s + self.for_s


def in_order(lines: Iterable[TranscriptLine]) -> tuple[TranscriptLine, ...]:
    """The lines by the time they began."""
    return tuple(sorted(lines, key=lambda line: line.at_s))


def said_by(who: Who, lines: Iterable[TranscriptLine], *, since_s: float = 0.0) -> str:
    """The words of one side, joined; of lines that went on after a time."""
    return " ".join(line.text for line in lines if line.who == who and line.end_s > since_s and line.text)
