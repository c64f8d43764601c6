# SPDX-License-Identifier: Apache-2.0
"""The application: coaches every session of a server, and keeps the summaries."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from audio_connector import AudioConnectorConnection, LiveSession
from audio_connector.engines import Embedder, Engine, Recogniser
from audio_connector.live.demo import Outcome
from audio_connector.live.following import Following
from audio_connector.simulator import CallReport
from coaching.call import FINISH_S, CoachedCall, Show, groups_of
from coaching.floor import AGENT
from coaching.meaning import Meanings
from coaching.settings import Settings

logger = logging.getLogger("coaching")

CLOSE_S: Final = FINISH_S + 2
"""For the summaries, where the program ends during a call."""


class Coach:
    """Coaches every session of a server.

    Args:
        settings: See `Settings`.
        recogniser: Understands both sides.
        embedder: Tells what they mean.
        output: Where summaries go, a JSON file for each call.
        sessions: Gives the live sessions of the server, ``handle.sessions``.
        show: Shows things on a page; the default shows nothing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        recogniser: Recogniser,
        embedder: Embedder,
        output: Path,
        sessions: Callable[[], Mapping[str, LiveSession]],
        show: Show = lambda kind, *, key=None, **data: None,
    ) -> None:
        self.engines: Sequence[Engine] = (recogniser, embedder)
        self.settings = settings
        self.output = output
        self.recogniser = recogniser
        self.show = show
        self.meanings = Meanings(embedder, groups_of(settings), threshold=settings.threshold)
        self.summaries: deque[dict[str, Any]] = deque(maxlen=100)
        """Of the calls that are over, the latest."""
        self._sessions = sessions
        self._following = Following(finish_s=CLOSE_S)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Coach the session of a connection, if nobody does yet."""
        session = self._sessions().get(client.session_id or "")
        if session is None:
            logger.warning("a call without a session cannot be coached: it has one side only")
            return
        if session not in self._following:
            call = CoachedCall(
                session, self.settings, recogniser=self.recogniser, meanings=self.meanings, show=self.show
            )
            self._following.begin(session, self._coach(call))

    async def settle(self) -> None:
        """Wait for the summaries of calls that are over, for a while."""
        await self._following.settle()

    async def close(self) -> None:
        """Let the calls that have ended leave their summaries."""
        await self._following.close()

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what came out of the demo's call."""
        del reports  # the callers only talk
        await self.settle()
        if not self.summaries:
            return Outcome(problems=["no call was coached"])
        return demo_outcome(self.summaries[-1], self.output)

    async def _coach(self, call: CoachedCall) -> None:
        self.summaries.append(await call.run(self.output))


FLOOR_RULES: Final = ("interrupts", "silence", "talks long")
WORD_RULES: Final = ("upset", "fast", "missing")
"""What the agent of the demo has to be told; the latter takes a recogniser."""

HINT_WITHIN_S: Final = 2.0


def demo_outcome(summary: dict[str, Any], folder: Path) -> Outcome:
    """Say what came out of the demo, and what of it was not as expected."""
    figures, hints = summary["figures"], summary["hints"]
    said = {item["name"]: item["is_said"] for item in summary["checklist"]}
    words_per_minute = figures["words_per_minute"][AGENT]
    lines = [
        f"the agent had {figures['share'][AGENT]:.0%} of the talk, {words_per_minute} words a minute",
        f"both at once for {figures['overlap_s']} s; nobody for up to {figures['longest_silence_s']} s",
        *(f"{'said' if is_said else 'not said'}: {name}" for name, is_said in said.items()),
        *(
            f"hint at {hint['shown_s']} s, {hint['late_s']} s after its cause: {hint['text']}"
            for hint in hints
        ),
    ]
    given = {hint["rule"] for hint in hints}
    problems = [f"expected the hint {rule!r}" for rule in (*FLOOR_RULES, *WORD_RULES) if rule not in given]
    # The best of each kind, and of all that take words: a machine with other work is late now and then.
    for rules in (*([rule] for rule in FLOOR_RULES), WORD_RULES):
        late_s = [hint["late_s"] for hint in hints if hint["rule"] in rules]
        if late_s and min(late_s) > HINT_WITHIN_S:
            problems.append(f"{rules} came {min(late_s)} s after the cause, expected {HINT_WITHIN_S} s")
    if [*said.values()].count(False) != 1:
        problems.append(f"expected one thing of the checklist to be missing, got {said}")
    return Outcome(lines, [folder / f"{summary['call']}.json"], problems)
