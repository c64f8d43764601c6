# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.errors import MessageError
from audio_connector.playground import messages
from audio_connector.playground.messages import decode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"type":"connect","rate_hz":8000,"profile":"voice"}',
            messages.Connect(rate_hz=8000, profile="voice"),
        ),
        ('{"type":"disconnect"}', messages.Disconnect()),
        ('{"type":"mute","muted":true}', messages.Mute(muted=True)),
        ('{"type":"press","digit":"#"}', messages.Press(digit="#")),
        ('{"type":"barge_in"}', messages.BargeIn()),
        ('{"type":"say","speaker":2,"sample":"a.wav"}', messages.Say(speaker=2, sample="a.wav")),
        ('{"type":"stop","speaker":1}', messages.Stop(speaker=1)),
        ('{"type":"join"}', messages.Join()),
        ('{"type":"leave"}', messages.Leave()),
    ],
)
def test_every_message_is_read(text: str, message: messages.FromPage) -> None:
    assert decode(text) == message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "which is no JSON"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "which is no JSON"),
        ("{}", "the type 'None'"),
        ('{"type":["mute"]}', "expected one of connect, "),
        ('{"type":"shout"}', "the type 'shout'"),
        ('{"type":"mute","muted":1}', "muted=1: "),
        ('{"type":"mute"}', "muted is missing"),
        ('{"type":"press","digit":"12"}', "digit='12'"),
        ('{"type":"say","speaker":3,"sample":"x"}', "speaker=3"),
        ('{"type":"join","now":true}', "now is not a field"),
        ('{"type":"connect","rate_hz":"fast","profile":"video"}', "rate_hz='fast'"),
        (json.dumps({"type": "say", "speaker": 1, "sample": "x" * 81}), "sample="),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(MessageError) as raised:
        decode(text)
    assert says in str(raised.value)
    assert len(str(raised.value)) < 400


@given(
    st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps)
)
def test_whatever_comes_is_a_message_or_an_error(text: str) -> None:
    with pytest.raises(MessageError):
        decode(text)
