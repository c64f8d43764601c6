# SPDX-License-Identifier: Apache-2.0
"""Single arguments that users give: what is wrong with one, in one line."""

from __future__ import annotations

from collections.abc import Callable

from audio_connector.errors import UsageError


def check_number(name: str, value: object, is_right: Callable[[float], bool], expected: str) -> None:
    """Refuse what is no number, or not one that is taken; True and False are none.

    Args:
        name: How the argument is called, for the error.
        value: What was given.
        is_right: Tells whether a number is taken.
        expected: What is, for the error.

    Raises:
        UsageError: The text has all of that.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not is_right(value):
        raise UsageError(f"{name}={value!r}: expected {expected}")
