# SPDX-License-Identifier: Apache-2.0
"""A call that is lost, taken up, handed over and cut in any order: all who wait are told, and nothing is left."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from support.audio import numbered
from support.call import RESUME_S, FollowedSpeech, Told, VirtualCall

from audio_connector.call import asks, tells
from audio_connector.playback.speech import Answered, Finished
from audio_connector.wire.closing import ABNORMAL
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)


class Life:
    """One call; each method is a step, with a number for whatever it needs one."""

    def __init__(self, *, kernel_bytes: int) -> None:
        self.call = VirtualCall(
            kernel_bytes=kernel_bytes,
            is_movable=True,
            playback={"max_buffer_s": 0.2},
            timeouts={"resume_s": RESUME_S, "stall_s": 3.0},
        )
        self.tokens: list[int] = []
        """Of what the application that has the call now has asked and waits for."""
        self.speeches: list[FollowedSpeech] = []
        self.sockets = [self.call.socket]
        self.call.want(credit=20)

    def _ask(self, ask: Any) -> None:
        self.call.ask(ask)
        if not self.call.ended:
            return
        self.tokens = [token for token in self.tokens if self._answers(token)]

    def _wait(self, make: Any) -> None:
        if not self.call.ended:
            self.tokens.append(token := self.call.new_number())
            self.call.ask(make(token))

    def _answers(self, token: int) -> int:
        told = self.call.told.at_once
        return sum(isinstance(tell, Answered) and tell.token == token for tell in told)

    # The router.

    def frames(self, count: int) -> None:
        if not self.call.router_socket.is_closing:
            for _ in range(count):
                self.call.router_sends(FRAME)

    def text(self, _: int) -> None:
        if not self.call.router_socket.is_closing:
            self.call.router_socket.send_text('{"event":"websocket:dtmf","digit":"1"}')

    def goodbye(self, _: int) -> None:
        if not self.call.router_socket.is_closing:
            self.call.router_says(Disconnected(raw={}))

    def break_off(self, _: int) -> None:
        self.call.lose()

    def hang_up(self, _: int) -> None:
        self.call.router_socket.close(1000)

    def dial(self, number: int) -> None:
        if self.call.link.can_resume:
            self.call.dial(16000 if number % 2 else None)
            self.sockets.append(self.call.socket)

    def read_no_more(self, _: int) -> None:
        self.call.router_socket.pause_reading()

    def read_on(self, _: int) -> None:
        self.call.router_socket.resume_reading()

    # The application.

    def write(self, count: int) -> None:
        self.call.ask(FRAME * count)

    def begin(self, count: int) -> None:
        if not self.call.ended:
            self.speeches.append(speech := self.call.begin())
            self.call.ask(asks.Write(speech.lane, FRAME * count, None, False))

    def end_speech(self, _: int) -> None:
        if self.speeches:
            self.call.ask(asks.EndSpeech(self.speeches[-1].lane))

    def pause(self, _: int) -> None:
        if self.speeches:
            self._wait(lambda token: asks.PauseSpeech(self.speeches[-1].lane, token))

    def go_on(self, _: int) -> None:
        if self.speeches:
            self.call.ask(asks.ResumeSpeech(self.speeches[-1].lane))

    def flush(self, _: int) -> None:
        self._wait(asks.Flush)

    def wait_played(self, number: int) -> None:
        self._wait(lambda token: asks.WaitPlayed(token, None, to_end=bool(number % 2)))

    def stand_in_line(self, number: int) -> None:
        self._wait(lambda token: asks.StandInLine(0, token, bool(number % 2)))

    def leave(self, number: int) -> None:
        if self.tokens:
            token = self.tokens.pop(number % len(self.tokens))
            self.call.ask(asks.Leave(token))

    def close(self, _: int) -> None:
        self.call.ask(asks.Close(1000, ""))

    # The server.

    def abort(self, _: int) -> None:
        if not self.call.ended:
            self.call.link.abort(ABNORMAL, "")

    def release(self, _: int) -> None:
        if not self.call.ended:
            self.call.link.release()

    def hand_over(self, number: int) -> None:
        if not self.call.ended:
            self.tokens.clear()
            self.speeches.clear()
            self.call.told = told = Told()
            self.call.link.hand_over(object(), told.post, told.note, replays=bool(number % 2))

    def pass_time(self, number: int) -> None:
        self.call.run_for(number / 10)

    def pass_long(self, number: int) -> None:
        self.call.run_for(number)

    def check_end(self) -> None:
        call = self.call
        self.abort(0)
        call.run_for(60.0)
        assert call.ended == 1
        assert isinstance(call.told.in_order[-1], tells.Ended)
        assert sum(isinstance(tell, tells.Ended) for tell in call.told.in_order) == 1
        for token in self.tokens:
            assert self._answers(token) == 1
        for speech in self.speeches:
            finished = [tell for tell in call.told.at_once if isinstance(tell, Finished)]
            assert sum(tell.lane == speech.lane for tell in finished) == 1
        assert all(socket.is_closing for socket in self.sockets)
        assert call.pacer._heap == []
        assert call.link._refresher._due == {}
        assert call.clock.next_timer_at() is None


STEPS = sorted(name for name in vars(Life) if not name.startswith("_") and name != "check_end")


@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=25),
    st.sampled_from([0, 2000]),
)
@example([("break_off", 0), ("wait_played", 0), ("dial", 1), ("break_off", 0), ("close", 0)], 0)
def test_in_every_order_all_who_wait_are_told_and_nothing_is_left(
    steps: list[tuple[str, int]], kernel_bytes: int
) -> None:
    life = Life(kernel_bytes=kernel_bytes)
    for name, number in steps:
        getattr(life, name)(number)
    life.check_end()
