# SPDX-License-Identifier: Apache-2.0
"""Texts on their way to the router: their order, their bound, and who stands in line."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.call.texts import MAX_WAITING_CHARS, TextQueue

FULL = "x" * MAX_WAITING_CHARS


def test_texts_leave_in_order_and_are_counted() -> None:
    texts = TextQueue()
    for text in ("a", "bb", ""):
        texts.push(text, None)
    assert texts.take() == ["a", "bb", ""]
    assert texts.taken == 3


def test_where_there_is_room_the_one_in_front_is_granted_once() -> None:
    texts = TextQueue()
    assert texts.grant() is None
    texts.line.append(7)
    texts.line.append(8)
    assert texts.grant() == 7
    assert texts.grant() is None
    texts.push("a", 7)
    assert texts.grant() == 8
    texts.push("b", 8)
    assert not texts.line
    assert texts.grant() is None


def test_where_there_is_none_nobody_is_granted() -> None:
    texts = TextQueue()
    texts.push(FULL, None)
    texts.line.append(7)
    assert texts.grant() is None
    texts.take()
    assert texts.grant() == 7


def test_whoever_leaves_keeps_nobody_out() -> None:
    for is_granted in (False, True):
        texts = TextQueue()
        for token in (7, 8, 9):
            texts.line.append(token)
        if is_granted:
            assert texts.grant() == 7
        texts.leave(8)
        texts.leave(7)
        texts.leave(7)
        texts.leave(99)
        assert texts.grant() == 9
        assert list(texts.line) == [9]


def test_one_that_leaves_from_the_middle_takes_no_grant_along() -> None:
    texts = TextQueue()
    texts.line.append(7)
    texts.line.append(8)
    assert texts.grant() == 7
    texts.leave(8)
    assert texts.grant() is None, "7 was told already"


class Senders:
    """As the application plays it: who was granted sends, and anybody may leave."""

    def __init__(self) -> None:
        self.texts = TextQueue()
        self.standing: list[int] = []
        self.granted: list[int] = []
        self._numbers = itertools.count()

    def stand(self, _: int) -> None:
        self.standing.append(next(self._numbers))
        self.texts.line.append(self.standing[-1])

    def leave(self, which: int) -> None:
        if self.standing:
            gone = self.standing.pop(which % len(self.standing))
            self.granted = [token for token in self.granted if token != gone]
            self.texts.leave(gone)

    def send(self, _: int) -> None:
        if self.granted:
            token = self.granted.pop()
            self.standing.remove(token)
            self.texts.push(FULL[:-1], token)

    def pop(self, _: int) -> None:
        if self.texts.waiting:
            self.texts.take()

    def note_grant(self) -> None:
        token = self.texts.grant()
        if token is not None:
            self.granted.append(token)


@given(
    st.lists(st.tuples(st.sampled_from(["stand", "leave", "send", "pop"]), st.integers(0, 9)), max_size=200)
)
def test_the_bound_holds_and_everybody_who_stays_is_granted(steps: list[tuple[str, int]]) -> None:
    """What waits is bounded by one text more than the bound."""
    senders = Senders()
    for what, which in steps:
        getattr(senders, what)(which)
        senders.note_grant()
        assert senders.granted in ([], senders.standing[:1])
        assert sum(map(len, senders.texts.waiting)) <= 2 * MAX_WAITING_CHARS
        assert list(senders.texts.line) == senders.standing
    for _ in range(len(senders.standing)):
        while senders.texts.waiting:
            senders.pop(0)
        senders.note_grant()
        senders.send(0)
    assert senders.standing == []
