# SPDX-License-Identifier: Apache-2.0
"""What the simulated router says of servers that cannot be called; none of them is ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.foreign_server import foreign_servers, stream_server
from support.ports import refusing
from support.serving import certificates, sawtooth, tls_client

from audio_connector.errors import DialError
from audio_connector.simulator import Router, RouterCall, run_calls


async def run(call: RouterCall, **options: Any) -> Any:
    async with Router() as router:
        return await asyncio.wait_for(router.run(call, **options), 20)


@pytest.mark.parametrize("status", [200, 301, 404, 500])
async def test_an_http_answer_is_told(status: int) -> None:
    async with foreign_servers() as (url, _):
        with pytest.raises(DialError) as caught:
            await run(RouterCall(url=f"{url}/{status}"))
        [report] = await run_calls([RouterCall(url=f"{url}/{status}")])
    assert str(caught.value) == (
        f"{url}/{status} answered with HTTP {status} instead of a WebSocket (101); is the path right, and is it an "
        "Audio Connector server?"
    )
    assert caught.value.status == status
    assert (report.error, report.problems) == (str(caught.value), (str(caught.value),))


async def told(url: str, **options: Any) -> str:
    with pytest.raises(DialError) as caught:
        await run(RouterCall(url=url, **options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_nobody_there_is_told() -> None:
    with refusing() as port:
        url = f"ws://127.0.0.1:{port}"
        assert await told(url) == f"{url} cannot be reached: Connection refused"
    assert await told("ws://no.such.host.invalid:1/") == (
        "ws://no.such.host.invalid:1/ cannot be reached: the host is not known"
    )


async def test_a_server_that_is_no_websocket_is_told() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example.org ESMTP\r\n\r\n")

    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """At once."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    what = "is the path right, and is it an Audio Connector server?"
    for handler, text in (
        (babble, f"answered with something that is not HTTP instead of a WebSocket (101); {what}"),
        (leave, "closed the connection before it answered; should it be wss://?"),
        (wait, "did not answer within 0.2 s"),
    ):
        async with stream_server(handler) as url:
            assert await told(url, dial_timeout_s=0.2) == f"{url} {text}"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (
            401,
            "it does not let this caller in, and its log says why at INFO; the command line sends a token with",
        ),
        (
            403,
            "it does not let this caller in, and its log says why at INFO; the command line sends a token with",
        ),
        (429, "it takes no call now: it drains, is overloaded or at a limit, and its log says which"),
        (503, "it takes no call now: it drains, is overloaded or at a limit, and its log says which"),
    ],
)
async def test_a_refusal_is_told_as_what_it_is(status: int, hint: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status)

    async with stream_server(refuse) as url:
        text = await told(url)
    assert text.startswith(f"{url} answered with HTTP {status} instead of a WebSocket (101); {hint}")


@tls_client
async def test_tls_that_cannot_be_trusted_is_told() -> None:
    certificate = certificates()
    async with foreign_servers(ssl_context=certificate.server) as (url, all_seen):
        text = await told(url)
        assert text is not None
        assert text.startswith(f"{url}: TLS failed: CERTIFICATE_VERIFY_FAILED (")
        assert "--insecure" in text
        plain = url.replace("wss:", "ws:")
        assert await told(plain) == f"{plain} closed the connection before it answered; should it be wss://?"
        report = await run(
            RouterCall(
                url=url, speech=sawtooth(640), silence="none", tail_s=0.2, ssl_context=certificate.client
            )
        )
    assert (report.frames_received, report.close_code) == (2, 1000)
    assert b"".join(all_seen[-1].audio) == sawtooth(640)
    async with foreign_servers() as (url, _):
        secure = url.replace("ws:", "wss:")
        assert await told(secure, ssl_context=certificate.client) == (
            f"{secure} closed the connection before it answered; should it be ws://?"
        )
