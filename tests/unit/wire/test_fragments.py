# SPDX-License-Identifier: Apache-2.0
"""Frames become messages, whatever they were cut into, and no more bytes are kept than a message may have."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.fragments import BINARY, CONTINUATION, TEXT, Fault, Fragments, Message

LIMIT = 100


def whole(opcode: int, payload: bytes) -> Message:
    return Message(opcode, payload, payload.decode() if opcode == TEXT else "")


@given(
    messages=st.lists(
        st.tuples(st.just(BINARY), st.lists(st.binary(max_size=10), min_size=1, max_size=10))
        | st.tuples(st.just(TEXT), st.lists(st.text(max_size=2).map(str.encode), min_size=1, max_size=10))
    )
)
def test_any_cuts_give_the_messages(messages: list[tuple[int, list[bytes]]]) -> None:
    fragments = Fragments(LIMIT)
    for opcode, parts in messages:
        for at, part in enumerate(parts):
            assert fragments.is_open == (at > 0)
            is_last = at == len(parts) - 1
            added = fragments.add(CONTINUATION if at else opcode, part, fin=is_last)
            assert added == (whole(opcode, b"".join(parts)) if is_last else None)
    assert not fragments.is_open


@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_the_sum_is_bounded(sizes: list[int]) -> None:
    fragments = Fragments(LIMIT)
    total = 0
    for at, size in enumerate(sizes):
        total += size
        added = fragments.add(CONTINUATION if at else BINARY, bytes(size), fin=False)
        if total > LIMIT:
            assert added == Fault(1009, "message too big")
            break
        assert added is None


@pytest.mark.parametrize("fin", [True, False])
def test_a_message_over_the_limit_is_a_fault(fin: bool) -> None:
    assert Fragments(LIMIT).add(TEXT, bytes(LIMIT), fin=True) == whole(TEXT, bytes(LIMIT))
    assert Fragments(LIMIT).add(TEXT, bytes(LIMIT + 1), fin=fin) == Fault(1009, "message too big")


@pytest.mark.parametrize("fin", [True, False])
def test_an_order_that_is_none_is_a_fault(fin: bool) -> None:
    assert Fragments(LIMIT).add(CONTINUATION, b"", fin=fin) == Fault(1002, "a continuation without a message")
    fragments = Fragments(LIMIT)
    fragments.add(TEXT, b"", fin=False)
    assert fragments.add(BINARY, b"", fin=fin) == Fault(1002, "a new message inside a fragmented one")


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_a_message_in_small_pieces_takes_the_memory_of_its_bytes(cut: int) -> None:
    fragments = Fragments(1 << 20)
    tracemalloc.start()
    try:
        for at in range(20_000):
            fragments.add(CONTINUATION if at else BINARY, bytes(cut), fin=False)
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 2 * 20_000 * cut + 4096


@given(cuts=st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_a_text_has_a_limit_of_its_own(cuts: list[int]) -> None:
    fragments = Fragments(LIMIT, 50)
    total, added = 0, None
    for at, size in enumerate(cuts):
        total += size
        added = fragments.add(CONTINUATION if at else TEXT, b"x" * size, fin=at == len(cuts) - 1)
        if total > 50:
            assert added == Fault(1009, "text too big" if total <= LIMIT else "message too big")
            return
    assert added == whole(TEXT, b"x" * total)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_text_is_checked_as_a_whole(cut: int) -> None:
    fragments = Fragments(LIMIT)
    for text, is_text in (("\u20ac".encode() + b"!", True), (b"\xe2\x82(!", False)):
        assert fragments.add(TEXT, text[:cut], fin=False) is None
        added = fragments.add(CONTINUATION, text[cut:], fin=True)
        assert added == (whole(TEXT, text) if is_text else Fault(1007, "text is not valid UTF-8"))


def test_what_was_begun_can_be_forgotten() -> None:
    fragments = Fragments(LIMIT)
    fragments.add(TEXT, bytes(LIMIT), fin=False)
    fragments.clear()
    assert not fragments.is_open
    assert fragments.add(BINARY, b"next", fin=True) == Message(BINARY, b"next")
