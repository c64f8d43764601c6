# SPDX-License-Identifier: Apache-2.0
"""How far the applications of an I/O process are behind, as figures and alerts have it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.clock import VirtualClock

from audio_connector.port.words import Load
from audio_connector.server.application import Application
from audio_connector.server.sharing import LAG_S, Sharing


def test_an_application_that_is_stopped_says_nothing_and_is_behind_all_the_same() -> None:
    clock = VirtualClock()
    sharing = Sharing(cast("Any", None), clock.time, on_retired=lambda _: None)
    said, stopped, new = (
        cast("Any", SimpleNamespace(number=number, lag_s=0.0, loaded_at=-math.inf, is_retiring=False))
        for number in range(3)
    )
    for each in (said, stopped, new):
        sharing.add(each)
    assert sharing.lag_s() == 0.0
    sharing.note_load(stopped, Load(0.0, 0))
    sharing.note_load(said, Load(0.3, 0))
    assert sharing.lag_s() == 0.3
    clock.run_for(4.0)
    sharing.note_load(said, Load(0.3, 0))
    assert sharing.lag_s() == pytest.approx(4.0)
    stopped.is_retiring = True
    assert sharing.lag_s() == 0.3, "one that retires says no more how it is"


class Quiet(Application):
    """Without a stream."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.links = {}
        self.is_retiring = False
        self.loaded_at, self.lag_s = -math.inf, 0.0


def test_who_lags_or_says_nothing_is_kept_from_answering() -> None:
    clock = VirtualClock()
    sharing = Sharing(cast("Any", None), clock.time, on_retired=lambda _: None)
    lagging, silent, well = (Quiet(number) for number in range(3))
    for each in (lagging, silent, well):
        sharing.add(each)
        sharing.note_load(each, Load(0.0, 0))
    assert not any(map(sharing.is_kept, (lagging, silent, well, None)))
    clock.run_for(LAG_S + 0.1)
    sharing.note_load(lagging, Load(LAG_S + 0.1, 0))
    sharing.note_load(well, Load(0.0, 0))
    assert list(map(sharing.is_kept, (lagging, silent, well, None))) == [True, True, False, False]
    found = sharing.find()
    assert found is not None
    assert found[0] is well
