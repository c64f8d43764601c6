# SPDX-License-Identifier: Apache-2.0
"""Who may dial, on real sockets: what a caller gets, what the application and the log hear of it, over each carrier."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from support.peers import calling
from support.serving import Listener, echo, serving, until
from support.tokens import forged
from websockets.exceptions import InvalidStatus

from audio_connector import AudioConnectorConnection, AudioConnectorServerHandle
from audio_connector.auth import Rejected, SignedToken, UpgradeRequest, VonageSignature, mint_token

KEY = "a-key-of-a-test-that-is-long-enough"
OLD_KEY = "an-older-key-that-is-long-enough-too"
IDS = {"x-opentok-ws-sessionid": "s1", "x-opentok-ws-connectionid": "c1"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status_of(handle: AudioConnectorServerHandle, path: str = "/", **headers: str) -> int:
    """What who dials gets: 101, or the status of a refusal."""
    try:
        async with calling(handle.get_address(), path, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        assert refused.response.body in (
            b"This server does not let you in.\n",
            b"This server cannot take the connection now.\n",
        )
        return refused.response.status_code


@asynccontextmanager
async def answering(
    handle: AudioConnectorServerHandle, path: str = "/", **headers: str
) -> AsyncIterator[Any]:
    async with calling(handle.get_address(), path, additional_headers=headers) as caller:
        yield caller


async def test_a_token_opens_and_the_application_sees_what_it_claims() -> None:
    listener = Listener()
    async with serving(listener, authenticate=SignedToken([KEY, OLD_KEY])) as handle:
        assert await status_of(handle) == 401
        assert await status_of(handle, **bearer("garbage")) == 401
        for key in (KEY, OLD_KEY):
            assert await status_of(handle, **bearer(mint_token(key, customer="Ann"))) == 101
        assert await status_of(handle, **bearer(mint_token("another-key-that-is-long-enough-too"))) == 401
        heard = [await listener.ended(number) for number in (0, 1)]
        assert [each.client.identity["customer"] for each in heard] == ["Ann", "Ann"]
        await until(lambda: sum(handle.refusals.values()) == 3, "the counts")
        assert handle.refusals == {"401 no token": 1, "401 unreadable": 1, "401 signature": 1}


@pytest.mark.parametrize("carrier", ["query:token", "path", "header:x-key"])
async def test_a_token_opens_where_it_is_carried(carrier: str) -> None:
    listener = Listener()
    token = mint_token(KEY)
    paths = {"query:token": f"/bot?a=b&token={token}", "path": f"/bot/{token}", "header:x-key": "/bot"}
    async with serving(listener, authenticate=SignedToken([KEY], carrier=carrier)) as handle:
        headers = {"X-Key": token} if carrier == "header:x-key" else {}
        assert await status_of(handle, paths[carrier], **headers) == 101
        assert await status_of(handle, "/bot", **bearer(token)) == 401
        assert token not in repr((await listener.ended()).client)


async def test_one_for_one_session_opens_that_alone_and_once() -> None:
    token = mint_token(KEY, session_id="s1")
    async with serving(echo, authenticate=SignedToken([KEY], one_time=True)) as handle:
        assert await status_of(handle, **bearer(token), **{"x-opentok-ws-sessionid": "s2"}) == 401
        assert await status_of(handle, **bearer(token), **IDS) == 101
        assert await status_of(handle, **bearer(token), **IDS) == 401
        await until(lambda: sum(handle.refusals.values()) == 2, "the counts")
        assert handle.refusals == {"401 other session": 1, "401 replayed": 1}


async def test_a_signature_of_the_voice_api_opens() -> None:
    listener = Listener()
    claims = {"iat": int(time.time()), "jti": "1", "iss": "Vonage", "application_id": "app"}
    secret = "a-signature-secret"
    async with serving(listener, authenticate=VonageSignature(secret)) as handle:
        assert await status_of(handle, **bearer(forged(claims, secret))) == 101
        assert await status_of(handle, **bearer(forged({**claims, "iat": 5}, secret))) == 401
        assert (await listener.ended()).client.identity == claims


# A function of the application.


async def test_a_function_decides_and_runs_on_the_loop_of_the_application() -> None:
    threads: list[int] = []
    requests: list[UpgradeRequest] = []
    listener = Listener()

    async def decide(request: UpgradeRequest) -> dict[str, Any]:
        threads.append(threading.get_ident())
        requests.append(request)
        await asyncio.sleep(0.01)
        if request.query != "who=Ann":
            raise Rejected(status=403, reason="nobody knows them")
        return {"who": "Ann", "rooms": (1, 2)}

    async with serving(listener, authenticate=decide) as handle:
        assert await status_of(handle, "/bot?who=Ann", **IDS) == 101
        assert await status_of(handle, "/bot?who=Bob") == 403
        assert set(threads) == {threading.get_ident()}
        assert (requests[0].path, requests[0].session_id) == ("/bot", "s1")
        assert requests[0].remote_address[0] == "127.0.0.1"
        assert (await listener.ended()).client.identity == {"who": "Ann", "rooms": [1, 2]}
        await until(lambda: handle.refusals == {"403 rejected": 1}, "the count")


async def test_one_that_fails_lets_nobody_in_and_others_do_not_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, authenticate=lambda request: {"/good": "Ann"}[request.path]) as handle:
        assert await status_of(handle, "/bad") == 500
        assert await status_of(handle, "/good") == 101
    assert "failed on an upgrade with path '/bad'" in caplog.text
    assert "KeyError" in caplog.text


async def test_a_blocked_application_gives_503_in_time_and_no_call_stutters() -> None:
    ran = 0

    def decide(_: UpgradeRequest) -> str:
        nonlocal ran
        ran += 1
        return "Ann"

    statuses: list[int] = []
    took_s: list[float] = []
    timeouts = {"authenticate_s": 0.3}

    def dial(address: str) -> None:
        """In a thread, with a loop of its own."""

        async def once() -> int:
            try:
                async with calling(address):
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        began = time.monotonic()
        statuses.append(asyncio.run(once()))
        took_s.append(time.monotonic() - began)

    async with serving(echo, authenticate=decide, timeouts=timeouts) as handle:
        dialling = [threading.Thread(target=dial, args=(handle.get_address(),)) for _ in range(3)]
        for thread in dialling:
            thread.start()
        time.sleep(1.0)  # noqa: ASYNC251 - it is what is tried
        assert statuses == [503, 503, 503]
        assert max(took_s) < 0.9
        for thread in dialling:
            await asyncio.to_thread(thread.join)
        assert await status_of(handle) == 101
        assert ran == 1  # nobody waited for the others any more


async def test_who_has_gone_meanwhile_is_no_call() -> None:
    decided = asyncio.Event()
    asked = asyncio.Event()
    listener = Listener()

    async def decide(request: UpgradeRequest) -> str:
        if request.path == "/slow":
            asked.set()
            await decided.wait()
        return request.path

    async with serving(listener, authenticate=decide) as handle:
        dialling = asyncio.ensure_future(status_of(handle, "/slow"))
        await asked.wait()
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
        await asyncio.sleep(0.05)
        decided.set()
        assert await status_of(handle, "/next") == 101
        assert [(await listener.ended()).client.identity] == ["/next"]
        assert len(listener.calls) == 1


async def test_a_stop_and_a_drain_end_who_waits() -> None:
    for drains in (False, True):
        asked = asyncio.Event()

        async def decide(_: UpgradeRequest, asked: asyncio.Event = asked) -> str:
            asked.set()
            await asyncio.sleep(60)
            return "Ann"

        async with serving(echo, authenticate=decide) as handle:
            dialling = asyncio.ensure_future(status_of(handle))
            await asked.wait()
            await (handle.drain(0.1) if drains else handle.stop())
            [error] = await asyncio.gather(dialling, return_exceptions=True)
            assert isinstance(error, Exception) or error == 503
        assert len(asyncio.all_tasks()) == 1


# Who dials again.


async def test_a_router_that_dials_again_may_do_so_with_the_token_it_has() -> None:
    listener = Listener()
    resumed: list[AudioConnectorConnection] = []
    token = mint_token(KEY, lifetime_s=1.0)
    signed = SignedToken([KEY], one_time=True, leeway_s=0.0)
    options: dict[str, Any] = {"authenticate": signed, "on_resume": resumed.append}
    async with serving(listener, timeouts={"resume_s": 5.0}, **options) as handle:
        async with answering(handle, **bearer(token), **IDS) as first:
            heard = await listener.call()
            first.transport.abort()
        await asyncio.sleep(2.0)  # it has expired since then, and was used
        async with answering(handle, **bearer(token), **IDS):
            await until(lambda: resumed, "the call that goes on")
        assert resumed == [heard.client]
        assert heard.client.identity["jti"] == json.loads(json.dumps(heard.client.identity))["jti"]
        await listener.ended()
        assert await status_of(handle, **bearer(token), **IDS) == 401


# What the log has.


async def test_no_log_line_has_a_token_or_a_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = {
        name: mint_token(KEY, kind=name) for name in ("header", "query", "path", "malformed", "get", "lost")
    }
    secret = "s3cret-of-a-query"
    for carrier in ("header:authorization", "query:token", "path"):
        signed = SignedToken([KEY], carrier=carrier, one_time=True)
        async with serving(Listener(), authenticate=signed) as handle:
            for _ in range(2):
                await status_of(handle, f"/?x={secret}", **bearer(tokens["header"]))
                await status_of(handle, f"/bot?token={tokens['query']}&x={secret}")
                await status_of(handle, f"/bot/{tokens['path']}?x={secret}")
                for raw in (
                    f"GET /?token={tokens['malformed']}&{secret} HTTP/9.9\r\n\r\n",
                    f"get /{tokens['malformed']}?{secret} HTTP/1.1\r\n\r\n",
                    f"GET /?{secret}&token={tokens['get']} HTTP/1.1\r\nHost: x\r\n\r\n",
                    f"GET / HTTP/1.1\nAuthorization: Bearer {tokens['lost']}\n{secret}\r\n\r\n",
                ):
                    reader, writer = await asyncio.open_connection("127.0.0.1", handle.port)
                    writer.write(raw.encode())
                    await reader.read()
                    writer.close()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("audio_connector")]
    assert len(lines) > 10
    assert "s3cret" not in "\n".join(lines)
    assert KEY not in caplog.text
    for token in tokens.values():
        assert token[:30] not in "\n".join(lines)
        assert token.split(".")[2] not in "\n".join(lines)
