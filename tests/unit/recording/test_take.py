# SPDX-License-Identifier: Apache-2.0
"""The file of a recording: both sides on one clock, right at any time, and what happened behind them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered
from support.call import VirtualCall
from support.recordings import loud_runs, read_sides, stop, tape, taped, write

from audio_connector.audio.format import AudioFormat
from audio_connector.call.tells import Taped, TapedEvent
from audio_connector.recording.notes import MAX_EVENTS, Note, Notes, read_notes
from audio_connector.recording.take import LOOKAHEAD_S, Take
from audio_connector.simulator.playout import PlayoutBuffer
from audio_connector.wire.messages import MediaUpdate

SOAK_SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))

FRAME = numbered(7, 640)
SAMPLES = 320


def numbers(side: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[int, int]]:
    """At which sample each frame of `numbered` begins, and its number."""
    edges = np.flatnonzero(np.diff(side, prepend=np.int16(0)))
    return [(int(at), int(side[at])) for at in edges if side[at]]


Step = tuple[str, float]
STEPS = st.lists(
    st.tuples(st.sampled_from(("say", "flush", "hear", "mute", "wait")), st.floats(0.02, 1.2)),
    min_size=1,
    max_size=20,
)


@given(steps=STEPS)
def test_every_sample_of_both_sides_is_in_its_place(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Step]
) -> None:
    """Ours is compared with what the simulated router plays, the caller with when each frame came."""
    call = VirtualCall(playback={"prime_ms": 0})
    heard = bytearray()
    call.router.playout = PlayoutBuffer(AudioFormat(16000), record=heard.extend)
    call.router.playout.advance(call.clock.now)
    tape(call)
    came: list[tuple[int, int]] = []
    cut: list[int] = []
    number = 1
    for what, amount in steps:
        frames = int(amount * 50)
        if what == "hear":  # in real time, each when it is over
            for _ in range(frames):
                call.run_for(0.02)
                came.append((round(call.now_s * 16000) - SAMPLES, number))
                call.router_sends(numbered(number, 640))
                number += 1
            continue
        if what == "say":
            call.say(b"".join(numbered(10_000 + number + k, 640) for k in range(frames)))
            number += frames
        elif what == "flush":
            cut.append(round(call.now_s * 16000))
            call.flush()
        elif what == "mute":
            call.router_says(MediaUpdate(active=False))
        call.run_for(amount)
    call.run_for(30.0)
    call.router.playout.advance(call.clock.now)
    path = tmp_path_factory.getbasetemp() / "each.wav"
    take = write(stop(call), path)
    sides = read_sides(path)
    assert sides.seconds == pytest.approx(call.now_s, abs=0.001)
    assert take.recorded.lost_ms == 0
    # The caller: a pause below a gap is joined, and made up for later; all others are where they came.
    found = numbers(sides.caller)
    assert [each for _, each in found] == [each for _, each in came]
    assert all(abs(at - true) <= 0.06 * 16000 + 1 for (at, _), (true, _) in zip(found, came, strict=True))
    played = np.frombuffer(bytes(heard), "<i2")
    ours = sides.ours[: len(played)]
    different = np.flatnonzero(ours != played[: len(ours)])
    for at in map(
        int, different
    ):  # a sample of rounding at an edge, or the frame that was being heard at a flush
        is_edge = played[max(0, at - 1)] != played[min(len(played) - 1, at + 1)]
        assert is_edge or any(begin - SAMPLES - 1 <= at <= begin + SAMPLES + 1 for begin in cut)


def test_what_is_not_there_is_silence_of_its_length(tmp_path: Path) -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    for pause_s in (0.5, 1.5, 7.0):  # longer than the lookahead, and than the hold
        call.run_for(pause_s)
        for _ in range(10):
            call.run_for(0.02)
            call.router_sends(FRAME)
    recorded = write(stop(call), tmp_path / "a.wav").recorded
    sides = read_sides(tmp_path / "a.wav")
    runs = [(begin / 16000, end / 16000) for begin, end in loud_runs(sides.caller)]
    assert runs == [pytest.approx(run) for run in ((0.5, 0.7), (2.2, 2.4), (9.4, 9.6))]
    assert recorded.gaps == 2 + 1
    assert recorded.rate_hz == 16000


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_it_has_the_rate_of_the_call(tmp_path: Path, rate_hz: int) -> None:
    call = VirtualCall(rate_hz, playback={"prime_ms": 0})
    tape(call)
    frame = numbered(7, rate_hz // 25)
    call.say(frame * 50)
    for _ in range(50):
        call.run_for(0.02)
        call.router_sends(frame)
    call.run_for(1.0)
    write(stop(call), tmp_path / "a.wav")
    sides = read_sides(tmp_path / "a.wav")
    assert sides.rate_hz == rate_hz
    assert [np.count_nonzero(side) for side in (sides.caller, sides.ours)] == [rate_hz, rate_hz]


def test_it_has_the_rate_that_is_asked_for_and_keeps_it(tmp_path: Path) -> None:
    call = VirtualCall(8000, playback={"prime_ms": 0})
    tape(call)
    call.say(numbered(900, 320) * 50)
    call.run_for(2.0)
    pieces = stop(call)
    pieces[1] = pieces[1]._replace(rate_hz=16000)  # the router has said something else meanwhile
    write(pieces, tmp_path / "a.wav", rate_hz=24000)
    sides = read_sides(tmp_path / "a.wav")
    assert sides.rate_hz == 24000
    assert sides.seconds == pytest.approx(2.0)
    assert np.median(sides.ours[: 24000 // 3]) == pytest.approx(900, abs=2)


def test_odd_bytes_are_left_out(tmp_path: Path) -> None:
    call = VirtualCall()
    tape(call)
    for size in (641, 1, 640):
        call.run_for(0.02)
        call.router_sends(FRAME[:1] * size)
    write(stop(call), tmp_path / "a.wav")
    assert np.count_nonzero(read_sides(tmp_path / "a.wav").caller) == 640


def test_a_program_that_is_killed_leaves_a_file_that_can_be_read(tmp_path: Path) -> None:
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    take = Take(tmp_path / "a.wav")
    take.open(16000)
    call.say(FRAME * 500)
    for _ in range(400):
        call.run_for(0.02)
        call.router_sends(FRAME)
    for piece in taped(call):
        take.add(piece)
        shutil.copy(tmp_path / "a.wav", tmp_path / "killed.wav")
        sides = read_sides(tmp_path / "killed.wav")
        assert sides.seconds >= piece.at - call.start - LOOKAHEAD_S - 1.1
        assert np.count_nonzero(sides.ours) >= len(sides.ours) - 1
    assert read_notes(tmp_path / "killed.wav") is None
    take.close()
    take.close()
    assert read_sides(tmp_path / "a.wav").seconds == pytest.approx(8.0, abs=0.5)


def test_nothing_is_a_file_with_nothing(tmp_path: Path) -> None:
    take = Take(tmp_path / "a.wav")
    assert take.recorded.duration_s == 0
    take.open(8000)
    take.close()
    assert read_sides(tmp_path / "a.wav").seconds == 0
    assert read_notes(tmp_path / "a.wav") == Notes()
    Take(tmp_path / "b.wav").close()
    assert not (tmp_path / "b.wav").exists()


def one(at: float, *, is_last: bool = False, events: tuple[TapedEvent, ...] = ()) -> Taped:
    return Taped(1, 100.0, at, 16000, ((at, FRAME),), (), events, 0.0, True, is_last)


def test_what_happened_is_kept_in_order_and_bounded(tmp_path: Path) -> None:
    events = tuple(TapedEvent(100 + (k % 3), "router", f"n{k}", "", 0.0) for k in range(MAX_EVENTS + 7))
    write([one(101.0, events=events), one(103.0, is_last=True)], tmp_path / "a.wav")
    notes = read_notes(tmp_path / "a.wav")
    assert notes is not None
    assert (len(notes.events), notes.events_lost) == (MAX_EVENTS, 7)
    assert notes.events[0] == Note(0.0, "router", "n0")
    assert [note.at_s for note in notes.events] == sorted(note.at_s for note in notes.events)
    assert notes.began_at.endswith("+00:00")


def test_events_may_be_left_out(tmp_path: Path) -> None:
    take = Take(tmp_path / "a.wav", keeps_events=False)
    take.open(16000)
    take.add(one(101.0, events=(TapedEvent(100.0, "router", "secret", "", 0.0),)))
    take.close()
    assert b"secret" not in (tmp_path / "a.wav").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="has a device that is always full")
def test_a_full_disk_is_one_error() -> None:
    take = Take(Path("/dev/full"))
    take.open(16000)
    for second in range(101, 110):
        take.add(one(float(second)))
    take.close()
    assert "No space left on device" in str(take.error)
    assert "the call goes on" in str(take.error)


def test_a_disk_that_fails_later_says_how_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Take(tmp_path / "a.wav")
    take.open(16000)
    for second in (101.0, 103.0, 105.0):
        take.add(one(second))
    written_s = take.recorded.duration_s
    assert take._wav is not None
    monkeypatch.setattr(
        take._wav, "write", lambda pcm: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    take.add(one(107.0))
    take.add(one(109.0))
    take.close()
    assert f"stopped after {written_s:.1f} s: No space left" in str(take.error)
    assert take.recorded.error is take.error
    assert read_sides(tmp_path / "a.wav").seconds == written_s


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    take = Take(tmp_path / "no" / "a.wav")
    take.open(16000)
    take.add(one(101.0))
    take.close()
    assert "was not begun" in str(take.error)
    assert str(tmp_path / "no") in str(take.error)
    assert take.recorded.error is take.error


def test_after_two_hours_with_pauses_both_sides_are_where_the_clock_says(tmp_path: Path) -> None:
    """Through the whole I/O side: a word each way every five minutes, at times that are no multiples of anything."""
    call = VirtualCall(8000, playback={"prime_ms": 0})
    tape(call)
    said, spoken = [], []
    for number in range(1, 25):
        call.run_until(300.0 * number + 0.0137 * number)
        said.append((round((call.now_s - 0.02) * 8000), number))
        for _ in range(10):
            call.router_sends(numbered(number, 320))
            call.run_for(0.02)
        call.run_for(3.3333)
        spoken.append((round(call.now_s * 8000), 100 + number))
        call.say(numbered(100 + number, 320) * 10)
    call.run_for(5.0)
    write(stop(call), tmp_path / "a.wav")
    sides = read_sides(tmp_path / "a.wav")
    assert sides.seconds == pytest.approx(call.now_s, abs=0.001)
    for side, expected in ((sides.caller, said), (sides.ours, spoken)):
        found = numbers(side)
        assert [number for _, number in found] == [number for _, number in expected]
        assert max(abs(at - true) for (at, _), (true, _) in zip(found, expected, strict=True)) <= 1


@pytest.mark.slow
@pytest.mark.timeout(900)  # a minute and a half on a machine that does nothing else
@pytest.mark.parametrize("ppm", [-1000, 0, 1000])
def test_after_two_hours_both_sides_are_where_the_clock_says(tmp_path: Path, ppm: int) -> None:
    """Through the whole I/O side: a caller whose clock is wrong, and one run of ours that never ends."""
    hours_s = 7200.0 if SOAK_SECONDS >= 60 else 720.0
    call = VirtualCall(playback={"prime_ms": 0})
    tape(call)
    take = Take(tmp_path / "a.wav")
    take.open(16000)
    frame_s = 0.02 * (1 + ppm / 1e6)
    speech, mark = numbered(700, 640), numbered(900, 640)
    call.write(speech * 10)
    number = 0
    while call.now_s < hours_s:
        number += 1
        call.run_until(number * frame_s)
        minute = number % 3000
        call.router_sends(speech if minute < 2500 else bytes(640) if minute >= 2550 else mark)
        call.write(speech)
        if len(call.told.at_once) > 10_000:
            _hand_over(call, take)
    stop(call)
    _hand_over(call, take)
    take.close()
    sides = read_sides(tmp_path / "a.wav")
    assert sides.seconds == pytest.approx(hours_s, abs=0.05)
    marks = [begin for begin, value in numbers(sides.caller) if value == 900]
    true = [(3000 * minute + 2500 - 1) * frame_s for minute in range(len(marks))]
    assert hours_s / 60 - len(marks) in (0, 1)
    assert max(abs(at / 16000 - at_s) for at, at_s in zip(marks, true, strict=True)) <= 0.065
    assert len(loud_runs(sides.ours)) >= 1


def _hand_over(call: VirtualCall, take: Take) -> None:
    for piece in taped(call):
        take.add(piece)
    call.told.at_once.clear()
