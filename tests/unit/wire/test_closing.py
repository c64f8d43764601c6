# SPDX-License-Identifier: Apache-2.0
"""What needs an open connection is refused with how it ended."""

from __future__ import annotations

import pytest

from audio_connector.wire.closing import closed_error
from audio_connector.wire.messages import Disconnected


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        (None, 1000, "closed by the server with 1000;"),
        (Disconnected(code=1008, reason="too many", closed_by="router"), 1008, "by the router with 1008 (too many);"),
        (Disconnected(code=None, reason="", closed_by="network"), 1006, "closed by the network with 1006;"),
    ],
)  # fmt: skip
def test_the_error_says_who_closed_and_with_what(how: Disconnected | None, code: int, told: str) -> None:
    error = closed_error("flush", how)
    assert str(error).startswith("cannot flush: the connection was closed by the ")
    assert told in str(error)
    assert (error.code, error.reason) == (code, "" if how is None else how.reason)
