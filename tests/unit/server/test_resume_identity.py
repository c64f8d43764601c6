# SPDX-License-Identifier: Apache-2.0
"""Who is taken for the router of a call that there is, and what becomes of its old socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from support.audio import numbered, numbers_of
from support.call import lasting_call
from support.redials import RESUME_S, Pairs, Scene, ids, lose, sentence
from support.stage import UPGRADE, FakeTransport
from support.tokens import KEY, OLD_KEY

from audio_connector.auth import SignedToken, UpgradeRequest, mint_token
from audio_connector.errors import DialError
from audio_connector.server.link import Link
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.codec import encode_event
from audio_connector.wire.memory import MemoryTransport
from audio_connector.wire.messages import Connected, Disconnected
from audio_connector.wire.transport import Headers

FRAME = numbered(7, 640)
GONE = Disconnected(code=1006, reason="", closed_by="network")


# Who is who.


@in_virtual_time
async def test_a_call_goes_on_with_the_token_that_it_came_with_although_it_has_expired() -> None:
    def carrying(token: str, connection: str = "c1") -> Pairs:
        return [*ids(connection), ("authorization", f"Bearer {token}")]

    signed = SignedToken([KEY], one_time=True)
    token = mint_token(KEY, lifetime_s=60.0, who="Ann")
    async with Scene(authenticate=signed) as scene:
        socket = await scene.dial(carrying(token))
        identity = scene.client.identity
        await asyncio.sleep(600)
        await lose(socket)
        another = carrying(mint_token(KEY, who="Cyd"))
        for others in (carrying(mint_token(OLD_KEY)), ids(), carrying(token, "c2"), another):
            with pytest.raises(DialError, match="HTTP 401"):
                await scene.dial(others)
        await lose(await scene.dial(carrying(token)))
        assert (scene.app.resumed, scene.client.identity) == ([scene.client], identity)
        identity["who"] = "Bob"  # whatever the application does with what it was given
        await scene.dial(carrying(token))
        assert scene.client.identity["who"] == "Ann"
        assert len(scene.app.connected) == 1


@in_virtual_time
async def test_a_token_for_one_session_opens_no_other_by_the_first_message() -> None:
    first = encode_event(Connected(content_type="audio/l16;rate=16000", headers={"sessionId": "s2"}))
    async with Scene(authenticate=SignedToken([KEY])) as scene:
        for token in (mint_token(KEY, session_id="s1"), mint_token(KEY)):
            socket = await scene.dial([("authorization", f"Bearer {token}")], rate_hz=None)
            socket.send_text(first)
            await rest()
        assert [client.session_id for client in scene.app.connected] == ["s1", "s2"]
        assert [call["session"] for call in scene.side.tell(with_calls=True).calls] == ["s1", "s2"]


@in_virtual_time
async def test_a_function_is_told_whose_call_would_go_on() -> None:
    asked: list[object] = []

    async def decide(request: UpgradeRequest) -> str:
        asked.append(request.resumes)
        await asyncio.sleep(0.1)
        return f"caller {len(asked)}"

    async with Scene(authenticate=decide) as scene:
        await lose(await scene.dial())
        await scene.dial()
        assert (asked, scene.client.identity) == ([None, "caller 1"], "caller 2")


@in_virtual_time
async def test_a_call_whose_time_is_up_meanwhile_is_another_one() -> None:
    async def decide(request: UpgradeRequest) -> str:
        await asyncio.sleep(0.0 if request.resumes is None else 1.0)
        return "Ann"

    async with Scene(authenticate=decide) as scene:
        await lose(await scene.dial(), for_s=RESUME_S - 0.5)
        await scene.dial()
        assert (len(scene.app.connected), scene.app.resumed) == (2, [])


@in_virtual_time
async def test_who_was_let_in_for_a_call_of_their_own_gets_no_other_one() -> None:
    """The function decided on both before there was a call; the second would have got that of the first."""

    async def decide(request: UpgradeRequest) -> str:
        await asyncio.sleep(1.0 if request.path == "/late" else 0.1)
        return request.path if request.resumes is None else f"{request.path} for {request.resumes}"

    async with Scene(authenticate=decide) as scene:
        late = asyncio.ensure_future(scene.dial(path="/late"))
        await asyncio.sleep(0.01)
        await scene.dial(path="/first")
        with pytest.raises(DialError, match="HTTP 503"):
            await late
        assert (scene.app.resumed, scene.client.identity) == ([], "/first")
        await scene.dial(path="/late")  # where the call is, it is told of that
        assert scene.client.identity == "/late for /first"


async def is_another_call(scene: Scene, headers: Pairs) -> bool:
    """Whether a second dial is taken for another call than the first."""
    await scene.dial(headers)
    return len(scene.app.connected) == 2 and not scene.app.resumed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (ids(), ids("c2")),
        (ids(), ids(session="s2")),
        (ids(), [("x-opentok-ws-connectionid", "c1")]),
        ([("connectionid", "c1")], [("connectionid", "c2")]),
        ([("any", "c1")], [("any", "c1")]),
        ([("x-opentok-ws-sessionid", "s1")], [("x-opentok-ws-sessionid", "s1")]),
        ([("connectionid", "")], [("connectionid", "")]),
    ],
)
@pytest.mark.parametrize("is_lost", [False, True])
def test_who_has_not_the_same_ids_is_another_call(first: Pairs, second: Pairs, is_lost: bool) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            socket = await scene.dial(first)
            if is_lost:
                await lose(socket)
            assert await is_another_call(scene, second)
            assert socket.is_closing == is_lost

    run_in_virtual_time(scene())


@pytest.mark.parametrize("first", [ids(), [("connectionid", "c1")], [("CONNECTIONID", "c1"), *ids("other")]])
@pytest.mark.parametrize("is_lost", [False, True])
def test_who_has_the_same_ids_is_not(first: Pairs, is_lost: bool) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            socket = await scene.dial(first)
            if is_lost:
                await lose(socket)
            assert not await is_another_call(scene, first)
            assert scene.app.resumed == [scene.client]

    run_in_virtual_time(scene())


@in_virtual_time
async def test_without_resume_s_each_dial_is_a_call() -> None:
    async with Scene(resume_s=None) as scene:
        first = await scene.dial()
        assert await is_another_call(scene, ids())
        assert not first.is_closing
        await lose(first)
        assert scene.app.ends == [GONE]


@in_virtual_time
async def test_a_router_without_an_id_is_not_waited_for() -> None:
    async with Scene() as scene:
        await lose(await scene.dial([("any", "thing")]))
        assert scene.app.ends == [GONE]


def say_goodbye(scene: Scene, socket: MemoryTransport) -> None:
    socket.send_text(encode_event(Disconnected(reason="left")))


def close(scene: Scene, socket: MemoryTransport) -> None:
    socket.pause_reading()  # the answer never arrives, so that the socket stays for a while
    socket.close(1000)


def hang_up(scene: Scene, socket: MemoryTransport) -> None:
    socket.pause_reading()
    scene.client.disconnect()


@pytest.mark.parametrize("end", [say_goodbye, close, hang_up])
@pytest.mark.parametrize("is_lost", [False, True])
def test_once_somebody_has_said_that_it_ends_a_dial_is_another_call(
    end: Callable[[Scene, MemoryTransport], None], is_lost: bool
) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            socket = await scene.dial()
            end(scene, socket)
            await rest()
            if is_lost:
                await lose(socket)
            assert await is_another_call(scene, ids())
            if not is_lost:
                assert scene.app.ends == []
            await asyncio.sleep(3.0)
            if end is say_goodbye and not is_lost:
                socket.reset()
                await rest()
            assert len(scene.app.ends) == 1
            # The second one is found where it is lost, although the first one has ended after it had begun.
            await lose_latest(scene)
            await scene.dial()
            assert scene.app.resumed == [scene.app.connected[1]]

    run_in_virtual_time(scene())


async def lose_latest(scene: Scene) -> None:
    [link] = scene.side.links.values()
    assert isinstance(link._transport, MemoryTransport)
    await lose(link._transport._peer)


@in_virtual_time
async def test_whoever_dials_too_late_is_a_new_call() -> None:
    async with Scene() as scene:
        await lose(await scene.dial(), RESUME_S + 0.01)
        assert await is_another_call(scene, ids())


# Ghosts.


@in_virtual_time
async def test_the_old_socket_is_ended_at_once() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        await scene.client.send_audio_buffer(sentence(200))
        await asyncio.sleep(1.0)
        first.pause_reading()  # half open
        second = await scene.dial()
        await rest()
        assert scene.routers[0].closed is not None
        assert scene.app.resumed == [scene.client]
        first.send_audio(numbered(1, 640))
        second.send_audio(numbered(2, 640))
        await asyncio.sleep(RESUME_S + 5.0)
        assert [message for message in scene.app.heard if isinstance(message, bytes)] == [numbered(2, 640)]
        assert numbers_of(scene.routers[1].frames)[-1] == 200
        assert scene.app.ends == []
        assert not second.is_closing


@in_virtual_time
async def test_what_the_old_socket_has_sent_is_not_taken_for_the_new_ones() -> None:
    async with Scene() as scene:
        first = await scene.dial()
        for _ in range(5):
            first.send_audio(numbered(1, 640))  # under way
        first.send_text(encode_event(Disconnected(reason="left")))
        await scene.dial()
        await asyncio.sleep(1.0)
        assert numbered(1, 640) not in scene.app.heard
        assert scene.app.ends == []


def test_the_link_does_not_hear_of_the_old_socket_any_more() -> None:

    call = lasting_call()
    call.lose()
    old, new = FakeTransport(), FakeTransport()
    call.link.on_open(old, UPGRADE)
    call.link.on_open(new, UPGRADE)
    assert (old.ended, old.is_disowned) == ("abort", True)
    assert (new.ended, new.is_disowned) == (None, False)
    call.run_for(1.1)
    call.write(FRAME)
    call.run_for(0.2)
    assert (len(old.of("audio")), len(new.of("audio"))) == (0, 1)


@pytest.mark.parametrize("has_ended", [False, True])
def test_a_call_that_ends_between_the_request_and_the_opening(has_ended: bool) -> None:
    async def scene() -> None:
        async with Scene() as scene:
            socket = await scene.dial()
            if has_ended:
                await lose(socket)
            receiver = scene.side._accept(UPGRADE._replace(headers=Headers(ids())))
            assert isinstance(receiver, Link)
            scene.client.disconnect()
            await asyncio.sleep(0.0)
            late = FakeTransport()
            receiver.on_open(late, UPGRADE)
            assert (late.ended, late.is_disowned) == ("close 1013", True)
            await rest()
            assert [how.code for how in scene.app.ends] == [1000]

    run_in_virtual_time(scene())
