# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator.profile import PROFILES
from audio_connector.simulator.scenario import MAX_CALLS, MAX_PLANNED_STEPS, Participant, Scenario
from audio_connector.simulator.script import Impairments, Step
from audio_connector.wire.audio_transport import AudioTransport

URL = "ws://127.0.0.1:1"
ANN = Participant(name="Ann", say="a.wav")


def test_the_calls_of_a_scenario_are_those_of_its_participants() -> None:
    steps = (Step(at_s=1, dtmf="5"),)
    scenario = Scenario(
        url=URL,
        profile="voice",
        rate_hz=24000,
        audio_transport=AudioTransport(transport="json"),
        headers={"tenant": "acme", "who": "all"},
        participants=[
            Participant(
                name="Ann", say="a.wav", say_for_s=3, steps=steps, path="ann", headers={"who": "Ann"}
            ),
            Participant(joins_at_s=2, impairments=Impairments(jitter_ms=5)),
        ],
        impairments=Impairments(clear_ack="missing"),
        tail_s=1.5,
    )
    ann, second = scenario.calls()
    assert (ann.name, second.name) == ("Ann", "participant 2")
    assert (ann.url, second.url) == (f"{URL}/ann", URL)
    assert (ann.speech, ann.duration_s, tuple(ann.steps)) == ("a.wav", 3, steps)
    assert (second.speech, second.duration_s, tuple(second.steps)) == (None, None, ())
    assert ann.headers == {"tenant": "acme", "who": "Ann"}
    assert second.headers == {"tenant": "acme", "who": "all"}
    assert (ann.impairments.clear_ack, second.impairments.jitter_ms) == ("missing", 5)
    assert (ann.dial_after_s, second.dial_after_s) == (0, 2)
    for call in (ann, second):
        assert (call.profile, call.rate_hz, call.tail_s) == ("voice", 24000, 1.5)
        assert call.audio_transport == AudioTransport(transport="json")
    assert ann.session_id == second.session_id
    assert ann.conference_id == second.conference_id
    assert ann.connection_id != second.connection_id


def test_sessions_are_copies_with_ids_of_their_own_and_begin_one_after_the_other() -> None:
    scenario = Scenario(participants=[ANN, Participant(joins_at_s=1)], sessions=4, ramp_s=2)
    calls = scenario.calls(URL)
    assert [call.name for call in calls[:3]] == [
        "Ann, session 1", "participant 2, session 1", "Ann, session 2",
    ]  # fmt: skip
    assert [call.dial_after_s for call in calls] == [0, 1, 0.5, 1.5, 1, 2, 1.5, 2.5]
    assert len({call.session_id for call in calls}) == 4
    assert len({call.conference_id for call in calls}) == 4
    assert len({call.connection_id for call in calls}) == 8


def test_a_duration_hangs_up_whatever_else_happens() -> None:
    scenario = Scenario(participants=[Participant(steps=[Step(at_s=9, dtmf="1")])], duration_s=3)
    [call] = scenario.calls(URL)
    assert [(step.at_s, step.verb) for step in call.steps] == [(9, "dtmf"), (3, "hang_up")]


@pytest.mark.parametrize(
    ("url", "path", "both"),
    [
        ("ws://h:1", "", "ws://h:1"),
        ("ws://h:1", "a", "ws://h:1/a"),
        ("ws://h:1/", "/a/b", "ws://h:1/a/b"),
        ("ws://h:1/x", "a", "ws://h:1/x/a"),
        ("ws://h:1/x?k=1", "a?l=2", "ws://h:1/x/a?k=1&l=2"),
        ("ws://h:1?k=1", "a", "ws://h:1/a?k=1"),
        ("ws://h:1", "?l=2", "ws://h:1/?l=2"),
    ],
)
def test_a_path_stands_in_front_of_the_query(url: str, path: str, both: str) -> None:
    [call] = Scenario(participants=[Participant(path=path)]).calls(url)
    assert call.url == both


def test_somebody_has_to_name_the_server() -> None:
    with pytest.raises(UsageError) as caught:
        Scenario(name="mine", participants=[ANN]).calls()
    assert str(caught.value) == "the scenario 'mine' has no url; name the server to call"


def test_paths_are_looked_for_in_a_folder_and_samples_are_not(tmp_path: Path) -> None:
    says: list[Any] = ["a.wav", "/abs/b.wav", "sample:he-was-not", b"\1\1", Path("c.wav")]
    scenario = Scenario(
        participants=[
            Participant(say=say, steps=[Step(at_s=1, say=say), Step(at_s=2, dtmf="1")]) for say in says
        ]
    ).in_folder(tmp_path)
    expected = [tmp_path / "a.wav", Path("/abs/b.wav"), "sample:he-was-not", b"\1\1", tmp_path / "c.wav"]
    assert [participant.say for participant in scenario.participants] == expected
    assert [participant.steps[0].say for participant in scenario.participants] == expected
    assert [participant.steps[1].say for participant in scenario.participants] == [None] * 5
    assert [call.speech for call in scenario.calls(URL)] == expected


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"participants": []}, "participants=[]: expected at least one participant"),
        ({}, "participants is missing"),
        ({"partcipants": [ANN]}, "participants is missing; partcipants is not a field; did you mean 'participants'?"),
        ({"participants": [ANN], "profile": "vdeo"}, "profile='vdeo': expected one of 'video', 'wsbridge', 'voice'"),
        ({"participants": [ANN], "rate_hz": 11025}, "rate_hz=11025: expected one of 8000, 16000, 24000"),
        ({"participants": [ANN], "rate_hz": True}, "rate_hz=True: expected a number"),
        ({"participants": [ANN], "url": "http://x"}, "url='http://x': 'http://x' is not a WebSocket URL: expected ws://host:port/path or wss://…"),
        ({"participants": [ANN], "sessions": 0}, "sessions=0: input should be greater than or equal to 1"),
        (
            {"participants": [ANN] * 3, "sessions": 1000},
            f"1000 sessions of 3 participants are 3000 connections; expected at most {MAX_CALLS}",
        ),
        (
            {"participants": [{"steps": [{"at_s": 0, "mute": True}] * 201}], "sessions": 1000},
            f"1000 sessions have 201000 steps in sum; expected at most {MAX_PLANNED_STEPS}",
        ),
        (
            {"participants": [ANN], "headers": {"event": "x"}},
            "headers={'event': 'x'}: the header 'event' would be overwritten by the router's own; take another name",
        ),
        ({"participants": [ANN], "headers": {"a": 5}}, "headers.a=5: input should be a valid string"),
        (
            {"participants": [{"headers": {"a": "x" * 300}}], "headers": {"b": "y" * 300}},
            "together with the scenario's, the headers have 602 bytes in sum; the router takes 512",
        ),
        (
            {"participants": [ANN], "audio_transport": "jsn"},
            "audio_transport.transport='jsn': input should be 'binary' or 'json'",
        ),
        (
            {"participants": [ANN], "fail_on": ["underun_ms>0"]},
            "fail_on=['underun_ms>0']: 'underun_ms>0': there is no figure 'underun_ms'; did you mean 'underrun_ms'?",
        ),
        ({"participants": [ANN], "tail_s": None}, "tail_s=None: input should be a valid number"),
        ({"participants": [ANN], "name": ""}, "name='': string should have at least 1 character"),
        ({"participants": [{"path": "a b"}]}, "participants.0.path='a b': expected a path as in a URL; write %20 for a blank"),
        ({"participants": [{"joins_at_s": -1}]}, "participants.0.joins_at_s=-1: input should be greater than or equal to 0"),
        ({"participants": [{"nme": "x"}]}, "participants.0.nme is not a field; did you mean 'name'?"),
        ({"participants": [{"steps": [{"at_s": 1, "syy": "x"}]}]}, "participants.0.steps.0.syy is not a field; did you mean 'say'?"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)  # fmt: skip
def test_a_scenario_that_makes_no_sense_is_refused_in_one_line(values: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Scenario(**values)
    assert str(caught.value) == f"Scenario: {text}"


def test_the_conditions_are_read() -> None:
    scenario = Scenario(participants=[ANN], fail_on=["turns<1", "underrun_ms > 0"])
    assert [condition.metric.name for condition in scenario.conditions] == ["turns", "underrun_ms"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_may_be_named(profile: str) -> None:
    [call] = Scenario(participants=[ANN], profile=profile).calls(URL)
    assert call.router.name == profile
