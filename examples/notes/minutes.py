# SPDX-License-Identifier: Apache-2.0
"""What notes are made of, the port of what makes them, and the Markdown that they become. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from audio_connector.engines import Engine


@dataclass(frozen=True)
class Said:
    """An utterance: who said what, and when, in seconds of the session."""

    number: int
    speaker: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Decision:
    """Something that was decided, and where."""

    text: str
    said: Said


@dataclass(frozen=True)
class Action:
    """Something that somebody is to do.

    Args:
        task: What.
        owner: Who; None where nobody was named.
        said: Where it was said.
        due: Until when, in the speaker's words; empty where nothing was said.
        due_on: The same as a date, where these words are one.
    """

    task: str
    owner: str | None
    said: Said
    due: str = ""
    due_on: date | None = None


@dataclass(frozen=True)
class Minutes:
    """What a meeting came to."""

    decisions: Sequence[Decision] = ()
    actions: Sequence[Action] = ()
    summary: str = ""


class Summariser(Engine, Protocol):
    """What makes minutes of what was said: the port that this application adds to those of the library."""

    async def summarise(self, said: Sequence[Said], *, today: date) -> Minutes:
        """Return the minutes of all that was said so far; ``today`` is what "tomorrow" counts from.

        Raises:
            EngineError: It failed.
        """
        ...


def as_markdown(
    minutes: Minutes,
    said: Sequence[Said],
    *,
    began: datetime,
    audio: str,
    troubles: Mapping[str, int] | None = None,
) -> str:
    """Write the notes.

    Args:
        minutes: What it came to.
        said: The transcript, in order.
        began: When the session began.
        audio: The name of its recording, in which each line has its place.
        troubles: What went wrong, and how often: notes that lack something are not to look like a quiet meeting.
    """

    def at(line: Said) -> str:
        return f"[{clock(line.start_s)}]({audio}#t={line.start_s:.1f})"

    speakers = list(dict.fromkeys(line.speaker for line in said))
    lasted = clock(max((line.end_s for line in said), default=0.0))
    parts = [
        f"# Notes of {began:%Y-%m-%d, %H:%M}",
        f"{_safe(', '.join(speakers))} · {lasted} · [audio]({audio})",
    ]
    if troubles:
        parts.append(
            "\n".join(f"- Not complete: {_safe(text)} ({number}x)" for text, number in troubles.items())
        )
    if minutes.summary:
        parts.append(_safe(minutes.summary))
    decisions = [
        f"- {_safe(each.text)} ({_safe(each.said.speaker)}, {at(each.said)})" for each in minutes.decisions
    ]
    actions = [
        f"- [ ] **{_safe(each.owner or 'nobody named')}**: {_safe(each.task)}{_due(each)} ({at(each.said)})"
        for each in minutes.actions
    ]
    parts += ["## Decisions", "\n".join(decisions) or "None."]
    parts += ["## Action items", "\n".join(actions) or "None."]
    parts += [
        "## Transcript",
        "\n".join(f"- {at(line)} **{_safe(line.speaker)}**: {_safe(line.text)}" for line in said),
    ]
    return "\n\n".join(parts) + "\n"


def clock(seconds: float) -> str:
    """Seconds as a clock: 1:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _due(action: Action) -> str:
    if not action.due:
        return ""
    return f", {action.due}" + (f" ({action.due_on.isoformat()})" if action.due_on is not None else "")


def _safe(text: str) -> str:
    """A text that no Markdown is in: what somebody said, or how a peer calls itself, is not to make a link."""
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", " ".join(text.split()))
