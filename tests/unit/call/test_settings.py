# SPDX-License-Identifier: Apache-2.0
"""What can be set about a call: a wrong value says which, and what is allowed."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from audio_connector.call.settings import Intake, Limits, Playback, Timeouts
from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.validation import FrozenValues

GROUPS: list[type[FrozenValues]] = [Playback, Intake, Limits, Timeouts]


def refused(group: type[FrozenValues], **values: Any) -> str:
    with pytest.raises(AudioConnectorConfigError) as caught:
        group(**values)
    assert isinstance(caught.value, UsageError)
    return str(caught.value)


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_has_defaults_is_frozen_and_survives_json(group: type[FrozenValues]) -> None:
    values = group()
    for name in group.model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(values, name, getattr(values, name))
    assert group(**json.loads(json.dumps(values.model_dump()))) == values


@pytest.mark.parametrize("group", GROUPS)
def test_every_attribute_is_explained(group: type[FrozenValues]) -> None:
    for name in group.model_fields:
        assert f"    {name}: " in (group.__doc__ or "")


OUT_OF_RANGE: list[tuple[type[FrozenValues], str, object]] = [
    (Playback, "lead_ms", 39.9),
    (Playback, "lead_ms", 60_001),
    (Playback, "lead_ms", math.nan),
    (Playback, "prime_ms", -1),
    (Playback, "pause_ms", 0),
    (Playback, "max_buffer_s", 0),
    (Playback, "max_delay_ms", 99),
    (Playback, "max_delay_ms", math.inf),
    (Playback, "clear_commands", ("no json",)),
    (Playback, "clear_commands", ("[NaN]",)),
    (Playback, "clear_commands", '{"action":"clear"}'),
    (Intake, "max_buffer_ms", 19),
    (Intake, "max_texts", 0),
    (Intake, "window_messages", 1),
    (Limits, "max_message_bytes", 1023),
    (Limits, "max_text_bytes", 1023),
    (Limits, "max_connections", 0),
    (Limits, "max_connections_per_address", -1),
    (Limits, "max_connections_per_session", 1.5),
    (Limits, "upgrades_per_second_per_address", 0),
    (Limits, "upgrades_per_second_per_address", math.inf),
    (Limits, "max_loop_lag_ms", 5),
    (Limits, "max_memory_mb", 0),
    (Limits, "trusted_proxies", "nonsense"),
    (Limits, "trusted_proxies", ("10.0.0.0/8", "::/129")),
    (Timeouts, "no_message_s", 0),
    (Timeouts, "idle_s", -1),
    (Timeouts, "session_s", 100_000),
    (Timeouts, "handshake_s", 0),
    (Timeouts, "stall_s", math.inf),
    (Timeouts, "ping_interval_s", -1),
    (Timeouts, "stop_s", None),
]


@pytest.mark.parametrize(("group", "name", "value"), OUT_OF_RANGE)
def test_a_wrong_value_is_named(group: type[FrozenValues], name: str, value: object) -> None:
    text = refused(group, **{name: value})
    assert name in text
    assert repr(value) in text


def test_a_field_that_does_not_exist_is_not_ignored() -> None:
    assert "did you mean 'lead_ms'" in refused(Playback, lead=200)
    assert "it has lead_ms, prime_ms" in refused(Playback, xyz=1)


def test_proxies_may_be_told_as_one_text() -> None:
    told: Any = "10.0.0.0/8, ::1 127.0.0.1"
    assert Limits(trusted_proxies=told).trusted_proxies == (
        "10.0.0.0/8",
        "::1",
        "127.0.0.1",
    )


def test_every_limit_of_who_comes_may_be_left_out() -> None:
    names = set(Limits.model_fields) - {"max_message_bytes", "max_text_bytes", "trusted_proxies"}
    assert names == {
        "max_connections",
        "max_connections_per_address",
        "max_connections_per_session",
        "upgrades_per_second_per_address",
        "max_loop_lag_ms",
        "max_memory_mb",
    }
    nothing: dict[str, Any] = dict.fromkeys(names)
    without = Limits(**nothing)
    assert all(getattr(without, name) is None for name in names)
    sizes: dict[str, Any] = {"max_message_bytes": None, "max_text_bytes": None}
    assert Limits(**sizes) == Limits(max_message_bytes=1 << 30, max_text_bytes=1 << 30)
