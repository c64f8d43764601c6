# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.wav import WavWriter
from audio_connector.errors import AudioFileError, UsageError
from audio_connector.simulator import yaml_file
from audio_connector.simulator.scenario import Participant, Scenario
from audio_connector.simulator.scenario_file import load_scenario, parse_scenario
from audio_connector.simulator.script import Impairments, Step
from audio_connector.wire.audio_transport import AudioTransport

WHOLE = """\
# A call with something of everything.
name: A caller
url: ws://localhost:8765
profile: wsbridge
rate_hz: 8000
audio_transport: {transport: json, audio_field: chunk}
headers: {tenant: acme}
sessions: 2
ramp_s: 0.5
duration_s: 60
tail_s: 1
impairments: {jitter_ms: 40, clear_ack: 250}
fail_on: ["turns<1", "underrun_ms>0"]
participants:
  - name: Ann
    say: "sample:he-was-not"
    say_for_s: 10
    steps:
      - {at_s: 4.0, say: "sample:unless-to-be"}
      - {at_s: 8, mute: yes, for_s: 2}
      - {at_s: 11.5, dtmf: 5, duration_ms: 100}
      - at_s: 12
        notify:
          when: 2026-03-23
          none: null
      - {at_s: 13, hang_up: goodbye}
  - joins_at_s: 2
    path: bob?lang=de
    headers: {who: bob}
    impairments: {obeys_clear: false}
"""
STEPS = "participants:\n  - name: Ann\n    steps:\n"


def test_every_word_of_a_file_is_the_word_in_python() -> None:
    assert parse_scenario(WHOLE) == Scenario(
        name="A caller",
        url="ws://localhost:8765",
        profile="wsbridge",
        rate_hz=8000,
        audio_transport=AudioTransport(transport="json", audio_field="chunk"),
        headers={"tenant": "acme"},
        sessions=2,
        ramp_s=0.5,
        duration_s=60,
        tail_s=1,
        impairments=Impairments(jitter_ms=40, clear_ack=250),
        fail_on=("turns<1", "underrun_ms>0"),
        participants=(
            Participant(
                name="Ann",
                say="sample:he-was-not",
                say_for_s=10,
                steps=(
                    Step(at_s=4, say="sample:unless-to-be"),
                    Step(at_s=8, mute=True, for_s=2),
                    Step(at_s=11.5, dtmf="5", duration_ms=100),
                    Step(at_s=12, notify={"when": "2026-03-23", "none": None}),
                    Step(at_s=13, hang_up="goodbye"),
                ),
            ),
            Participant(
                joins_at_s=2,
                path="bob?lang=de",
                headers={"who": "bob"},
                impairments=Impairments(obeys_clear=False),
            ),
        ),
    )


def test_json_is_yaml_as_well() -> None:
    assert parse_scenario('{"participants": [{"steps": [{"at_s": 1e0, "dtmf": "1"}]}]}') == Scenario(
        participants=[Participant(steps=[Step(at_s=1, dtmf="1")])]
    )


def test_what_was_said_once_may_be_merged() -> None:
    text = STEPS + "      - &one {at_s: 1, mute: true, for_s: 2}\n      - {<<: *one, at_s: 5}\n"
    assert parse_scenario(text).participants[0].steps == (
        Step(at_s=1, mute=True, for_s=2),
        Step(at_s=5, mute=True, for_s=2),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # What is no mapping of words.
        ("", ": the file is empty; expected a scenario, with 'participants:' in it"),
        ("# nothing\n---\n", ": the file is empty; expected a scenario, with 'participants:' in it"),
        ("hello\n", ": expected a scenario's words, such as 'participants:'"),
        ("- a\n- b\n", ": expected a scenario's words, such as 'participants:'"),
        ("name: x\n", ", line 1: participants is missing"),
        # Typos.
        ("\npartcipants:\n  - name: Ann\n", ", line 2: partcipants is not a field; did you mean 'participants'?"),
        (STEPS + "      - {at_s: 1, sya: x.wav}\n", ", line 4: participants.0.steps.0: sya is not a field; did you mean 'say'?"),
        (
            "participants:\n  - steps:\n    - at_s: 1\n      dtmf: 5\n    - at_s: 2\n      dmtf: 5\n",
            ", line 6: participants.0.steps.1: dmtf is not a field; did you mean 'dtmf'?",
        ),
        ("impairments:\n  jiter_ms: 4\nparticipants: [{}]\n", ", line 2: impairments: jiter_ms is not a field; did you mean 'jitter_ms'?"),
        ("audio_transport: {transport: json, audioField: x}\nparticipants: [{}]\n", ", line 1: audio_transport: audioField is not a field; did you mean 'audio_field'?"),
        # Values.
        (STEPS + "      - dtmf: 5\n        at_s: soon\n", ", line 5: participants.0.steps.0: at_s='soon': input should be a valid number, unable to parse string as a number"),
        (STEPS + "      - {at_s: -1, dtmf: 5}\n", ", line 4: participants.0.steps.0: at_s=-1: input should be greater than or equal to 0"),
        (STEPS + "      - {at_s: on, dtmf: 5}\n", ", line 4: participants.0.steps.0: at_s=True: expected a number"),
        (STEPS + "      - {at_s: .nan, dtmf: 5}\n", ", line 4: participants.0.steps.0: at_s=nan: input should be a finite number"),
        (STEPS + "      - {dtmf: 5}\n", ", line 4: participants.0.steps.0: at_s is missing, or after_s, for how long after the step before it"),
        (STEPS + "      - {at_s: 1, dtmf: 55}\n", ", line 4: participants.0.steps.0: dtmf=55: expected one telephone key: 0 to 9, A to D, * or #"),
        (STEPS + "      - {at_s: 1, say: [a, b]}\n", ", line 4: participants.0.steps.0: say=['a', 'b']: expected the path of a WAV file, sample:NAME, or {text: \"words to be spoken\"}"),
        (STEPS + "      - {at_s: 1, stop_speaking: no}\n", ", line 4: participants.0.steps.0: stop_speaking=False: expected true"),
        (STEPS + "      - {at_s: 1, notify: .inf}\n", ", line 4: participants.0.steps.0: notify cannot be written as JSON: Out of range float values are not JSON compliant"),
        ("profile: vdeo\nparticipants: [{}]\n", ", line 1: profile='vdeo': expected one of 'video', 'wsbridge', 'voice'"),
        ("participants: Ann\n", ", line 1: participants='Ann': expected a list"),
        ("participants:\n", ", line 1: participants=None: expected a list"),
        ("participants: []\n", ", line 1: participants=[]: expected at least one participant"),
        ("participants:\n  - Ann\n", ", line 2: participants.0: 'Ann': expected a mapping, such as {name: value}"),
        ("participants:\n  - {}\n  -\n", ", line 3: participants.1: None: expected a mapping, such as {name: value}"),
        ("headers: [a]\nparticipants: [{}]\n", ", line 1: headers=['a']: expected a mapping, such as {name: value}"),
        ("participants:\n  - steps: {at_s: 1, dtmf: 5}\n", ", line 2: participants.0: steps={'at_s': 1, 'dtmf': 5}: expected a list"),
        ("participants: [" + "{}, " * 51 + "]\n", ", line 1: participants=[" + "{}, " * 19 + "...: expected at most 50 of them"),
        ("participants:\n  - say: sample:x\n", ", line 2: participants.0: say='sample:x': there is no packaged sentence 'sample:x'; expected one of sample:he-was-not, sample:unless-to-be"),
        # What belongs together.
        (
            STEPS + "      - {at_s: 1, dtmf: 5}\n      - {at_s: 2, say: a.wav, mute: true}\n",
            ", line 5: participants.0.steps.1: the step at 2 s has say and mute; expected exactly one of say, hear, stop_speaking, mute, silence, dtmf, notify, event, stream, text, garbage, stall, slow_reader_ms, half_open, reset, reconnect_s, hang_up",
        ),
        (STEPS + "      - {at_s: 1, dtmf: 5, for_s: 2}\n", ", line 4: participants.0.steps.0: dtmf has no for_s; mute, silence, slow_reader_ms, stall have one"),
        ("sessions: 1000\nparticipants: [{}, {}, {}]\n", ", line 1: 1000 sessions of 3 participants are 3000 connections; expected at most 2000"),
        # Headers that the router would not send.
        ("participants:\n  - {}\n  - headers:\n      event: x\n", ", line 3: participants.1: headers={'event': 'x'}: the header 'event' would be overwritten by the router's own; take another name"),
        ("headers: {'a b': x}\nparticipants: [{}]\n", ", line 1: headers={'a b': 'x'}: 'a b' is not a header name: expected letters, digits and dashes"),
        ("headers:\n  n: 5\nparticipants: [{}]\n", ", line 2: headers: n=5: input should be a valid string"),
        (
            f"headers: {{a: {'x' * 300}}}\nparticipants:\n  - {{}}\n  - headers: {{b: {'y' * 300}}}\n",
            ", line 4: participants.1: headers: together with the scenario's, the headers have 602 bytes in sum; the router takes 512",
        ),
        # YAML.
        ("name: a\nprofile: video\nname: b\nparticipants: [{}]\n", ", line 3: 'name' comes twice"),
        ("participants:\n  - name: Ann\n    say: a.wav\n    name: Bob\n", ", line 4: 'name' comes twice"),
        ("participants:\n\t- name: Ann\n", ", line 2: not YAML: while scanning for the next token, found character '\\t' that cannot start any token; indent with blanks, not with tabs"),
        ("participants: [{name: Ann}\n", ", line 2: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
        ("participants:\n  - {<<: 5}\n", ", line 2: expected a mapping or list of mappings for merging, but found scalar"),
        ("1: x\nparticipants: [{}]\n", ", line 1: '1' is no key; expected a word, in quotes where it looks like something else"),
        # Two mistakes.
        (
            "profle: video\nparticipants:\n  - joins_at_s: x\n",
            ", line 3: participants.0: joins_at_s='x': input should be a valid number, unable to parse string as a number; bad.yaml, line 1: profle is not a field; did you mean 'profile'?",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_with_file_line_and_place(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_scenario(text, name="bad.yaml")
    assert str(caught.value).removesuffix(": inf") == f"bad.yaml{told}"  # which Python 3.12 adds to one
    assert "\n" not in str(caught.value)


# Files.


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told_of(path: Any) -> str:
    with pytest.raises(UsageError) as caught:
        load_scenario(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def wav(path: Path) -> Path:
    with WavWriter(path, 16000) as file:
        file.write(b"\1\2" * 320)
    return path


def test_wav_files_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "says").mkdir()
    wav(tmp_path / "says" / "a.wav")
    text = "participants:\n  - say: says/a.wav\n    steps: [{at_s: 1, say: says/a.wav}]\n"
    scenario = load_scenario(written(tmp_path, text))
    assert scenario.participants[0].say == tmp_path / "says" / "a.wav"
    assert load_scenario(str(tmp_path / "bad.yaml")) == scenario
    assert load_scenario(os.fsencode(tmp_path / "bad.yaml")) == scenario  # type: ignore[arg-type]


def test_a_wav_that_is_missing_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "participants:\n  - {}\n  - name: Ann\n    say: nowhere.wav\n")
    assert told_of(path) == (
        f"{path}, line 4: participants.1: say: cannot open '{tmp_path}/nowhere.wav': No such file or directory; "
        "expected a readable WAV file; check the path"
    )
    with pytest.raises(AudioFileError):
        load_scenario(path)


def test_words_where_a_path_should_be_are_told_how_they_are_written(tmp_path: Path) -> None:
    path = written(tmp_path, STEPS + "      - {at_s: 1, say: I'd like a table}\n")
    assert told_of(path).endswith("""; words to be spoken are written {text: "I'd like a table"}""")


def test_a_wav_that_is_none_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("hello " * 20)
    (tmp_path / "empty.wav").write_text("")
    WavWriter(tmp_path / "silent.wav", 8000).close()
    path = written(tmp_path, STEPS + "      - {at_s: 1, dtmf: 5}\n      - {at_s: 2, say: text.wav}\n")
    assert told_of(path) == (
        f"{path}, line 5: participants.0.steps.1: say: '{tmp_path}/text.wav' is no WAV file that can be read here: "
        "file does not start with RIFF id; expected 16-bit PCM; convert it, for example: sox in.wav -b 16 -e signed-integer out.wav"
    )  # fmt: skip
    assert "empty.wav' is no WAV file that can be read here: it is empty; " in told_of(
        written(tmp_path, "participants:\n  - say: empty.wav\n")
    )
    assert "line 2: participants.0: say: '" in (
        text := told_of(written(tmp_path, "participants:\n  - say: silent.wav\n"))
    )
    assert "silent.wav' has no audio in it" in text


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    assert told_of(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml: No such file or directory"
    assert told_of(tmp_path) == f"{tmp_path}: Is a directory"
    assert told_of("a\0b") == "'a\\x00b' is no path: embedded null byte"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = written(tmp_path, b"name: a\nname: \xff\xfe\n")
    assert told_of(path) == f"{path}, line 2: not a text in UTF-8; is it the right file?"
    assert told_of(written(tmp_path, "name: x\n".encode("utf-16"))).endswith("is it the right file?")
    assert told_of(written(tmp_path, b"name: x\nurl: \x01\n")) == (
        f"{path}, line 2: not YAML: the character '\\x01' cannot stand in it"
    )


def test_a_file_that_is_far_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "MAX_FILE_BYTES", 100)
    path = written(tmp_path, "#" * 101)
    assert told_of(path) == f"{path}: more than 100 bytes are no scenario; is it the right file?"
    if os.path.exists("/dev/zero"):  # noqa: PTH110 - a device has no size
        assert told_of("/dev/zero").startswith("/dev/zero: more than 100 bytes")


def test_a_byte_order_mark_is_none_of_the_readers_business(tmp_path: Path) -> None:
    assert load_scenario(written(tmp_path, b"\xef\xbb\xbfparticipants: [{}]\n")).name == "scenario"


# Whatever is in it.


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=20)
NUMBERS = st.one_of(st.integers(0, 1000), st.floats(0, 1000))
JSON_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
VERB = st.one_of(
    st.fixed_dictionaries({"say": st.sampled_from(["a.wav", "sample:he-was-not", "/x/\N{SNOWMAN}.wav"])}),
    st.fixed_dictionaries({"dtmf": st.sampled_from("0123456789ABCD*#")}),
    st.fixed_dictionaries({"mute": st.just(True), "for_s": st.floats(0.01, 100)}),
    st.fixed_dictionaries({"mute": st.booleans()}),
    st.fixed_dictionaries({"stall": st.just(True), "for_s": st.floats(0.01, 100)}),
    st.fixed_dictionaries({"notify": JSON_VALUES}),
    st.fixed_dictionaries({"event": st.dictionaries(NAMES, JSON_VALUES, max_size=3)}),
    st.fixed_dictionaries({"text": NAMES}),
    st.fixed_dictionaries({"hang_up": st.sampled_from([True, "announce", "goodbye", "abrupt"])}),
    st.fixed_dictionaries({"slow_reader_ms": st.floats(0.1, 60_000)}),
)
STEP = st.builds(lambda at_s, verb: {"at_s": at_s, **verb}, NUMBERS, VERB)
PARTICIPANT = st.fixed_dictionaries(
    {},
    optional={
        "name": NAMES,
        "say": st.sampled_from(["a.wav", "sample:unless-to-be", None]),
        "joins_at_s": NUMBERS,
        "path": st.sampled_from(["", "a", "/b?c=d"]),
        "headers": st.dictionaries(st.sampled_from(["a", "B-c", "x_y"]), st.sampled_from(["", "1", "v w"]), max_size=3),
        "steps": st.lists(STEP, max_size=4),
        "impairments": st.fixed_dictionaries(
            {}, optional={"jitter_ms": NUMBERS, "clear_ack": st.sampled_from(["prompt", "missing", 0, 1.5])}
        ),
    },
)  # fmt: skip
SCENARIO = st.fixed_dictionaries(
    {"participants": st.lists(PARTICIPANT, min_size=1, max_size=3)},
    optional={
        "name": NAMES.filter(bool),
        "profile": st.sampled_from(["video", "wsbridge", "voice"]),
        "rate_hz": st.sampled_from([8000, 16000, 24000]),
        "audio_transport": st.sampled_from(["binary", "json", {"transport": "json", "audio_field": "x"}]),
        "sessions": st.integers(1, 3),
        "ramp_s": NUMBERS,
        "duration_s": st.floats(0.1, 100),
        "fail_on": st.lists(st.sampled_from(["underruns>0", "turns<1"]), max_size=2),
    },
)


@given(SCENARIO, st.booleans())
def test_what_is_valid_is_the_same_from_yaml_and_from_python(values: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False, default_flow_style=flow)
    scenario = parse_scenario(text)
    assert scenario == Scenario(**values)
    calls = scenario.calls("ws://127.0.0.1:1")
    assert len(calls) == scenario.sessions * len(values["participants"])
    for call, participant in zip(calls, values["participants"] * scenario.sessions, strict=True):
        assert call.speech == participant.get("say")
        assert len(call.steps) == len(participant.get("steps", [])) + ("duration_s" in values)


def places_of(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each key is that is a word of a scenario; not what a user may call as he likes."""
    found = []
    if isinstance(values, dict):
        for key, value in values.items():
            found.append((*path, key))
            if key not in ("notify", "event", "headers", "static_fields"):
                found += places_of(value, (*path, key))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            found += places_of(value, (*path, number))
    return found


@given(SCENARIO, st.data())
def test_a_typo_in_any_word_is_one_line_that_names_its_place(
    values: dict[str, Any], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places_of(values)))
    *parents, key = place
    values = copy.deepcopy(values)  # parts of it may be drawn again
    inner: Any = values
    for part in parents:
        inner = inner[part]
    typo = data.draw(st.sampled_from([key + "x", key.upper(), key[1:], f"_{key}"]))
    # In place, so that the order of the lines stays.
    pairs = [(typo if name == key else name, value) for name, value in inner.items()]
    inner.clear()
    inner.update(pairs)
    text = yaml.safe_dump(values, sort_keys=False)
    line = next(number for number, each in enumerate(text.splitlines(), 1) if re.search(rf"\b{typo}:", each))
    with pytest.raises(UsageError) as caught:
        parse_scenario(text, name="bad.yaml")
    told = str(caught.value)
    where = f"bad.yaml, line {line}: {'.'.join(map(str, parents))}{': ' if parents else ''}{typo} is not a field; "
    assert where in told
    assert "\n" not in told
    assert all(part.startswith("bad.yaml, line ") for part in re.split(r"; (?=bad\.yaml)", told))


def complaint_of(text: str) -> str | None:
    """What is wrong with a file, in one line; None where it is fine. Anything else is raised."""
    try:
        parse_scenario(text, name="bad.yaml").calls("ws://127.0.0.1:1")
    except UsageError as error:
        return str(error) if "\n" not in str(error) else f"more than one line: {error}"
    return None


JUNK = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, float("nan"), float("inf"), "", "x", "\x85", 10**30, b"b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["at_s", "say", "x"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@given(SCENARIO, st.data())
def test_any_other_value_anywhere_is_taken_or_one_line(values: dict[str, Any], data: st.DataObject) -> None:
    *parents, key = data.draw(st.sampled_from(places_of(values)))
    values = copy.deepcopy(values)
    inner: Any = values
    for part in parents:
        inner = inner[part]
    inner[key] = data.draw(JUNK)
    told = complaint_of(yaml.safe_dump(values))
    assert told is None or told.startswith("bad.yaml, line ")


@given(st.data())
def test_any_damage_to_a_file_is_a_scenario_still_or_one_line(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    until = data.draw(st.integers(at, min(at + 30, len(WHOLE))))
    put = data.draw(st.text(st.sampled_from("\t\n {}[]:&*!|>'\"-?,#%@`<=~0a\x00\ud800"), max_size=4))
    text = WHOLE[:at] + put + WHOLE[until:]
    told = complaint_of(text)
    assert told is None or told.startswith("bad.yaml")


GUEST = "goal: a table\nname: Guest\nrules: [{when: hello, say: hi, then: hang_up}]\n"


def test_a_participant_may_be_a_persona_of_a_file_or_of_words(tmp_path: Path) -> None:
    (tmp_path / "guest.yaml").write_text(GUEST, encoding="utf-8")
    path = tmp_path / "scenario.yaml"
    path.write_text(
        "sessions: 2\nimpairments: {seed: 5}\nparticipants:\n  - persona: guest.yaml\n  - name: Bob\n"
        "    persona: {goal: b, rules: [{when: hello, then: hang_up}]}\n    steps: [{at_s: 3, mute: true}]\n"
        "  - say: sample:he-was-not\n",
        encoding="utf-8",
    )
    calls = load_scenario(path).calls("ws://localhost")
    assert [(call.name, call.persona and call.persona.goal) for call in calls[:3]] == [
        ("Guest, session 1", "a table"), ("Bob, session 1", "b"), ("participant 3, session 1", None),
    ]  # fmt: skip
    assert [call.impairments.seed for call in calls] == [5, 5, 5, 6, 6, 5]
    assert len({call.session_id for call in calls}) == 2


@pytest.mark.parametrize(
    ("participant", "told"),
    [
        (
            "persona: nobody.yaml",
            r"scenario.yaml, line 2: participants.0: persona: .*nobody.yaml: No such file",
        ),
        ("persona: bad.yaml", r"line 2: participants.0: persona: .*bad.yaml, line 2: rules=7: "),
        ("persona: 7", r"line 2: participants.0: persona=7: expected the path of a persona's file"),
        ("persona: {goal: x}", r"line 2: .*expected 'rules:' or 'model:'"),
        (
            "{name: Ann, say_for_s: 5}",
            "line 2: .*say_for_s repeats or cuts what is said, and there is no say",
        ),
        ("{persona: guest.yaml, say: x.wav}", "say does not go with persona, whose opening and rules say"),
        ("{persona: guest.yaml, steps: [{at_s: 1, say: x.wav}]}", "a step with say does not go with persona"),
    ],
)
def test_a_persona_that_a_participant_cannot_be_is_told_with_its_line(
    tmp_path: Path, participant: str, told: str
) -> None:
    (tmp_path / "guest.yaml").write_text(GUEST, encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("goal: x\nrules: 7\n", encoding="utf-8")
    path = tmp_path / "scenario.yaml"
    path.write_text(f"participants:\n  - {participant}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        load_scenario(path)
