# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.simulator.talk.pieces import LONGEST_S, Piece, PieceCutter

FRAME_S = 0.02
LOUD = b"\x00\x10" * 320
QUIET = b"\x01\x00" * 320
ZEROS = bytes(640)
OF = {"x": LOUD, ".": QUIET, "0": ZEROS}


def cut(script: str) -> list[Piece]:
    """The pieces of frames: x is loud, a dot quiet, 0 zeros, and a dash a frame that the bot does not send."""
    cutter, found = PieceCutter(), []
    for number, char in enumerate(script):
        at_s = number * FRAME_S
        piece = cutter.look(at_s) if char == "-" else cutter.feed(OF[char], at_s)
        found += [piece] if piece is not None else []
    last = cutter.finish()
    assert cutter.finish() is None
    return found + ([last] if last is not None else [])


def spans(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(round(piece.at_s / FRAME_S), round(piece.end_s / FRAME_S)) for piece in pieces]


@pytest.mark.parametrize("silence", "-.0")
def test_a_pause_parts_whether_it_is_sent_or_not(silence: str) -> None:
    script = silence * 5 + "x" * 50 + silence * 26 + "x" * 10
    assert spans(cut(script)) == [(5, 55), (81, 91)]


@pytest.mark.parametrize("silence", "-.0")
def test_a_breath_does_not_part(silence: str) -> None:
    assert spans(cut("x" * 50 + silence * 20 + "x" * 10)) == [(0, 80)]


def test_a_piece_has_a_little_of_what_was_around_it() -> None:
    [piece] = cut("." * 30 + "xxx" + "." * 30)
    assert piece.pcm == QUIET * 10 + LOUD * 3 + QUIET * 10
    assert (piece.at_s, piece.end_s) == pytest.approx((0.6, 0.66))


def test_a_click_is_no_piece() -> None:
    assert cut("xx" + "." * 40 + "x" + "." * 30) == []


def test_a_long_piece_ends_at_a_shorter_pause() -> None:
    assert spans(cut("x" * 510 + "." * 7 + "x" * 10)) == [(0, 510), (517, 527)]


def test_who_never_pauses_is_cut() -> None:
    longest = round(LONGEST_S / FRAME_S)
    assert spans(cut("x" * (longest + 100))) == [(0, longest), (longest, longest + 100)]


@given(st.text("x.0-", max_size=400), st.integers(0, 3))
def test_every_loud_frame_is_in_one_piece_or_in_a_click(script: str, stretch: int) -> None:
    script = "".join(char * 10**stretch if stretch < 2 else char for char in script)
    pieces = cut(script)
    in_pieces = sum(piece.pcm.count(LOUD) for piece in pieces)
    loud = script.count("x")
    assert in_pieces <= loud
    for before, after in itertools.pairwise(pieces):
        assert before.end_s <= after.at_s
    for piece in pieces:
        first, last = round(piece.at_s / FRAME_S), round(piece.end_s / FRAME_S) - 1
        assert script[first] == script[last] == "x"
        assert piece.pcm.count(LOUD) == script[first : last + 1].count("x") >= 3
    clicks = loud - in_pieces
    parts = len(pieces) + clicks
    assert clicks <= 2 * parts
