# SPDX-License-Identifier: Apache-2.0
"""Before the upgrade: who is refused, who is dropped, and what is said and counted of it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from contextlib import ExitStack
from typing import Any

import pytest
from support.ends import Port, port_at
from support.peers import UPGRADE, bare, request
from support.serving import certificates, tls_client, until, warnings_of

from audio_connector.wire.addresses import NO_LINGER
from audio_connector.wire.first_bytes import FirstBytes
from audio_connector.wire.gate import Gate
from audio_connector.wire.loop import close_loop, new_loop
from audio_connector.wire.picows import listen
from audio_connector.wire.refusals import NOT_NOW


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "audio_connector.wire"]


REFUSED_TLS = (
    "refused '\\x16\\x03\\x01\\x02\\x00' from 127.0.0.1 with 400: a TLS handshake, and this port has no TLS "
    "(dial ws://, or give it a certificate)"
)
PLAIN_GET = b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "status", "line"),
    [
        (
            PLAIN_GET,
            "426",
            "refused GET '/x' from 127.0.0.1 with 426: not a WebSocket upgrade (dial ws:// or wss://)",
        ),
        (
            request({**UPGRADE, "Sec-WebSocket-Version": "8"}),
            "426",
            "refused GET '/' from 127.0.0.1 with 426: a WebSocket version other than 13 (RFC 6455 4.4)",
        ),
        (
            request({**UPGRADE, "Connection": "close"}),
            "400",
            "refused GET '/' from 127.0.0.1 with 400: not a valid WebSocket upgrade (RFC 6455 4.2.1)",
        ),
        (
            b"\x1b[2J\r\n\r\n",
            "400",
            "refused '\\x1b[2J' from 127.0.0.1 with 400: not a valid HTTP request (RFC 9112)",
        ),
        (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            "400",
            REFUSED_TLS,
        ),
        (
            b"GET /" + b"x" * 20_000,
            "431",
            f"refused GET '/{'x' * 79}'… from 127.0.0.1 with 431: the head of the request is too large",
        ),
    ],
)
async def test_a_refusal_leaves_a_line_and_counts(
    raw: bytes, status: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audio_connector.wire")
    async with port_at() as port:
        for _ in range(3):
            async with bare(port.address(), raw) as peer:
                assert (await peer.rest()).startswith(f"HTTP/1.1 {status} ".encode())
        assert port.listening.refusals == {status: 3}
        assert lines_of(caplog) == [line]
    assert lines_of(caplog)[1:] == [f"refused 2 more: {line.partition(f'{status}: ')[2]}"]


async def test_who_is_not_taken_and_our_own_faults_count_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audio_connector.wire")
    async with port_at() as port:
        port.takes = False
        async with bare(port.address(), request(UPGRADE)) as peer:
            assert (await peer.answer()).status == 503
        port.takes = LookupError("the password is 1234")
        for _ in range(50):
            async with bare(port.address(), request(UPGRADE)) as peer:
                assert (await peer.answer()).status == 500
        assert port.listening.refusals == {"503": 1, "500": 50}
    assert lines_of(caplog) == [
        "refused GET '/' from 127.0.0.1 with 503: the server takes no connection now",
        "refused GET '/' from 127.0.0.1 with 500: taking the connection failed; this is an error of the library",
        "refused 49 more: taking the connection failed; this is an error of the library",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [False, True, False]


async def test_who_is_too_slow_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audio_connector.wire")
    async with port_at(handshake_timeout_s=0.05) as port, bare(port.address(), b"GET / HT") as peer:
        assert await peer.rest() == b""
        assert port.listening.refusals == {"timeout": 1}
    assert lines_of(caplog) == [
        "refused GET '/' from 127.0.0.1: the request was not complete in time: more than 0.05 s"
    ]


@tls_client
@pytest.mark.parametrize("is_tls", [False, True])
@pytest.mark.parametrize("how", ["shut", "reset", "reset in the middle"])
async def test_who_only_looks_whether_the_port_is_open_is_counted_in_silence(
    how: str, is_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    said = b"GET / HTTP/1.1\r\nHo" if how == "reset in the middle" and not is_tls else b""
    async with port_at(ssl_context=certificates().server if is_tls else None) as port:
        for number in range(1, 4):
            async with bare(port.address(), said) as peer:
                await until(lambda: port.listening._gates.waiting, "the gate")
                peer.shut() if how == "shut" else peer.reset()
                await until(
                    lambda count=number: port.listening.refusals == {"probe": count},  # type: ignore[misc]
                    "the count",
                )
        assert not port.listening._gates.waiting
    assert [record.getMessage() for record in caplog.records if "TLS" in record.getMessage()] == []
    assert lines_of(caplog) == []
    assert complaints == []


def distrust(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as sock:
        ssl.create_default_context().wrap_socket(sock, server_hostname="localhost")


@tls_client
@pytest.mark.parametrize(
    ("how", "status", "line"),
    [
        ("plain HTTP", "400", "plain HTTP, and this port has TLS (dial wss://)"),
        ("SSH", "tls", "no TLS handshake, and this port has TLS (dial wss://)"),
        ("garbage", "tls", "the TLS handshake failed: "),
        ("hang up", "tls", "the TLS handshake failed: the peer hung up"),
        ("distrust", "tls", "the TLS handshake failed: TLSV1_ALERT_UNKNOWN_CA"),
        ("silence", "timeout", "the request was not complete in time: no TLS handshake within 0.2 s"),
        ("silence after it", "timeout", "the request was not complete in time: more than 0.2 s"),
    ],
)
async def test_who_fails_at_tls_leaves_a_line_and_counts(
    how: str, status: str, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    timeout_s = 0.2 if status == "timeout" else 10.0
    async with port_at(ssl_context=certificates().server, handshake_timeout_s=timeout_s) as port:
        if how == "distrust":
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(distrust, port.listening.address)
        elif how == "silence after it":
            async with bare(port.address(), b"", ssl_context=certificates().client) as peer:
                assert await peer.rest() == b""
        else:
            sent = {
                "plain HTTP": PLAIN_GET,
                "SSH": b"SSH-2.0-x\r\n",
                "garbage": b"\x16\x03\x01\x00\x05hello",
                "hang up": b"\x16\x03",
                "silence": b"",
            }
            async with bare(port.address(), sent[how]) as peer:
                if how == "hang up":
                    await peer.drain()
                    peer.end_stream()
                answer = await peer.rest()
                assert answer.startswith(b"HTTP/1.1 400 ") == (how == "plain HTTP")
                assert (b"wss://" in answer) == (how == "plain HTTP")
        await until(lambda: port.listening.refusals, "the refusal")
        assert port.listening.refusals == {status: 1}
    assert len(lines_of(caplog)) == 1
    what = {"plain HTTP": "GET '/x' from 127.0.0.1 with 400", "SSH": "'SSH-2.0-x' from 127.0.0.1"}
    about = what.get(how, "a connection from 127.0.0.1")
    assert lines_of(caplog)[0].startswith(f"refused {about}: {line}")
    assert warnings_of(caplog) == []
    assert complaints == []


@tls_client
async def test_a_port_that_stops_ends_a_tls_handshake() -> None:
    async with port_at(ssl_context=certificates().server) as port, bare(port.address(), b"\x16\x03") as peer:
        [waiter] = await handshakes_of(port)
        port.listening.stop()
        assert await peer.rest() == b""
        await until(waiter._task.done, "the end of the task")
        assert not port.listening._gates.waiting


async def handshakes_of(port: Port) -> list[Any]:
    """Those that are being made, once there are some."""

    def found() -> list[Any]:
        return [each for each in port.listening._gates.waiting if getattr(each, "_task", None)]

    await until(found, "the handshake")
    return found()


async def requests_of(port: Port) -> list[Any]:
    """Gates that wait for a request, once there are some."""

    def found() -> list[Any]:
        return [each for each in port.listening._gates.waiting if isinstance(each, Gate)]

    await until(found, "the gate")
    return found()


@tls_client
async def test_tls_and_the_request_have_one_deadline_together() -> None:
    async with port_at(ssl_context=certificates().server, handshake_timeout_s=1.0) as port:
        sock = await asyncio.to_thread(socket.create_connection, port.listening.address)
        await until(lambda: port.listening._gates.waiting, "the connection")
        [first] = port.listening._gates.waiting
        assert isinstance(first, FirstBytes)
        await asyncio.sleep(0.2)
        _, writer = await asyncio.open_connection(
            sock=sock, ssl=certificates().client, server_hostname="localhost"
        )
        [gate] = await requests_of(port)
        assert gate._deadline.when() == pytest.approx(first._until, abs=0.1)  # not 0.2 s later
        await until(lambda: port.listening.refusals, "the deadline")
        assert port.listening.refusals == {"timeout": 1}
        writer.transport.abort()


@pytest.mark.parametrize("is_tls", [False, True])
def test_bytes_and_a_reset_at_once_give_the_descriptor_back(is_tls: bool) -> None:
    """On the loop of the I/O side; uvloop's own tells of the reset once, and of the bytes with it."""

    async def reset_in_the_middle() -> None:
        said = b"\x16\x03\x01\x02\x00\x01\x00" if is_tls else b"GET / HTTP/1.1\r\nHo"
        async with port_at(ssl_context=certificates().server if is_tls else None) as port:
            for _ in range(20):
                with socket.create_connection(port.listening.address) as caller:
                    caller.send(said)
                    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            begun = asyncio.get_running_loop().time()
            await until(lambda: sum(port.listening.refusals.values()) == 20, "the resets")
            await until(lambda: not port.listening._gates.waiting, "the descriptors")
            assert asyncio.get_running_loop().time() - begun < 2.0

    loop = new_loop()
    try:
        loop.run_until_complete(reset_in_the_middle())
    finally:
        close_loop(loop)


@tls_client
@pytest.mark.parametrize("is_tls", [False, True])
async def test_who_floods_the_port_without_a_word_pushes_out_his_own(
    is_tls: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audio_connector.wire")
    monkeypatch.setattr("audio_connector.wire.descriptors.MOST_WAITING", 10)
    contexts = certificates() if is_tls else None
    async with port_at(ssl_context=contexts and contexts.server) as port:
        waiting = port.listening._gates.waiting
        with ExitStack() as held:
            address = ("127.0.0.1", port.listening.address[1])
            other = held.enter_context(socket.create_connection(address, source_address=("127.0.0.2", 0)))
            await until(lambda: len(waiting) == 1, "the one of another address")
            for count in range(2, 31):
                held.enter_context(socket.create_connection(address))
                await until(
                    lambda n=count: len(waiting) == min(n, 10) and _dropped(port) == max(0, n - 10),  # type: ignore[misc]
                    "the next one",
                )
            async with bare(
                port.address(), ssl_context=contexts and contexts.client
            ):  # from the same address
                assert len(port.ends) == 1
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(1)  # it has not been dropped
        assert port.listening.refusals["crowded"] >= 20
    lines = [line for line in lines_of(caplog) if "too many connections wait" in line]
    assert lines[0].startswith("refused a connection from 127.0.0.1: too many connections wait")
    assert len(lines) == 2


def _dropped(port: Port) -> int:
    return port.listening.refusals.get("crowded", 0)


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"\x16\x03\x01\x02\x00", REFUSED_TLS),
        (
            b"SSH-2.0-x\r\n",
            "refused 'SSH-2.0-x' from 127.0.0.1 with 400: not a valid HTTP request (RFC 9112)",
        ),
        (b"\n", "refused '\\n' from 127.0.0.1 with 400: not a valid HTTP request (RFC 9112)"),
    ],
)
async def test_who_speaks_something_else_hears_so_at_once(
    raw: bytes, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audio_connector.wire")
    async with port_at(handshake_timeout_s=60) as port, bare(port.address(), raw) as peer:
        assert (await peer.answer()).status == 400
    assert lines_of(caplog) == [line]


async def test_another_method_is_told_which_one_it_has_to_be() -> None:
    async with port_at() as port:
        raw = b"POST /x HTTP/1.1\r\nHost: y\r\nContent-Length: 3\r\n\r\nabc"
        async with bare(port.address(), raw) as peer:
            answer = await peer.answer()
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
        assert port.listening.refusals == {"405": 1}


async def test_a_failure_of_our_own_before_tls_ends_that_connection_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> ssl.SSLContext:
        raise ValueError("an error of the library, as it were")

    listening = await listen(lambda _: NOT_NOW, host="127.0.0.1", ssl_context=broken)
    try:
        async with bare("ws://{}:{}".format(*listening.address), b"\x16\x03\x01\x00\x05hello") as peer:
            assert await peer.rest() == b""
        assert listening.refusals == {"500": 1}
    finally:
        listening.stop()
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
