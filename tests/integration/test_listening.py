# SPDX-License-Identifier: Apache-2.0
"""A port: at which addresses it is, who keeps it, and what it says of who was refused."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import resource
import socket
from typing import Any

import pytest
from support.ends import Port, forked, port_at
from support.peers import UPGRADE, bare, close_frame, request
from support.serving import DEADLINE_S, certificates, serving, tls_client, until, warnings_of

from audio_connector import Monitoring
from audio_connector.wire.addresses import NO_LINGER
from audio_connector.wire.listening import ACCEPTS_APART_S, ACCEPTS_PER_ROUND, GONE_PER_ROUND
from audio_connector.wire.network import LISTEN
from audio_connector.wire.transport import Closed


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
NEEDS_FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


async def reached_at(port: Port, *hosts: str) -> list[str]:
    """The addresses under which the port sees who dials these."""
    for host in hosts:
        async with bare(port.address(host)):
            pass
    return [end.upgrade.remote_address[0] for end in port.ends]


async def refused_at(port: Port, host: str) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port.listening.address[1])
    except ConnectionRefusedError:
        return True
    writer.transport.abort()
    return False


# Where.


@NEEDS_IPV6
async def test_every_ipv6_address_takes_ipv4_too() -> None:
    async with port_at("::") as port:
        assert port.listening.address[0] == "::"
        assert await reached_at(port, "127.0.0.1", "[::1]") == ["::ffff:127.0.0.1", "::1"]


@NEEDS_IPV6
async def test_no_name_is_every_address_at_one_port() -> None:
    async with port_at("") as port:
        assert await reached_at(port, "127.0.0.1", "[::1]") == ["127.0.0.1", "::1"]
        number = port.listening.address[1]
        with pytest.raises(OSError, match="in use") as caught:
            async with port_at("", number):
                pass
        assert caught.value.errno == errno.EADDRINUSE


async def test_without_ipv6_no_name_is_every_ipv4_address(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
            super().__init__(family, *args, **options)

    monkeypatch.setattr("audio_connector.wire.addresses.socket.socket", Old)
    async with port_at("") as port:
        monkeypatch.undo()
        assert port.listening.address[0] == "0.0.0.0"
        assert await reached_at(port, "127.0.0.1") == ["127.0.0.1"]
        if has_ipv6():
            assert await refused_at(port, "::1")


@NEEDS_IPV6
async def test_one_ipv6_address_is_that_one() -> None:
    async with port_at("::1") as port:
        assert await reached_at(port, "[::1]") == ["::1"]
        assert await refused_at(port, "127.0.0.1")


@NEEDS_IPV6
@pytest.mark.parametrize("taken_by", ["bound", "listening"])
async def test_a_port_that_is_free_at_one_address_only_is_not_taken(
    taken_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[socket.socket] = []

    class Meddling(socket.socket):
        """Takes the free port that was just found, at the other family."""

        def bind(self, address: Any) -> None:
            super().bind(address)
            if self.family == socket.AF_INET and not taken:
                other = socket.socket(socket.AF_INET6)
                other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                taken.append(other)
                other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, taken_by == "listening")
                other.bind(("::", self.getsockname()[1]))
                if taken_by == "listening":
                    other.listen()

    monkeypatch.setattr("audio_connector.wire.addresses.socket.socket", Meddling)
    async with port_at("") as port:
        monkeypatch.undo()
        assert port.listening.address[1] != taken[0].getsockname()[1]
        assert await reached_at(port, "127.0.0.1", "[::1]") == ["127.0.0.1", "::1"]
    taken[0].close()


async def test_the_address_is_known_after_the_end_too() -> None:
    async with port_at() as port:
        before = port.listening.address
    assert port.listening.address == before
    port.listening.stop()


# A process that was forked during a call.


@NEEDS_FORK
@tls_client
@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("is_tls", [False, True])
async def test_a_fork_keeps_no_connection_that_we_end(how: str, is_tls: bool) -> None:
    contexts = certificates() if is_tls else None
    async with (
        port_at(ssl_context=contexts and contexts.server) as port,
        bare(port.address(), ssl_context=contexts and contexts.client) as peer,
    ):
        with forked():
            if how == "close":
                port.ends[0].transport.close(1000, "bye")
                assert (await peer.frame()).reason == "bye"
                peer.send(close_frame(1000))
            else:
                port.ends[0].transport.abort()
            assert await peer.rest() == b""
            await until(lambda: port.ends[0].closed, "the end")


@NEEDS_FORK
async def test_a_fork_keeps_no_connection_that_the_peer_ends() -> None:
    async with port_at() as port, bare(port.address()) as peer:
        with forked():
            peer.end_stream()
            await until(lambda: port.ends[0].closed, "the end")
            assert port.ends[0].closed == [Closed(1006, "", closed_by="network")]
            assert await peer.rest() == b""


@NEEDS_FORK
@pytest.mark.parametrize("raw", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_fork_keeps_nobody_who_was_refused(raw: bytes) -> None:
    async with port_at(handshake_timeout_s=0.3) as port, bare(port.address(), b"") as peer:
        await asyncio.sleep(0.05)
        with forked():
            peer.write(raw)
            assert (b" 426 " in await peer.rest()) == bool(raw)


@NEEDS_FORK
async def test_a_fork_does_not_keep_the_port() -> None:
    async with port_at() as port:
        number = port.listening.address[1]
        with forked():
            port.listening.stop()
            assert await refused_at(port, "127.0.0.1")
            async with port_at(port=number) as again:
                assert await reached_at(again, "127.0.0.1") == ["127.0.0.1"]


@NEEDS_FORK
async def test_a_server_stops_and_starts_again_while_a_fork_lives() -> None:
    async with serving() as handle, bare(handle.get_address()) as peer:
        with forked():
            stopping = asyncio.ensure_future(handle.stop())
            assert (await peer.frame()).code == 1001
            peer.send(close_frame(1001))
            assert await peer.rest() == b""
            await asyncio.wait_for(stopping, DEADLINE_S)
            async with serving(port=handle.port) as again, bare(again.get_address()):
                pass


async def test_no_program_that_is_started_has_our_sockets() -> None:
    async with port_at() as port, bare(port.address()):
        assert not port.ends[0].sock.get_inheritable()
        assert not any(sock.get_inheritable() for sock in port.listening._sockets)


# How it is accepted.


async def test_who_comes_while_it_stops_is_dropped() -> None:
    async with port_at() as port:
        with socket.create_connection(port.listening.address) as caller:
            caller.setblocking(False)
            port.listening._accept(port.listening._sockets[0])
            port.listening.stop()
            assert await asyncio.wait_for(asyncio.get_running_loop().sock_recv(caller, 1), DEADLINE_S) == b""
    assert port.ends == []


async def test_who_has_gone_already_takes_nobody_s_place() -> None:
    async with port_at() as port:
        for number in range(GONE_PER_ROUND):
            with socket.create_connection(port.listening.address) as gone:
                if number % 2:
                    gone.send(b"GET /")
                    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        with socket.create_connection(port.listening.address) as caller:
            caller.send(request(UPGRADE))
            port.listening._accept(port.listening._sockets[0])
            assert port.listening.refusals == {"probe": GONE_PER_ROUND}
            with pytest.raises(BlockingIOError):
                port.listening._sockets[0].accept()
            await until(lambda: port.ends, "the connection")


def test_behind_all_that_the_kernel_holds_who_dials_is_accepted_within_a_second() -> None:
    assert LISTEN.backlog / ACCEPTS_PER_ROUND * ACCEPTS_APART_S < 1.0


async def test_a_full_descriptor_table_is_said_once_and_got_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("audio_connector.wire.listening.ACCEPT_AGAIN_S", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with port_at() as port:
        with socket.socket() as caller:
            caller.setblocking(False)
            highest = os.dup(caller.fileno())
            os.close(highest)
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
            try:
                await asyncio.get_running_loop().sock_connect(caller, port.listening.address)
                await until(lambda: warnings_of(caplog), "the warning")
                await asyncio.sleep(0.05)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            caller.send(request(UPGRADE))
            await until(lambda: port.ends, "the connection")
    [line] = warnings_of(caplog)
    assert line.startswith("no connection can be accepted (Too many open files); calls wait")


async def test_how_often_it_was_full_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    full = OSError(errno.EMFILE, "Too many open files")
    async with port_at() as port:
        for _ in range(3):
            port.listening._pause(port.listening._sockets[0], full)
            port.listening._is_exhausted = False  # somebody was let in meanwhile
    _, last = warnings_of(caplog)
    assert last == "no connection could be accepted 2 more times in 0 s (Too many open files)"


def test_a_loop_that_watches_no_sockets_accepts_one_by_one() -> None:
    """As the loop of Windows."""

    class NoReaders(asyncio.SelectorEventLoop):
        def add_reader(self, fd: Any, *args: Any) -> None:  # type: ignore[override]
            with socket.socket(fileno=os.dup(fd)) as sock:
                if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    raise NotImplementedError
            super().add_reader(fd, *args)

    async def dial_twice() -> None:
        async with port_at() as port, bare(port.address()), bare(port.address()):
            assert len(port.ends) == 2
        await until(lambda: not port.listening._tasks, "the end of the task")

    loop = NoReaders()
    try:
        loop.run_until_complete(dial_twice())
    finally:
        loop.close()


@NEEDS_IPV6
async def test_the_line_of_an_admin_port_on_ipv6_can_be_opened(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "audio_connector")
    async with serving(monitoring=Monitoring(admin_host="::1", admin_port=0)):
        assert re.search(r"are told at http://\[::1\]:\d+$", caplog.text, re.MULTILINE)
