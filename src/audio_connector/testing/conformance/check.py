# SPDX-License-Identifier: Apache-2.0
"""What a check is, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from audio_connector.testing.conformance.session import Session

Status: TypeAlias = Literal["pass", "fail", "skip"]

Run: TypeAlias = Callable[[Session], Awaitable[str]]
"""Runs a check: returns what was seen where it passes, raises `model.Failed` or `model.Skipped` otherwise."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a media router relies on.

    Attributes:
        group: The part of the protocol that it belongs to.
        name: Its name in the group.
        does: What it does, in a sentence.
        why: Why that matters, in a sentence.
        rows: The rows of docs/protocol.md that it rests on.
        run: Does it, by one or more fresh connections.
    """

    group: str
    name: str
    does: str
    why: str
    rows: tuple[str, ...]
    run: Run = field(compare=False, repr=False)

    @property
    def full_name(self) -> str:
        """Group and name, for example ``framing/tail``."""
        return f"{self.group}/{self.name}"


def check(full_name: str, *, does: str, why: str, rows: tuple[str, ...]) -> Callable[[Run], Check]:
    """Make a check of a function."""
    group, _, name = full_name.partition("/")

    def make(run: Run) -> Check:
        return Check(group=group, name=name, does=does, why=why, rows=rows, run=run)

    return make


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a check.

    Attributes:
        check: Which one.
        status: "pass", "fail", or "skip" where this server cannot be judged.
        reason: What was seen; for a failure also what was expected and what to do.
        duration_s: How long it took.
    """

    check: Check
    status: Status
    reason: str
    duration_s: float = 0.0

    def to_dict(self) -> dict[str, object]:
        """Return it as what JSON can hold."""
        return {
            "group": self.check.group,
            "name": self.check.full_name,
            "status": self.status,
            "reason": self.reason,
            "does": self.check.does,
            "why": self.check.why,
            "protocol": list(self.check.rows),
            "duration_s": round(self.duration_s, 3),
        }
