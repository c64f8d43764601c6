# SPDX-License-Identifier: Apache-2.0
"""Who may dial, where it is decided on either side of the port, and the sides are in one process or in two."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from support.peers import calling
from support.serving import DEADLINE_S, Listener, echo, serving, until
from support.tokens import bearer, status_of
from websockets.exceptions import InvalidStatus

from audio_connector.auth import Rejected, SignedToken, UpgradeRequest, mint_token

KEY = "a-key-of-a-test-that-is-long-enough"
OLD_KEY = "an-older-key-that-is-long-enough-too"
IDS = {"x-opentok-ws-sessionid": "s1", "x-opentok-ws-connectionid": "c1"}


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


async def test_a_blocked_application_gives_503_in_time() -> None:
    ran = 0

    def decide(_: UpgradeRequest) -> str:
        nonlocal ran
        ran += 1
        return "Ann"

    statuses: list[int] = []
    timeouts = {"authenticate_s": 0.3}

    def dial(address: str) -> None:
        """In a thread, with a loop of its own."""

        async def once() -> int:
            try:
                async with calling(address):
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        statuses.append(asyncio.run(once()))

    async with serving(echo, authenticate=decide, timeouts=timeouts) as handle:
        dialling = [threading.Thread(target=dial, args=(handle.get_address(),)) for _ in range(3)]
        for thread in dialling:
            thread.start()
        for thread in dialling:
            thread.join(DEADLINE_S)  # which blocks the application's loop: it is what is tried
        assert statuses == [503, 503, 503]
        assert await status_of(handle) == 101
        assert ran == 1  # nobody waited for the others any more


async def test_no_log_line_has_a_token_or_a_query(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = {
        name: mint_token(KEY, kind=name) for name in ("header", "query", "path", "malformed", "get", "lost")
    }
    secret = "s3cret-of-a-query"
    signed = SignedToken([KEY], carrier="path", one_time=True)
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
