# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.turns import FRAME, Marks, audio_of

from audio_connector.audio.resample import resample
from audio_connector.errors import AudioDataError, AudioFormatError, UsageError
from audio_connector.simulator import sample_speech
from audio_connector.turns import (
    Silence,
    SpeechEnded,
    SpeechGoesOn,
    SpeechPaused,
    SpeechStarted,
    TurnDetector,
    TurnEvent,
    TurnSettings,
)

PAUSE_S = 1.0
REFERENCE_S = [(1.26, 3.80), (5.25, 10.0)]
"""Where the two packaged sentences begin and end behind a second of silence each, by eye and ear in an editor."""


def cut(pcm: bytes, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    at = 0
    while at < len(pcm):
        size = 2 * sizes[len(pieces) % len(sizes)]
        pieces.append(pcm[at : at + size])
        at += size
    return pieces


def events_of(turns: TurnDetector, pieces: list[bytes]) -> list[TurnEvent]:
    return [event for piece in pieces for event in turns.feed(piece)] + turns.finish()


def ended(events: list[TurnEvent]) -> list[SpeechEnded]:
    return [event for event in events if isinstance(event, SpeechEnded)]


def spoken(rate_hz: int = 16000, snr_db: float | None = None) -> bytes:
    pcm = np.frombuffer(bytes(32000) + sample_speech(pauses_s=[PAUSE_S]) + bytes(64000), "<i2").astype(float)
    if snr_db is not None:
        voice = np.frombuffer(sample_speech(pauses_s=[0]), "<i2").astype(float)
        level = np.sqrt(np.mean(np.square(voice))) * 10 ** (-snr_db / 20)
        pcm = pcm + np.random.default_rng(3).normal(0, level, len(pcm))
    return resample(pcm.clip(-32768, 32767).astype("<i2").tobytes(), 16000, rate_hz)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 24000])
@pytest.mark.parametrize("snr_db", [None, 20, 10])
def test_real_speech_is_found_where_it_is(rate_hz: int, snr_db: float | None) -> None:
    turns = TurnDetector(sample_rate=rate_hz)
    found = ended(events_of(turns, cut(spoken(rate_hz, snr_db), [160])))
    assert len(found) == 2  # one pause longer than `pause_ms`, between the sentences
    for event, (start_s, end_s) in zip(found, REFERENCE_S, strict=True):
        assert event.start_s == pytest.approx(start_s, abs=0.1)
        assert event.end_s == pytest.approx(end_s, abs=0.1)
        assert event.cause == "pause"
        assert event.at_s == pytest.approx(event.end_s + 0.5, abs=0.021)


def test_with_a_shorter_pause_the_longer_sentence_falls_into_its_parts() -> None:
    short = TurnSettings(pause_ms=80, min_pause_ms=60)
    assert len(ended(events_of(TurnDetector(settings=short), [spoken()]))) > 2


@pytest.mark.parametrize(("rate_hz", "frame_samples"), [(16000, 512), (8000, 256), (8000, 240), (16000, 160)])
def test_a_detector_gets_its_own_frames_at_its_own_rate(rate_hz: int, frame_samples: int) -> None:
    marks = Marks(rate_hz, frame_samples)
    turns = TurnDetector(marks, sample_rate=24000)
    turns.feed(bytes(2 * 24000))
    assert {len(frame) for frame in marks.seen} == {2 * frame_samples}
    assert len(marks.seen) * frame_samples / rate_hz == pytest.approx(1, abs=0.05)
    assert turns.now_s == pytest.approx(len(marks.seen) * frame_samples / rate_hz, abs=1 / 24000)


def test_one_utterance_event_by_event() -> None:
    settings = TurnSettings(pre_roll_ms=40, tail_ms=20, silence_s=0.5)
    events = events_of(
        TurnDetector(Marks(), settings, start_s=10), [audio_of("." * 30 + "#" * 10 + "." * 60)]
    )
    assert events[0] == Silence(start_s=10, at_s=10.5)
    started = events[1]
    assert isinstance(started, SpeechStarted)
    assert (started.start_s, started.at_s, started.audio_start_s) == pytest.approx((10.6, 10.7, 10.56))
    assert started.audio == audio_of("..#####")
    going = [event for event in events if isinstance(event, SpeechGoesOn)]
    assert [round(event.pause_s * 50) for event in going] == [0] * 5 + list(range(1, 26))
    assert going[0].speech_s == pytest.approx(0.12)
    assert going[-1].speech_s == pytest.approx(0.2)
    paused = next(event for event in events if isinstance(event, SpeechPaused))
    assert (paused.end_s, paused.at_s) == pytest.approx((10.8, 11.0))
    assert paused.audio == audio_of(".." + "#" * 10 + "." * 10)
    (end,) = ended(events)
    assert (end.start_s, end.end_s, end.at_s, end.cause) == (10.6, 10.8, 11.3, "pause")
    assert end.audio == audio_of(".." + "#" * 10 + ".")
    assert end.speech_s == pytest.approx(0.2)
    assert end.audio_s == pytest.approx(0.26)
    assert [event.silence_s for event in events if isinstance(event, Silence)] == pytest.approx(
        [0.5, 0.52, 1.02]
    )


def test_a_click_is_no_speech() -> None:
    events = events_of(TurnDetector(Marks()), [audio_of("." * 20 + "####" + "." * 20)])
    assert events == []


def test_what_flickers_for_minutes_is_kept_for_a_second_and_is_no_long_utterance() -> None:
    turns = TurnDetector(Marks())
    kept_s = 0.0
    for piece in cut(audio_of("##" + ".#" * 3000), [FRAME]):
        turns.feed(piece)
        kept_s = max(kept_s, len(turns._audio) / 32000)
    assert kept_s < 1.5
    (begun,) = [event for event in turns.feed(audio_of("#" * 5)) if isinstance(event, SpeechStarted)]
    assert begun.speech_s < 1.5


def test_an_utterance_that_is_too_long_ends_and_the_next_goes_on_with_the_next_sample() -> None:
    settings = TurnSettings(max_speech_s=2, pre_roll_ms=0)
    pcm = audio_of("." * 10 + "#" * 250 + "." * 50)
    events = events_of(TurnDetector(Marks(), settings), [pcm])
    found = ended(events)
    assert [(event.start_s, event.end_s, event.cause) for event in found] == [
        (0.2, 2.2, "length"), (2.2, 4.2, "length"), (4.2, 5.2, "pause"),
    ]  # fmt: skip
    assert b"".join(event.audio for event in found) == pcm[20 * FRAME : 265 * 2 * FRAME]
    assert [event.continues for event in events if isinstance(event, SpeechStarted)] == [False, True, True]


def test_where_it_is_too_long_in_a_pause_nothing_continues() -> None:
    settings = TurnSettings(max_speech_s=2, pause_ms=500)
    events = events_of(
        TurnDetector(Marks(), settings), [audio_of("#" * 95 + "." * 100 + "#" * 10 + "." * 50)]
    )
    assert [(event.end_s, event.cause) for event in ended(events)] == [(1.9, "length"), (4.1, "pause")]
    assert [event.continues for event in events if isinstance(event, SpeechStarted)] == [False, False]


def test_the_end_of_the_stream_ends_the_utterance_once() -> None:
    turns = TurnDetector(Marks())
    turns.feed(audio_of("#" * 10))
    assert turns.is_speech
    (end,) = turns.finish()
    assert isinstance(end, SpeechEnded)
    assert (end.cause, end.audio) == ("end", audio_of("#" * 10))
    assert turns.finish() == []


@pytest.mark.parametrize(
    ("is_over", "ends_at_s"), [(1.0, 0.4), (0.5, 1.06), (0.0, 1.7), (True, 0.4), (False, 1.7)]
)
def test_a_judgement_sets_how_long_the_pause_is(is_over: float, ends_at_s: float) -> None:
    turns = TurnDetector(Marks())
    events = turns.feed(audio_of("#" * 10 + "." * 10))
    paused = events[-1]
    assert isinstance(paused, SpeechPaused)
    events = [*turns.judge(paused, is_over), *turns.feed(audio_of("." * 100))]
    assert ended(events)[0].at_s == pytest.approx(ends_at_s)


def test_a_judgement_that_comes_late_ends_the_turn_at_once_or_not_at_all() -> None:
    turns = TurnDetector(Marks())
    paused = turns.feed(audio_of("#" * 10 + "." * 10))[-1]
    assert isinstance(paused, SpeechPaused)
    turns.feed(audio_of("." * 5))
    assert ended(turns.judge(paused, 1.0))[0].at_s == 0.5
    assert turns.judge(paused, 1.0) == []  # it is over
    again = turns.feed(audio_of("#" * 10 + "." * 10))[-1]
    assert isinstance(again, SpeechPaused)
    turns.feed(audio_of("##"))
    assert turns.judge(again, 1.0) == []  # somebody went on


def test_a_judgement_holds_for_its_pause_alone() -> None:
    turns = TurnDetector(Marks())
    paused = turns.feed(audio_of("#" * 10 + "." * 10))[-1]
    assert isinstance(paused, SpeechPaused)
    turns.judge(paused, 0.0)
    events = turns.feed(audio_of("." * 40 + "#" * 5 + "." * 60))
    (end,) = ended(events)
    assert end.at_s - end.end_s == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
    st.lists(st.integers(1, 2000), min_size=1, max_size=5),
    st.sampled_from([(16000, 320), (16000, 512), (8000, 160), (12000, 100)]),
)
def test_what_is_found_does_not_depend_on_how_the_audio_was_cut(
    runs: list[tuple[bool, int]], sizes: list[int], frames: tuple[int, int]
) -> None:
    pcm = audio_of("".join(("#" if speaks else ".") * count for speaks, count in runs))
    settings = TurnSettings(max_speech_s=2)
    whole = events_of(TurnDetector(Marks(*frames), settings), [pcm])
    assert events_of(TurnDetector(Marks(*frames), settings), cut(pcm, sizes)) == whole


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 60)), max_size=12),
    st.integers(0, 60).map(lambda frames: 20.0 * frames),
    st.integers(0, 60).map(lambda frames: 20.0 * frames),
)
def test_utterances_are_slices_in_order_and_nothing_is_kept_behind_them(
    runs: list[tuple[bool, int]], pre_roll_ms: float, tail_ms: float
) -> None:
    rng = np.random.default_rng(5)
    marks = "".join(("#" if speaks else ".") * count for speaks, count in runs)
    pcm = b"".join(
        (rng.integers(1, 99, FRAME) if mark == "#" else np.zeros(FRAME)).astype("<i2").tobytes()
        for mark in marks
    )
    settings = TurnSettings(max_speech_s=2, pre_roll_ms=pre_roll_ms, tail_ms=tail_ms)
    turns = TurnDetector(Marks(), settings)
    events: list[TurnEvent] = []
    for piece in cut(pcm, [FRAME]):
        events += turns.feed(piece)
        assert len(turns._audio) <= 2 * (2 * 16000 + 16 * pre_roll_ms + 16 * settings.min_speech_ms + FRAME)
    events += turns.finish()
    told = [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)]
    assert all(isinstance(a, SpeechStarted) != isinstance(b, SpeechStarted) for a, b in pairwise(told))
    assert len(told) % 2 == 0
    free_from = 0
    for event in ended(events):
        first = round(event.audio_start_s * 16000)
        assert free_from <= first
        assert event.audio == pcm[2 * first : 2 * first + len(event.audio)]
        free_from = first + len(event.audio) // 2
        assert event.audio_start_s <= event.start_s < event.end_s <= event.at_s
        assert event.end_s <= free_from / 16000 + 1e-9
    assert _streamed(events) == [event.audio for event in ended(events)]


def _streamed(events: list[TurnEvent]) -> list[bytes]:
    """What who recognises meanwhile was told of each utterance, cut where it ended."""
    streams: list[bytes] = []
    for event in events:
        if isinstance(event, SpeechStarted):
            streams.append(event.audio)
        elif isinstance(event, SpeechGoesOn):
            streams[-1] += event.audio
        elif isinstance(event, SpeechEnded):
            streams[-1] = streams[-1][: len(event.audio)]
    return streams


def test_what_is_no_audio_or_no_detector_is_refused() -> None:
    with pytest.raises(AudioDataError, match="got 3 bytes; expected whole 16-bit samples"):
        TurnDetector().feed(bytes(3))
    with pytest.raises(AudioFormatError):
        TurnDetector(sample_rate=1)
    with pytest.raises(UsageError, match="got int as detector; expected an object with sample_rate"):
        TurnDetector(5)  # type: ignore[arg-type]
    turns = TurnDetector(Marks())
    paused = turns.feed(audio_of("#" * 10 + "." * 10))[-1]
    assert isinstance(paused, SpeechPaused)
    with pytest.raises(UsageError, match=r"end_of_turn gave 1\.5; expected how likely the turn is over"):
        turns.judge(paused, 1.5)
    with pytest.raises(UsageError, match=r"end_of_turn gave None; expected how likely"):
        turns.judge(paused, None)  # type: ignore[arg-type]  # nothing was returned


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"pause_ms": 100}, "min_pause_ms=200, pause_ms=100, max_pause_ms=1500: expected them in this order"),
        ({"max_pause_ms": 3000, "max_speech_s": 2}, "max_pause_ms=3000: expected less than max_speech_s=2"),
        ({"pauze_ms": 100}, "pauze_ms is not a field; did you mean 'pause_ms'?"),
        ({"threshold": 2}, "threshold=2"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, float], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        TurnSettings(**values)
    assert text in str(caught.value)


def test_a_detector_fits_the_port_of_the_engines() -> None:
    from audio_connector import engines, turns  # noqa: PLC0415

    assert isinstance(turns.EnergyDetector(), engines.SpeechDetector)
    assert isinstance(Marks(), engines.SpeechDetector)


def test_a_detector_that_heard_another_stream_begins_anew() -> None:
    marks = Marks()
    TurnDetector(marks).feed(audio_of("." * 5))
    TurnDetector(marks).feed(audio_of("." * 3))
    assert len(marks.seen) == 3
