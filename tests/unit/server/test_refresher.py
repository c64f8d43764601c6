# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import weakref

import pytest
from support.clock import VirtualClock

from audio_connector.playback.pacer import TICK_S, Pacer
from audio_connector.server.link import FIGURES_S, Refresher


class Item:
    """Something with figures, which grow old again where ``again`` says so."""

    def __init__(self, stage: Stage, again: int = 0) -> None:
        self.told_at: list[float] = []
        self._stage = stage
        self._again = again

    def refresh(self, now: float) -> None:
        self.told_at.append(now)
        if self._again:
            self._again -= 1
            self._stage.refresher.add(self.refresh, now)


class Stage:
    """A refresher and its clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.pacer = Pacer(self.clock.time, self.clock.call_later, self._fail)
        self.refresher = Refresher(self.pacer)

    def add(self, again: int = 0) -> Item:
        item = Item(self, again)
        self.refresher.add(item.refresh, self.clock.now)
        return item

    @staticmethod
    def _fail(item: object, error: Exception) -> None:
        raise AssertionError(f"{item!r} failed") from error


def about(at: float) -> object:
    return pytest.approx(at, abs=TICK_S + 1e-6)


def test_each_is_told_once_when_its_figures_have_grown_old() -> None:
    stage, added_at = Stage(), []
    items = []
    for _ in range(20):
        added_at.append(stage.clock.now)
        items.append(stage.add())
        stage.clock.run_for(0.013)
    stage.clock.run_for(10 * FIGURES_S)
    assert [item.told_at for item in items] == [[about(at + FIGURES_S)] for at in added_at]
    assert stage.clock.next_timer_at() is None


def test_who_is_added_while_it_is_told_is_told_again() -> None:
    stage = Stage()
    start = stage.clock.now
    often, once = stage.add(again=5), stage.add()
    stage.clock.run_for(20 * FIGURES_S)
    assert len(often.told_at) == 6
    assert often.told_at[0] == about(start + FIGURES_S)
    assert all(b - a >= FIGURES_S for a, b in zip(often.told_at, often.told_at[1:], strict=False))
    assert len(once.told_at) == 1
    later = stage.add()
    stage.clock.run_for(2 * FIGURES_S)
    assert len(later.told_at) == 1


def test_who_is_removed_is_told_no_more_and_kept_by_nobody() -> None:
    stage = Stage()
    kept, gone = stage.add(), stage.add()
    stage.refresher.remove(gone.refresh)
    stage.refresher.remove(gone.refresh)
    reference = weakref.ref(gone)
    del gone
    assert reference() is None
    stage.clock.run_for(2 * FIGURES_S)
    assert len(kept.told_at) == 1
