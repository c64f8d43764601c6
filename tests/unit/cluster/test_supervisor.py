# SPDX-License-Identifier: Apache-2.0
"""What the supervisor makes of the end of a worker while all are drained."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest

from audio_connector.cluster.plan import Plan
from audio_connector.cluster.supervisor import Supervisor
from audio_connector.port import words

PLAN = Plan(app="bot:config", settings="{}", worker_module="audio_connector.cli.worker", workers=1)


def worker_that_retires() -> Any:
    return Mock(
        number=1,
        is_ending=True,
        was_ready=True,
        has_drained=False,
        was_killed=False,
        how_ended=lambda: "status 0",
    )


@pytest.mark.parametrize(("says", "is_cut"), [([words.Drained(ended=True)], False), ([], True)])
async def test_who_retired_just_before_the_drain_is_not_cut(
    says: list[words.Word], is_cut: bool, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor, worker = Supervisor(PLAN, lambda _: None), worker_that_retires()
    for word in says:
        supervisor._take_from_worker(worker, word)
    supervisor._drains_until = 10.0
    supervisor._lose_worker(worker)
    assert supervisor._was_cut is is_cut
    assert len(caplog.messages) == is_cut
