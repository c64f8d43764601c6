# SPDX-License-Identifier: Apache-2.0
"""Sockets for every address of a host: to listen at one port, or to connect to the first that answers."""

from __future__ import annotations

import asyncio
import asyncio.trsock
import errno
import ipaddress
import os
import socket
import ssl
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import cast

PORT_ATTEMPTS = 8
"""A free port of one address may be taken at another; another free one is tried then."""

RECEIVE_BUFFER_BYTES = 64 * 1024
"""Of the kernel, for each connection: 2 s of audio. picows' read buffer grows to whatever the kernel holds, and one
callback handles all of it, while every other connection waits."""

NO_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""Of SO_LINGER: for no time, so that the kernel ends a connection with a reset instead of the end of the stream."""

LOCAL_NAMES = ("localhost",)
"""Of this machine, on every machine."""

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
Address = tuple[int, SocketAddress]
"""A family, and an address as the socket module has it."""


async def addresses_of(host: str, port: int) -> list[Address]:
    """Look a host up: every address it stands for, each once.

    Raises:
        OSError: The host is not known (``socket.gaierror``).
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    entries: dict[Address, None] = {}
    for family, _, _, _, address in found:
        if family in (socket.AF_INET, socket.AF_INET6):
            entries[int(family), cast("SocketAddress", address)] = None
    return list(entries)


def listen_all(
    addresses: list[Address], port: int, backlog: int, *, shares_port: bool = False
) -> list[socket.socket]:
    """Listen on every address at one port. Left to itself, port 0 gives "localhost" two different ones.

    ``::`` takes IPv4 as well where it stands alone and the system can. Where ``0.0.0.0`` stands beside it, as for the
    host "", each takes its own.

    Args:
        addresses: At least one; one that this machine lacks is left out while another works.
        port: TCP port; 0 takes one that is free at all of them.
        backlog: Connections that the kernel may hold before they are accepted.
        shares_port: Other sockets of this user may listen there as well; the kernel gives each a part of who dials.

    Raises:
        OSError: No address can be bound, or one is in use.
    """
    for attempt in range(1, PORT_ATTEMPTS + 1):
        bound: list[socket.socket] = []
        try:
            for address in addresses:
                _bind_next(address, port, bound, addresses, shares_port=shares_port)
            for each in bound:
                # Two programs may bind one address and port with SO_REUSEADDR; only one may listen.
                each.listen(backlog)
        except OSError as error:
            for each in bound:
                each.close()
            is_race = port == 0 and bound and error.errno == errno.EADDRINUSE
            if not is_race or attempt == PORT_ATTEMPTS:
                raise
        else:
            break
    return bound


async def listen_on(host: str, port: int, backlog: int, *, shares_port: bool = False) -> list[socket.socket]:
    """Listen on every address of a host, see `listen_all`."""
    return listen_all(await addresses_of(host, port), port, backlog, shares_port=shares_port)


def duplicates_of(sockets: Iterable[socket.socket], backlog: int) -> list[socket.socket]:
    """Listen on sockets that stay somebody else's, by duplicates: to end one, close it, and do not shut it down.

    The system keeps for both what it knows of a socket, so that theirs become non-blocking too and get the receive
    buffer, which connections inherit that are accepted from now on.

    Args:
        sockets: Bound ones of TCP, see `why_not_taken`.
        backlog: Of those that do not listen yet.

    Raises:
        OSError: Another program listens there already, or one is closed.
    """
    made: list[socket.socket] = []
    try:
        for sock in sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            if not _listens(sock):
                sock.listen(backlog)
            made.append(sock.dup())
    except BaseException:
        for duplicate in made:
            duplicate.close()
        raise
    return made


def why_not_taken(sock: socket.socket) -> str | None:
    """Say what it is, where it is no TCP socket that listens or could; None where it is one."""
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            return f"a socket of {getattr(sock.family, 'name', sock.family)}"
        if isinstance(sock, ssl.SSLSocket):
            return "an SSLSocket, which cannot be duplicated (TLS is told by tls or ssl)"
        if (kind := sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)) != socket.SOCK_STREAM:
            return f"a socket of {getattr(sock.type, 'name', kind)}"
        address = sock.getsockname()
        if address[1] == 0:
            return "a socket that is not bound"
        with suppress(OSError):  # it has no peer
            return f"a socket that is connected with {sock.getpeername()[:2]}"
    except OSError as error:
        return f"a socket that cannot be used ({error.strerror})"
    return None


def _listens(sock: socket.socket) -> bool:
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except (OSError, AttributeError):  # not every system tells; listening twice does no harm
        return False


async def connect_first(addresses: list[Address], receive_buffer_bytes: int) -> socket.socket:
    """Connect to the first address that answers, with a receive buffer of a size.

    Args:
        addresses: At least one; they are tried in order.
        receive_buffer_bytes: Of the kernel. It decides the window that the handshake offers, and Linux does not
            make that smaller afterwards, so it is set before connecting.

    Raises:
        OSError: None answers; the error of the first.
    """
    loop = asyncio.get_running_loop()
    first_error: OSError | None = None
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            await loop.sock_connect(sock, address)
        except BaseException as error:
            sock.close()
            if not isinstance(error, OSError):
                raise
            first_error = first_error or error
        else:
            return sock
    raise first_error or OSError("the host has no address")


def is_loopback(host: str) -> bool:
    """Whether a host to listen on can only be reached from this machine."""
    if host in LOCAL_NAMES:
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def reason_of(error: OSError) -> str:
    """What is wrong, in the system's words; the loop's own only repeat the address."""
    if isinstance(error, socket.gaierror):
        return "the host is not known"
    return os.strerror(error.errno) if error.errno else str(error)


def hang_up(transport: asyncio.BaseTransport) -> None:
    """End the connection in the kernel, whoever else holds its socket.

    A process that the application has forked meanwhile has every socket of ours, and closing ours ends nothing then.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        shut_down(sock)


def shut_down(sock: socket.socket | asyncio.trsock.TransportSocket) -> None:
    """End a connection, or the listening, whoever else holds the socket; no harm where that is so already."""
    with suppress(OSError):  # it has ended; or it listens, and the system is not Linux
        sock.shutdown(socket.SHUT_RDWR)


def peer_of(transport: asyncio.BaseTransport) -> tuple[str, int]:
    """Address and port of the peer; empty and 0 where it has gone so soon that nobody knows it."""
    peer = transport.get_extra_info("peername") or ("", 0)
    return str(peer[0]), int(peer[1])


def _bind_next(
    address: Address,
    port: int,
    bound: list[socket.socket],
    addresses: list[Address],
    *,
    shares_port: bool,
) -> None:
    family, (host, _, *rest) = address
    at_port = bound[0].getsockname()[1] if bound else port
    is_last = address == addresses[-1]
    takes_ipv4 = host == "::" and all(other != socket.AF_INET for other, _ in addresses)
    try:
        bound.append(_bind(family, (host, at_port, *rest), takes_ipv4=takes_ipv4, shares_port=shares_port))
    except OSError as error:
        # A machine may name ::1 without having it; one address that works is enough.
        is_missing = error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
        if not is_missing or (is_last and not bound):
            raise


def _bind(family: int, address: tuple[object, ...], *, takes_ipv4: bool, shares_port: bool) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there the option lets a second program take the port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it; set later, it would come after the window was offered.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family == socket.AF_INET6:
            _set_ipv6_only(bound, is_only=not takes_ipv4)
        bound.bind(address)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _set_ipv6_only(sock: socket.socket, *, is_only: bool) -> None:
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, is_only)
    except OSError:
        if is_only:
            raise
        # OpenBSD has no socket for both.


def why_not_bound(host: str, port: int, error: BaseException) -> str:
    """Say why an address cannot be listened at, and what to do."""
    code = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror | UnicodeError):
        what = (
            "the host is not known; expected a name or address of this machine, such as localhost or 0.0.0.0"
        )
    elif code == errno.EADDRINUSE:
        what = "the port is in use; choose another one, 0 for any free one, or end the program that has it"
    elif code == errno.EADDRNOTAVAIL:
        what = "the address is not one of this machine; 0.0.0.0 listens on all of them"
    elif code in (errno.EACCES, errno.EPERM):
        what = "this user may not use the port; choose one from 1024 on"
    else:
        what = f"{getattr(error, 'strerror', None) or error}"
    return f"cannot listen on {host}:{port}: {what}"
