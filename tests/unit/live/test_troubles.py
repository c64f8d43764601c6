# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from audio_connector.live.troubles import MAX_TROUBLES, MORE, Troubles


def test_each_is_told_once_and_counted() -> None:
    told: list[str] = []
    trouble = Troubles(told.append)
    for text in ("the disk is full", "no partials", "the disk is full"):
        trouble(text)
    assert told == ["the disk is full", "no partials"]
    assert trouble.counts() == {"the disk is full": 2, "no partials": 1}


def test_of_many_kinds_it_is_told_that_there_are_more() -> None:
    told: list[str] = []
    trouble = Troubles(told.append)
    for number in range(1000):
        trouble(f"error {number}")
    trouble("error 3")
    assert told == [*(f"error {number}" for number in range(MAX_TROUBLES)), MORE]
    assert (trouble.counts()["error 3"], trouble.counts()[MORE]) == (2, 1000 - MAX_TROUBLES)
