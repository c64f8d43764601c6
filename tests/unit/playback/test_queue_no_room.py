# SPDX-License-Identifier: Apache-2.0
"""Who waits for room behind a speech that nobody else can end is told so where that is certain, and only then."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered
from support.player import Player

from audio_connector.playback.speech import NO_ROOM, PLAIN

BEHIND, TOKEN = 5, 99
STEPS = st.lists(
    st.tuples(st.sampled_from([PLAIN, BEHIND, 6, 7]), st.integers(0, 30), st.booleans()), max_size=8
)
"""A lane, so many frames that are written there, and whether it ends then."""


class Asked:
    """One who stands in line for a lane behind the speech `BEHIND`."""

    def __init__(self, behind: int | None) -> None:
        self.player = Player(max_bytes=640 * 20)
        self._behind = behind

    def take(self, steps: list[tuple[int, int, bool]]) -> None:
        player = self.player
        for lane, frames, ends in steps:
            if lane != PLAIN and lane not in player.queue._open:
                player.begin(lane)
            player.queue.write(lane, numbered(lane, 640) * frames, None, player.now)
            if ends and lane != BEHIND:
                player.queue.end(lane, player.now)
            player.run_for(0.1)

    def ask(self, lane: int) -> None:
        if lane != PLAIN and lane not in self.player.queue._open:
            self.player.begin(lane)
        self.player.queue.ask(lane, TOKEN, self.player.now, behind=self._behind)

    def end_others(self, lane: int) -> list[object]:
        """Whatever others can do is done, and all that can be heard is heard."""
        for other in (PLAIN, 6, 7):
            if other != lane:
                self.player.queue.end(other, self.player.now)
        self.player.run_for(60.0)
        self.player.advance()
        return self.player.answers(TOKEN)


@given(STEPS, STEPS, STEPS, st.sampled_from([PLAIN, 8]))
def test_it_is_told_where_it_would_wait_for_ever_and_only_there(
    early: list[tuple[int, int, bool]],
    before: list[tuple[int, int, bool]],
    after: list[tuple[int, int, bool]],
    lane: int,
) -> None:
    told, waiting = Asked(BEHIND), Asked(None)
    for asked in (told, waiting):
        asked.take([*early, (BEHIND, 0, False), *before])
        asked.ask(lane)
        asked.take(after)
    answers, would_be = told.end_others(lane), waiting.end_others(lane)
    assert answers == (would_be or [NO_ROOM])
