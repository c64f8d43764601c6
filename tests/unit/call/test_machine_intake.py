# SPDX-License-Identifier: Apache-2.0
"""What arrives, on its way to the application: in order, within its credit, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.audio import numbered, numbers_of
from support.call import VirtualCall

from audio_connector.call import tells
from audio_connector.errors import IntakeOverflow, LimitError
from audio_connector.intake.items import TextItem
from audio_connector.wire.messages import Connected, Disconnected, MediaUpdate


def frame(number: int) -> bytes:
    return numbered(number, 640)


def text(number: int) -> str:
    return f'{{"number":{number}}}'


def quiet_call(**intake: float) -> VirtualCall:
    """A call whose first message was taken."""
    call = VirtualCall(intake={"window_messages": 24, **intake})
    call.want(audio=False)
    assert len(call.arrived) == 1
    call.told.in_order.clear()
    return call


def audio_of(call: VirtualCall) -> list[int]:
    return numbers_of(item for item in call.arrived if isinstance(item, bytes))


def test_audio_that_is_early_is_kept_and_comes_first() -> None:
    call = VirtualCall(None)
    for number in range(1, 11):
        call.router_sends(frame(number))
        call.run_for(0.02)
    assert call.arrived == []
    call.want()
    call.router_sends(frame(11))
    assert audio_of(call) == list(range(1, 12))


def test_a_window_is_used_up_and_credit_fills_it_again() -> None:
    call = quiet_call(window_messages=4)
    call.want()
    for number in range(1, 11):
        call.router_sends(frame(number))
    assert audio_of(call) == [1, 2, 3]
    call.want(credit=2)
    assert audio_of(call) == [1, 2, 3, 4, 5]
    call.want(credit=100)
    call.router_sends(frame(11))
    assert audio_of(call) == list(range(1, 12))


@given(
    steps=st.lists(st.one_of(st.sampled_from(["audio", "text"]), st.integers(1, 10)), max_size=200),
    window=st.integers(2, 20),
)
def test_nothing_is_lost_or_moved_however_the_credit_comes(steps: list[str | int], window: int) -> None:
    call = quiet_call(window_messages=window, max_buffer_ms=600_000)
    call.want()
    sent: list[bytes | str] = []
    credit = window - 1  # the first message has used one
    for number, step in enumerate(steps, start=1):
        if step == "audio":
            sent.append(frame(number))
            call.router_sends(frame(number))
        elif step == "text":
            sent.append(text(number))
            call.router_socket.send_text(text(number))
            call.run_for(0.0)
        else:
            assert isinstance(step, int)
            credit += step
            call.want(credit=step)
        assert call.arrived == sent[:credit]
    call.want(credit=1000)
    assert call.arrived == sent
    assert call.errors == []


def test_what_is_not_wanted_yet_waits_and_does_not_hold_up_what_is() -> None:
    call = quiet_call()
    call.router_sends(frame(1))
    call.router_socket.send_text(text(2))
    call.router_sends(frame(3))
    call.run_for(0.0)
    assert call.arrived == [text(2)]
    call.want(audio=True)
    assert call.arrived == [text(2), frame(1), frame(3)]


def slow_call() -> VirtualCall:
    """A call whose application wants all that comes, and has not taken what it was given first."""
    call = quiet_call(max_buffer_ms=200, window_messages=2)
    call.want()
    call.router_sends(frame(0))
    assert audio_of(call) == [0]
    call.told.in_order.clear()
    return call


def test_beyond_the_bound_the_oldest_audio_is_dropped_and_said_so_once() -> None:
    call = slow_call()
    for number in range(1, 101):
        call.router_sends(frame(number))
        if number % 10 == 0:
            call.router_socket.send_text(text(number))
            call.run_for(0.0)
    assert [type(error) for error in call.errors] == [IntakeOverflow]
    call.want(credit=1000)
    assert audio_of(call) == list(range(91, 101))
    assert [item for item in call.arrived if isinstance(item, str)] == [text(k) for k in range(10, 101, 10)]
    counters = call.figures.intake
    assert (counters.dropped_messages, counters.dropped_bytes, counters.overflow_episodes) == (
        90,
        90 * 640,
        1,
    )
    assert counters.buffered_peak_bytes == 6400


def test_the_next_episode_is_reported_again() -> None:
    call = slow_call()
    for _ in range(3):
        for number in range(1, 21):
            call.router_sends(frame(number))
        call.want(credit=10)
    assert len(call.errors) == 3
    assert call.figures.intake.overflow_episodes == 3


def test_the_bound_is_a_time_whatever_the_rate() -> None:
    for rate_hz in (8000, 24000):
        call = VirtualCall(rate_hz, intake={"max_buffer_ms": 1000})
        for _ in range(100):
            call.router_sends(bytes(rate_hz // 25))
        call.want(credit=1000)
        assert len([item for item in call.arrived if isinstance(item, bytes)]) == 50


def test_texts_that_are_wanted_and_not_taken_close_the_connection_with_1008() -> None:
    call = VirtualCall(intake={"max_texts": 10, "window_messages": 2})
    call.want()
    for number in range(11):
        call.router_socket.send_text(text(number))
    call.run_for(0.0)
    assert call.errors == []
    call.router_socket.send_text(text(11))
    call.run_for(1.0)
    assert [type(error) for error in call.errors] == [LimitError]
    assert call.router.closed is not None
    assert call.router.closed.code == 1008
    assert call.end is not None
    assert call.end.code == 1008


@pytest.mark.parametrize("is_settled", [True, False])
def test_what_nobody_wants_ends_no_call_and_is_no_overflow(is_settled: bool) -> None:
    call = quiet_call(max_texts=10, max_buffer_ms=200)
    call.want(audio=False, texts=False, is_settled=is_settled)
    for number in range(1, 101):
        call.router_sends(frame(number))
        call.router_socket.send_text(text(number))
        call.run_for(0.0)
    assert call.errors == []
    assert call.router.closed is None
    counters = call.figures.intake
    assert counters.unwanted_messages == (200 if is_settled else 180)
    assert (counters.dropped_messages, counters.overflow_episodes) == (0, 0)
    call.want(credit=1000)
    kept = [] if is_settled else list(range(91, 101))
    assert audio_of(call) == kept
    assert [item for item in call.arrived if isinstance(item, str)] == [text(number) for number in kept]
    call.router_sends(frame(101))
    assert audio_of(call) == [*kept, 101]


def test_an_empty_message_is_nothing() -> None:
    call = quiet_call()
    call.want()
    call.router_sends(b"")
    assert call.arrived == []
    assert call.figures.odd_messages == 0
    assert call.figures.intake.audio_messages == 0


def test_texts_arrive_with_their_meaning() -> None:
    call = VirtualCall()
    call.want()
    call.router_says(MediaUpdate(active=False))
    items = call.told_of(TextItem)
    assert [item.event for item in items] == [
        Connected(format=call.format, content_type="audio/l16;rate=16000"),
        MediaUpdate(active=False),
    ]
    assert items[1].text[0] == " ", "as it came"


def test_muting_is_published_and_no_gap() -> None:
    call = VirtualCall()
    call.router_sends(frame(1))
    call.router_says(MediaUpdate(active=False))
    assert not call.published.is_active
    call.run_for(5.0)
    call.router_says(MediaUpdate(active=True))
    assert call.published.is_active
    call.run_for(1.0)
    call.router_sends(frame(2))
    call.run_for(0.5)
    call.router_sends(frame(3))
    counters = call.figures.intake
    assert counters.muted_ms == pytest.approx(5000.0)
    assert (counters.gaps, counters.silence_ms) == (1, pytest.approx(500.0))


# The end.


def test_at_the_end_everything_is_handed_over_whether_there_is_credit_or_not() -> None:
    call = quiet_call(window_messages=2)
    call.want(audio=True)
    sent: list[bytes | str] = []
    for number in range(1, 11):
        sent += [frame(2 * number), text(2 * number + 1)]
        call.router_sends(frame(2 * number))
        call.router_socket.send_text(text(2 * number + 1))
        call.run_for(0.0)
    call.router_socket.close(1000, "bye")
    call.run_for(0.0)
    assert call.arrived == sent
    how = Disconnected(code=1000, reason="bye", closed_by="router")
    assert call.told.in_order[-1] == tells.Ended(how)
    assert call.end == how
    assert not call.published.is_active


def test_also_what_nobody_has_asked_for_yet() -> None:
    call = VirtualCall()
    call.router_sends(frame(1))
    call.router_socket.close()
    call.run_for(0.0)
    assert [type(item) for item in call.arrived] == [str, bytes]


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_a_goodbye_and_then_a_broken_socket_is_a_normal_end(says_goodbye: bool) -> None:
    call = VirtualCall()
    if says_goodbye:
        call.router_says(Disconnected())
    call.router_socket.reset()
    call.run_for(0.0)
    expected = Disconnected(code=1006, reason="", closed_by="network")
    if says_goodbye:
        expected = Disconnected(code=1006, reason="websocket:disconnected", closed_by="router")
    assert call.end == expected


def test_our_own_close_is_ours() -> None:
    call = VirtualCall()
    call.close(3001, "enough")
    call.run_for(1.0)
    assert call.router.closed is not None
    assert (call.router.closed.code, call.router.closed.reason) == (3001, "enough")
    assert call.end == Disconnected(code=3001, reason="enough", closed_by="server")
    assert call.ended == 1
