# SPDX-License-Identifier: Apache-2.0
"""What an application takes beside its own sources: extras of this library, packages, models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audio_connector.cli.projects.applications import Application

ALWAYS: Final = ("cli", "live")
"""The simulator that the demo calls with, and the page."""


@dataclass(frozen=True)
class Needs:
    """What has to be installed.

    Args:
        extras: Of this library.
        requirements: Other packages, as pip takes them.
        models: Packages that carry models, as pip takes them, without what they ask for.
    """

    extras: tuple[str, ...]
    requirements: tuple[str, ...]
    models: tuple[str, ...]


def needs_of(application: Application) -> Needs:
    """Return what an application needs: as its folder says, and what the engines of its settings take."""
    return Needs(ALWAYS, tuple(application.requirements()), ())
