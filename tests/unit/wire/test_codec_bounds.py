# SPDX-License-Identifier: Apache-2.0
"""What a text of a peer may cost, to be read and to be kept."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audio_connector.wire.codec import MAX_PARTS, decode_event, held_bytes, parse_object
from audio_connector.wire.messages import UnknownEvent

MANY_PARTS = {
    "lists": "[" + "[]," * 5000 + "1]",
    "objects": "[" + '{"a":1},' * 5000 + "1]",
    "numbers": "[" + "1e1," * 5000 + "1]",
    "nesting": "[" * 20_000,
    "nesting that closes": "[" * 1000 + "]" * 1000,
}


@pytest.mark.parametrize("name", MANY_PARTS)
@pytest.mark.parametrize("form", ["{}", '{{"event":"websocket:connected","x":{}}}'])
def test_a_text_of_many_parts_is_handed_on_unread(name: str, form: str) -> None:
    text = form.format(MANY_PARTS[name])
    assert decode_event(text) == UnknownEvent(name=None, text=text)


def test_a_text_is_read_up_to_so_many_parts() -> None:
    padding = "x" * 2048
    fits, above = (
        json.dumps({"event": "x", "padding": padding, "values": [1] * (MAX_PARTS - 25 + more)})
        for more in (0, 9)
    )
    assert decode_event(fits).raw["padding"] == padding
    assert parse_object(above) is None
    text = json.dumps({"event": "x", "customer": "a, [b] {c}" * 50})
    assert decode_event(text) == UnknownEvent(name="x", text=text)


def memory_of(value: object) -> int:
    """Of a value and all that it holds; what Python keeps once counts each time."""
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        return size + sum(memory_of(key) + memory_of(each) for key, each in value.items())
    return size + sum(map(memory_of, value)) if isinstance(value, list) else size


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.none() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | st.text(max_size=40),
            lambda inner: (
                st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=8), inner, max_size=8)
            ),
            max_leaves=15,
        ),
        max_size=4,
    )
)
@example({"x": [[]] * 199})
@example({"x": [{"a": 1}] * 180})
@example({str(key): key for key in range(1900)})
def test_a_text_that_waits_counts_with_what_was_read_of_it(values: dict[str, Any]) -> None:
    for text in (json.dumps(values), json.dumps(values, ensure_ascii=False, separators=(",", ":"))):
        taken = sys.getsizeof(text) + memory_of(parse_object(text))
        assert taken <= 1.3 * held_bytes(text)
