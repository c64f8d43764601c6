# SPDX-License-Identifier: Apache-2.0
"""Lines: who may write when, whatever is cancelled, and how the queue stays bounded."""

from __future__ import annotations

import math

import pytest
from support.audio import numbered, numbers_of
from support.player import Player, about

from audio_connector.playback.speech import PLAIN, Played


def say(number: int, count: int = 1) -> bytes:
    return numbered(number, 640) * count


def test_where_there_is_room_the_first_may_write_at_once() -> None:
    player = Player(max_bytes=6400)
    player.stand(PLAIN, 1)
    player.stand(PLAIN, 2)
    assert (player.answers(1), player.answers(2)) == ([True], [])
    player.write_granted(1, say(1), has_more=True)
    assert (player.answers(1), player.answers(2)) == ([True, True], [])
    player.write_granted(1, say(1))
    assert player.answers(2) == [True]
    player.write_granted(2, say(2))
    player.run_out()
    assert numbers_of(player.frames) == [1, 1, 2]
    assert player.queue._writers == {}


def test_a_writer_waits_until_there_is_room() -> None:
    player = Player(max_bytes=6400, lead_s=0.2)
    player.write_plain(say(1, 50))
    player.stand(PLAIN, 1)
    player.run_for(0.56)
    assert player.answers(1) == []
    player.run_for(0.03)
    assert player.answers(1) == [True]


@pytest.mark.parametrize("is_granted", [True, False])
def test_whoever_leaves_keeps_nobody_out(is_granted: bool) -> None:
    player = Player(max_bytes=640)
    if not is_granted:
        player.write_plain(say(1, 20))
    for token in (1, 2):
        player.stand(PLAIN, token)
    assert player.answers(1) == [True] * is_granted
    player.leave(1)
    player.leave(1)
    player.run_for(1.0)
    player.write_granted(2, say(2, 5))
    player.run_out()
    assert numbers_of(player.frames) == [1] * 20 * (not is_granted) + [2] * 5


def test_an_end_holds_though_who_asked_for_it_is_cancelled() -> None:
    player = Player(max_bytes=640)
    player.begin(5)
    player.write(5, say(1, 20))
    player.stand(5, 1, is_end=True)
    player.write(5, say(3))
    player.write_plain(say(2, 5))
    player.leave(1)
    player.run_out()
    assert numbers_of(player.frames) == [1] * 20 + [2] * 5
    assert player.ends() == {5: Played(400.0)}
    assert player.queue.refused_bytes == 640


def test_an_end_waits_for_those_who_stood_in_line_before() -> None:
    player = Player(max_bytes=640)
    player.begin(5)
    player.write(5, say(1, 20))
    player.stand(5, 1)
    player.end(5)
    player.stand(5, 2)
    assert player.answers(2) == [False], "nobody joins an ended speech"
    player.run_for(0.2)
    player.write_granted(1, say(2, 5))
    player.run_out()
    assert numbers_of(player.frames) == [1] * 20 + [2] * 5
    assert player.ends() == {5: Played(500.0)}


def test_what_waits_behind_an_open_speech_takes_no_room_from_it() -> None:
    player = Player(max_bytes=6400)
    player.begin(5)
    player.write_plain(say(9, 50))
    player.stand(PLAIN, 1)
    player.stand(5, 2)
    assert (player.answers(1), player.answers(2)) == ([], [True])
    player.write_granted(2, say(2, 5))
    player.end(5)
    player.run_out()
    assert numbers_of(player.frames) == [2] * 5 + [9] * 50
    assert player.answers(1) == [True]


def test_the_next_one_may_write_as_soon_as_it_is_its_turn() -> None:
    # And not only once the one before was heard: by then the router has run dry.
    player = Player(max_bytes=640)
    player.begin(5)
    player.write(5, say(5, 10))
    player.begin(6)
    player.stand(6, 1)
    player.leave(1)
    player.begin(7)
    player.write(7, say(7, 10))
    player.stand(6, 2)
    assert player.answers(2) == []
    player.run_for(0.05)
    player.end(5)
    assert player.answers(2) == [True]
    player.write_granted(2, say(6, 10))
    player.end(6)
    player.end(7)
    player.run_out()
    assert numbers_of(player.frames) == [5] * 10 + [6] * 10 + [7] * 10
    assert player.sent[-1].at == about(player.start + 29 * 0.02 - 0.2)


def test_a_format_in_which_less_is_queued_makes_room() -> None:
    player = Player(max_bytes=10_000)
    player.hold()
    player.write_plain(say(1, 20), 16000)
    player.stand(PLAIN, 1)
    assert player.answers(1) == []
    player.settle(8000)
    assert player.answers(1) == [True]


def test_unknown_numbers_are_ignored_but_not_left_waiting() -> None:
    player = Player()
    player.leave(7)
    player.write_granted(7, say(1), has_more=False)
    assert player.answers(7) == []
    player.write_granted(7, say(1), has_more=True)
    assert player.answers(7) == [False]
    player.end(7)
    player.run_for(1.0)
    assert player.sent == []
    assert player.queue.refused_bytes == 1280


def test_plain_writes_after_a_speech_has_begun_are_said_after_it() -> None:
    player = Player()
    player.write_plain(say(1))
    player.begin(5)
    player.write_plain(say(3))
    player.write(5, say(2))
    player.end(5)
    player.run_out()
    assert numbers_of(player.frames) == [1, 2, 3]


def test_a_plain_end_begins_another_utterance() -> None:
    player = Player()
    player.write(PLAIN, say(1)[:100], is_end=True)
    player.write(PLAIN, b"", is_end=True)
    player.write_plain(say(2))
    player.run_out()
    assert numbers_of(player.frames) == [1, 2]


# A speech that starves others.


def test_a_speech_that_says_nothing_while_others_wait_is_named_once() -> None:
    player = Player()
    player.begin(5)
    player.run_for(30.0)
    assert player.queue.next_deadline() == math.inf, "nobody waits behind it"
    player.write_plain(say(1, 5))
    player.run_for(100.0)
    [(at, text)] = player.warnings()
    assert at == about(player.start + 40.0)
    assert "open for 10 s" in text
    player.end(5)
    player.run_out()
    assert len(player.sent) == 5


def test_a_speech_that_says_something_is_not_named() -> None:
    player = Player()
    player.begin(5)
    player.write_plain(say(9, 5))
    for _ in range(1000):
        player.write(5, say(1))
        player.run_for(0.02)
    for _ in range(5):
        player.run_for(9.0)
        player.write(5, say(1))
    assert player.warnings() == []


def test_the_next_speech_that_starves_others_has_its_own_time() -> None:
    player = Player()
    player.begin(5)
    player.write_plain(say(1, 5))
    player.run_for(1.0)
    player.end(5)
    player.run_for(20.0)
    player.begin(6)
    player.write_plain(say(1, 5))
    player.run_for(9.9)
    assert player.warnings() == []
    player.run_for(0.2)
    assert len(player.warnings()) == 1


def test_whoever_is_named_and_goes_on_to_say_nothing_needs_no_deadline() -> None:
    player = Player()
    player.begin(5)
    player.write_plain(say(1, 5))
    player.run_for(11.0)
    assert player.queue.next_deadline() == math.inf
