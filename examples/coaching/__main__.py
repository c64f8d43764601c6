# SPDX-License-Identifier: Apache-2.0
"""The program: ``python -m coaching``, or ``--demo`` to see it at work."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from pathlib import Path

from audio_connector.engines import engine_of
from audio_connector.live.command import Command, Environment
from coaching.app import Coach
from coaching.settings import Settings


def make(around: Environment[Settings]) -> Coach:
    """Make the application with the engines that its settings name."""
    return Coach(
        around.settings,
        recogniser=engine_of("recogniser", around.settings.recogniser),
        embedder=engine_of("embedder", around.settings.embedder),
        output=around.output,
        sessions=lambda: around.sessions,
        show=around.page.show,
    )


COMMAND = Command(
    "coaching",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Coaches an agent while a call goes on: dial /agent and /customer in one session.",
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
