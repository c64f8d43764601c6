# SPDX-License-Identifier: Apache-2.0
"""Cues: nothing is lost, all can be read, and they come in the order that WebVTT asks for."""

from __future__ import annotations

import re

import pytest
from captions.delays import Shown, delays_of, percentile
from captions.webvtt import LINE_CHARS, Cue, InOrder, cues_of
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.engines import Word

words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=30).filter(
    lambda word: word.split() == [word]
)


@given(st.lists(words, max_size=60), st.floats(0, 1e4), st.floats(0, 30), st.booleans())
def test_an_utterance_is_cut_into_cues_that_lose_nothing(
    said: list[str], start_s: float, length_s: float, is_timed: bool
) -> None:
    each_s = length_s / max(1, len(said))
    timed = [Word(word, at * each_s, (at + 1) * each_s) for at, word in enumerate(said)] if is_timed else []
    cues = cues_of(
        " ".join(said),
        speaker="Ann",
        start_s=start_s,
        end_s=start_s + length_s,
        words=timed,
        words_from_s=start_s,
    )
    assert " ".join(cue.text for cue in cues).split() == said
    starts = [cue.start_s for cue in cues]
    assert starts == sorted(starts)
    assert all(start_s <= cue.start_s < cue.end_s for cue in cues)
    for cue in cues:
        lines = str(cue).split("\n")[1:-2]
        assert len(lines) <= 2
        assert "-->" not in "".join(lines)


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 3)), max_size=20), st.randoms())
def test_cues_come_in_order_whoever_is_understood_first(
    begun: list[tuple[float, int]], random: object
) -> None:
    order, got = InOrder(), []
    begun = sorted(begun)
    waiting: list[tuple[int, float, int]] = []
    for key, (start_s, count) in enumerate(begun):
        order.begin(key, start_s)
        waiting.append((key, start_s, count))
        while waiting and random.random() < 0.5:  # type: ignore[attr-defined]
            got += finish(order, *waiting.pop(random.randrange(len(waiting))))  # type: ignore[attr-defined]
    for each in waiting:
        got += finish(order, *each)
    assert len(got) == sum(count for _, count in begun)
    starts = [cue.start_s for cue in got]
    assert starts == sorted(starts)


def finish(order: InOrder, key: int, start_s: float, count: int) -> list[Cue]:
    return order.finish(key, [Cue(start_s + at, start_s + at + 0.5, "Ann", "x") for at in range(count)])


def test_a_late_stream_does_not_put_a_cue_before_those_that_were_given() -> None:
    order = InOrder()
    order.begin("a", 5.0)
    assert [cue.start_s for cue in finish(order, "a", 5.0, 1)] == [5.0]  # type: ignore[arg-type]
    order.begin("b", 3.0)
    (late,) = order.finish("b", [Cue(3.0, 4.0, "Bob", "x")])
    assert (late.start_s, late.end_s) == (5.0, 5.2)


def test_a_cue_as_it_is_written() -> None:
    text = "Unless to be rather cold-hearted & rather <selfish> is to be ill-disposed."
    cue = str(Cue(3723.5, 3725.25, "Ann <b>", text))
    assert cue == (
        "01:02:03.500 --> 01:02:05.250\n<v Ann &lt;b&gt;>Unless to be rather cold-hearted &amp;\n"
        "rather &lt;selfish&gt; is to be ill-disposed.\n\n"
    )
    assert all(len(line) <= LINE_CHARS for line in re.findall("^[^0-9<].*", cue))


def test_how_long_each_word_took() -> None:
    said = [Word("he", 0.0, 0.2), Word("was", 0.2, 0.5), Word("not", 0.5, 0.9)]
    shown = [Shown(11.0, 1), Shown(11.5, 2), Shown(12.0, 2), Shown(13.0, 3)]
    assert delays_of(said, 10.0, shown) == pytest.approx([0.8, 1.0, 2.1])
    assert delays_of(said, 10.0, []) == []
    assert delays_of([*said, Word("-", 0.9, 0.9), Word("-ill", 0.9, 1.0)], 10.0, shown) == pytest.approx(
        [0.8, 1.0, 2.1, 2.1]
    )


def test_cues_begin_with_their_words_where_a_recogniser_times_parts_of_words() -> None:
    said = "He was not an ill-disposed young man, and it would be a pity if this did not fit into one cue."
    parts = said.replace("-", " -").split()
    timed = [Word(part, float(at), at + 1.0) for at, part in enumerate(parts)]
    cues = cues_of(said, speaker="Ann", start_s=10.0, end_s=40.0, words=timed, words_from_s=10.0)
    assert [cue.start_s for cue in cues] == [10.0, 10.0 + parts.index(cues[1].text.split()[0])]


def test_percentiles() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([], 0.5) == 0.0
