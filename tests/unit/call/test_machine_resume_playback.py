# SPDX-License-Identifier: Apache-2.0
"""What was queued when a connection broke off: heard once, in order, from where it was; and who waits for it."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.audio import counting_pcm, numbered, numbers_of
from support.call import RESUME_S, FollowedSpeech, VirtualCall, Wait, lasting_call

from audio_connector.audio.format import AudioFormat
from audio_connector.call import asks, tells
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.wire.messages import Connected

FRAME = numbered(7, 640)


def sentence(count: int, first: int = 1) -> bytes:
    return b"".join(numbered(first + k, 640) for k in range(count))


def heard(call: VirtualCall) -> list[int]:
    """What arrived at the routers, one after another."""
    return [number for router in call.routers for number in numbers_of(router.frames)]


@pytest.mark.parametrize("after_s", [0.0, 0.019, 0.5, 1.37, 3.99])
@pytest.mark.parametrize("for_s", [0.0, 0.1, 3.0])
@pytest.mark.parametrize("lead_ms", [40, 200, 1000])
def test_every_frame_arrives_once_and_in_order(after_s: float, for_s: float, lead_ms: int) -> None:
    call = lasting_call(playback={"lead_ms": lead_ms})
    speech = call.say(sentence(200))
    call.run_for(after_s)
    sent = len(call.router.frames)
    call.lose(for_s)
    assert len(call.router.frames) == sent
    call.dial()
    call.run_for(6.0)
    assert heard(call) == list(range(1, 201))
    assert speech.outcome == Played(4000.0)
    assert call.figures.progress.played_ms(call.clock.now) == 4000.0
    assert call.router.report().underruns == 0
    # The second router is as far ahead as the first one was.
    for index, arrival in enumerate(
        arrived := [a for a in call.router.arrivals if isinstance(a.message, bytes)]
    ):
        due_s = max(0.0, index * 0.02 - lead_ms / 1000)
        assert due_s <= arrival.at - arrived[0].at + 1e-6 <= due_s + 0.006


def test_the_time_without_a_router_is_not_name_played() -> None:
    call = lasting_call(playback={"lead_ms": 200})
    call.say(sentence(500))
    call.run_for(1.0)
    call.lose(1.0)
    before = call.played_ms
    assert before == 1220.0
    call.run_for(3.0)
    assert call.played_ms == before
    assert call.figures.progress.queued_ms == 10_000.0 - before
    call.dial()
    call.run_for(1.0)
    assert call.played_ms == pytest.approx(before + 1000.0, abs=20.0)
    assert call.figures.underruns == 1
    assert call.figures.underrun_ms == pytest.approx(4000.0 - 200.0, abs=50.0)


def test_several_utterances_keep_their_order_and_what_is_said_while_lost_comes_behind() -> None:
    call = lasting_call()
    first, second = call.say(sentence(60)), call.say(sentence(60, first=101))
    call.run_for(0.5)
    call.lose(1.0)
    call.write(sentence(20, first=201))
    third = call.say(sentence(60, first=301))
    call.dial()
    call.run_for(10.0)
    assert heard(call) == [*range(1, 61), *range(101, 161), *range(201, 221), *range(301, 361)]
    assert [speech.outcome for speech in (first, second, third)] == [Played(1200.0)] * 3


@pytest.mark.parametrize("losses", [2, 20])
def test_a_router_that_breaks_off_again_and_again(losses: int) -> None:
    call = lasting_call()
    speech = call.say(sentence(500))
    for _ in range(losses):
        call.run_for(0.15)
        call.lose(0.3)
        call.dial()
    call.run_for(12.0)
    assert heard(call) == list(range(1, 501))
    assert speech.outcome == Played(10_000.0)
    assert len(call.told_of(tells.Lost)) == len(call.told_of(tells.Resumed)) == losses


def test_what_was_queued_is_dropped_where_that_is_wanted() -> None:
    call = lasting_call(playback={"keeps_on_resume": False, "max_buffer_s": 1})
    old = call.say(sentence(100))
    call.write(sentence(100, first=201))
    played, writer = call.wait_played(), call.stand_in_line()
    call.run_for(0.5)
    call.lose(1.0)
    call.say(sentence(50, first=301))
    assert old.outcome is None
    call.dial()
    assert old.outcome == Interrupted(720.0, 1280.0)
    assert isinstance(played.answer, Interrupted)
    assert writer.answer is False
    new = call.say(sentence(10, first=501))
    call.run_for(3.0)
    assert numbers_of(call.router.frames) == list(range(501, 511))
    assert new.outcome == Played(200.0)
    assert call.router.texts == [], "there is nothing that it would have to clear"


# Who waits.


def test_everybody_who_waits_gets_an_answer_once_it_goes_on() -> None:
    call = lasting_call(playback={"max_buffer_s": 1})
    call.write(FRAME * 80)
    played, writer = call.wait_played(), call.stand_in_line()
    speech = call.begin()
    call.write(FRAME * 20, speech.lane)
    call.lose(2.0)
    assert (played.is_done, writer.is_done, speech.outcome) == (False, False, None)
    call.dial()
    call.run_for(1.0)
    assert writer.answer is True
    call.ask(asks.WriteGranted(writer.token, FRAME, None, False))
    call.run_for(3.0)
    assert played.answer == Played(1600.0)
    call.end_speech(speech)
    call.run_for(1.0)
    assert speech.outcome == Played(400.0)


def test_what_is_on_its_way_counts_as_heard_and_whoever_waits_for_it_is_told() -> None:
    call = lasting_call(playback={"lead_ms": 1000})
    speech = call.say(FRAME * 25)
    played = call.wait_played()
    call.run_for(0.1)
    call.lose(1.0)
    assert speech.outcome == played.answer == Played(500.0)


def test_everybody_is_answered_where_it_is_given_up() -> None:
    call = lasting_call(playback={"max_buffer_s": 1})
    call.write(FRAME * 100)
    played, writer, speech = call.wait_played(), call.stand_in_line(), call.begin()
    call.lose(RESUME_S + 0.1)
    assert isinstance(played.answer, Interrupted)
    assert writer.answer is False
    assert speech.outcome == Interrupted(0.0, 0.0)
    assert call.figures.unsent_ms > 1000.0


def test_a_flush_while_lost_cuts_at_once() -> None:
    call = lasting_call()
    speech = call.say(sentence(100))
    call.run_for(1.0)
    call.lose(1.0)
    flushed = call.flush()
    assert flushed.played_ms + flushed.discarded_ms == 2000.0
    assert speech.outcome == Interrupted(flushed.played_ms, flushed.discarded_ms)
    assert call.flush() == Flushed(0.0, 0.0)
    new = call.say(sentence(10, first=501))
    call.dial()
    call.run_for(2.0)
    assert numbers_of(call.router.frames) == list(range(501, 511))
    assert call.router.texts == [], "it holds nothing of what was cut"
    assert call.figures.text_messages_sent == 0
    assert new.outcome == Played(200.0)


def test_writes_while_lost_are_bounded_and_wait() -> None:
    call = lasting_call(playback={"max_buffer_s": 1})
    call.lose()
    call.write(FRAME * 51)
    writer = call.stand_in_line()
    assert not writer.is_done
    assert call.figures.queued_bytes == 51 * 640
    call.leave(writer)
    other = call.stand_in_line()
    call.dial()
    call.run_for(0.1)
    assert writer.answers == []
    assert other.answer is True


def test_a_relay_loses_its_oldest_audio_while_lost_and_is_not_late() -> None:
    call = lasting_call(playback={"max_delay_ms": 1000})
    call.lose()
    for number in range(200):
        call.write(numbered(number + 1, 640))
        call.run_for(0.02)
    assert call.figures.progress.queued_ms <= 1000.0
    call.dial()
    call.run_for(3.0)
    assert numbers_of(call.router.frames)[-1] == 200
    assert len(call.router.frames) <= 50
    assert call.figures.skips > 0


def test_figures_of_a_call_that_is_lost_go_on() -> None:
    call = lasting_call()
    call.router_sends(FRAME)
    call.say(FRAME * 100)
    call.run_for(1.0)
    before = call.figures
    call.lose(2.0)
    call.dial()
    call.router_sends(FRAME)
    call.run_for(3.0)
    after = call.figures
    assert after.intake.audio_messages == before.intake.audio_messages + 1
    assert (after.audio_messages_sent, after.accepted_bytes) == (100, 64_000)
    assert after.progress.played_ms(call.clock.now) == 2000.0


# Any order of all this.

PCM = counting_pcm(2 * 65_000)
"""No two samples are the same."""


def samples_of(chunks: Iterable[bytes]) -> list[int]:
    """The samples, without padding."""
    return [sample for (sample,) in struct.iter_unpack("<H", b"".join(chunks)) if sample]


class Scene:
    """A call, and all that may happen to it."""

    def __init__(self, lead_ms: int) -> None:
        self.call = lasting_call(
            playback={"lead_ms": lead_ms, "max_buffer_s": 0.5, "pause_ms": 60_000},
            timeouts={"resume_s": 1000.0, "stall_s": 1000.0, "ping_interval_s": None},
        )
        self.at = 0
        self.sent: list[bytes] = []
        self.cut: list[int] = []
        self.waits: list[Wait] = []
        self.writers: list[Wait] = []
        self.speeches: list[FollowedSpeech] = []
        self.note_sent()

    def note_sent(self) -> None:
        send = self.call.socket.send_audio

        def send_and_note(frame: bytes) -> None:
            self.sent.append(frame)
            send(frame)

        self.call.socket.send_audio = send_and_note  # type: ignore[method-assign]

    def waiting(self) -> list[int]:
        chunks = []
        for utterance in self.call.machine.schedule.waiting:
            rest = utterance.framer.take_rest()
            utterance.framer.push(rest)
            chunks += [*utterance.frames, rest]
        return samples_of(chunks)

    def take(self, samples: int) -> bytes:
        start, self.at = self.at, min(len(PCM), self.at + 2 * samples)
        return PCM[start : self.at]

    def do(self, step: str, number: int) -> None:
        getattr(self, step)(number)
        for wait in self.writers:
            if wait.answers == [True]:
                self.call.ask(asks.WriteGranted(wait.token, self.take(500), None, False))
                self.writers.remove(wait)
                break

    def write(self, samples: int) -> None:
        self.call.write(self.take(samples))

    def speak(self, samples: int) -> None:
        self.speeches.append(self.call.say(self.take(samples)))

    def flush(self, _: int) -> None:
        self.cut += self.waiting()
        self.call.flush()

    def break_off(self, _: int) -> None:
        self.call.lose()

    def dial(self, _: int) -> None:
        sent, before = len(self.sent), self.call.socket
        self.call.dial(None)
        assert len(self.sent) == sent, "nothing is sent before the rate is known"
        assert before.is_closing
        self.note_sent()
        self.call.router_says(Connected(format=AudioFormat(16000)))

    def wait(self, _: int) -> None:
        self.waits.append(self.call.wait_played())

    def line(self, _: int) -> None:
        self.writers.append(self.call.stand_in_line())
        self.waits.append(self.writers[-1])

    def end(self, _: int) -> None:
        self.call.write(b"", is_end=True)

    def halt(self, _: int) -> None:
        self.call.router_socket.pause_reading()

    def go_on(self, _: int) -> None:
        self.call.router_socket.resume_reading()

    def time(self, ms: int) -> None:
        self.call.run_for(ms / 1000)


OTHERS = ["flush", "break_off", "dial", "wait", "line", "end", "halt", "go_on"]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["write", "speak"]), st.sampled_from([0, 1, 100, 320, 640, 3000])),
        st.tuples(st.sampled_from(OTHERS), st.just(0)),
        st.tuples(st.just("time"), st.sampled_from([1, 5, 20, 100, 400, 1500])),
    ),
    min_size=1,
    max_size=40,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(steps=STEPS, lead_ms=st.sampled_from([40, 200, 1000]))
def test_what_was_written_was_sent_or_cut_or_waits(steps: list[tuple[str, int]], lead_ms: int) -> None:
    """Each sample once, and in order, whatever happens; and whoever waits is answered once."""
    scene = Scene(lead_ms)
    call = scene.call
    for step, number in steps:
        scene.do(step, number)
        assert call.ended == 0
    assert call.figures.accepted_bytes == scene.at
    sent = samples_of(scene.sent)
    assert sorted(sent + scene.cut + scene.waiting()) == samples_of([PCM[: scene.at]])
    if not any(
        step == "line" for step, _ in steps
    ):  # else a later one may be written to before an earlier one
        assert sent == sorted(sent)
    call.close()
    call.run_for(10.0)
    assert call.ended == 1
    assert all(len(wait.answers) == 1 for wait in scene.waits)
    assert all(len(speech.outcomes) == 1 for speech in scene.speeches)
