# SPDX-License-Identifier: Apache-2.0
"""The I/O side on whatever loop: it takes calls, ends them all, and no failure of one harms the others."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from support.call import Router
from support.conversation import LoopClock
from support.stage import UPGRADE

from audio_connector.call import asks, tells
from audio_connector.errors import DialError, VideoError
from audio_connector.playback.speech import Answered
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.server.io_side import IoSide
from audio_connector.server.link import Link
from audio_connector.testing.network import dial, listen
from audio_connector.testing.virtual_time import OPENING_S, VirtualLoop, in_virtual_time, rest
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.refusals import NOT_NOW, Refusal


class Posted:
    """The way to the application."""

    def __init__(self) -> None:
        self.tells: list[tuple[int, object]] = []
        self.noted: list[tuple[int, object]] = []

    def post(self, message: tuple[int, tells.Tell], /) -> None:
        self.tells.append(message)

    def note(self, link_id: int, tell: tells.Tell | tells.Figures) -> None:
        self.noted.append((link_id, tell))


class Stage:
    """An I/O side that listens, and what it posts."""

    def __init__(self, **groups: Any) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.network.opening_s = 0.0
        self.loop = loop
        self.posted = Posted()
        config = AudioConnectorServerConfig(host="127.0.0.1", port=8765, **groups)
        self.side = IoSide(
            config,
            post=self.posted.post,
            note=self.posted.note,
            listen=listen,
            clock=loop.time,
            call_later=loop.call_later,
        )

    async def call(self) -> tuple[Router, MemoryTransport]:
        router = Router(LoopClock(self.loop), 16000)
        socket = await dial("ws://127.0.0.1:8765", router)
        await asyncio.sleep(OPENING_S)
        return router, socket

    def told_of(self, kind: type) -> list[Any]:
        return [tell for _, tell in self.posted.tells if isinstance(tell, kind)]


@in_virtual_time
async def test_nobody_is_accepted_before_it_listens_and_after_it_ends() -> None:
    stage = Stage()
    assert not stage.side.is_open
    assert await stage.side.listen() == ("127.0.0.1", 8765)
    assert stage.side.is_open
    accept = stage.loop.ports[8765].accept
    assert isinstance(accept(UPGRADE), Link)
    stage.side.stop()
    assert accept(UPGRADE) is NOT_NOW
    assert stage.loop.ports == {}


@in_virtual_time
async def test_all_are_closed_and_who_does_not_answer_is_aborted_at_the_deadline() -> None:
    stage = Stage(timeouts={"close_s": 60})
    await stage.side.listen()
    polite, _ = await stage.call()
    deaf, socket = await stage.call()
    socket.pause_reading()
    begun = stage.loop.time()
    await stage.side.close_all(1001, "bye", 3.0)
    assert stage.loop.time() - begun == pytest.approx(3.0, abs=0.01)
    assert stage.side.links == {}
    assert polite.closed is not None
    assert (polite.closed.code, polite.closed.reason) == (1001, "bye")
    assert deaf.closed is not None
    assert [ended.how.code for ended in stage.told_of(tells.Ended)] == [1001, 1001]


@in_virtual_time
async def test_stopping_ends_all_at_once() -> None:
    stage = Stage()
    await stage.side.listen()
    router, _ = await stage.call()
    stage.side.stop()
    await rest()
    assert router.closed is not None
    assert stage.side.links == {}
    assert [(ended.how.code, ended.how.closed_by) for ended in stage.told_of(tells.Ended)] == [
        (1001, "server")
    ]


@in_virtual_time
async def test_a_failure_of_one_link_ends_that_one_with_1011_and_is_told() -> None:
    stage = Stage()
    await stage.side.listen()
    one, _ = await stage.call()
    other, _ = await stage.call()
    broken: Any = asks.SetLead("much")  # type: ignore[arg-type]  # an error of the library, as it were
    logging.disable(logging.CRITICAL)
    try:
        stage.side.apply((1, broken))
    finally:
        logging.disable(logging.NOTSET)
    await rest()
    [failed] = stage.told_of(tells.Failed)
    assert type(failed.error()) is VideoError
    assert "str" in str(failed.error())
    assert one.closed is not None
    assert (one.closed.code, one.closed.reason) == (1011, "internal error")
    assert other.closed is None
    stage.side.stop()


@in_virtual_time
async def test_a_failure_of_what_is_no_link_is_logged_and_ends_no_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken:
        id = 0
        armed_at: float | None = None

        def wake(self, now: float) -> float:
            raise ValueError("an error of the library, as it were")

    stage = Stage()
    await stage.side.listen()
    router, _ = await stage.call()
    stage.side.pacer.arm(Broken(), stage.loop.time())
    await rest()
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "Broken is woken no more, by an error of the library; the calls go on"
    ]
    assert router.closed is None
    stage.side.stop()


@in_virtual_time
async def test_a_link_that_is_over_has_answered_everybody_and_hears_no_more() -> None:
    stage = Stage()
    await stage.side.listen()
    _, socket = await stage.call()
    stage.side.apply((1, asks.WaitPlayed(5, None)))
    socket.reset()
    await rest()
    told = len(stage.posted.tells), len(stage.posted.noted)
    for ask in (asks.WaitPlayed(6, None), asks.Flush(7), asks.Close(1000, ""), b"1" * 640):
        stage.side.apply((1, ask))
        stage.side.apply((99, ask))
    assert (len(stage.posted.tells), len(stage.posted.noted)) == told
    stage.side.stop()


@in_virtual_time
async def test_answers_and_figures_are_told_at_once_and_the_rest_in_order() -> None:
    stage = Stage()
    await stage.side.listen()
    await stage.call()
    stage.side.apply((1, asks.WaitPlayed(5, None)))
    stage.side.apply((1, asks.Flush(6)))
    at_once = [tell for _, tell in stage.posted.noted if isinstance(tell, Answered)]
    assert [answered.token for answered in at_once] == [5, 6]
    assert stage.told_of(Answered) == stage.told_of(tells.Figures) == []
    assert [type(tell) for _, tell in stage.posted.tells] == [tells.Opened]
    assert (1, stage.posted.tells[0][1]) in stage.posted.noted, "also what is in order"
    stage.side.stop()


@in_virtual_time
async def test_the_numbers_of_links_are_never_used_again() -> None:
    stage = Stage()
    await stage.side.listen()
    for number in range(1, 6):
        _, socket = await stage.call()
        assert list(stage.side.links) == [number]
        socket.reset()
        await rest()
        assert stage.side.links == {}
    stage.side.stop()


@in_virtual_time
async def test_audio_in_json_is_read_and_what_is_none_is_counted() -> None:
    stage = Stage(audio_transport="json")
    await stage.side.listen()
    _, socket = await stage.call()
    [link] = stage.side.links.values()
    socket.send_text('{"audio":"not base64!"}')
    socket.send_text('{"audio":17}')
    await rest()
    assert link.call.unreadable_messages >= 1
    assert len(stage.told_of(tells.Failed)) == 1
    stage.side.stop()


# Who is let in.


async def status_of_a_call(stage: Stage, *headers: tuple[str, str]) -> int:
    """101, or the status of the refusal."""
    try:
        await dial("ws://127.0.0.1:8765", Router(LoopClock(stage.loop), 16000), headers=headers)
    except DialError as error:
        return error.status or 0
    return 101


@pytest.mark.parametrize(
    ("limits", "statuses", "counts"),
    [
        ({"max_connections": 2}, [101, 101, 503, 503], {"max_connections": 2}),
        ({"max_connections_per_address": 1}, [101, 503], {"max_connections_per_address": 1}),
        ({"max_connections_per_session": 1}, [101, 503], {"max_connections_per_session": 1}),
        ({"upgrades_per_second_per_address": 2}, [101, 101, 429], {"upgrades_per_second_per_address": 1}),
        ({"max_memory_mb": 1}, [503], {"max_memory_mb": 1}),
        ({"max_memory_mb": None, "max_loop_lag_ms": None}, [101], {}),
    ],
)
@in_virtual_time
async def test_who_is_over_a_limit_is_refused_and_counted_by_its_name(
    limits: dict[str, Any], statuses: list[int], counts: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audio_connector.server.load.resident_mb", lambda: 2.0)
    stage = Stage(limits=limits)
    await stage.side.listen()
    session = ("x-opentok-ws-sessionid", "s1")
    assert [await status_of_a_call(stage, session) for _ in statuses] == statuses
    assert stage.side.refusals() == counts
    why = {"max_memory_mb": "overloaded", "max_connections": "full"}  # the others are not of whoever comes
    assert [stage.side.why_not_ready()] == [why.get(name, "") for name in counts or ("",)]
    stage.side.stop()


@in_virtual_time
async def test_the_end_of_a_call_makes_room() -> None:
    stage = Stage(limits={"max_connections": 1})
    await stage.side.listen()
    _, socket = await stage.call()
    assert await status_of_a_call(stage) == 503
    assert stage.side.why_not_ready() == "full"
    socket.reset()
    await rest()
    assert stage.side.why_not_ready() == ""
    assert await status_of_a_call(stage) == 101
    stage.side.stop()


@in_virtual_time
async def test_there_is_no_room_left_for_who_was_admitted_before_it_was_taken() -> None:
    """Between the two somebody may have judged who it is, and taken a while for it."""
    stage = Stage(limits={"max_connections": 1})
    await stage.side.listen()
    listening = stage.loop.ports[8765]
    assert listening.options.admit(UPGRADE) is None
    await stage.call()
    refused = listening.accept(UPGRADE)
    assert isinstance(refused, Refusal)
    assert refused.limit == "max_connections"
    stage.side.stop()


@in_virtual_time
async def test_behind_a_trusted_proxy_each_client_has_its_own_limit_and_is_told_of() -> None:
    stage = Stage(limits={"max_connections_per_address": 1, "trusted_proxies": ["127.0.0.0/8"]})
    await stage.side.listen()
    clients = [("X-Forwarded-For", f"203.0.113.{number}") for number in (1, 2, 1)]
    assert [await status_of_a_call(stage, client) for client in clients] == [101, 101, 503]
    told = [opened.upgrade.remote_address for opened in stage.told_of(tells.Opened)]
    assert told == [("203.0.113.1", 0), ("203.0.113.2", 0)]
    stage.side.stop()


@in_virtual_time
async def test_while_the_loop_lags_new_calls_are_refused_and_those_that_are_there_go_on() -> None:
    stage = Stage(limits={"max_loop_lag_ms": 300})
    await stage.side.listen()
    router, _ = await stage.call()
    for _ in range(10):
        stage.loop._virtual.now += 0.5  # as a callback that takes so long
        await asyncio.sleep(0.01)
    assert await status_of_a_call(stage) == 503
    assert stage.side.why_not_ready() == "overloaded"
    assert stage.side.refusals() == {"max_loop_lag_ms": 1}
    assert router.closed is None
    await asyncio.sleep(1.0)
    assert stage.side.why_not_ready() == ""
    assert await status_of_a_call(stage) == 101
    stage.side.stop()


@in_virtual_time
async def test_a_router_that_dials_again_is_let_in_over_every_limit() -> None:
    stage = Stage(
        limits={"max_connections": 1, "upgrades_per_second_per_address": 0.01}, timeouts={"resume_s": 10}
    )
    await stage.side.listen()
    ids = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "s1"))
    assert await status_of_a_call(stage, *ids) == 101
    assert await status_of_a_call(stage, ("connectionid", "c2")) == 429
    await asyncio.sleep(OPENING_S)
    assert await status_of_a_call(stage, *ids) == 101
    assert len(stage.side.links) == 1
    stage.side.stop()


@in_virtual_time
async def test_a_router_does_not_dial_again_without_end() -> None:
    stage = Stage(limits={"upgrades_per_second_per_address": 3}, timeouts={"resume_s": 10})
    await stage.side.listen()
    ids = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "s1"))
    assert await status_of_a_call(stage, *ids) == 101
    statuses = [await status_of_a_call(stage, *ids) for _ in range(9)]
    assert statuses[:3] == [101] * 3
    assert 429 in statuses
    assert stage.side.refusals() == {"upgrades_per_second_per_address": statuses.count(429)}
    await asyncio.sleep(1.0)
    assert await status_of_a_call(stage, *ids) == 101
    assert len(stage.side.links) == 1
    stage.side.stop()


@in_virtual_time
async def test_a_call_that_a_bound_of_time_ends_is_counted_by_its_name() -> None:
    stage = Stage(timeouts={"session_s": 5})
    await stage.side.listen()
    router, _ = await stage.call()
    await asyncio.sleep(6.0)
    assert router.closed is not None
    assert stage.side.refusals() == {"session_s": 1}
    assert await status_of_a_call(stage) == 101
    stage.side.stop()


@pytest.mark.parametrize(
    ("message", "limit"),
    [("x" * 1025, "max_text_bytes"), ("x" * 4097, "max_message_bytes"), (bytes(4097), "max_message_bytes")],
)
@in_virtual_time
async def test_a_call_that_a_message_ends_by_its_size_is_counted_by_the_name_of_the_limit(
    message: str | bytes, limit: str
) -> None:
    stage = Stage(limits={"max_message_bytes": 4096, "max_text_bytes": 1024})
    await stage.side.listen()
    router, socket = await stage.call()
    if isinstance(message, str):
        socket.send_text(message)
    else:
        socket.send_audio(message)
    await asyncio.sleep(1.0)
    assert router.closed is not None
    assert router.closed.code == 1009
    assert stage.side.refusals() == {limit: 1}
    assert ("limits_hit", (limit,), 1.0) in stage.side.meters.snapshot("server")
    (failed,) = stage.told_of(tells.Failed)
    assert f"Limits.{limit}" in failed.text
    stage.side.stop()


class Judged:
    """An I/O side whose application decides on upgrades, of the same ids all of them."""

    def __init__(self) -> None:
        self.stage = Stage(authenticate=lambda _: True, timeouts={"resume_s": 10})

    def dial(self) -> asyncio.Task[int]:
        ids = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "s1"))
        return asyncio.create_task(status_of_a_call(self.stage, *ids))

    async def asked(self, count: int) -> tuple[int, tells.Asked]:
        """The latest of so many."""
        await rest()
        asked = [(number, tell) for number, tell in self.stage.posted.tells if isinstance(tell, tells.Asked)]
        assert len(asked) == count
        return asked[-1]

    def let_in(self, number: int, who: str) -> None:
        self.stage.side.apply((number, asks.Judged(who, None, "")))


@in_virtual_time
async def test_who_was_judged_before_the_call_was_there_does_not_go_on_with_it() -> None:
    judged = Judged()
    await judged.stage.side.listen()
    second = judged.dial()
    about_second, asked = await judged.asked(1)
    assert asked.resumes is None
    first = judged.dial()
    judged.let_in((await judged.asked(2))[0], "ann")
    assert await first == 101
    judged.let_in(about_second, "bob")
    assert await second == 503
    [link] = judged.stage.side.links.values()
    assert link.identity == "ann"
    assert judged.stage.told_of(tells.Resumed) == []
    again = judged.dial()
    number, asked = await judged.asked(3)
    assert asked.resumes == "ann"
    judged.let_in(number, "ann")
    assert await again == 101
    assert len(judged.stage.told_of(tells.Resumed)) == len(judged.stage.side.links) == 1
    judged.stage.side.stop()
