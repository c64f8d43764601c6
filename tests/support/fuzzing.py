# SPDX-License-Identifier: Apache-2.0
"""What tests of made-up streams have in common: how many, and how a stream is cut."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", str(2 * int(os.environ.get("TEST_EXAMPLES", "40")))))
"""Of each property: an exchange on a real socket takes 2 ms. `make fuzz` sets more."""

fuzzed = settings(
    deadline=None,  # a busy machine is no failure of what is tested
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

cuts = st.lists(st.integers(0, 400), max_size=6)


def in_pieces(data: bytes, at: Sequence[int]) -> Iterator[bytes]:
    """Cut where it is said."""
    ends = [*sorted({min(end, len(data)) for end in at}), len(data)]
    for begin, end in zip([0, *ends], ends, strict=False):
        if begin < end:
            yield data[begin:end]
