# SPDX-License-Identifier: Apache-2.0
"""When a bot was speaking, by what was heard of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.testing.audio import Audio
from audio_connector.testing.ear import EDGE_S, Ear, Utterance

RATE_HZ = 16000
LOUD = Audio.tone(500, 0.02).pcm
SOFT = Audio.tone(500, 0.02, level_db=-55).pcm
SILENT = bytes(640)


def ear_of(pattern: str) -> Ear:
    """An ear that heard a frame per character: # is loud, - is soft, anything else silence."""
    ear = Ear(RATE_HZ)
    for character in pattern:
        ear.write({"#": LOUD, "-": SOFT}.get(character, SILENT))
    return ear


def test_it_keeps_all_that_was_heard() -> None:
    ear = ear_of("..##.")
    assert ear.heard_s == 0.1
    assert ear.audio() == Audio(SILENT * 2 + LOUD * 2 + SILENT)
    assert ear.audio(0.04, 0.08) == Audio(LOUD * 2)


def test_an_utterance_ends_with_a_pause_that_is_long_enough() -> None:
    ear = ear_of("..##..##....")
    assert ear.utterance(0.0, pause_s=0.06) == Utterance(0.04, 0.16, is_over=True)
    assert ear.utterance(0.0, pause_s=0.04) == Utterance(0.04, 0.08, is_over=True)
    assert ear.utterance(0.08, pause_s=0.04) == Utterance(0.12, 0.16, is_over=True)
    assert ear.utterance(0.0, pause_s=0.1) == Utterance(0.04, 0.16, is_over=False)
    assert ear.utterance(0.16, pause_s=0.04) is None


def test_of_one_that_was_heard_in_part_the_rest_counts() -> None:
    assert ear_of("####....").utterance(0.04, pause_s=0.04) == Utterance(0.04, 0.08, is_over=True)


def test_nothing_was_heard() -> None:
    ear = Ear(RATE_HZ)
    assert (ear.heard_s, ear.quiet_s(), ear.is_loud_now()) == (0.0, 0.0, False)
    assert ear.utterance(0.0, pause_s=0.5) is None
    assert str(ear_of("...")) == "nothing, in 0.06 s"


def test_it_says_since_when_it_is_quiet() -> None:
    ear = ear_of("..#")
    assert (ear.is_loud_now(), ear.quiet_s()) == (True, 0.0)
    ear.write(SOFT)
    assert (ear.is_loud_now(), ear.quiet_s()) == (False, 0.02)


def test_soft_ends_belong_to_an_utterance_but_noise_does_not() -> None:
    ear = ear_of("..-##--...")
    found = ear.utterance(0.0, pause_s=0.04)
    assert found is not None
    assert ear.widened(found) == (0.04, 0.14)
    noisy = ear_of("-" * 100 + "##" + "-" * 100)
    found = noisy.utterance(0.0, pause_s=0.5)
    assert found is not None
    start_s, end_s = noisy.widened(found)
    assert (round(2.0 - start_s, 2), round(end_s - 2.04, 2)) == (round(EDGE_S // 0.02 * 0.02, 2),) * 2


@given(st.text("#-.", max_size=200), st.integers(1, 5))
def test_taken_one_after_the_other_they_are_all_that_is_loud(pattern: str, pause_frames: int) -> None:
    ear, at_s, loud = ear_of(pattern), 0.0, 0
    while (found := ear.utterance(at_s, pause_s=pause_frames * 0.02)) is not None:
        first, last = round(found.start_s / 0.02), round(found.end_s / 0.02)
        assert pattern[first] == pattern[last - 1] == "#"
        assert found.start_s >= at_s
        loud += pattern[first:last].count("#")
        at_s = found.end_s
        is_last = "#" not in pattern[last:]
        assert found.is_over is (not is_last or len(pattern) - last >= pause_frames)
    assert loud == pattern.count("#")
    assert str(ear).endswith(f"in {len(pattern) * 0.02:.2f} s")
