# SPDX-License-Identifier: Apache-2.0
"""Those who dial, asked about on the I/O side: who is asked, what of it counts, and when nobody is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.stage import UPGRADE
from support.tokens import KEY, forged

from audio_connector.auth import SignedToken
from audio_connector.call import tells
from audio_connector.call.asks import Judged
from audio_connector.server.authentication import ask_application
from audio_connector.server.judging import MAX_ASKED, Judging
from audio_connector.wire.network import Refused, Verdict
from audio_connector.wire.transport import Headers

IN = Judged({"who": "Ann"}, None, "")
OUT = Judged(None, 403, "not you eyJhbGci.secret.x")


class Scene:
    """Applications by name, what each was asked, and the verdicts."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.asked: dict[str, list[tuple[int, tells.Asked]]] = {name: [] for name in names}
        self.verdicts: list[Verdict] = []
        self.now = 1000.0
        self.kept: set[object] = set()
        self._number = 0
        self.judging = Judging(
            ask_application,
            within_s=3.0,
            clock=lambda: self.now,
            find=self._find,
            next_number=self._next,
            is_kept=self.kept.__contains__,
        )

    def _find(self) -> tuple[object, Callable[[Any], None]] | None:
        if not self.names:
            return None
        name = min(self.names, key=lambda each: (each in self.kept, len(self.asked[each])))
        return name, self.asked[name].append

    def _next(self) -> int:
        self._number += 1
        return self._number

    def judge(self, resumes: object = None) -> Any:
        return self.judging.judge(UPGRADE, resumes, self.verdicts.append)


def test_the_application_is_asked_and_its_answer_counts_once() -> None:
    scene = Scene("a")
    cancel = scene.judge(resumes={"who": "Bob"})
    assert callable(cancel)
    [(number, asked)] = scene.asked["a"]
    assert asked == tells.Asked(UPGRADE, {"who": "Bob"}, 1003.0)
    scene.judging.answer(number, IN, "another application")
    scene.judging.answer(number + 1, IN, "a")
    assert scene.verdicts == []
    scene.judging.answer(number, IN, "a")
    scene.judging.answer(number, OUT, "a")
    assert scene.verdicts == [UPGRADE._replace(identity={"who": "Ann"})]


def test_a_rejection_has_its_status_and_its_reason_without_a_token() -> None:
    scene = Scene("a")
    scene.judge()
    scene.judging.answer(1, OUT, "a")
    [refused] = scene.verdicts
    assert isinstance(refused, Refused)
    assert (refused.refusal.name, refused.detail) == ("403 rejected", "not you …")


def test_what_is_not_answered_counts_although_nobody_waits_for_it() -> None:
    scene = Scene("a")
    for _ in range(MAX_ASKED):
        scene.judge()()  # cancelled at once
    refused = scene.judge()
    assert isinstance(refused, Refused)
    assert refused.refusal.name == "503 too many undecided"
    assert len(scene.asked["a"]) == MAX_ASKED
    scene.judging.answer(1, IN, "a")
    assert callable(scene.judge())
    assert scene.verdicts == []


def test_where_an_application_dies_another_one_is_asked_once() -> None:
    scene = Scene("a", "b", "c")
    scene.judge()
    scene.names.remove("a")
    scene.judging.lose("a")
    assert len(scene.asked["b"]) == 1
    scene.judging.answer(1, IN, "a")
    assert scene.verdicts == []
    scene.names.remove("b")
    scene.judging.lose("b")
    [refused] = scene.verdicts
    assert isinstance(refused, Refused)
    assert (refused.refusal.status, scene.asked["c"]) == ("503", [])


def test_where_nobody_is_there_the_next_one_is_asked() -> None:
    scene = Scene()
    first, second = scene.judge(), scene.judge()
    scene.judging.ask_again()
    first()
    scene.names.append("a")
    scene.asked["a"] = []
    scene.judging.ask_again()
    [(number, _)] = scene.asked["a"]
    scene.judging.answer(number, IN, "a")
    assert len(scene.verdicts) == 1
    second()
    for _ in range(MAX_ASKED):
        scene.judge()
    assert isinstance(scene.judge(), Refused)


def test_where_an_application_is_kept_from_answering_another_one_is_asked_once() -> None:
    scene = Scene("a", "b", "c")
    scene.judge()
    scene.judging.ask_again()
    assert scene.asked["b"] == [], "whoever takes their time is not kept"
    scene.kept.add("a")
    scene.judging.ask_again()
    [(number, asked)] = scene.asked["b"]
    assert asked == scene.asked["a"][0][1], "within the same deadline"
    scene.judging.answer(1, OUT, "a")
    assert scene.verdicts == []
    scene.kept.add("b")
    scene.judging.ask_again()
    assert scene.asked["c"] == []
    scene.judging.answer(number, IN, "b")
    assert scene.verdicts == [UPGRADE._replace(identity={"who": "Ann"})]


def test_where_all_are_kept_the_one_that_was_asked_answers() -> None:
    scene = Scene("a", "b")
    scene.kept |= {"a", "b"}
    cancel = scene.judge()
    scene.judging.ask_again()
    assert scene.asked["b"] == []
    scene.kept.remove("b")
    cancel()
    scene.judging.ask_again()
    assert scene.asked["b"] == [], "nobody waits for it any more"
    scene.judging.answer(1, IN, "a")
    assert scene.judging._waiting == {}


class Play(Scene):
    """Acts in any order, each with a number that says on what."""

    def __init__(self) -> None:
        super().__init__("0", "1")
        self.cancels: list[Callable[[], None]] = []

    def ask(self, _: int) -> None:
        cancel = self.judge()
        if callable(cancel):
            self.cancels.append(cancel)

    def cancel(self, at: int) -> None:
        if self.cancels:
            self.cancels[at % len(self.cancels)]()

    def join(self, _: int) -> None:
        self.names.append(name := f"{len(self.asked)}")
        self.asked[name] = []
        self.judging.ask_again()

    def lose(self, at: int) -> None:
        if self.names:
            self.judging.lose(self.names.pop(at % len(self.names)))

    def keep(self, at: int) -> None:
        self.kept ^= {f"{at}"}
        self.judging.ask_again()

    def answer(self, at: int) -> None:
        for name in self.names:
            for number, _ in self.asked[name][at:]:
                self.judging.answer(number, IN if at % 2 else OUT, name)


@given(
    st.lists(
        st.tuples(st.sampled_from(["ask", "answer", "cancel", "lose", "join", "keep"]), st.integers(0, 9))
    )
)
def test_in_every_order_each_has_one_verdict_at_most_and_none_is_kept(acts: list[tuple[str, int]]) -> None:
    play = Play()
    for act, at in acts:
        getattr(play, act)(at)
        assert len(play.verdicts) <= len(play.cancels)
    play.join(0)
    play.answer(0)
    assert play.judging._unasked == {}
    assert play.judging._waiting == {}


def test_a_verifier_decides_at_once_and_asks_nobody() -> None:
    scene = Scene()
    judging = Judging(
        SignedToken([KEY]), within_s=3.0, clock=lambda: 0.0, find=lambda: None, next_number=lambda: 0
    )

    def judged(token: str) -> Any:
        headers = Headers([("Authorization", f"Bearer {token}")])
        return judging.judge(UPGRADE._replace(headers=headers), None, scene.verdicts.append)

    assert judged(forged({"exp": 1 << 40})).identity == {"exp": 1 << 40}
    refused = judged(forged({"exp": 5}))
    assert refused.refusal.name == "401 expired"
