# SPDX-License-Identifier: Apache-2.0
"""Options stand in one value, or one by one."""

from __future__ import annotations

import pytest

from audio_connector.wire import memory_network, picows
from audio_connector.wire.network import DIAL, LISTEN, Dial, DialOptions, Listen, ListenOptions
from audio_connector.wire.transport import WireLimits


def test_fields_may_be_changed_one_by_one() -> None:
    small = WireLimits(write_high_bytes=1)
    assert ListenOptions(port=1).but({"limits": small, "host": ""}) == ListenOptions(
        host="", port=1, limits=small
    )
    assert DIAL.but({"timeout_s": 1.0}) == DialOptions(timeout_s=1.0)
    assert LISTEN.but({}) is LISTEN
    with pytest.raises(TypeError, match="hots"):
        LISTEN.but({"hots": ""})


def test_both_networks_have_the_form() -> None:
    """For the type checker."""
    network = memory_network.MemoryNetwork({}, lambda seconds, callback: None)
    listens: list[Listen] = [picows.listen, network.listen]
    dials: list[Dial] = [picows.dial, network.dial]
    assert len(listens) == len(dials) == 2
