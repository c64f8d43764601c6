# SPDX-License-Identifier: Apache-2.0
"""What is said of Markdown."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.engines.base.plain import plain


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", ""),
        (" We are open.\n  Until six. ", "We are open. Until six."),
        ("**Now** or *never*, ~~or~~ __then__, _soon_, ***at once***.", "Now or never, or then, soon, at once."),
        ("*what is **bold** within*", "what is bold within"),
        ("`pip install x`, and ``a ` b``", "pip install x, and a ` b"),
        ("```sh\nmake test\n```", "make test"),
        ("## Hours ##1\n\nNine.", "Hours ##1 Nine."),
        ("See [our page](https://x.y/a_(b) \"Title\"), or [that][1].\n\n[1]: https://x.y", "See our page, or that."),
        ("[![a map](map.png)](https://maps.example)", "a map"),
        ("Ask at <https://www.example.com/> or http://example.org/help.", "Ask at example.com or example.org/help."),
        ("Write to <mailto:ann@example.com>.", "Write to ann@example.com."),
        ("We offer:\n- repairs\n- rentals\n* sales\n\nCome in.", "We offer: repairs, rentals, sales. Come in."),
        ("- One thing.\n- Another\n  that goes\non\n- [ ] last?", "One thing. Another that goes on, last?"),
        ("1. Bring it.\n2. Wait.", "1. Bring it. 2. Wait."),
        ("It takes:\n1. a key\n2) a lock\n\nDone", "It takes: 1. a key, 2) a lock. Done"),
        ("Ann <ann@example.com>, ```in one line```.", "Ann ann@example.com, in one line."),
        ("这是**重要**的, **bold**ly", "这是重要的, boldly"),
        ("> A quote\n> > of a quote", "A quote of a quote"),
        ("| Day | Hours |\n|---|:--:|\n| Monday | nine to six |", "Day, Hours, Monday, nine to six."),
        ("One.\n\n---\n\n***\n\nTwo.\n===", "One. Two."),
        ("One<br>two <b>three</b> <!-- not\nthis --> four", "One two three four"),
        ("Fish &amp; chips&nbsp;now", "Fish & chips now"),
        ("A note.[^1]\n\n[^1]: Not said.", "A note."),
        ("a line\\\nand another", "a line and another"),
        (r"\*not bold\* and \# no heading", "*not bold* and # no heading"),
        ("The **first half. ", "The first half."),
        ("**", ""),
        # What is no Markdown.
        ("2 * 3 * 4 is 24, and 5 < 6 > 4", "2 * 3 * 4 is 24, and 5 < 6 > 4"),
        ("a > b, and no ## heading", "a > b, and no ## heading"),
        ("snake_case_name, #1 in town, {name} and {{braces}}", "snake_case_name, #1 in town, {name} and {{braces}}"),
        ("AT&T - sorry, Bob's [sic] 10 % ~ 3", "AT&T - sorry, Bob's [sic] 10 % ~ 3"),
        ("2*3 EUR and 4*5 EUR, 2**8 and 2**9, 2 ** 3", "2*3 EUR and 4*5 EUR, 2**8 and 2**9, 2 ** 3"),
        ("hotels of 3*, 4*, or 5* and a*b + c*d", "hotels of 3*, 4*, or 5* and a*b + c*d"),
        ("Kolleg*innen und Kund*innen", "Kolleg*innen und Kund*innen"),
        ("Say <your name> for a List<String>", "Say <your name> for a List<String>"),
        ("[Note]: we are closed on Sundays.", "[Note]: we are closed on Sundays."),
        ("[Ann](only on Mondays) and [Bob] (never)", "[Ann](only on Mondays) and [Bob] (never)"),
        ("shop.example/?a=1&copy=2, AT&T;", "shop.example/?a=1&copy=2, AT&T;"),
        ("+49 30 1, -5 degrees, C# and F#, $5, 5 €, \ue041", "+49 30 1, -5 degrees, C# and F#, $5, 5 €, \ue041"),
        ("Straße, 你好。", "Straße, 你好。"),
    ],
)  # fmt: skip
def test_marks_leave_and_words_stay(written: str, said: str) -> None:
    assert plain(written) == said


@given(st.text(st.sampled_from("ab .,!?'\n"), max_size=80))
def test_a_text_without_marks_stays(text: str) -> None:
    assert plain(text) == " ".join(text.split())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "1", "b2", "ж", "你好"]),
            st.sampled_from([" ", "*", " * ", "_", " - ", "~", "/"]),
        )
    )
)
def test_no_word_or_number_runs_into_the_next_one(parts: list[tuple[str, str]]) -> None:
    text = "".join(word + between for word, between in parts)
    wanted = [word for word, _ in parts]
    assert re.findall(r"[^\W_]+", plain(text)) == wanted


@given(st.text(st.sampled_from("ab *_`~[]()<>|#-\\!&;:\n")))
def test_whatever_is_written_is_one_line_with_single_blanks(text: str) -> None:
    said = plain(text)
    assert said == " ".join(said.split())


@pytest.mark.parametrize(
    "mark", ["*", "**a", "[", "![", "<", "`", "_a", "| ", "> ", "\\", "<!--", "[a](", "- ", "https://"]
)
def test_a_thousand_marks_take_no_time(mark: str) -> None:
    began = time.process_time()
    plain(mark * 1000)
    assert time.process_time() - began < 1
