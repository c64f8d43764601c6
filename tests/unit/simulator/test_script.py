# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.errors import UsageError
from audio_connector.simulator.script import VERBS, Impairments, Step, in_chains

ONE_OF = (
    "say, hear, stop_speaking, mute, silence, dtmf, notify, event, stream, text, garbage, stall, slow_reader_ms, "
    "half_open, reset, reconnect_s, hang_up"
)
NO_NUMBER = "input should be a valid number, unable to parse string as a number"


def step(**values: Any) -> Step:
    return Step(**{"at_s": 1, **values})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({}, f"the step at 1 s has nothing to do; expected exactly one of {ONE_OF}"),
        (
            {"say": "a.wav", "mute": True},
            f"the step at 1 s has say and mute; expected exactly one of {ONE_OF}",
        ),
        (
            {"at_s": 2.5, "dtmf": "1", "notify": None, "reset": True},
            f"the step at 2.5 s has dtmf and notify and reset; expected exactly one of {ONE_OF}",
        ),
        ({"sya": "a.wav"}, "sya is not a field; did you mean 'say'?"),
        (
            {"xyz": 1},
            (
                "xyz is not a field; it has at_s, after_s, for_s, say, hear, within_s, stop_speaking, mute, silence, "
                "dtmf, duration_ms, notify, " + ONE_OF.partition("notify, ")[2]
            ),
        ),
        ({"at_s": -1, "dtmf": "1"}, "at_s=-1: input should be greater than or equal to 0"),
        ({"at_s": "soon", "dtmf": "1"}, f"at_s='soon': {NO_NUMBER}"),
        ({"at_s": True, "dtmf": "1"}, "at_s=True: expected a number"),
        ({"at_s": math.nan, "dtmf": "1"}, "at_s=nan: input should be a finite number"),
        ({"at_s": math.inf, "dtmf": "1"}, "at_s=inf: input should be a finite number"),
        ({"at_s": 21601, "dtmf": "1"}, "at_s=21601: input should be less than or equal to 21600"),
        ({"at_s": None, "dtmf": "1"}, "at_s is missing, or after_s, for how long after the step before it"),
        ({"dtmf": "1", "for_s": 2}, "dtmf has no for_s; mute, silence, slow_reader_ms, stall have one"),
        ({"mute": False, "for_s": 2}, "an unmute has no for_s, it does not last"),
        ({"mute": True, "for_s": 0}, "for_s=0: input should be greater than 0"),
        ({"stall": True}, "stall needs for_s, how long it lasts in seconds"),
        ({"silence": True}, "silence needs for_s, how long it lasts in seconds"),
        ({"stall": True, "for_s": 1, "duration_ms": 5}, "stall has no duration_ms; dtmf has one"),
        ({"mute": 1}, "mute=1: input should be a valid boolean"),
        ({"stop_speaking": False}, "stop_speaking=False: input should be True"),
        ({"say": 5}, 'say=5: expected the path of a WAV file, sample:NAME, or {text: "words to be spoken"}'),
        ({"say": b"abc"}, "say=b'abc': 3 bytes; expected 16-bit samples, an even number"),
        (
            {"say": "sample:x"},
            (
                "say='sample:x': there is no packaged sentence 'sample:x'; expected one of sample:he-was-not, "
                "sample:unless-to-be"
            ),
        ),
        ({"say": {"text": "?!"}}, "say.text='?!': expected a text with words in it"),
        ({"say": {"txt": "a"}}, "say.text is missing; txt is not a field; did you mean 'text'?"),
        ({"hear": 5}, "hear=5: expected a phrase, or a mapping with any, all, pattern"),
        ({"hear": "!"}, "hear: '!' has no word in it"),
        (
            {"hear": {"any": ["a"], "pattern": "b"}},
            "hear: it has any and pattern; expected a phrase, or one of any, all, pattern",
        ),
        (
            {"hear": {"pattern": "("}},
            "hear.pattern='(': no regular expression: missing ), unterminated subpattern at position 0",
        ),
        ({"dtmf": "1", "within_s": 2}, "dtmf has no within_s; hear has one"),
        ({"dtmf": "55"}, "dtmf='55': expected one telephone key: 0 to 9, A to D, * or #"),
        ({"dtmf": "5\n"}, "dtmf='5\\n': expected one telephone key: 0 to 9, A to D, * or #"),
        ({"dtmf": ""}, "dtmf='': expected one telephone key: 0 to 9, A to D, * or #"),
        ({"dtmf": "a"}, "dtmf='a': expected one telephone key: 0 to 9, A to D, * or #"),
        ({"dtmf": True}, "dtmf=True: input should be a valid string"),
        ({"dtmf": "1", "duration_ms": -1}, "duration_ms=-1: input should be greater than or equal to 0"),
        ({"stream": "gone"}, "stream='gone': input should be 'created' or 'destroyed'"),
        (
            {"garbage": "utf"},
            "garbage='utf': input should be 'not-json', 'empty', 'odd-audio', 'oversized', 'bad-utf8' or 'bad-frame'",
        ),
        ({"slow_reader_ms": 0}, "slow_reader_ms=0: input should be greater than 0"),
        ({"reconnect_s": -1}, "reconnect_s=-1: input should be greater than or equal to 0"),
        ({"hang_up": "later"}, "hang_up='later': input should be True, 'announce', 'goodbye' or 'abrupt'"),
        ({"event": [1]}, "event=[1]: input should be a valid dictionary"),
        (
            {"event": {"a": b""}},
            "event cannot be written as JSON: Object of type bytes is not JSON serializable",
        ),
        (
            {"notify": math.nan},
            "notify cannot be written as JSON: Out of range float values are not JSON compliant",
        ),
        ({"text": "a\ud800"}, "text='a\\ud800': the lone surrogate at 1 cannot be sent as UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_step_that_makes_no_sense_is_refused_in_one_line(values: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        step(**values)
    assert str(caught.value).removesuffix(": nan") == f"Step: {text}"  # which Python 3.12 adds to one


def test_a_step_without_a_time_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^Step: at_s is missing, or after_s, for how long after"):
        Step(dtmf="1")
    with pytest.raises(UsageError, match=r"^Step: at_s and after_s do not go together"):
        Step(at_s=1, after_s=1, dtmf="1")
    with pytest.raises(UsageError, match=r"^Step: the step 2 s after the one before has nothing to do;"):
        Step(after_s=2)


@pytest.mark.parametrize(
    ("values", "verb"),
    [
        ({"say": "a.wav"}, "say"),
        ({"say": Path("a.wav")}, "say"),
        ({"say": b"\1\1"}, "say"),
        ({"say": "sample:he-was-not"}, "say"),
        ({"stop_speaking": True}, "stop_speaking"),
        ({"mute": True}, "mute"),
        ({"mute": True, "for_s": 2}, "mute"),
        ({"mute": False}, "mute"),
        ({"silence": True, "for_s": 0.5}, "silence"),
        ({"dtmf": 5}, "dtmf"),
        ({"dtmf": "*", "duration_ms": 0}, "dtmf"),
        ({"notify": None}, "notify"),
        ({"notify": 0}, "notify"),
        ({"event": {}}, "event"),
        ({"text": ""}, "text"),
        ({"slow_reader_ms": 0.5}, "slow_reader_ms"),
        ({"reconnect_s": 0}, "reconnect_s"),
        ({"hang_up": "abrupt"}, "hang_up"),
        ({"dtmf": "1", "say": None, "mute": None}, "dtmf"),
    ],
)
def test_a_step_that_makes_sense(values: dict[str, Any], verb: str) -> None:
    made = step(**values)
    assert made.verb == verb
    assert verb in VERBS


def test_a_step_does_not_change() -> None:
    with pytest.raises(Exception, match="frozen"):
        step(dtmf="1").dtmf = "2"


@given(st.lists(st.booleans(), max_size=30))
def test_each_chain_begins_with_a_time_and_all_steps_are_in_one(are_timed: list[bool]) -> None:
    steps = [Step(at_s=1, text="") if timed else Step(after_s=1, text="") for timed in are_timed]
    chains = in_chains(steps)
    assert [place for chain in chains for place in chain] == list(range(len(steps)))
    assert all(steps[chain[0]].at_s is not None for chain in chains[1:])
    assert all(steps[place].at_s is None for chain in chains for place in chain[1:])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"jitter_ms": -1}, "jitter_ms=-1: input should be greater than or equal to 0"),
        ({"jitter_ms": 10_001}, "jitter_ms=10001: input should be less than or equal to 10000"),
        ({"jitter_ms": True}, "jitter_ms=True: expected a number"),
        ({"jiter_ms": 1}, "jiter_ms is not a field; did you mean 'jitter_ms'?"),
        ({"slow_reader_ms": "x"}, f"slow_reader_ms='x': {NO_NUMBER}"),
        ({"obeys_clear": "no"}, "obeys_clear='no': input should be a valid boolean"),
        ({"seed": 1.5}, "seed=1.5: input should be a valid integer, got a number with a fractional part"),
        *(
            (
                {"clear_ack": value},
                f"clear_ack={value!r}: expected 'prompt', 'missing', or how many milliseconds, up to 60000",
            )
            for value in ("never", -1, 60_001, True, None, [1], math.inf)
        ),
    ],
)
def test_impairments_that_make_no_sense_are_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Impairments(**values)
    assert str(caught.value) == f"Impairments: {text}"


@pytest.mark.parametrize(
    ("clear_ack", "seconds"), [("prompt", 0.0), ("missing", None), (0, 0.0), (250, 0.25), (60_000.0, 60.0)]
)
def test_a_clear_is_acknowledged_after(clear_ack: Any, seconds: float | None) -> None:
    assert Impairments(clear_ack=clear_ack).clear_ack_s == seconds


def test_without_impairments_nothing_is_wrong() -> None:
    nothing = Impairments()
    assert (nothing.jitter_ms, nothing.slow_reader_ms, nothing.clear_ack_s, nothing.obeys_clear) == (
        0,
        0,
        0,
        True,
    )
