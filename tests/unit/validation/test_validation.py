# SPDX-License-Identifier: Apache-2.0
"""A value that a user got wrong is named in one line, whichever model it was meant for."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator, model_validator

from audio_connector.errors import AudioConnectorConfigError, MessageError, UsageError
from audio_connector.validation import MORE, SHOWN_CHARS, TOLD, FrozenValues, Values


class Step(FrozenValues):
    error_class: ClassVar[type[UsageError]] = MessageError

    at_s: Annotated[float, Field(ge=0)] = 0.0
    say: str | None = None

    @field_validator("say")
    @classmethod
    def _is_short(cls, say: str | None) -> str | None:
        if say == "say=":
            raise ValueError("say='say=' says itself what was got")
        if say == "bad":
            raise ValueError("Expected something good")
        return say


class Call(FrozenValues):
    error_class: ClassVar[type[UsageError]] = UsageError

    url: str
    steps: tuple[Step, ...] = ()

    @model_validator(mode="after")
    def _has_a_url(self) -> Call:
        if self.url == "none":
            raise ValueError("a call without a url has no steps")
        return self


class Scenario(Values):
    calls: tuple[Call, ...] = ()


def refused(model: type[Values], error_class: type[UsageError], **values: object) -> str:
    with pytest.raises(error_class) as caught:
        model(**values)
    assert type(caught.value) is error_class
    assert isinstance(caught.value.__cause__, ValidationError)
    return str(caught.value)


def test_a_value_is_named_with_what_was_got_and_what_is_allowed() -> None:
    assert refused(Step, MessageError, at_s=-1) == "Step: at_s=-1: input should be greater than or equal to 0"
    assert refused(Step, MessageError, say="bad") == "Step: say='bad': expected something good"
    assert refused(Step, MessageError, say="say=") == "Step: say='say=' says itself what was got"


def test_a_name_that_is_no_field_gets_a_hint() -> None:
    assert refused(Step, MessageError, sya="x") == "Step: sya is not a field; did you mean 'say'?"
    assert refused(Step, MessageError, qqq="x") == "Step: qqq is not a field; it has at_s, say"


def test_what_is_missing_is_said() -> None:
    assert refused(Call, UsageError) == "Call: url is missing"


def test_all_mistakes_are_said_at_once() -> None:
    text = refused(Step, MessageError, at_s=-1, sya="x")
    assert text.startswith("Step: at_s=-1: ")
    assert text.endswith("; sya is not a field; did you mean 'say'?")


def test_a_mistake_deep_inside_has_its_whole_path_and_the_error_of_the_outermost() -> None:
    calls = [{"url": "ws://a"}, {"url": "ws://b", "steps": [{"at_s": 1}, {"at_s": -1}]}]
    assert (
        refused(Scenario, AudioConnectorConfigError, calls=calls)
        == "Scenario: calls.1.steps.1.at_s=-1: input should be greater than or equal to 0"
    )


def test_a_mistake_of_the_values_together_names_none() -> None:
    assert refused(Call, UsageError, url="none") == "Call: a call without a url has no steps"
    text = refused(Scenario, AudioConnectorConfigError, calls=[{"url": "none"}])
    assert text == "Scenario: calls.0: a call without a url has no steps"


def test_the_error_is_that_of_a_configuration_unless_a_model_names_another() -> None:
    assert Scenario.error_class is FrozenValues.error_class is AudioConnectorConfigError
    assert "error_class" not in Scenario.model_fields


def test_frozen_values_cannot_be_changed_and_others_can() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Step().at_s = 1.0
    scenario = Scenario()
    scenario.calls = (Call(url="ws://a"),)
    assert scenario.calls[0].url == "ws://a"


@given(at=st.text(min_size=1, max_size=10_000))
def test_a_long_value_is_cut(at: str) -> None:
    try:
        float(at)
    except ValueError:
        text = refused(Step, MessageError, at_s=at)
        assert len(text) <= len("Step: at_s=") + SHOWN_CHARS + 100


def test_of_very_many_mistakes_the_first_are_told_and_where_the_rest_begins() -> None:
    unknown: dict[str, Any] = dict.fromkeys((f"name{number}" for number in range(1000)), 1)
    with pytest.raises(UsageError) as caught:
        Call(url="ws://a", **unknown)
    assert str(caught.value).count("is not a field") == TOLD
    assert str(caught.value).endswith(f"; {MORE}")
    assert [fault.loc for fault in caught.value.faults] == [(f"name{number}",) for number in range(TOLD + 1)]
    assert caught.value.faults[-1].text == MORE


def test_many_mistakes_deep_inside_are_bounded_as_well() -> None:
    calls: Any = [{"url": "ws://a", "steps": [{"at_s": -1}] * 3} for _ in range(TOLD)]
    with pytest.raises(AudioConnectorConfigError) as caught:
        Scenario(calls=calls)
    assert len(caught.value.faults) == TOLD + 1
    assert caught.value.faults[-1] == (("calls", TOLD // 3, "steps", TOLD % 3, "at_s"), MORE)


def test_a_number_that_python_does_not_write_is_named_by_its_type() -> None:
    assert refused(Step, MessageError, say=1 << 20_000) == "Step: say=<int>: input should be a valid string"
