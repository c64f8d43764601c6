# SPDX-License-Identifier: Apache-2.0
"""A bad network, a bad router, and what our server makes of each: the right error and counts, and nobody else hurt.

Every call has a neighbour on the same server that must not notice anything; see `support.impaired.Line.call`. In
virtual time where that shows the same, and to the millisecond; on real sockets where the kernel has a say.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.audio import frames_of, real_speech
from support.impaired import App, Noted, in_memory, on_loopback, saying, sound_of
from support.serving import joined, sawtooth

from audio_connector import (
    AudioConnectorConnection,
    Cleared,
    DeadlineError,
    Disconnected,
    LimitError,
    MediaUpdate,
    RouterStalled,
    Timeouts,
    UnknownEvent,
)
from audio_connector.playback.speech import Interrupted, Played
from audio_connector.simulator import Impairments, Step
from audio_connector.testing.virtual_time import in_virtual_time

pytestmark = pytest.mark.programs  # calls in real time

SPEECH = real_speech()[: 640 * 100]
"""Two seconds, of the participant."""

ANSWER = sawtooth(320 * 150)
"""Three seconds, of the bot; no sample of it is zero."""

HUNG_UP = Disconnected(code=1000, reason="", closed_by="router")
BROKEN = Disconnected(code=1006, reason="", closed_by="network")


def said_by(noted: Noted) -> bytes:
    """What the application heard, without silence."""
    return sound_of(joined(noted.audio))


def about(value: float, within: float = 1e-3) -> Any:
    return pytest.approx(value, abs=within)


# The network.


@pytest.mark.parametrize("jitter_ms", [20, 60, 180])
@in_virtual_time
async def test_jitter_below_the_lead_is_heard_at_the_beginning_or_not_at_all(jitter_ms: float) -> None:
    """The router plays the first frame when it comes, and the lead is behind it."""
    app, heard = App(saying(ANSWER)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            speech=SPEECH,
            tail_s=2.0,
            impairments=Impairments(jitter_ms=jitter_ms, seed=7),
            heard=heard.extend,
        )
    assert sound_of(heard) == ANSWER
    assert report.frames_received == 150
    assert report.playout.underrun_ms <= max(0, jitter_ms - 20)
    assert report.trace is not None
    assert all(hole.at_s < 0.1 + jitter_ms / 1000 for hole in report.trace.holes)
    assert 1 < report.jitter_ms < jitter_ms
    call = app.call
    assert said_by(call) == sound_of(SPEECH)
    assert (call.errors, call.failures, call.end, call.outcomes) == ([], [], HUNG_UP, [Played(about(3000))])
    statistics = call.client.statistics()
    assert statistics.audio_messages_received == report.frames_sent
    assert (statistics.dropped_messages, statistics.odd_messages_received, statistics.stalls) == (0, 0, 0)
    assert (statistics.underruns, statistics.gaps) == (0, max(0, statistics.gaps))


@in_virtual_time
async def test_jitter_above_the_lead_makes_holes_and_loses_nothing() -> None:
    app, heard = App(saying(ANSWER)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            speech=SPEECH,
            tail_s=4.0,
            impairments=Impairments(jitter_ms=800),
            pause_after_ms=None,
            heard=heard.extend,
        )
    assert sound_of(heard) == ANSWER
    assert said_by(app.call) == sound_of(SPEECH)
    playout = report.playout
    assert playout.underruns >= 1
    assert 0 < playout.underrun_ms <= 800
    [problem] = report.problems
    assert problem.endswith(f"(gaps shorter than a pause), {playout.underrun_ms:.1f} ms in sum")
    assert (app.call.errors, app.call.end) == ([], HUNG_UP)


@pytest.mark.parametrize(("for_s", "underrun_ms"), [(0.15, 0), (0.5, 300)])
@in_virtual_time
async def test_a_stall_of_the_network_loses_nothing(for_s: float, underrun_ms: float) -> None:
    """The lead of 200 ms rides it out, or is missing from the hole; the frame that plays is part of it."""
    app, heard = App(saying(ANSWER)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            speech=SPEECH, steps=[Step(at_s=1, stall=True, for_s=for_s)], tail_s=3.0, heard=heard.extend
        )
    assert sound_of(heard) == ANSWER
    assert said_by(app.call) == sound_of(SPEECH)
    assert report.playout.underrun_ms == about(underrun_ms, 20)
    assert report.playout.underruns == (1 if underrun_ms else 0)
    statistics = app.call.client.statistics()
    assert (statistics.stalls, statistics.underruns, statistics.dropped_messages) == (0, 0, 0)
    assert statistics.gaps == 1
    assert statistics.longest_gap_ms == about(for_s * 1000, 40)
    assert (app.call.errors, app.call.end) == ([], HUNG_UP)


@in_virtual_time
async def test_a_router_that_stops_reading_is_given_up() -> None:
    app = App(saying(sawtooth(320 * 1000)))
    async with in_memory(app) as line:
        report = await line.call(steps=[Step(at_s=1, stall=True, for_s=60.0)], tail_s=10.0)
    call = app.call
    [error] = call.errors
    assert type(error) is RouterStalled
    assert str(error).startswith("the router read nothing for 10 s while ")
    assert str(error).endswith(
        " ms of audio waited, so the connection was ended. Timeouts.stall_s sets the limit"
    )
    assert call.end == Disconnected(code=1006, reason="the router stopped reading", closed_by="server")
    [outcome] = call.outcomes
    assert isinstance(outcome, Interrupted)
    # Before the stall a second was played and 200 ms sent ahead; of the rest nothing counts as heard.
    assert outcome.played_ms + outcome.discarded_ms == about(20_000)
    statistics = call.client.statistics()
    assert statistics.stalls == 1
    assert statistics.audio_messages_sent * 20 == statistics.audio_ms_sent
    assert report.problems == ("the connection broke in the middle of the call: 1006",)
    assert (report.close_code, report.closed_by, report.hung_up) == (1006, "network", False)


@pytest.mark.parametrize("slow_reader_ms", [19, 25])
@in_virtual_time
async def test_a_slow_reader_gets_everything(slow_reader_ms: float) -> None:
    app, heard = App(saying(ANSWER)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            speech=SPEECH,
            tail_s=4.0,
            heard=heard.extend,
            impairments=Impairments(slow_reader_ms=slow_reader_ms),
        )
    assert sound_of(heard) == ANSWER
    assert said_by(app.call) == sound_of(SPEECH)
    # What is read more slowly than it plays has a hole in front of every frame but the first.
    holes = 149 if slow_reader_ms > 20 else 0
    assert report.playout.underruns == holes
    assert report.playout.underrun_ms == about(holes * (slow_reader_ms - 20), 1)
    assert (app.call.errors, app.call.end, app.call.outcomes) == ([], HUNG_UP, [Played(about(3000))])
    assert app.call.client.statistics().dropped_messages == 0


@in_virtual_time
async def test_a_reader_that_is_far_too_slow_makes_the_server_wait_and_is_not_given_up() -> None:
    """It reads ten messages in a second, so twenty seconds of audio take a hundred; it does read, so it lives."""
    app, heard = App(saying(sawtooth(320 * 1000))), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            tail_s=105.0, impairments=Impairments(slow_reader_ms=100), heard=heard.extend
        )
    assert sound_of(heard) == sawtooth(320 * 1000)
    call = app.call
    assert (call.errors, call.end) == ([], HUNG_UP)
    statistics = call.client.statistics()
    assert statistics.stalls >= 1
    assert statistics.dropped_messages == 0
    assert report.playout.underruns == 999
    assert report.playout.underrun_ms == about(999 * 80, 10)


@in_virtual_time
async def test_a_reader_that_takes_longer_than_the_limit_is_given_up() -> None:
    app = App(saying(sawtooth(320 * 1000)))
    async with in_memory(app) as line:
        report = await line.call(tail_s=60.0, impairments=Impairments(slow_reader_ms=30_000))
    assert [type(error) for error in app.call.errors] == [RouterStalled]
    assert app.call.end == Disconnected(code=1006, reason="the router stopped reading", closed_by="server")
    assert report.problems[-1] == "the connection broke in the middle of the call: 1006"


@in_virtual_time
async def test_a_router_that_is_gone_without_a_word_is_found_by_a_ping() -> None:
    app = App()
    async with in_memory(app) as line:
        report = await line.call(speech=SPEECH, steps=[Step(at_s=1, half_open=True)], tail_s=60.0)
    call = app.call
    [error] = call.errors
    # Pings at 20 s and every 20 s; this one is answered within 20 s or never.
    assert type(error) is DeadlineError
    assert str(error) == (
        "the router answered no ping and sent nothing for 39.0 s; the connection was closed with 1011. "
        "Timeouts.ping_timeout_s sets the limit"
    )
    assert call.end == Disconnected(code=1011, reason="keepalive ping timeout", closed_by="server")
    assert said_by(call) == sound_of(SPEECH[: 640 * 50])
    statistics = call.client.statistics()
    assert (statistics.audio_messages_received, statistics.gaps) == (50, 0)
    # The close frame was never read, so the server dropped the connection when its answer was overdue.
    assert report.frames_sent == 50
    assert (report.close_code, report.hung_up) == (1006, False)


@in_virtual_time
async def test_an_abrupt_reset_ends_the_call_and_what_was_being_said() -> None:
    app = App(saying(ANSWER))
    async with in_memory(app) as line:
        report = await line.call(speech=SPEECH, steps=[Step(at_s=1, reset=True)])
    call = app.call
    assert (call.errors, call.failures, call.end) == ([], [], BROKEN)
    assert said_by(call) == sound_of(SPEECH[: 640 * 50])
    assert call.outcomes == [Interrupted(about(980, 21), about(2020, 21))]
    assert report.is_clean  # it was asked for
    assert (report.close_code, report.closed_by, report.frames_sent) == (1006, "network", 50)


@in_virtual_time
async def test_a_reconnect_is_two_calls_with_the_same_ids_and_the_bot_answers_on_both() -> None:
    async def greet(client: AudioConnectorConnection, noted: Noted) -> None:
        await saying(ANSWER[: 640 * 25])(client, noted)

    app, heard = App(greet), bytearray()
    async with in_memory(app) as line:
        report = await line.call(
            speech=SPEECH,
            steps=[Step(at_s=1, reconnect_s=0.5)],
            tail_s=1.0,
            heard=heard.extend,
            session_id="s1",
        )
    first, second = app.calls
    assert (first.client.session_id, first.client.connection_id) == ("s1", report.connection_id)
    assert (second.client.session_id, second.client.connection_id) == ("s1", report.connection_id)
    assert first.client.id == second.client.id
    assert (first.end, second.end) == (BROKEN, HUNG_UP)
    assert (first.errors, second.errors) == ([], [])
    assert said_by(first) == sound_of(SPEECH[: 640 * 50])
    assert said_by(second) == sound_of(SPEECH[640 * 75 :])  # what was said in between is lost, as it would be
    assert first.outcomes == second.outcomes == [Played(about(500))]
    assert sound_of(heard) == ANSWER[: 640 * 25] * 2
    assert report.is_clean
    assert (report.reconnects, report.frames_received, report.close_code) == (1, 50, 1000)


# The router.


def flushing(after_s: float) -> Any:
    """Speak, be interrupted, and speak again."""

    async def talk(client: AudioConnectorConnection, noted: Noted) -> None:
        async with client.speech() as first:
            await first.write(ANSWER)
            await asyncio.sleep(after_s)
            await client.flush_buffer()
        noted.outcomes.append(await first.finished())
        await asyncio.sleep(0.5)
        await saying(ANSWER[: 640 * 50])(client, noted)

    return talk


@pytest.mark.parametrize(("clear_ack", "cleared"), [("prompt", 2), (700, 2), ("missing", 0)])
@in_virtual_time
async def test_the_acknowledgement_of_a_clear_may_be_late_or_missing(clear_ack: Any, cleared: int) -> None:
    """A late one comes while the next answer is being said, and must not end that (PROTOCOL 3.6)."""
    app, heard = App(flushing(1.0)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(tail_s=3.0, impairments=Impairments(clear_ack=clear_ack), heard=heard.extend)
    call = app.call
    assert sum(isinstance(event, Cleared) for event in call.events) == cleared
    assert (call.errors, call.failures, call.end) == ([], [], HUNG_UP)
    first, second = call.outcomes
    assert isinstance(first, Interrupted)
    assert first.played_ms == about(1000, 25)
    assert second == Played(about(1000))
    assert sound_of(heard).endswith(ANSWER[: 640 * 50])
    assert (report.clears, report.stale_ms, len(report.barge_ins)) == (2, 0, 1)
    barge_in = report.barge_ins[0]
    assert barge_in.clear_at_s == about(1.0, 0.005)
    assert 0 <= (barge_in.latency_ms or 0) <= 20.001
    assert barge_in.dropped_ms == report.playout.cleared_frames * 20 == about(200, 20)


@in_virtual_time
async def test_a_router_that_ignores_clear_plays_no_more_than_the_lead() -> None:
    app, heard = App(flushing(1.0)), bytearray()
    async with in_memory(app) as line:
        report = await line.call(tail_s=3.0, impairments=Impairments(obeys_clear=False), heard=heard.extend)
    call = app.call
    assert (call.errors, call.failures, call.end) == ([], [], HUNG_UP)
    assert [event for event in call.events if isinstance(event, Cleared)] == []
    first, second = call.outcomes
    assert isinstance(first, Interrupted)
    assert second == Played(about(1000))
    sent = report.frames_received - 50
    assert sent * 20 == about(1200, 21)
    assert sound_of(heard) == ANSWER[: sent * 640] + ANSWER[: 640 * 50]
    assert (report.clears, report.playout.cleared_frames, report.barge_ins) == (2, 0, ())
    assert report.trace is not None
    assert [event.detail for event in report.trace.events if event.name == "clear ignored"] == [
        "action",
        "event",
    ]


@in_virtual_time
async def test_muted_no_frames_come_and_that_is_no_gap() -> None:
    app = App()
    async with in_memory(app) as line:
        report = await line.call(speech=SPEECH, steps=[Step(at_s=0.5, mute=True, for_s=1.0)], tail_s=0.5)
    call = app.call
    assert [event.active for event in call.events if isinstance(event, MediaUpdate)] == [False, True]
    assert said_by(call) == sound_of(SPEECH[: 640 * 25] + SPEECH[640 * 75 :])
    statistics = call.client.statistics()
    assert (statistics.muted_ms, statistics.gaps) == (about(1000), 0)
    assert statistics.audio_messages_received == report.frames_sent == 75
    assert (call.errors, call.end, report.is_clean) == ([], HUNG_UP, True)


@in_virtual_time
async def test_silence_without_frames_is_a_gap() -> None:
    app = App()
    async with in_memory(app) as line:
        report = await line.call(
            steps=[
                Step(at_s=0, say=ANSWER[: 640 * 25]),
                Step(at_s=0.5, silence=True, for_s=1.5),
                Step(at_s=2.0, say=ANSWER[640 * 25 : 640 * 50]),
            ],
            tail_s=0.5,
        )
    call = app.call
    assert said_by(call) == ANSWER[: 640 * 50]
    assert [event for event in call.events if isinstance(event, MediaUpdate)] == []
    statistics = call.client.statistics()
    assert (statistics.gaps, statistics.silence_ms, statistics.muted_ms) == (1, about(1500, 21), 0)
    assert statistics.audio_messages_received == report.frames_sent == 75
    assert (call.errors, call.end, report.is_clean) == ([], HUNG_UP, True)


# Garbage.


@in_virtual_time
async def test_garbage_that_is_harmless_is_handed_over_and_counted() -> None:
    app = App()
    kinds: list[Any] = ["not-json", "empty", "odd-audio"]
    steps = [Step(at_s=0.5 + 0.5 * number, garbage=kind) for number, kind in enumerate(kinds)]
    async with in_memory(app) as line:
        report = await line.call(speech=SPEECH, steps=steps, tail_s=0.5)
    call = app.call
    text = ' {"event": websocket:garbage'
    assert [text] == [each for each in call.texts if "garbage" in each]
    assert UnknownEvent(name=None, text=text) in call.events
    frames = frames_of(SPEECH, 640)
    assert [frame for frame in call.audio if frame in (b"", b"\x01" * 641)] == [b"\x01" * 641]
    assert sound_of(joined(frame for frame in call.audio if len(frame) == 640)) == sound_of(joined(frames))
    statistics = call.client.statistics()
    # An empty message is none; the odd one is heard as it came, and counted.
    assert statistics.audio_messages_received == report.frames_sent + 1
    assert statistics.odd_messages_received == 1
    assert (call.errors, call.failures, call.end, report.is_clean) == ([], [], HUNG_UP, True)


# On real sockets.

FATAL: dict[Any, tuple[int, str]] = {
    "bad-utf8": (1007, "text is not valid UTF-8"),
    "bad-frame": (1002, "Received frame with invalid opcode=0x3"),
    "oversized": (1009, "Received frame with payload size exceeding max allowed size, 2097152 > 65536"),
}


async def test_garbage_that_is_fatal_is_the_end_of_its_own_call() -> None:
    app = App()
    options = {
        f"/{kind}": {
            "speech": SPEECH[: 640 * 15],
            # A while later: what is read together with it picows drops, garbage and good frames.
            "steps": [Step(at_s=0.8, garbage=kind)],
            "tail_s": 10.0,
            "silence": "none",
        }
        for kind in FATAL
    }
    async with on_loopback(app) as line:
        reports = await line.calls(options)
    for report, (kind, (code, reason)) in zip(reports, FATAL.items(), strict=True):
        call = app.at(f"/{kind}")
        assert call.end == Disconnected(code=code, reason=reason, closed_by="server")
        assert [type(error) for error in call.errors] == ([LimitError] if kind == "oversized" else [])
        assert call.failures == []
        # What came before is there, to the last sample.
        assert said_by(call) == sound_of(SPEECH[: 640 * 15])
        assert call.client.statistics().audio_messages_received == len(call.audio)
        assert (report.close_code, report.close_reason, report.closed_by) == (code, reason, "peer")
        assert report.problems[-1] == f"the connection broke in the middle of the call: {code} {reason!r}"


HASTY = Timeouts(ping_interval_s=0.1, ping_timeout_s=0.2, stall_s=0.3)


async def test_a_half_open_socket_is_closed_with_1011_and_the_report_says_so() -> None:
    app = App()
    async with on_loopback(app, timeouts=HASTY) as line:
        report = await line.call(
            speech=SPEECH[: 640 * 60], steps=[Step(at_s=0.4, half_open=True)], tail_s=0.0
        )
    call = app.call
    [error] = call.errors
    assert type(error) is DeadlineError
    assert str(error).startswith("the router answered no ping and sent nothing for 0.")
    assert call.end == Disconnected(code=1011, reason="keepalive ping timeout", closed_by="server")
    assert said_by(call) == sound_of(SPEECH[: 640 * 20])
    assert (report.close_code, report.close_reason, report.closed_by, report.hung_up) == (
        1011, "keepalive ping timeout", "peer", True,
    )  # fmt: skip
    assert report.frames_sent == 20


async def test_a_half_open_socket_that_is_spoken_to_stalls() -> None:
    """The kernel takes a second of audio, and then nothing more; a ping cannot tell, since it waits behind that."""
    app = App(saying(sawtooth(320 * 1000)))
    timeouts = Timeouts(ping_interval_s=0.1, ping_timeout_s=5.0, stall_s=0.3)
    async with on_loopback(app, timeouts=timeouts, playback={"lead_ms": 20_000}) as line:
        report = await line.call(steps=[Step(at_s=0.0, half_open=True)], tail_s=1.0)
    call = app.call
    assert [type(error) for error in call.errors] == [RouterStalled]
    assert call.end == Disconnected(code=1006, reason="the router stopped reading", closed_by="server")
    assert isinstance(call.outcomes[0], Interrupted)
    assert call.client.statistics().stalls >= 1
    assert (report.close_code, report.closed_by) == (1006, "network")


async def test_a_reset_is_seen_at_once() -> None:
    app = App(saying(ANSWER))
    async with on_loopback(app) as line:
        report = await line.call(speech=SPEECH, steps=[Step(at_s=0.4, reset=True)])
    call = app.call
    assert (call.errors, call.failures, call.end) == ([], [], BROKEN)
    [outcome] = call.outcomes
    assert isinstance(outcome, Interrupted)
    assert outcome.played_ms + outcome.discarded_ms == about(3000)
    # A reset may overtake what was sent just before it.
    assert sound_of(SPEECH[: 640 * 20]).startswith(said_by(call))
    assert len(call.audio) >= 15
    assert (report.is_clean, report.close_code, report.closed_by) == (True, 1006, "network")


async def test_a_stall_and_a_slow_reader_lose_nothing_in_the_kernel_either() -> None:
    app, heard = App(saying(ANSWER[: 640 * 50])), bytearray()
    steps = [Step(at_s=0.2, stall=True, for_s=0.4), Step(at_s=0.7, slow_reader_ms=30, for_s=0.2)]
    async with on_loopback(app) as line:
        report = await line.call(speech=SPEECH[: 640 * 50], steps=steps, tail_s=0.6, heard=heard.extend)
    assert sound_of(heard) == ANSWER[: 640 * 50]
    assert said_by(app.call) == sound_of(SPEECH[: 640 * 50])
    assert report.playout.underruns >= 1
    assert (app.call.errors, app.call.end, app.call.outcomes) == ([], HUNG_UP, [Played(about(1000))])
    assert (report.frames_received, report.frames_dropped, report.playout.overflow_frames) == (50, 0, 0)


async def test_a_reconnect_on_real_sockets() -> None:
    app = App(saying(ANSWER[: 640 * 5]))
    async with on_loopback(app) as line:
        report = await line.call(
            speech=SPEECH[: 640 * 50], steps=[Step(at_s=0.4, reconnect_s=0.1)], tail_s=0.0
        )
    first, second = app.calls
    assert first.client.connection_id == second.client.connection_id == report.connection_id
    assert (first.end, second.end) == (BROKEN, HUNG_UP)
    assert first.outcomes == second.outcomes == [Played(about(100))]
    assert (report.reconnects, report.frames_received, report.is_clean) == (1, 10, True)
