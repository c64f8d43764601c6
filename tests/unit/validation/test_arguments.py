# SPDX-License-Identifier: Apache-2.0
"""An argument that is wrong is named, with what was got and what is taken."""

from __future__ import annotations

import math

import pytest

from audio_connector.errors import UsageError
from audio_connector.validation.arguments import check_number


@pytest.mark.parametrize("value", [0, 0.5, 7])
def test_what_is_right_is_taken(value: float) -> None:
    check_number("timeout", value, lambda seconds: seconds >= 0, "seconds, 0 or more")


@pytest.mark.parametrize("value", [-1, math.nan, True, "5", None, 5j])
def test_what_is_wrong_is_named(value: object) -> None:
    with pytest.raises(UsageError) as refused:
        check_number("timeout", value, lambda seconds: seconds >= 0, "seconds, 0 or more")
    assert str(refused.value) == f"timeout={value!r}: expected seconds, 0 or more"
