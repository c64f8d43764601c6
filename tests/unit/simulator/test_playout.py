# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import UsageError
from audio_connector.simulator.playout import PlayoutBuffer

FORMAT = AudioFormat(rate_hz=16000)
FRAME = FORMAT.frame_bytes


def frame(number: int) -> bytes:
    return number.to_bytes(2, "little") * FORMAT.frame_samples


def feed(buffer: PlayoutBuffer, count: int, now: float) -> None:
    for _ in range(count):
        buffer.receive(frame(1), now)


def test_the_first_frame_plays_at_its_arrival_and_the_rest_follow_every_20_ms() -> None:
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, record=heard.append)
    for number in (1, 2, 3):
        buffer.receive(frame(number), 5.0)
    assert heard == [frame(1)]
    buffer.advance(5.0199)
    assert heard == [frame(1)]
    buffer.advance(5.0200001)
    assert heard == [frame(1), frame(2)]
    assert buffer.next_deadline(5.03) == pytest.approx(5.04)
    assert buffer.buffered_ms == 20
    assert buffer.report(5.03).deepest_ms == 40


def test_advancing_late_plays_everything_that_was_due() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 50, 0.0)
    buffer.advance(0.5)
    assert buffer.report(0.5).played_frames == 26
    assert buffer.report(30.0).played_frames == 50
    assert buffer.next_deadline(30.0) is None


def test_advancing_early_does_nothing() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 2, 10.0)
    buffer.advance(9.0)
    assert buffer.report(10.0).played_frames == 1


def test_the_clock_does_not_drift_over_an_hour() -> None:
    buffer = PlayoutBuffer(FORMAT, max_buffer_ms=4_000_000)
    feed(buffer, 180_000, 0.0)
    buffer.advance(3599.9801)
    assert buffer.report(3599.9801).played_frames == 180_000


def test_frames_that_come_exactly_on_time_are_no_underrun() -> None:
    buffer = PlayoutBuffer(FORMAT)
    for k in range(500):
        buffer.receive(frame(1), 7.0 + k * 0.02)
    report = buffer.report(100.0)
    assert (report.underruns, report.underrun_ms, report.played_frames) == (0, 0.0, 500)


def test_a_hole_in_speech_is_an_underrun_with_its_length() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 2, 0.0)
    buffer.receive(frame(1), 0.045)
    report = buffer.report(1.0)
    assert report.underruns == 1
    assert report.underrun_ms == pytest.approx(5.0)


@pytest.mark.parametrize(("pause_after_ms", "underruns"), [(400, 0), (600, 1), (None, 1)])
def test_a_long_hole_is_a_pause_unless_every_hole_counts(
    pause_after_ms: float | None, underruns: int
) -> None:
    buffer = PlayoutBuffer(FORMAT, pause_after_ms=pause_after_ms)
    buffer.receive(frame(1), 0.0)
    buffer.receive(frame(1), 0.52)
    assert buffer.report(1.0).underruns == underruns


def test_the_end_of_speech_is_no_underrun() -> None:
    buffer = PlayoutBuffer(FORMAT, pause_after_ms=None)
    feed(buffer, 3, 0.0)
    assert buffer.report(60.0).underruns == 0


def test_a_full_buffer_drops_the_new_frame() -> None:
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, max_buffer_ms=40, record=heard.append)
    for number in (1, 2, 3, 4):
        buffer.receive(frame(number), 0.0)
    report = buffer.report(0.04)
    assert heard == [frame(1), frame(2), frame(3)]
    assert (report.overflow_frames, report.frames_received) == (1, 4)


def test_a_longer_message_is_cut_and_a_shorter_one_dropped() -> None:
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, record=heard.append)
    buffer.receive(frame(1) + b"rest!!", 0.0)
    buffer.receive(b"\x01" * 10, 0.0)
    buffer.receive(b"", 0.0)
    report = buffer.report(0.0)
    assert heard == [frame(1)]
    assert (report.wrong_size_messages, report.wrong_size_lost_bytes, report.frames_received) == (3, 16, 1)


def test_a_clear_drops_what_waits_and_its_silence_is_no_underrun() -> None:
    buffer = PlayoutBuffer(FORMAT, pause_after_ms=None)
    feed(buffer, 10, 0.0)
    assert buffer.clear(0.05) == 140
    assert buffer.clear(0.05) == 0
    buffer.receive(frame(1), 0.2)
    report = buffer.report(0.2)
    assert (report.cleared_frames, report.played_frames, report.underruns) == (7, 4, 0)


def test_audio_after_a_clear_waits_for_the_frame_that_is_playing() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 5, 0.0)
    buffer.clear(0.005)
    buffer.receive(frame(2), 0.01)
    assert buffer.next_deadline(0.01) == pytest.approx(0.02)


def test_a_mark_is_heard_when_the_last_frame_before_it_has_ended() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 2, 0.0)
    mark = buffer.mark()
    feed(buffer, 2, 0.0)
    assert not buffer.is_heard(mark, 0.03)
    assert buffer.is_heard(mark, 0.0401)
    assert not buffer.is_heard(buffer.mark(), 0.0799)
    assert buffer.is_heard(buffer.mark(), 0.0801)


def test_a_mark_in_an_idle_buffer_is_heard_at_once() -> None:
    buffer = PlayoutBuffer(FORMAT)
    assert buffer.is_heard(buffer.mark(), 3.0)


def test_the_recording_has_the_time_axis_of_the_session() -> None:
    heard = bytearray()
    buffer = PlayoutBuffer(FORMAT, record=heard.extend)
    buffer.advance(100.0)
    buffer.receive(frame(1), 103.5)
    buffer.advance(104.0)
    assert bytes(heard) == bytes(int(3.5 * 32000)) + frame(1) + bytes(int(0.48 * 32000))


@pytest.mark.parametrize("max_buffer_ms", [0, 19, -1, math.inf, math.nan])
def test_a_bound_below_one_frame_is_refused(max_buffer_ms: float) -> None:
    with pytest.raises(UsageError, match="max_buffer_ms"):
        PlayoutBuffer(FORMAT, max_buffer_ms=max_buffer_ms)


@pytest.mark.parametrize("pause_after_ms", [-1, math.nan])
def test_a_negative_pause_is_refused(pause_after_ms: float) -> None:
    with pytest.raises(UsageError, match="pause_after_ms"):
        PlayoutBuffer(FORMAT, pause_after_ms=pause_after_ms)


OPERATIONS = st.lists(
    st.tuples(
        st.integers(min_value=0, max_value=700),
        st.sampled_from(["frame", "frame", "frame", "burst", "long", "short", "clear", "advance"]),
    ),
    max_size=80,
)


def run(
    operations: list[tuple[int, str]], heard: bytearray, *, nudges: int = 0
) -> tuple[PlayoutBuffer, float]:
    """Apply the operations, with ``nudges`` more calls of advance between any two."""
    buffer = PlayoutBuffer(FORMAT, max_buffer_ms=600, record=heard.extend)
    now = 1000.0
    buffer.advance(now)
    for number, (wait_ms, what) in enumerate(operations, start=1):
        for nudge in range(nudges):
            buffer.advance(now + wait_ms / 1000 * nudge / nudges)
        now += wait_ms / 1000
        if what == "clear":
            buffer.clear(now)
        elif what == "advance":
            buffer.advance(now)
        elif what == "short":
            buffer.receive(frame(number)[:-2], now)
        else:
            for _ in range(20 if what == "burst" else 1):
                buffer.receive(frame(number) + (b"xx" if what == "long" else b""), now)
    return buffer, now


@given(OPERATIONS)
def test_every_frame_is_accounted_for(operations: list[tuple[int, str]]) -> None:
    buffer, now = run(operations, bytearray())
    for later in (now, now + 0.1, now + 10):
        report = buffer.report(later)
        assert report.frames_received == (
            report.played_frames + report.cleared_frames + report.overflow_frames + report.buffered_frames
        )
        assert 0 <= report.deepest_ms <= 600
        assert report.underrun_ms <= report.underruns * 400 + 1e-6
    assert buffer.report(now + 10).buffered_frames == 0


@given(OPERATIONS, st.integers(min_value=1, max_value=5))
def test_what_is_counted_does_not_depend_on_how_often_it_is_advanced(
    operations: list[tuple[int, str]], nudges: int
) -> None:
    plain, nudged = bytearray(), bytearray()
    buffer, now = run(operations, plain)
    other, _ = run(operations, nudged, nudges=nudges)
    # Rounding of the clock differs between the two runs by less than a microsecond.
    assert replace(buffer.report(now), underrun_ms=0.0) == replace(other.report(now), underrun_ms=0.0)
    assert buffer.report(now).underrun_ms == pytest.approx(other.report(now).underrun_ms, abs=1e-3)
    assert plain == nudged


@given(OPERATIONS)
def test_the_recording_holds_every_played_frame_and_is_as_long_as_the_session(
    operations: list[tuple[int, str]],
) -> None:
    heard = bytearray()
    buffer, now = run(operations, heard)
    end = now + 1.0
    report = buffer.report(end)
    assert abs(len(heard) // 2 - round((end - 1000.0) * FORMAT.rate_hz)) <= 1
    audible = sum(heard[at : at + 2] != b"\0\0" for at in range(0, len(heard), 2))
    assert audible == report.played_frames * FORMAT.frame_samples


def test_a_hole_in_speech_that_came_right_after_a_clear_is_counted() -> None:
    buffer = PlayoutBuffer(FORMAT)
    feed(buffer, 5, 0.0)
    buffer.clear(0.01)
    feed(buffer, 5, 0.01)
    buffer.receive(frame(1), 0.2)
    report = buffer.report(1.0)
    assert report.underruns == 1
    assert report.underrun_ms == pytest.approx(80.0)


# A router that appends short messages (PROTOCOL 4.7).


@given(
    sizes=st.lists(st.integers(0, 3 * FRAME), max_size=60),
    bursts=st.lists(st.integers(1, 5), max_size=60),
)
def test_what_is_appended_is_heard_as_one_stream_of_bytes(sizes: list[int], bursts: list[int]) -> None:
    """Of each message at most a frame counts, and no byte of that is lost, doubled or moved past another."""
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, appends_short=True, on_play=lambda frame, at: heard.append(frame))
    stream, lost, now, at = b"", 0, 100.0, 0
    for number, size in enumerate(sizes):
        payload = bytes((at + k) % 251 for k in range(size))
        at += size
        stream += payload[:FRAME]
        lost += max(0, size - FRAME)
        buffer.receive(payload, now)
        if number % (bursts[number % len(bursts)] if bursts else 1) == 0:
            now += 0.02
    report = buffer.report(now + 1000.0)
    whole = len(stream) // FRAME * FRAME
    assert b"".join(heard) == stream[:whole]
    assert {len(frame) for frame in heard} <= {FRAME}
    assert report.frames_received == whole // FRAME
    assert report.wrong_size_lost_bytes == lost
    assert report.wrong_size_messages == sum(size != FRAME for size in sizes)


def test_an_odd_byte_shifts_every_later_sample() -> None:
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, appends_short=True, on_play=lambda played, at: heard.append(played))
    buffer.receive(b"\x7f", 0.0)
    for number in (0x0101, 0x0102, 0x0103):
        buffer.receive(frame(number), 0.0)
    buffer.report(1.0)
    assert heard[0] == b"\x7f" + frame(0x0101)[:-1]
    # The low byte of each sample has become the high byte of the one before.
    assert heard[1] == b"\x01" + b"\x02\x01" * 319 + b"\x02"
    assert heard[2] == b"\x01" + b"\x03\x01" * 319 + b"\x03"


def test_a_clear_forgets_the_rest_as_well() -> None:
    heard: list[bytes] = []
    buffer = PlayoutBuffer(FORMAT, appends_short=True, on_play=lambda played, at: heard.append(played))
    buffer.receive(b"\x7f", 0.0)
    buffer.clear(0.0)
    buffer.receive(frame(1), 0.0)
    assert heard == [frame(1)]


@pytest.mark.parametrize("appends_short", [True, False])
def test_faults_are_counted_in_sum(appends_short: bool) -> None:
    buffer = PlayoutBuffer(FORMAT, max_buffer_ms=20, appends_short=appends_short)
    assert buffer.faults == 0
    buffer.receive(frame(1) + b"!", 0.0)
    buffer.receive(frame(1), 0.05)
    buffer.receive(frame(1), 0.05)
    buffer.receive(frame(1), 0.05)
    report = buffer.report(0.05)
    assert buffer.faults == report.wrong_size_messages + report.underruns + report.overflow_frames == 3


def test_what_begins_to_play_is_told_with_its_time() -> None:
    played: list[tuple[bytes, float]] = []
    buffer = PlayoutBuffer(FORMAT, on_play=lambda frame, at: played.append((frame, at)))
    buffer.receive(frame(1), 5.0)
    buffer.receive(frame(2), 5.0)
    buffer.receive(frame(3), 5.015)
    buffer.advance(9.0)
    assert played == [(frame(1), 5.0), (frame(2), pytest.approx(5.02)), (frame(3), pytest.approx(5.04))]
    assert list(buffer.waiting) == []
