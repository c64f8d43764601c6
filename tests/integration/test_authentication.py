# SPDX-License-Identifier: Apache-2.0
"""Who may dial, on real sockets: what a caller gets, what the application and the log hear of it."""

from __future__ import annotations

import asyncio
import time

import pytest
from support.peers import calling
from support.serving import Listener, echo, serving, until
from support.tokens import bearer, forged, status_of

from audio_connector import AudioConnectorConnection
from audio_connector.auth import SignedToken, UpgradeRequest, VonageSignature, mint_token

KEY = "a-key-of-a-test-that-is-long-enough"
OLD_KEY = "an-older-key-that-is-long-enough-too"
IDS = {"x-opentok-ws-sessionid": "s1", "x-opentok-ws-connectionid": "c1"}


@pytest.mark.parametrize("where", ["query:token", "path", "header:x-key"])
async def test_a_token_opens_where_it_is_carried(where: str) -> None:
    listener = Listener()
    token = mint_token(KEY)
    paths = {"query:token": f"/bot?a=b&token={token}", "path": f"/bot/{token}", "header:x-key": "/bot"}
    async with serving(listener, authenticate=SignedToken([KEY], carrier=where)) as handle:
        headers = {"X-Key": token} if where == "header:x-key" else {}
        assert await status_of(handle, paths[where], **headers) == 101
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


async def test_one_that_fails_lets_nobody_in_and_others_do_not_notice(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo, authenticate=lambda request: {"/good": "Ann"}[request.path]) as handle:
        assert await status_of(handle, "/bad") == 500
        assert await status_of(handle, "/good") == 101
    assert "failed on an upgrade with path '/bad'" in caplog.text
    assert "KeyError" in caplog.text


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
    """Also once it has expired, see `tests/unit/server/test_resume_identity`."""
    listener = Listener()
    resumed: list[AudioConnectorConnection] = []
    signed = SignedToken([KEY], one_time=True)
    async with serving(
        listener, timeouts={"resume_s": 5.0}, authenticate=signed, on_resume=resumed.append
    ) as handle:
        headers = {**bearer(mint_token(KEY)), **IDS}
        async with calling(handle.get_address(), additional_headers=headers) as first:
            heard = await listener.call()
            first.transport.abort()
        await asyncio.sleep(0.05)
        async with calling(handle.get_address(), additional_headers=headers):
            await until(lambda: resumed, "the call that goes on")
        assert resumed == [heard.client]
        await listener.ended()
        assert await status_of(handle, **headers) == 401
