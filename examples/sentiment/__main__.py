# SPDX-License-Identifier: Apache-2.0
"""The program: ``python -m sentiment``, or ``--demo`` to see it at work."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from pathlib import Path

from audio_connector.engines import engine_of
from audio_connector.live.command import Command, Environment
from sentiment.app import Sentiment, Settings
from sentiment.words import Vader


def make(around: Environment[Settings]) -> Sentiment:
    """Make the application with the engines that its settings name."""
    return Sentiment(
        around.settings,
        recogniser=engine_of("recogniser", around.settings.recogniser),
        embedder=engine_of("embedder", around.settings.embedder),
        words=Vader(),
        output=around.output,
        show=around.page.show,
    )


COMMAND = Command(
    "sentiment",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Follows the mood of each call: words and tone of every utterance, as a curve.",
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
