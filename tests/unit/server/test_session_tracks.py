# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.audio.mixing import sum_of
from audio_connector.call.tells import Taped
from audio_connector.server.session_tracks import (
    AHEAD_S,
    FRAME_BYTES,
    LOOKAHEAD_S,
    PATIENCE_S,
    SILENCE,
    Frame,
    Mix,
    Track,
    Turned,
    active_of,
)

ZERO = 1000.0
"""Of the I/O side's clock, when the session began."""

BATCH_S = 0.1


def noise(frames: int, seed: int = 1, level: float = 3000) -> bytes:
    samples = np.random.default_rng(seed).normal(0, level, frames * FRAME_BYTES // 2)
    return samples.clip(-32768, 32767).astype("<i2").tobytes()


def batches(came: list[tuple[float, bytes]], since: float, until: float, rate_hz: int = 16000) -> list[Taped]:
    """What a tape tells; times are those of the session."""
    told, left = [], list(came)
    for number in range(1, int((until - since) / BATCH_S) + 2):
        at = since + number * BATCH_S
        some = tuple((ZERO + end, pcm) for end, pcm in left if end <= at)
        del left[: len(some)]
        told.append(Taped(1, ZERO + since, ZERO + at, rate_hz, some, (), (), 0.0, is_complete=True))
    return told


def told_by(
    track: Track, came: list[tuple[float, bytes]], since: float, until: float
) -> list[Frame | Turned]:
    told = [each for batch in batches(came, since, until) for each in track.add(batch)]
    return told + track.finish()


def samples_from(told: list[Frame | Turned]) -> tuple[int, bytes]:
    frames = [each for each in told if isinstance(each, Frame)]
    assert [frame.number for frame in frames] == list(range(frames[0].number, frames[0].number + len(frames)))
    assert {len(frame.pcm) for frame in frames} == {FRAME_BYTES}
    return frames[0].number, b"".join(frame.pcm for frame in frames)


def sent(pcm: bytes, begins_s: float, delays_s: list[float] | None = None) -> list[tuple[float, bytes]]:
    """As it arrives: in order, none earlier than it was said, and the last five of each ten without a delay."""
    came: list[tuple[float, bytes]] = []
    latest = 0.0
    for at in range(len(pcm) // FRAME_BYTES):
        delay_s = delays_s[at % len(delays_s)] if delays_s and 1 <= at % 10 <= 5 else 0.0
        latest = max(latest, begins_s + (at + 1) * 0.02 + delay_s)
        came.append((latest, pcm[at * FRAME_BYTES : (at + 1) * FRAME_BYTES]))
    return came


@given(
    st.lists(st.floats(0, 0.08), min_size=1, max_size=20),
    st.integers(0, 200).map(lambda ms: ms / 100),
    st.integers(0, 6).map(lambda tens: 10 * tens + 1),
)
def test_what_was_said_stands_where_it_was_said_whatever_the_network_did(
    delays_s: list[float], begins_s: float, frames: int
) -> None:
    pcm = noise(frames)
    track = Track(ZERO)
    first, samples = samples_from(
        told_by(track, sent(pcm, begins_s, delays_s), begins_s, begins_s + frames / 50 + 1)
    )
    begin = round((begins_s * 50 - first) * FRAME_BYTES / 2) * 2
    assert samples[begin : begin + len(pcm)] == pcm
    assert not any(samples[:begin])
    assert not any(samples[begin + len(pcm) :])


def test_a_gap_is_silence_of_its_length_and_who_joins_late_begins_late() -> None:
    one, other = noise(10), noise(10, seed=2)
    came = sent(one, 3.0) + sent(other, 4.0)
    first, samples = samples_from(told_by(Track(ZERO), came, 3.0, 5.0))
    assert first == 150
    assert samples[: 50 * FRAME_BYTES] == one + bytes(40 * FRAME_BYTES)
    assert samples[50 * FRAME_BYTES : 60 * FRAME_BYTES] == other


def test_nothing_is_certain_before_what_may_show_that_it_came_late_and_all_is_soon_after() -> None:
    track = Track(ZERO)
    positions = []
    for batch in batches(sent(noise(100), 0.0), 0.0, 2.0):
        track.add(batch)
        positions.append((batch.at - ZERO, track.next_frame or 0))
    assert all(
        at_s - LOOKAHEAD_S - 0.04 <= position / 50 <= at_s - LOOKAHEAD_S + 0.02
        for at_s, position in positions[3:]
    )


@pytest.mark.parametrize("rate_hz", [8000, 24000])
def test_a_stream_of_another_rate_is_converted(rate_hz: int) -> None:
    at = np.arange(rate_hz) / rate_hz
    tone = (8000 * np.sin(2 * np.pi * 440 * at)).astype("<i2").tobytes()
    size = rate_hz // 50 * 2
    came = [((n + 1) * 0.02, tone[n * size : (n + 1) * size]) for n in range(50)]
    track = Track(ZERO)
    told = [each for batch in batches(came, 0.0, 1.5, rate_hz) for each in track.add(batch)] + track.finish()
    _, samples = samples_from(told)
    heard = np.frombuffer(samples, "<i2").astype(float)[:16000]
    wanted = 8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    best = min(
        np.abs(heard[500 + shift : 15000 + shift] - wanted[500:15000]).max() for shift in range(-2, 130)
    )
    assert best < 400


def test_who_begins_to_speak_and_falls_silent_is_told_with_the_time_when_they_did() -> None:
    pcm = bytes(25 * FRAME_BYTES) + noise(50) + bytes(50 * FRAME_BYTES)
    told = told_by(Track(ZERO), sent(pcm, 2.0), 2.0, 4.6)
    assert [each for each in told if isinstance(each, Turned)] == [Turned(125, True), Turned(175, False)]


def test_who_leaves_in_the_middle_of_a_word_has_fallen_silent() -> None:
    track = Track(ZERO)
    told = told_by(track, sent(bytes(25 * FRAME_BYTES) + noise(50), 0.0), 0.0, 1.5)
    assert [each for each in told if isinstance(each, Turned)] == [Turned(25, True), Turned(75, False)]
    assert not track.is_speaking


def test_a_stream_of_which_nothing_came_has_nothing() -> None:
    assert Track(ZERO).finish() == []
    assert Track(ZERO).next_frame is None


def test_half_a_sample_shifts_nothing() -> None:
    pcm = noise(3)
    came = [(end_s, message + b"\7") for end_s, message in sent(pcm, 0.0)]
    _, samples = samples_from(told_by(Track(ZERO), came, 0.0, 0.5))
    assert samples.startswith(pcm)


STREAMS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=4)


@given(STREAMS, st.randoms(use_true_random=False))
def test_the_mix_is_the_sum_of_the_streams_frame_by_frame(
    streams: list[tuple[int, int]], random: object
) -> None:
    """Each stream has so many frames from its first; they come in any order that keeps each stream's own."""
    tracks = [
        [(first + at, noise(1, seed=100 * number + at, level=20000)) for at in range(count)]
        for number, (first, count) in enumerate(streams)
    ]
    mix, mixed = Mix(), []
    left = [list(track) for track in tracks]
    positions = {number: track[0][0] for number, track in enumerate(tracks)}
    while any(left):
        number = random.choice([at for at, track in enumerate(left) if track])  # type: ignore[attr-defined]
        frame, pcm = left[number].pop(0)
        mix.add(frame, pcm)
        positions[number] = frame + 1
        if not left[number]:
            del positions[number]  # it has left
        mixed += mix.take(positions.values(), max(positions.values(), default=0))
    begin = min(first for first, _ in streams)
    end = max(first + count for first, count in streams)
    assert [frame for frame, _ in mixed] == list(range(begin, end))
    for frame, pcm in mixed:
        parts = [part for track in tracks for at, part in track if at == frame]
        total = sum((np.frombuffer(part, "<i2").astype(int) for part in parts), np.zeros(320, int))
        assert pcm == total.clip(-32768, 32767).astype("<i2").tobytes()


def test_a_stream_that_is_far_behind_is_not_waited_for() -> None:
    mix = Mix()
    patience = int(PATIENCE_S * 50)
    for frame in range(patience + 5):
        mix.add(frame, noise(1))
    assert [frame for frame, _ in mix.take([patience + 5, 4], patience + 5)] == list(range(patience + 5))
    mix.add(3, noise(1))  # what comes of it later
    assert mix.take([patience + 5, 5], patience + 5) == []
    assert mix.take([patience + 6], patience + 6) == [(patience + 5, SILENCE)]


STALLED = sent(noise(100), 0.0) + [(4.0, noise(1)) for _ in range(100)] + sent(noise(200), 4.0)
"""For two seconds the network brings nothing, and then all of it at once."""

FLOODED = sent(noise(100), 0.0) + [(2.0 + at / 1000, noise(1)) for at in range(1000)] + sent(noise(250), 3.0)
"""Twenty seconds of a file within one, and then as a stream should be."""


@pytest.mark.parametrize("came", [STALLED, FLOODED])
def test_who_is_ahead_of_time_takes_nobody_else_out_of_the_mix(came: list[tuple[float, bytes]]) -> None:
    tracks = [Track(ZERO), Track(ZERO)]
    told = [batches(sent(noise(400), 0.0), 0.0, 8.0), batches(came, 0.0, 8.0)]
    mix = Mix()
    mixed: list[int] = []
    for of_all in zip(*told, strict=True):
        now = int((of_all[0].at - ZERO) * 50)
        for who, (track, taped) in enumerate(zip(tracks, of_all, strict=True)):
            for frame in [each for each in track.add(taped) if isinstance(each, Frame)]:
                assert frame.number < now + (AHEAD_S + 0.3) * 50
                assert who or mix.next_frame is None or frame.number >= mix.next_frame  # or it is in no mix
                mix.add(frame.number, frame.pcm)
            positions = [each.next_frame for each in tracks if each.next_frame is not None]
            mixed += [number for number, _ in mix.take(positions, now)]
    assert mixed == list(range(mixed[-1] + 1))
    assert mixed[-1] > 380


def test_who_is_active_stays_it_until_they_fall_silent() -> None:
    ann, bob, eve = Track(ZERO), Track(ZERO), Track(ZERO)
    tracks = {"ann": ann, "bob": bob, "eve": eve}
    assert active_of(None, tracks) is None

    def speak(track: Track, begins_s: float, until_s: float) -> None:
        for batch in batches(sent(bytes(10 * FRAME_BYTES) + noise(50), begins_s), begins_s, until_s):
            track.add(batch)

    speak(bob, 0.0, 1.0)
    assert active_of(None, tracks) == "bob"
    speak(ann, 0.2, 1.2)
    speak(eve, 0.4, 1.4)
    assert active_of("ann", tracks) == "ann"
    assert active_of(None, tracks) == "bob"
    bob.finish()
    assert active_of("bob", tracks) == "ann"
    assert active_of("gone", tracks) == "ann"


def test_what_is_louder_than_a_sample_can_be_does_not_wrap() -> None:
    loud, quiet = np.full(4, 30000, "<i2"), np.array([30000, -30000, 5, -5], "<i2")
    assert np.frombuffer(sum_of([loud.tobytes(), quiet.tobytes()]), "<i2").tolist() == [
        32767,
        0,
        30005,
        29995,
    ]
    assert sum_of([quiet.tobytes()]) == quiet.tobytes()
