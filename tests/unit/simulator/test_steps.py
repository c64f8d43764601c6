# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stage import FRAME, Stage, about

from audio_connector.simulator.actions import OVERSIZED_BYTES
from audio_connector.simulator.script import VERBS, Step


def acting(*steps: Step, **options: Any) -> Stage:
    """A silent call with these steps, gone through to a second after the last."""
    options = {"silence": "none", "tail_s": 1.0, **options}
    return Stage((), has_network=True, steps=steps, **options).open().run_until(30.0)


SENT: dict[str, tuple[Step, list[tuple[float, str, bytes | str]]]] = {
    "dtmf": (
        Step(at_s=0.1, dtmf="5"),
        [(0.1, "text", ' {"event":"websocket:dtmf","digit":"5"}')],
    ),
    "dtmf held": (
        Step(at_s=0.1, dtmf="#", duration_ms=260),
        [(0.1, "text", ' {"event":"websocket:dtmf","digit":"#","duration":260}')],
    ),
    "notify": (
        Step(at_s=0.1, notify={"mark": [1]}),
        [(0.1, "text", ' {"event":"websocket:notify","payload":{"mark":[1]}}')],
    ),
    "notify of nothing": (
        Step(at_s=0.1, notify=None),
        [(0.1, "text", ' {"event":"websocket:notify","payload":null}')],
    ),
    "event": (
        Step(at_s=0.1, event={"event": "websocket:hangup", "\N{SNOWMAN}": 1}),
        [(0.1, "text", ' {"event":"websocket:hangup","\\u2603":1}')],
    ),
    "empty event": (Step(at_s=0.1, event={}), [(0.1, "text", " {}")]),
    "stream": (
        Step(at_s=0.1, stream="created"),
        [(0.1, "text", ' {"event":"websocket:stream:created","streamId":"c1"}')],
    ),
    "text": (Step(at_s=0.1, text="  any\n\N{SNOWMAN}"), [(0.1, "text", "  any\n\N{SNOWMAN}")]),
    "empty text": (Step(at_s=0.1, text=""), [(0.1, "text", "")]),
    "mute": (
        Step(at_s=0.1, mute=True, for_s=0.2),
        [
            (0.1, "text", ' {"event":"websocket:media:update","method":"update","active":false}'),
            (0.3, "text", ' {"event":"websocket:media:update","method":"update","active":true}'),
        ],
    ),
    "unmute": (Step(at_s=0.1, mute=False), []),
    "not-json": (Step(at_s=0.1, garbage="not-json"), [(0.1, "text", ' {"event": websocket:garbage')]),
    "empty": (Step(at_s=0.1, garbage="empty"), [(0.1, "audio", b"")]),
    "odd-audio": (Step(at_s=0.1, garbage="odd-audio"), [(0.1, "audio", b"\x01" * 641)]),
    "oversized": (Step(at_s=0.1, garbage="oversized"), [(0.1, "audio", bytes(OVERSIZED_BYTES))]),
    # RFC 6455 5.2: FIN, the opcode, masked, the length, a mask of zeros, the payload.
    "bad-utf8": (Step(at_s=0.1, garbage="bad-utf8"), [(0.1, "raw", b"\x81\x83\0\0\0\0\xff\xfe\xfd")]),
    "bad-frame": (Step(at_s=0.1, garbage="bad-frame"), [(0.1, "raw", b"\x83\x81\0\0\0\0?")]),
}


@pytest.mark.parametrize(("step", "sent"), SENT.values(), ids=SENT)
def test_what_a_step_sends_and_when(step: Step, sent: list[tuple[float, str, bytes | str]]) -> None:
    stage = acting(step, connection_id="c1")
    [_, *after, last] = stage.transport.sent
    assert [(round(at - 100.0, 6), kind, payload) for at, kind, payload in after] == sent
    assert last[2] == ' {"event":"websocket:disconnected","method":"delete"}'
    assert stage.report.bytes_sent == sum(
        len(payload) for _, kind, payload in stage.transport.sent if kind != "raw"
    )


def test_every_verb_can_be_done() -> None:
    lasting = {"silence": 0.1, "stall": 0.1}
    values: dict[str, Any] = {
        "say": "sample:he-was-not", "dtmf": "1", "notify": 1, "event": {}, "stream": "destroyed", "text": "x",
        "garbage": "empty", "slow_reader_ms": 5, "reconnect_s": 0.5,
    }  # fmt: skip
    for verb in set(VERBS) - {"hear"}:  # which needs somebody who understands: test_hearing.py
        step = Step(**{"at_s": 0.1, verb: values.get(verb, True), "for_s": lasting.get(verb)})
        stage = acting(step)
        assert stage.noted("connected")
        assert len(stage.events) > 1, verb


@pytest.mark.parametrize("how", ["announce", "goodbye", "abrupt"])
def test_a_step_may_say_how_to_hang_up(how: Any) -> None:
    stage = acting(Step(at_s=0.1, hang_up=how))
    assert stage.noted("hang up") == [(0.1, how)]


def test_a_step_hangs_up_as_the_profile_does() -> None:
    assert acting(Step(at_s=0.1, hang_up=True), profile="wsbridge").noted("hang up") == [(0.1, "goodbye")]


def test_what_lasts_says_how_long() -> None:
    stage = acting(
        Step(at_s=0.1, stall=True, for_s=0.5),
        Step(at_s=1.0, silence=True, for_s=0.25),
        Step(at_s=2.0, slow_reader_ms=100, for_s=0.5),
        Step(at_s=3.0, slow_reader_ms=100),
    )
    assert [(event.name, event.detail, event.for_s) for event in stage.events if event.for_s] == [
        ("stall", "for 0.5 s", 0.5),
        ("no frames", "for 0.25 s", 0.25),
        ("slow reader", "a message per 100 ms, for 0.5 s", 0.5),
    ]
    assert stage.noted("slow reader")[1] == (3.0, "a message per 100 ms")


def test_says_follow_the_speech_and_each_other() -> None:
    steps = [Step(at_s=0.02, say="/x/one.wav"), Step(at_s=0.04, say=b"\1\1"), Step(at_s=0.3, say="three.wav")]
    stage = Stage(
        (b"a" * 640,) * 3,
        ((b"b" * 640,) * 2, (b"c" * 640,), (b"d" * 640,)),
        steps=steps,
        tail_s=0.02,
        silence="none",
    )
    assert stage.live.planned_s == pytest.approx(0.32 + 0.02)
    stage.open().run_until(1.0)
    assert [(round(at - 100.0, 6), payload[:1]) for at, kind, payload in stage.transport.sent if kind == "audio"] == [
        (0.0, b"a"), (0.02, b"a"), (0.04, b"a"), (0.06, b"b"), (0.08, b"b"), (0.1, b"c"), (0.3, b"d"),
    ]  # fmt: skip
    assert stage.noted("say") == [
        (0.02, "one.wav, 0.04 s"),
        (0.04, "speech, 0.02 s"),
        (0.3, "three.wav, 0.02 s"),
    ]


def test_a_call_lasts_until_the_last_word_is_said() -> None:
    stage = Stage((), ((b"a" * 640,) * 100,), steps=[Step(at_s=1.0, say="x.wav")], tail_s=0.5)
    assert stage.live.planned_s == pytest.approx(1.0 + 2.0 + 0.5)


def test_steps_of_one_time_keep_their_order_and_none_is_early() -> None:
    steps = [Step(at_s=0.2, text=str(number)) for number in range(20)]
    stage = acting(Step(at_s=0.4, text="last"), *steps, Step(at_s=0.0, text="first"))
    sent = [(round(at - 100.0, 6), text) for at, _, text in stage.transport.sent[1:-1]]
    assert sent == [(0.0, "first"), *((0.2, str(number)) for number in range(20)), (0.4, "last")]


@pytest.mark.parametrize(
    ("at_s", "sent_at"), [(0.0, 0.0), (0.009, 0.0), (0.011, 0.02), (5.0, 5.0), (5.015, 5.02)]
)
def test_a_step_is_done_on_the_nearest_frame(at_s: float, sent_at: float) -> None:
    assert round(acting(Step(at_s=at_s, text="x")).transport.sent[1][0] - 100.0, 6) == sent_at


def mutes(*steps: Step) -> list[tuple[float, str]]:
    """When the participant was muted and unmuted."""
    stage = acting(*steps)
    return [(round(event.at_s, 6), event.name) for event in stage.events if event.name in ("mute", "unmute")]


def test_of_two_mutes_that_overlap_the_later_end_counts() -> None:
    assert mutes(Step(at_s=1.0, mute=True, for_s=2.0), Step(at_s=2.0, mute=True, for_s=3.0)) == [
        (1.0, "mute"), (5.0, "unmute"),
    ]  # fmt: skip
    assert mutes(Step(at_s=1.0, mute=True, for_s=4.0), Step(at_s=2.0, mute=True, for_s=1.0)) == [
        (1.0, "mute"), (5.0, "unmute"),
    ]  # fmt: skip


def test_a_mute_without_an_end_is_ended_by_an_unmute_only() -> None:
    assert mutes(Step(at_s=1.0, mute=True, for_s=2.0), Step(at_s=2.0, mute=True)) == [(1.0, "mute")]
    assert mutes(
        Step(at_s=1.0, mute=True),
        Step(at_s=2.0, mute=True, for_s=1.0),
        Step(at_s=4.0, mute=False),
        Step(at_s=5.0, mute=True, for_s=1.0),
    ) == [(1.0, "mute"), (4.0, "unmute"), (5.0, "mute"), (6.0, "unmute")]


def test_an_unmute_in_between_makes_the_end_of_the_mute_none() -> None:
    assert mutes(
        Step(at_s=1.0, mute=True, for_s=5.0), Step(at_s=2.0, mute=False), Step(at_s=4.0, mute=True, for_s=9.0)
    ) == [(1.0, "mute"), (2.0, "unmute"), (4.0, "mute"), (13.0, "unmute")]


def test_silence_sends_no_frames_and_then_what_the_profile_sends() -> None:
    stage = acting(
        Step(at_s=0.1, silence=True, for_s=0.2),
        Step(at_s=0.2, silence=True, for_s=0.2),
        silence="frames",
        tail_s=0.1,
    )
    times = [round(at - 100.0, 6) for at, kind, _ in stage.transport.sent if kind == "audio"]
    assert times == [0.0, 0.02, 0.04, 0.06, 0.08, 0.4, 0.42, 0.44, 0.46, 0.48]


def test_a_huge_number_of_steps_is_done_in_time() -> None:
    steps = [Step(at_s=number / 500, text="x") for number in range(5000)]
    stage = acting(*steps, trace=False)
    assert len(stage.transport.texts) == 5002


# Steps that follow each other.


def times(stage: Stage, name: str) -> list[float]:
    return [round(event.at_s, 6) for event in stage.events if event.name == name]


def test_a_step_follows_the_end_of_the_one_before_it() -> None:
    steps = [
        Step(after_s=0.1, dtmf="1"),
        Step(after_s=0.2, mute=True, for_s=0.3),
        Step(after_s=0.1, say=b"said"),
        Step(after_s=0.1, dtmf="2"),
        Step(at_s=0.04, dtmf="3"),
        Step(after_s=0.04, dtmf="4"),
    ]
    says = ((), (), (FRAME,) * 5, (), (), ())
    stage = Stage((), says, has_network=True, steps=steps, tail_s=0.5).open().run_until(10.0)
    assert times(stage, "key") == [0.04, 0.08, 0.1, 0.9]
    assert times(stage, "mute") == [0.3]
    assert times(stage, "unmute") == [0.6]
    assert times(stage, "say") == [0.7]
    assert times(stage, "hang up") == [1.4]
    assert stage.live.planned_s == about(1.4)


def test_speech_that_waits_for_its_turn_is_waited_for() -> None:
    steps = [Step(at_s=0.02, say=b"ones"), Step(at_s=0.04, say=b"twos"), Step(after_s=0, dtmf="1")]
    stage = Stage((), ((FRAME,) * 10, (FRAME,) * 5, ()), steps=steps, tail_s=0.2).open().run_until(5.0)
    assert times(stage, "key") == [0.32]
    assert times(stage, "hang up") == [0.52]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20) | st.none()), min_size=1, max_size=8),
    st.integers(0, 9),
)
def test_a_chain_does_what_steps_with_the_same_times_do(
    parts: list[tuple[int, int | None]], tail: int
) -> None:
    chain, alone, at_ticks = [], [], 0
    for after, lasts in parts:
        at_ticks += after
        what: dict[str, Any] = {"dtmf": "1"} if lasts is None else {"silence": True, "for_s": lasts * 0.02}
        chain.append(Step(after_s=after * 0.02, **what))
        alone.append(Step(at_s=at_ticks * 0.02, **what))
        at_ticks += lasts or 0
    first, second = (
        Stage((), has_network=True, steps=steps, tail_s=tail * 0.02).open().run_until(60.0)
        for steps in (chain, alone)
    )
    assert [(event.name, about(event.at_s)) for event in first.events] == [
        (event.name, event.at_s) for event in second.events
    ]
    assert first.live.planned_s == about(second.live.planned_s)


def test_steps_behind_the_end_of_the_call_are_told() -> None:
    stage = acting(
        Step(at_s=2.0, dtmf="1"),
        Step(at_s=2.0, hang_up=True),
        Step(at_s=2.5, dtmf="2"),
        Step(after_s=1.0, mute=True),
        Step(at_s=9.0, hang_up=True),
    )
    stage.close(1000, closed_by="us")
    told = ("dtmf at 2.5 s", "mute 1 s after the one before")
    assert stage.report.left_out == told
    assert stage.report.shortfalls == (
        "2 steps left out, because a step, or duration_s, had ended the call before: " + ", ".join(told),
    )
    assert not stage.report.remarks


def test_steps_of_one_moment_are_done_as_they_are_written_and_told_behind_the_end() -> None:
    stage = acting(
        Step(at_s=1.0, dtmf="1"),
        Step(after_s=1.0, dtmf="2"),
        Step(at_s=2.0, hang_up=True),
        Step(after_s=0.0, dtmf="3"),
        Step(at_s=2.0, dtmf="4"),
    )
    assert stage.transport.names == ["connected", "dtmf", "dtmf", "disconnected"]
    told = ("dtmf 0 s after the one before", "dtmf at 2 s")
    assert stage.close(1000, closed_by="us").report.left_out == told


def test_of_many_steps_that_are_left_out_the_first_are_named() -> None:
    steps = [Step(at_s=1.0, reset=True), *(Step(at_s=2.0 + k, dtmf="1") for k in range(9))]
    [line] = acting(*steps).close().report.shortfalls
    assert line.startswith("9 steps left out, because")
    assert line.endswith("dtmf at 5 s, dtmf at 6 s and 4 more")


def test_where_somebody_else_ended_the_call_steps_that_are_left_out_are_a_remark() -> None:
    options: Any = {"allow_hangup": True, "tail_s": 1.0}
    stage = Stage((), has_network=True, steps=[Step(at_s=3.0, dtmf="1")], **options).open().run_until(1.0)
    assert (stage.report.problems, stage.report.remarks) == ((), ())  # there is time yet
    stage.close(1000, closed_by="peer")
    assert stage.report.problems == ()
    assert stage.report.remarks == ("1 step left out, because the call was over before: dtmf at 3 s",)


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["dtmf", "text", "stall", "mute"])), max_size=8))
def test_each_step_is_done_or_told(made: list[tuple[float, str]]) -> None:
    values: dict[str, Any] = {"dtmf": "1", "text": "x", "stall": True, "mute": True}
    steps = [
        Step(**{"at_s": at_s, verb: values[verb], "for_s": 0.1 if verb == "stall" else None})
        for at_s, verb in made
    ]
    stage = acting(*steps, Step(at_s=2.5, hang_up=True)).close(1000, closed_by="us")
    late = [step for step in steps if round((step.at_s or 0.0) / 0.02) > 125]
    assert stage.report.left_out == tuple(f"{step.verb} {step.when}" for step in late)
