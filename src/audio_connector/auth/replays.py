# SPDX-License-Identifier: Apache-2.0
"""Which tokens were used, until they expire; bounded. No clock."""

from __future__ import annotations

import heapq
from typing import Final

from audio_connector.auth.tokens import BadToken

MAX_USED: Final = 50_000
"""Of 120 s each it is 400 calls a second; some 20 MB. Only who has a key can fill it."""

MAX_ID_CHARACTERS: Final = 128

KEPT_S: Final = 60.0
"""Beyond the end of a token: the wall clock may be set back by so much."""


class Replays:
    """The ids of tokens that were used. Full of such that have not expired, it lets nobody in."""

    def __init__(self, most: int = MAX_USED) -> None:
        self._most = most
        self._used: set[str] = set()
        self._ends: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._used)

    def use(self, token_id: object, expires: float, now: float) -> None:
        """Note that one is used, which is so once.

        Raises:
            BadToken: It was before; or it has no id; or no more can be remembered.
        """
        if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_ID_CHARACTERS:
            raise BadToken("no id", f"one_time needs a claim jti of 1 to {MAX_ID_CHARACTERS} characters")
        while self._ends and self._ends[0][0] <= now:
            self._used.discard(heapq.heappop(self._ends)[1])
        if token_id in self._used:
            raise BadToken("replayed", "the token was used before")
        if len(self._used) >= self._most:
            raise BadToken(
                "replay store full", f"{self._most} tokens were used and have not expired", status=503
            )
        self._used.add(token_id)
        heapq.heappush(self._ends, (expires + KEPT_S, token_id))
