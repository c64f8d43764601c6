# SPDX-License-Identifier: Apache-2.0
"""What the I/O side tells finds its way to whom it belongs; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.audio import numbered
from support.conversation import Conversation

from audio_connector.call import tells
from audio_connector.errors import UsageError
from audio_connector.playback.speech import Interrupted
from audio_connector.server.line import Line
from audio_connector.testing.in_loop import InLoopIo
from audio_connector.testing.virtual_time import in_virtual_time, rest
from audio_connector.wire.messages import Disconnected


@in_virtual_time
async def test_what_comes_late_for_a_connection_that_is_over_does_no_harm() -> None:
    async with Conversation() as call:
        link_id, calls = call.link.id, call.running
        call.router_socket.reset()
        await asyncio.shield(call.session.task)
        assert calls.lines == {}
        assert calls.sessions == {}
        io = calls.io
        assert isinstance(io, InLoopIo)
        how = Disconnected(code=1006, reason="", closed_by="network")
        for tell in (b"audio", tells.Failed("VideoError", "late"), tells.Ended(how), tells.Warned("late")):
            calls.note(link_id, tell)
            io.side._post((link_id, tell))
        await rest()
        assert calls.lines == {}
        assert calls.sessions == {}


@in_virtual_time
async def test_an_error_and_a_warning_find_their_way(caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = []
    async with Conversation(lambda client: client.set_handler(on_error=errors.append)) as call:
        call.link.report(UsageError("of the I/O side"))
        call.client._line.report(UsageError("of this side"))
        call.link.call.tells.append(tells.Warned("be careful"))
        await call.router_sends(bytes(640))
        assert sorted(map(str, errors)) == ["of the I/O side", "of this side"]
        assert f"connection {call.client.id}: be careful" in caplog.text


class EndsMeanwhile:
    """A line's ``watch`` that another thread takes away as soon as it was looked at."""

    def __init__(self) -> None:
        self.told: list[tells.Figures] = []
        self._is_ended = False

    def __get__(self, line: Line, _: type[Line]) -> Callable[[tells.Figures], None] | None:
        is_ended, self._is_ended = self._is_ended, True
        return None if is_ended else self.told.append

    def __set__(self, line: Line, value: object) -> None:
        """It is gone already."""


@in_virtual_time
async def test_figures_that_come_while_the_application_ends_a_call_do_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Conversation() as call:
        watch, figures = EndsMeanwhile(), call.client._line.figures
        monkeypatch.setattr(Line, "watch", watch, raising=False)
        call.running.note(call.link.id, figures)
        assert watch.told == [figures]


@in_virtual_time
async def test_what_the_router_had_not_played_is_not_heard_while_the_end_waits_for_its_turn() -> None:
    async with Conversation() as call:
        async with call.client.speech() as speech:
            await speech.write(numbered(1, 30 * 640))
        await asyncio.sleep(0.45)  # all of it is sent
        io = call.running.io
        assert isinstance(io, InLoopIo)
        for _ in range(300):
            io.side._shared.ends.do(lambda: None)
        heard_ms = call.client.playback.played_ms
        call.router_socket.reset()
        await asyncio.shield(call.session.task)
        assert call.client.statistics().played_ms == heard_ms
        assert await speech.finished() == Interrupted(heard_ms, 600 - heard_ms)
