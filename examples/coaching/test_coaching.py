# SPDX-License-Identifier: Apache-2.0
"""Two people call, in virtual time, with engines that do as they are told: no model, no key, a second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from audio_connector import UsageError
from audio_connector.engines import EngineError, Transcript
from audio_connector.testing import Audio, Call, Server, in_virtual_time, serve
from audio_connector.testing.scripted import ScriptedEars, WordEmbedder
from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechStarted
from coaching.app import Coach
from coaching.floor import AGENT, CUSTOMER, Floor
from coaching.meaning import sentences_of
from coaching.settings import Settings

LATE_S = 2.0
"""Within which the agent has to be told."""

SETTINGS = {
    "recogniser": {},
    "embedder": {},
    "threshold": 0.6,
    "hints": {"talk_s": 6, "silence_s": 4, "words_per_minute": 190, "pace_words": 5},
    "checklist": [
        {"name": "order number", "phrases": ["Could you tell me the number of your order?"]},
        {"name": "apology", "phrases": ["I am sorry about that."]},
    ],
    "upset": ["This is unacceptable."],
    "closing": ["Goodbye, have a nice day."],
}


def speech(seconds: float) -> bytes:
    """Somebody speaks for so long."""
    whole = Audio.of("sample:unless-to-be").at_rate(16_000)
    voice = whole.pcm[2 * 6_400 : 2 * 76_800]  # from 0.4 to 4.8 s: without the silence around it
    return (voice * (round(seconds // 4) + 1))[: round(seconds * 16_000) * 2]


class Page:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, dict[str, Any]]] = []

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:
        del key
        self.shown.append((kind, json.loads(json.dumps(data))))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for each, data in self.shown if each == kind]


class Bench:
    """A coach and its server."""

    def __init__(self, coach: Coach, server: Server, page: Page) -> None:
        self.coach, self.server, self.page = coach, server, page

    def hints(self) -> list[str]:
        return [hint["rule"] for hint in self.page.of("hint")]

    @asynccontextmanager
    async def session(self, name: str = "room", **options: Any) -> AsyncIterator[tuple[Call, Call]]:
        """A session of two: the agent and the customer."""
        async with (
            self.server.call("/agent", session_id=name, connection_id=f"{name}-a", **options) as agent,
            self.server.call("/customer", session_id=name, connection_id=f"{name}-c", **options) as customer,
        ):
            yield agent, customer


@asynccontextmanager
async def bench(
    ears: Any, folder: Path, *, allow_errors: bool = False, **settings: Any
) -> AsyncIterator[Bench]:
    page = Page()
    server: Server
    coach = Coach(
        Settings.from_values({**SETTINGS, **settings}),
        recogniser=ears,
        embedder=WordEmbedder(),
        output=folder,
        sessions=lambda: server.handle.sessions,
        show=page.show,
    )
    async with serve(coach.on_connect, allow_errors=allow_errors) as server:
        yield Bench(coach, server, page)
    await coach.close()


@in_virtual_time
async def test_a_call_is_counted_and_its_hints_come_in_time(tmp_path: Path) -> None:
    ears = ScriptedEars(
        [
            "How may I help you?",
            "This is unacceptable.",
            "I am sorry about that.",
            "Goodbye, have a nice day.",
        ],
        takes_s=0.7,
    )
    async with bench(ears, tmp_path) as on:
        async with on.session() as (agent, customer):
            await agent.say(speech(2.1))
            await asyncio.sleep(1)
            await customer.say(speech(2.1))
            await asyncio.sleep(1)
            await agent.say(speech(7))  # talks long
            await asyncio.sleep(6)  # silence
            await agent.say(speech(2.1))
            await asyncio.sleep(2)
        await on.coach.settle()
    [summary] = on.coach.summaries
    assert on.hints() == ["upset", "talks long", "silence", "missing"]
    late = {hint["rule"]: hint["late_s"] for hint in on.page.of("hint")}
    assert all(0 <= late_s <= LATE_S for late_s in late.values()), late
    assert on.page.of("hint")[-1]["text"] == "Not said yet: order number."
    figures = summary["figures"]
    assert figures["talk_s"] == {AGENT: pytest.approx(11.2, abs=0.6), CUSTOMER: pytest.approx(2.1, abs=0.3)}
    assert figures["share"][CUSTOMER] == pytest.approx(0.16, abs=0.03)
    assert figures["turns"] == {AGENT: 3, CUSTOMER: 1}
    assert figures["longest_silence_s"] == pytest.approx(6, abs=0.4)
    assert figures["overlap_s"] == 0
    assert [item["is_said"] for item in summary["checklist"]] == [False, True]
    assert [line["role"] for line in summary["transcript"]] == [AGENT, CUSTOMER, AGENT, AGENT]
    assert json.loads((tmp_path / f"{summary['call']}.json").read_text()) == summary


@in_virtual_time
async def test_two_sessions_of_an_account_that_begin_at_once_are_two_calls(tmp_path: Path) -> None:
    account = "2_MX40NTMyODc3Mn5-MTY2NzkwODc4"
    async with bench(ScriptedEars(["Hello.", "Hello."]), tmp_path) as on:
        async with (
            on.session(f"{account}NDQyMn5WVXo1S0hmZDBRdkN3c2FvVXF5-fg") as (one, _),
            on.session(f"{account}NzE0NH5kT2pZb0J1Q2RrSGxVZ2JhWmc2-fg") as (another, _),
        ):
            await one.say(speech(2.1))
            await another.say(speech(2.1))
        await on.coach.settle()
    assert len({summary["call"] for summary in on.coach.summaries}) == 2
    assert all((tmp_path / f"{summary['call']}.json").is_file() for summary in on.coach.summaries)


@in_virtual_time
async def test_who_interrupts_is_told_and_who_says_mhm_is_not(tmp_path: Path) -> None:
    async with bench(ScriptedEars([]), tmp_path) as on:
        async with on.session() as (agent, customer):
            for said_s in (0.35, 2.1):  # "mhm", and a sentence
                long = asyncio.ensure_future(customer.say(speech(5)))
                await asyncio.sleep(2)
                await agent.say(speech(said_s))
                await long
                await asyncio.sleep(2)
            await agent.say(speech(2.1))
        await on.coach.settle()
    assert on.hints() == ["interrupts"]
    [hint] = on.page.of("hint")
    assert 0 <= hint["late_s"] <= LATE_S
    figures = on.coach.summaries[0]["figures"]
    assert figures["interruptions"] == {AGENT: 1, CUSTOMER: 0}
    assert figures["turns"] == {AGENT: 2, CUSTOMER: 2}  # not each time that both are heard
    assert figures["overlap_s"] == pytest.approx(2.4, abs=0.4)


@in_virtual_time
async def test_who_speaks_fast_is_told(tmp_path: Path) -> None:
    words = "one two three four five six seven eight nine ten"
    async with bench(ScriptedEars([words]), tmp_path) as on:
        async with on.session() as (agent, _):
            await agent.say(speech(2.1))
            await asyncio.sleep(2)
        await on.coach.settle()
    assert on.hints() == ["fast"]
    assert "words a minute" in on.page.of("hint")[0]["text"]
    assert on.coach.summaries[0]["figures"]["words_per_minute"][AGENT] > 250


@in_virtual_time
async def test_who_waits_for_the_other_one_need_not_talk(tmp_path: Path) -> None:
    async with bench(ScriptedEars([]), tmp_path) as on:
        async with on.server.call("/agent", session_id="room") as agent:
            await asyncio.sleep(10)
            assert on.hints() == []
            async with on.server.call("/customer", session_id="room"):
                await asyncio.sleep(6)
                assert on.hints() == ["silence"]
                await agent.say(speech(1.4))
            await asyncio.sleep(10)
        await on.coach.settle()
    assert on.hints() == ["silence"]
    [hint] = on.page.of("hint")
    assert hint["cause_s"] == pytest.approx(14, abs=0.6)
    assert hint["cause_s"] == round(hint["cause_s"], 2)
    assert 0 <= hint["late_s"] <= LATE_S


@in_virtual_time
async def test_two_calls_at_once_keep_to_themselves(tmp_path: Path) -> None:
    async with bench(ScriptedEars(lambda audio, _: f"{len(audio) // 40_000} units"), tmp_path) as on:
        async with on.session("one") as (agent, _), on.session("two") as (_, customer):
            await asyncio.gather(agent.say(speech(2.1)), customer.say(speech(4.2)))
            await asyncio.sleep(2)
        await on.coach.settle()
    said = sorted([line["role"] for line in each["transcript"]] for each in on.coach.summaries)
    assert said == [[AGENT], [CUSTOMER]]
    assert len({each["call"] for each in on.coach.summaries}) == 2


class Deaf(ScriptedEars):
    """Fails once."""

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        if not self.heard:
            self.heard.append(0.0)
            raise EngineError("the model is gone")
        return await super().transcribe(audio, sample_rate=sample_rate, language=language)


@in_virtual_time
async def test_a_recogniser_that_fails_is_told_and_the_call_goes_on(tmp_path: Path) -> None:
    async with bench(Deaf(["I am sorry about that."]), tmp_path) as on:
        async with on.session() as (agent, _):
            await agent.say(speech(2.1))
            await asyncio.sleep(1)
            await agent.say(speech(2.1))
            await asyncio.sleep(1)
        await on.coach.settle()
    assert "the model is gone" in on.page.of("trouble")[0]["text"]
    [summary] = on.coach.summaries
    assert list(summary["troubles"].values()) == [1]
    assert summary["checklist"][1]["is_said"]


@in_virtual_time
async def test_a_recogniser_that_is_too_slow_holds_up_nothing(tmp_path: Path) -> None:
    async with bench(ScriptedEars(lambda *_: "word", takes_s=60), tmp_path) as on:
        async with on.session() as (agent, customer):
            for _ in range(15):
                await agent.say(speech(1.4))
                await asyncio.sleep(0.6)
                await customer.say(speech(1.4))
                await asyncio.sleep(0.6)
        assert on.page.of("figures")[-1]["figures"]["turns"][CUSTOMER] >= 14
        await on.coach.settle()
    told = [each["text"] for each in on.page.of("trouble")]
    assert len(told) == 2, told  # once each
    assert "too slow" in told[0]
    assert "behind at the end" in told[1]
    assert max(on.coach.summaries[0]["troubles"].values()) > 1


@in_virtual_time
async def test_a_mistake_in_the_program_costs_an_utterance_and_not_the_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mistakes = [True, False]

    def wrong(audio: bytes, rate_hz: int) -> str:
        if mistakes.pop():
            raise ZeroDivisionError
        return "I am sorry about that."

    async with bench(ScriptedEars(wrong), tmp_path, allow_errors=True) as on:
        async with on.session() as (agent, _):
            for _ in range(2):
                await agent.say(speech(1.4))
                await asyncio.sleep(1)
        await on.coach.settle()
    assert "ZeroDivisionError" in caplog.text
    assert [each["text"] for each in on.page.of("trouble")] == [
        "an utterance was not understood: ZeroDivisionError"
    ]
    assert len(on.coach.summaries[0]["transcript"]) == 1


@pytest.mark.parametrize(
    ("by", "calls"),
    [
        ("path", [("/x/agent", {}), ("/x/customer/", {})]),
        ("query", [("/?role=agent", {}), ("/?role=customer", {})]),
        ("header", [("/", {"role": "agent"}), ("/", {"role": "customer"})]),
    ],
)
@in_virtual_time
async def test_who_is_who(by: str, calls: Sequence[tuple[str, dict[str, str]]], tmp_path: Path) -> None:
    async with bench(ScriptedEars([]), tmp_path, role_by=by) as on:
        (a_path, a_headers), (c_path, c_headers) = calls
        async with (
            on.server.call(a_path, session_id="s", headers=a_headers) as agent,
            on.server.call(c_path, session_id="s", headers=c_headers) as customer,
            on.server.call("/nobody", session_id="s") as nobody,
        ):
            for call in (agent, customer, nobody):
                await call.say(speech(1.4))
                await asyncio.sleep(1)
        await on.coach.settle()
    assert on.coach.summaries[0]["figures"]["turns"] == {AGENT: 1, CUSTOMER: 1}
    where = "the end of its path" if by == "path" else f"its {by} 'role'"
    assert on.page.of("trouble")[0]["text"].endswith(f"left out; expected 'agent' or 'customer' as {where}")


@in_virtual_time
async def test_a_program_that_ends_during_a_call_leaves_the_summary(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with bench(ScriptedEars([]), tmp_path) as on, on.session() as (agent, _):
        await agent.say(speech(2.1))
        agent.live.abort()
    assert on.coach.summaries[0]["figures"]["talk_s"][AGENT] == pytest.approx(2.1, abs=0.3)
    assert asyncio.all_tasks() == before


def said(floor: Floor, stream: str, role: str, start_s: float, end_s: float) -> None:
    """Somebody speaks, in steps of 100 ms; the others are told by then what they said."""
    rest: dict[str, Any] = {"audio": b"", "sample_rate": 16000}
    floor.feed(
        stream, role, SpeechStarted(start_s=start_s, at_s=start_s + 0.1, audio_start_s=start_s, **rest)
    )
    for step in range(2, round((end_s - start_s) * 10) + 1):
        at_s = start_s + step / 10
        floor.feed(stream, role, SpeechGoesOn(start_s=start_s, at_s=at_s, pause_s=0, probability=1, **rest))
    floor.feed(
        stream,
        role,
        SpeechEnded(
            start_s=start_s, end_s=end_s, at_s=end_s + 0.4, audio_start_s=start_s, cause="pause", **rest
        ),
    )


def test_figures_of_a_floor() -> None:
    floor = Floor()
    said(floor, "a", AGENT, 1, 4)
    said(floor, "c", CUSTOMER, 3.9, 9)  # at the agent's last word
    said(floor, "a", AGENT, 6, 6.5)  # mhm
    figures = floor.figures()
    assert figures["talk_s"] == {AGENT: 3.5, CUSTOMER: 5.1}
    assert figures["overlap_s"] == 0.6
    assert figures["interruptions"] == {AGENT: 0, CUSTOMER: 0}
    assert figures["turns"] == {AGENT: 1, CUSTOMER: 1}
    assert figures["longest_silence_s"] == 1.0
    assert figures["silence_s"] == pytest.approx(1.4)  # the first second, and the last pause


def test_who_goes_on_after_a_breath_interrupts_nobody() -> None:
    floor = Floor()
    said(floor, "c", CUSTOMER, 1, 4)
    said(floor, "a", AGENT, 3.8, 8)
    said(floor, "c", CUSTOMER, 4.8, 7)
    assert floor.interrupted == {AGENT: 0, CUSTOMER: 0}
    said(floor, "c", CUSTOMER, 20, 22)
    said(floor, "a", AGENT, 20.8, 23)
    assert floor.interrupted == {AGENT: 1, CUSTOMER: 0}


def test_what_meaning_looks_at() -> None:
    assert sentences_of("Yes. I am sorry. What is it?") == [
        "I am sorry.",
        "What is it?",
        "Yes. I am sorry. What is it?",
    ]
    assert sentences_of("Hm.") == []


def test_a_setting_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match="talks_s"):
        Settings.from_values({**SETTINGS, "hints": {"talks_s": 3}})
