# SPDX-License-Identifier: Apache-2.0
"""What a peer wrote can be printed: it is one line, acts on nothing, and is short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.quoting import named, printable, quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ö, שלום, 漢字", "plain, ö, שלום, 漢字"),
        ("a\x1b[31mb\r\n", "a\\x1b[31mb\\r\\n"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("\ud800", "\\ud800"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("x" * 400, "x" * 300 + "…"),
    ],
)
def test_what_would_act_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_whatever_comes_can_be_printed_and_written(text: str) -> None:
    shown = printable(text, 50)
    assert shown.isprintable()
    shown.encode()


@given(st.text(st.characters(), max_size=300))
def test_in_quotes_one_sees_where_it_ends(text: str) -> None:
    shown = quoted(text)
    assert shown.isprintable()
    assert shown[0] == shown.rstrip("…")[-1] in "'\""
    assert len(shown) <= 80 * 10 + 3
    assert shown.endswith("…") == (len(text) > 80)


@pytest.mark.parametrize(
    "name", ["7f1d", "b9c2-11:x", "2_MX40NTg~", "a b", "c: on_message raised", "x" * 65, "", "a\n"]
)
def test_a_name_that_is_plain_stays_as_it_is(name: str) -> None:
    is_plain = name in ("7f1d", "b9c2-11:x")
    assert named(name) == (name if is_plain else quoted(name, 64))
