# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, for a moment each, beside 50 calls that mean well: the table of `make attack` as tests.

Where SOAK_SECONDS is a minute or more, all of them, over both carriers; else one of each mechanism.
"""

from __future__ import annotations

import os
import sys
from functools import partial

import pytest
from benchmarks.attack.catalogue import ATTACKS, Attack
from benchmarks.attack.trial import judge, try_attack

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
IS_LONG = SECONDS >= 60
ATTACK_S = 5.0 if IS_LONG else 1.0
ATTEMPTS = 3 if IS_LONG else 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.thread,  # the carrier is an argument of the server's own process
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="pins processes to cores, and reads /proc"),
]

FAULTS = {
    "audio-10": "on one slow host 50 calls had 3 to 61 underruns in most short runs; on no other one since",
}
"""What is known to miss the budget now and then, and why; each line goes with its fault. The times are within it."""


def _case(attack: Attack) -> object:
    marks = [pytest.mark.xfail(strict=False, reason=FAULTS[attack.name])] if attack.name in FAULTS else []
    return pytest.param(attack, id=attack.name, marks=marks)


@pytest.mark.parametrize("isolation", ["thread", "process"] if IS_LONG else ["thread"])
@pytest.mark.parametrize("attack", [_case(attack) for attack in ATTACKS if IS_LONG or attack.is_brief])
def test_calls_notice_nothing_and_the_server_keeps_within_its_bounds(attack: Attack, isolation: str) -> None:
    busy: list[str] = []
    judged = judge(
        partial(try_attack, isolation=isolation, seconds=ATTACK_S),
        attack,
        attempts=ATTEMPTS,
        note=busy.append,
    )
    assert judged.missed == []
    if judged.is_noise:
        pytest.skip("; ".join(["the machine is too busy to tell what the calls notice", *busy]))
