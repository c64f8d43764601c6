# SPDX-License-Identifier: Apache-2.0
"""How far the applications of an I/O process are behind, as figures and alerts have it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.clock import VirtualClock

from audio_connector.port.words import Load
from audio_connector.server.sharing import Sharing


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
