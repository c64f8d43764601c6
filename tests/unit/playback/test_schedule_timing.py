# SPDX-License-Identifier: Apache-2.0
"""When frames leave: never early, never by a running sum, and whenever the schedule said it would."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered, numbers_of
from support.player import FRAME_S, ROUNDING_S, Player, about

from audio_connector.playback.speech import PLAIN

FRAME = 640
LEADS_S = st.one_of(st.sampled_from([0.04, 0.05, 0.2, 1.0, 7.5]), st.floats(0.0, 60.0))
STARTS = st.one_of(st.sampled_from([0.0, 5000.0]), st.floats(0.0, 1e6))


def carried(frames: list[bytes]) -> int:
    """Bytes beside padding: no sample of `counting_pcm` is zero."""
    return sum(2 for frame in frames for at in range(0, len(frame), 2) if frame[at : at + 2] != b"\0\0")


def pcm(frames: int) -> bytes:
    return b"".join(numbered(1 + k, FRAME) for k in range(frames))


@given(lead_s=LEADS_S, start=STARTS, count=st.integers(1, 400))
def test_frame_k_leaves_one_lead_before_the_router_needs_it(lead_s: float, start: float, count: int) -> None:
    player = Player(lead_s=lead_s, now=start)
    player.say(1, pcm(count))
    player.run_out()
    lead_s = max(lead_s, 0.04)
    assert numbers_of(player.frames) == list(range(1, count + 1))
    for k, sent in enumerate(player.sent):
        due = max(start, start + k * FRAME_S - lead_s)
        assert due - ROUNDING_S <= sent.at <= due + ROUNDING_S


@given(lead_s=LEADS_S, start=STARTS, at=st.lists(st.floats(0.0, 5.0), max_size=60).map(sorted))
def test_no_frame_leaves_early_whenever_it_is_asked(lead_s: float, start: float, at: list[float]) -> None:
    player = Player(lead_s=lead_s, now=start)
    player.say(1, pcm(300))
    anchor, run_begins = start, 0
    for after_s in at:
        player.now = start + after_s
        dry_at = anchor + (len(player.sent) - run_begins) * FRAME_S
        if player.now >= dry_at:
            anchor, run_begins = player.now, len(player.sent)
        player.advance()
        earliest = anchor + (len(player.sent) - 1 - run_begins) * FRAME_S - player.schedule.lead_s
        assert player.now >= earliest - ROUNDING_S
        # And nothing that is due stays.
        assert len(player.sent) == 300 or player.now < earliest + FRAME_S


@given(after_s=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20).map(sorted))
def test_asking_twice_at_one_time_gives_nothing_the_second_time(after_s: list[float]) -> None:
    player = Player()
    player.say(1, pcm(100))
    for seconds in after_s:
        player.now = player.start + seconds
        player.advance()
        assert player.advance() == []
        assert player.queue.events == []


def test_an_hour_drifts_by_nothing_and_costs_one_wake_up_a_frame() -> None:
    player = Player()
    count = 180_000
    player.say(1, bytes(FRAME) * count)
    player.run_out()
    assert len(player.sent) == count
    expected = player.start + (count - 1) * FRAME_S - player.schedule.lead_s
    assert player.sent[-1].at == about(expected)
    # One for each frame after the first burst, and one each when the last is heard and nothing is left.
    assert player.wakes <= count + 2


def test_a_late_driver_catches_up_and_the_next_frames_are_not_late() -> None:
    player = Player(lead_s=0.2)
    player.say(1, pcm(50))
    assert len(player.sent) == 11
    player.now = player.start + 0.19
    assert len(player.advance()) == 9
    assert player.queue.next_deadline() == about(player.start + 0.20)
    player.run_out()
    assert player.schedule.underruns == 0


def test_nothing_is_due_before_anything_is_written() -> None:
    player = Player()
    assert player.queue.next_deadline() == math.inf
    assert player.advance() == []


def test_a_run_starts_once_the_prime_is_gathered() -> None:
    player = Player(prime_s=0.1)
    for number in range(1, 5):
        player.write_plain(pcm(1))
        player.run_for(0.01)
        assert player.sent == [], number
    player.write_plain(pcm(1))
    assert len(player.sent) == 5


def test_a_run_starts_once_its_first_audio_has_waited_for_the_prime() -> None:
    player = Player(prime_s=0.1)
    player.write_plain(pcm(1))
    player.run_for(0.05)
    player.write_plain(pcm(1))
    player.run_for(1.0)
    assert [sent.at for sent in player.sent] == [about(player.start + 0.1)] * 2


def test_a_complete_utterance_does_not_wait_for_the_prime() -> None:
    player = Player(prime_s=10.0)
    player.say(1, counting_pcm(100))
    assert len(player.sent) == 1


def test_without_a_prime_the_first_frame_leaves_at_once() -> None:
    player = Player(prime_s=0.0)
    player.write_plain(pcm(1))
    assert len(player.sent) == 1


@pytest.mark.parametrize("how", ["an empty end", "an empty write", "a late end", "a flush"])
def test_what_was_before_does_not_shorten_the_prime(how: str) -> None:
    player = Player(prime_s=0.1)
    player.begin(1)
    if how == "a late end":
        player.write(1, pcm(5))
        player.run_for(1.0)
    if how == "an empty write":
        player.write(1, b"")
    elif how == "a flush":
        player.write(1, pcm(1))
        player.flush()
    else:
        player.end(1)
    before = len(player.sent)
    player.run_for(10.0)
    # An empty write leaves the speech open, and what is written plainly would wait for its end.
    player.write(1 if how == "an empty write" else PLAIN, pcm(1))
    assert len(player.sent) == before
    player.run_for(0.099)
    assert len(player.sent) == before
    player.run_for(0.002)
    assert len(player.sent) == before + 1


def test_a_lead_below_two_frames_counts_as_two() -> None:
    player = Player(lead_s=0.001)
    player.say(1, pcm(10))
    assert len(player.sent) == 3


def test_a_longer_lead_is_filled_at_once_and_a_shorter_one_waits() -> None:
    player = Player(lead_s=0.2)
    player.say(1, pcm(200))
    player.schedule.set_lead(1.0)
    assert len(player.advance()) == 40
    player.schedule.set_lead(0.1)
    assert player.advance() == []
    assert player.queue.next_deadline() == about(player.start + 51 * FRAME_S - 0.1)
    player.run_out()
    assert len(player.sent) == 200
    assert player.schedule.underruns == 0


@settings(max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=8),
    pauses_s=st.lists(st.floats(0.0, 0.5), min_size=1, max_size=8),
)
def test_whoever_only_wakes_at_the_deadlines_delivers_everything(
    sizes: list[int], pauses_s: list[float]
) -> None:
    player = Player()
    for turn, size in enumerate(sizes):
        player.write_plain(counting_pcm(2 * size))
        player.run_for(pauses_s[turn % len(pauses_s)])
    player.run_out()
    assert player.schedule.queued_bytes == 0
    assert carried(player.frames) == 2 * sum(sizes)
    assert player.wakes <= 3 * len(player.sent) + 6 * len(sizes)


def test_what_waits_behind_an_open_speech_does_not_shorten_its_prime() -> None:
    player = Player(prime_s=0.1)
    player.begin(1)
    player.write_plain(pcm(50))
    player.run_for(5.0)
    player.write(1, pcm(1))
    assert player.sent == []
    player.run_for(0.05)
    player.write(1, pcm(1))
    player.run_for(1.0)
    assert [sent.at for sent in player.sent] == [about(player.start + 5.1)] * 2
    player.write(1, pcm(1))
    assert len(player.sent) == 2, "nor the one after an underrun"
    player.end(1)
    player.run_out()
    assert numbers_of(player.frames) == [1, 1, 1, *range(1, 51)]


@given(limits=st.lists(st.integers(1, 5), min_size=1, max_size=20))
def test_whoever_takes_a_few_at_a_time_gets_the_same_frames(limits: list[int]) -> None:
    player = Player(lead_s=0.2)
    player.hold()
    player.write_plain(pcm(40) + b"\1\1")
    player.schedule.is_held = False
    for turn in range(100):
        count = len(player.advance(limits[turn % len(limits)]))
        assert count <= limits[turn % len(limits)]
    assert len(player.sent) == 11
    player.run_out()
    assert numbers_of(player.frames) == [*range(1, 41), 257]
