# SPDX-License-Identifier: Apache-2.0
"""The statistics that are quoted."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the value that so many percent of the values do not exceed; NaN where there are none.

    Args:
        ordered: The values, ascending.
        percent: More than 0, at most 100.
    """
    if not ordered:
        return math.nan
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]
