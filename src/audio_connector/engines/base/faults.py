# SPDX-License-Identifier: Apache-2.0
"""What an engine says when it cannot work."""

from __future__ import annotations

from audio_connector.errors import VideoError


class EngineError(VideoError):
    """An engine failed: the text says which, what it was given and what to do."""


class EngineMissing(EngineError):
    """A package, model, program or key that it needs is not there; ``mend`` is the one command which gets it."""

    def __init__(self, text: str, *, mend: str) -> None:
        super().__init__(f"{text}; mend it with: {mend}")
        self.mend = mend
