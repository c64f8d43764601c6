# SPDX-License-Identifier: Apache-2.0
"""A check is a value, and so is what comes of it."""

from __future__ import annotations

from audio_connector.testing.conformance.check import Result, check
from audio_connector.testing.conformance.session import Session


@check("odd/one", does="Does it.", why="It matters.", rows=("1.1",))
async def one(session: Session) -> str:
    return "seen"


def test_a_check_is_a_value_with_a_name_of_two_parts() -> None:
    assert (one.group, one.name, one.full_name) == ("odd", "one", "odd/one")
    assert Result(one, "fail", "got it", 1.23456).to_dict() == {
        "group": "odd",
        "name": "odd/one",
        "status": "fail",
        "reason": "got it",
        "does": "Does it.",
        "why": "It matters.",
        "protocol": ["1.1"],
        "duration_s": 1.235,
    }
