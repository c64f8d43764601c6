# SPDX-License-Identifier: Apache-2.0
"""Which application has which call: by calls and lag, parked while there is none, moved at death and retirement."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.clock import Timer, VirtualClock

from audio_connector.port.words import Load
from audio_connector.server.application import Application
from audio_connector.server.link import Link
from audio_connector.server.sharing import LAG_S, LOOK_S, MAX_DEATHS, PARK_S, RELEASE_S, Sharing

WHICH = st.integers(0, 50)


class FakeApplication(Application):
    """Without a stream."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.links: dict[int, Link] = {}
        self.is_retiring = False
        self.loaded_at = -math.inf
        self.lag_s = 0.0

    def post(self, message: Any) -> None:
        pass

    def note(self, link_id: int, tell: Any) -> None:
        pass


class FakeLink:
    """Notes what is done to it; is its own call."""

    def __init__(self, number: int) -> None:
        self.id = number
        self.owner: object = None
        self.rests, self.deaths = True, 0
        self.upgrade = None
        self.done: list[Any] = []
        """Whom it was given to, with True where all is handed over again, and all else."""

    @property
    def call(self) -> FakeLink:
        return self

    def is_at_rest(self, now: float) -> bool:
        return self.rests

    @property
    def holder(self) -> int | None:
        """The number of the application that is told of it."""
        return self.owner.number if isinstance(self.owner, Application) else None

    def bind(self, owner: object, post: Any, note: Any) -> None:
        self.owner = owner
        self.is_told = isinstance(getattr(post, "__self__", None), Application)

    def hand_over(self, owner: Application, post: Any, note: Any, *, replays: bool) -> None:
        self.bind(owner, post, note)
        self.done.append((owner.number, replays))

    def release(self) -> None:
        self.done.append("release")

    def close(self, code: int, reason: str) -> None:
        self.done.append((code, reason))


class Share:
    """One of them, and what there is to it."""

    def __init__(self, *numbers: int) -> None:
        self.clock = VirtualClock()
        self.retired: list[int] = []
        self.sharing = Sharing(cast("Any", self), self.clock.time, on_retired=self.retired.append)
        self.applications: dict[int, FakeApplication] = {}
        self.links: list[FakeLink] = []
        for number in numbers:
            self.add(number)

    def call_later(self, delay_s: float, callback: Any, *arguments: Any) -> Timer:
        return self.clock.call_later(delay_s, partial(callback, *arguments))

    def add(self, number: int, *, is_loaded: bool = True) -> FakeApplication:
        made = self.applications[number] = FakeApplication(number)
        self.sharing.add(made)
        if is_loaded:
            self.load(number)
        return made

    def load(self, *numbers: int, lag_s: float = 0.0) -> None:
        for number in numbers or tuple(self.sharing.applications):
            self.sharing.note_load(self.applications[number], Load(lag_s, 0))

    def open(self, count: int = 1) -> list[FakeLink]:
        made = [FakeLink(len(self.links) + at) for at in range(1, count + 1)]
        self.links += made
        for link in made:
            self.sharing.open(cast("Link", link))
        return made

    def end(self, link: FakeLink) -> None:
        self.sharing.forget(cast("Link", link))

    def released(self, link: FakeLink) -> None:
        self.sharing.released(cast("Link", link))

    def lose(self, number: int) -> int:
        return self.sharing.lose(self.applications[number])

    def run_for(self, seconds: float) -> None:
        """While all say how they are."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.run_for(min(0.2, until - self.clock.now))
            self.load()

    def check(self) -> None:
        """Each call is with one, or waits."""
        held = [link for each in self.sharing.applications.values() for link in each.links.values()]
        parked = [link for link, _, _ in self.sharing._parked.values()]
        assert len({link.id for link in (*held, *parked)}) == len(held) + len(parked)
        for each in self.sharing.applications.values():
            assert all(link.owner is each for link in each.links.values())


# The choice.


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_calls_are_spread_evenly(count: int) -> None:
    share = Share(*range(1, count + 1))
    counts = Counter(link.holder for link in share.open(210))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_who_has_lost_calls_gets_the_next() -> None:
    share = Share(1, 2)
    links = share.open(20)
    for link in links:
        if link.holder == 1:
            share.end(link)
    assert [link.holder for link in share.open(10)] == [1] * 10


def test_the_first_calls_of_many_io_processes_do_not_all_go_to_the_same() -> None:
    share = Share(1, 2, 3)
    holders = []
    for _ in range(9):
        [link] = share.open()
        holders.append(link.holder)
        share.end(link)
    assert len(set(holders)) == 3


@pytest.mark.parametrize("is_silent", [True, False])
def test_who_lags_gets_calls_only_where_all_do(is_silent: bool) -> None:
    share = Share(1, 2)
    if is_silent:  # it does not even say how it is
        share.clock.run_for(LAG_S + 0.1)
    else:
        share.load(1, lag_s=LAG_S + 0.1)
    share.load(2)
    assert [link.holder for link in share.open(10)] == [2] * 10
    share.load(2, lag_s=3.0)
    assert [link.holder for link in share.open(9)] == [1] * 9
    share.load(1, 2)
    assert {link.holder for link in share.open(2)} == {1, 2}


def test_who_has_never_said_how_it_is_gets_none() -> None:
    share = Share(1)
    share.add(2, is_loaded=False)
    assert {link.holder for link in share.open(10)} == {1}
    share.load(2)
    assert {link.holder for link in share.open(10)} == {2}


# Parking.


def test_a_call_waits_for_the_first_who_comes() -> None:
    share = Share()
    links = share.open(4)
    share.clock.run_for(PARK_S - 0.1)
    share.add(1)
    assert [link.holder for link in links] == [1] * 4
    assert [link.done for link in links] == [[(1, False)]] * 4
    share.clock.run_for(2 * PARK_S)
    assert [link.done for link in links] == [[(1, False)]] * 4


def test_nobody_waits_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    share = Share(1)
    [link] = share.open()
    share.lose(1)
    [other] = share.open()
    share.clock.run_for(PARK_S + 0.1)
    assert link.done == other.done == [(1013, "no worker took the call")]
    assert len(caplog.messages) == 2
    share.add(2)
    assert link.done == other.done == [(1013, "no worker took the call")], "it is too late"
    share.end(link)
    share.end(other)
    share.check()


def test_a_call_that_ends_while_it_waits_is_forgotten() -> None:
    share = Share()
    [link] = share.open()
    share.end(link)
    share.add(1)
    share.clock.run_for(2 * PARK_S)
    assert link.done == []
    assert not share.applications[1].links


def test_of_a_call_that_waits_nobody_is_told() -> None:
    share = Share(1)
    [link] = share.open()
    assert link.is_told
    share.lose(1)
    assert not link.is_told


# Death.


def test_the_calls_of_one_who_dies_are_the_others() -> None:
    share = Share(1, 2, 3)
    links = share.open(30)
    assert share.lose(1) == 10
    assert Counter(link.holder for link in links) == {2: 15, 3: 15}
    assert all(link.done == [(link.holder, True)] for link in links if link.done)
    share.check()


def test_the_calls_of_the_last_one_wait_and_are_handed_over_again() -> None:
    share = Share(1)
    links = share.open(3)
    share.lose(1)
    share.run_for(1.0)
    share.add(2)
    assert [link.done for link in links] == [[(2, True)]] * 3


# Retirement.


def test_one_death_after_the_other_and_not_of_all(caplog: pytest.LogCaptureFixture) -> None:
    """A call may be what kills them."""
    share = Share(1)
    [link] = share.open()
    for number in range(2, MAX_DEATHS + 1):
        share.lose(number - 1)
        share.add(number)
    assert link.done == [(number, True) for number in range(2, MAX_DEATHS + 1)]
    assert link.is_told
    share.check()
    share.lose(MAX_DEATHS)
    assert (link.done[-1], link.is_told) == ((1011, "internal error"), False)
    assert "3 workers that had it have died, one after another" in caplog.text


def test_a_call_is_released_at_rest_and_then_another_ones() -> None:
    share = Share(1, 2)
    [busy] = [link for link in share.open(2) if link.holder == 1]
    busy.rests = False
    share.sharing.retire(1, 10.0)
    share.run_for(1.0)
    assert busy.done == []
    busy.rests = True
    share.run_for(2 * LOOK_S)
    assert busy.done == ["release"]
    assert busy.holder == 1, "until it has released it"
    share.released(busy)
    assert busy.done == ["release", (2, False)]
    assert share.retired == [1]
    share.released(busy)
    assert busy.done == ["release", (2, False)], "twice is once"


def test_a_call_that_is_never_at_rest_is_moved_all_the_same() -> None:
    share = Share(1, 2)
    link = next(link for link in share.open(2) if link.holder == 1)
    link.rests = False
    share.sharing.retire(1, 3.0)
    share.run_for(2.8)
    assert link.done == []
    share.run_for(0.4)
    assert link.done == ["release"]


def test_who_does_not_release_a_call_loses_it(caplog: pytest.LogCaptureFixture) -> None:
    share = Share(1, 2)
    link = next(link for link in share.open(2) if link.holder == 1)
    share.sharing.retire(1, 0.0)
    share.run_for(RELEASE_S + 3 * LOOK_S + 0.2)
    assert link.done == ["release", (2, False)]
    assert "was not released within 3 s" in caplog.text
    assert share.retired == [1]
    share.released(link)
    assert link.done == ["release", (2, False)]
    share.check()


def test_death_in_the_middle_of_a_release() -> None:
    share = Share(1, 2)
    link = next(link for link in share.open(2) if link.holder == 1)
    share.sharing.retire(1, 0.0)
    share.run_for(0.1)
    share.lose(1)
    assert link.done == ["release", (2, True)]
    share.released(link)
    share.run_for(2 * RELEASE_S)
    assert link.done == ["release", (2, True)]
    share.check()


def test_the_other_one_dies_in_the_middle_of_a_release() -> None:
    share = Share(1, 2)
    link = next(link for link in share.open(2) if link.holder == 1)
    share.sharing.retire(1, 0.0)
    share.run_for(0.1)
    share.lose(2)
    share.released(link)
    assert link.done == ["release"]
    assert link.holder == 1
    share.add(3)
    assert link.done == ["release", (3, False)]
    assert share.retired == [1]
    share.check()


def test_a_call_that_ends_in_the_middle_of_a_release() -> None:
    share = Share(1, 2)
    link = next(link for link in share.open(2) if link.holder == 1)
    share.sharing.retire(1, 0.0)
    share.run_for(0.1)
    share.end(link)
    assert share.retired == [1]
    share.released(link)
    share.run_for(2 * RELEASE_S)
    assert link.done == ["release"]


def test_without_others_calls_stay() -> None:
    share = Share(1)
    [link] = share.open()
    share.sharing.retire(1, 0.0)
    share.run_for(5.0)
    assert link.done == []
    assert share.retired == []
    [late] = share.open()
    assert late.holder is None, "it gets no new ones"
    share.add(2)
    assert late.holder == 2
    share.run_for(0.1)
    assert link.done == ["release"]


def test_calls_that_stay_are_not_asked_for() -> None:
    share = Share(1, 2)
    links = share.open(4)
    share.sharing.retire(1, None)
    share.run_for(60.0)
    assert all(link.done == [] for link in links)
    assert {link.holder for link in share.open(4)} == {2}
    for link in links:
        share.end(link)
    assert share.retired == [1]


def test_who_has_no_call_is_retired_at_once_and_who_is_unknown_not() -> None:
    share = Share(1, 2)
    share.sharing.retire(1, 10.0)
    assert share.retired == [1]
    share.sharing.retire(9, 10.0)
    assert share.retired == [1]


def test_two_retire_one_after_the_other() -> None:
    share = Share(1, 2)
    links = share.open(4)
    share.sharing.retire(1, 0.0)
    share.sharing.retire(2, 0.0)
    share.run_for(1.0)
    assert all(link.done == [] for link in links)
    share.add(3)
    share.run_for(0.1)
    for link in links:
        share.released(link)
    assert {link.holder for link in links} == {3}
    assert sorted(share.retired) == [1, 2]


def test_nothing_is_looked_at_once_nobody_retires() -> None:
    share = Share(1, 2)
    for link in share.open(4):
        if link.holder == 1:
            share.end(link)
    share.sharing.retire(1, 0.0)
    share.clock.run_for(1.0)
    assert share.clock.next_timer_at() is None


# Anything.


class SharingMachine(RuleBasedStateMachine):
    """Whatever happens, each call is with one application or waits."""

    def __init__(self) -> None:
        super().__init__()
        self.share = Share(1)
        self.numbers = itertools.count(2)
        self.open_: list[FakeLink] = []

    def some_link(self, which: int) -> FakeLink | None:
        closed = (1013, "no worker took the call"), (1011, "internal error")
        self.open_ = [link for link in self.open_ if not link.done or link.done[-1] not in closed]
        return self.open_[which % len(self.open_)] if self.open_ else None

    def some_application(self, which: int) -> int:
        numbers = sorted(self.share.sharing.applications)
        return numbers[which % len(numbers)] if numbers else 0

    @rule()
    def open(self) -> None:
        self.open_ += self.share.open()

    @rule(is_loaded=st.sampled_from([True, True, False]))
    def add(self, is_loaded: bool) -> None:
        self.share.add(next(self.numbers), is_loaded=is_loaded)

    @rule()
    def load(self) -> None:
        self.share.load()

    @rule(seconds=st.floats(0, 12))
    def wait(self, seconds: float) -> None:
        self.share.clock.run_for(seconds)

    @rule(which=WHICH)
    def lose(self, which: int) -> None:
        if number := self.some_application(which):
            self.share.lose(number)

    @rule(which=WHICH, wait_s=st.one_of(st.none(), st.floats(0, 5)))
    def retire(self, which: int, wait_s: float | None) -> None:
        self.share.sharing.retire(self.some_application(which), wait_s)

    @rule(which=WHICH)
    def end(self, which: int) -> None:
        if (link := self.some_link(which)) is not None:
            self.open_.remove(link)
            self.share.end(link)

    @rule(which=WHICH, is_at_rest=st.booleans())
    def rest(self, which: int, is_at_rest: bool) -> None:
        if (link := self.some_link(which)) is not None:
            link.rests = is_at_rest

    @rule(which=WHICH)
    def release(self, which: int) -> None:
        if (link := self.some_link(which)) is not None and link.done[-1:] == ["release"]:
            self.share.released(link)

    @invariant()
    def each_is_with_one_or_waits(self) -> None:
        self.share.check()

    def teardown(self) -> None:
        self.share.add(next(self.numbers))
        self.share.run_for(5.0 + RELEASE_S + 1.0)
        applications = self.share.sharing.applications
        self.some_link(0)
        for link in self.open_:
            assert link.is_told
            assert link.holder in applications
        for each in applications.values():
            if each.is_retiring and not each.links:
                assert each.number in self.share.retired


TestSharing = SharingMachine.TestCase
TestSharing.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
