# SPDX-License-Identifier: Apache-2.0
"""What went wrong in a call or a session, as its application tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

from audio_connector.errors import VideoError

MAX_TROUBLES: Final = 20
"""Different ones of one call: an engine may word each of its errors anew."""

MORE: Final = f"more goes wrong than the {MAX_TROUBLES} kinds that were told; mend those first"


def told(error: BaseException) -> str:
    """An error as a person is told: ours say what to do, of others the kind says the most."""
    return str(error) if isinstance(error, VideoError) else f"{type(error).__name__}: {error}"


class Troubles:
    """Told once each, however often they happen: a full disk refuses every line.

    Args:
        tell: Given the text of one that is new.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._counts: Counter[str] = Counter()

    def __call__(self, text: str) -> None:
        """Take one; of those beyond `MAX_TROUBLES` it is only told and counted that there are more."""
        if text not in self._counts and len(self._counts) >= MAX_TROUBLES:
            text = MORE
        self._counts[text] += 1
        if self._counts[text] == 1:
            self._tell(text)

    def counts(self) -> dict[str, int]:
        """How often each happened."""
        return dict(self._counts)
