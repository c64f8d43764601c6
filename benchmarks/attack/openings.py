# SPDX-License-Identifier: Apache-2.0
"""Attacks before there is a call: on descriptors, on TLS, on the head of the request."""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from benchmarks.attack.peers import (
    HARMLESS,
    Outcome,
    Target,
    address_of,
    call,
    connect,
    head,
    repeatedly,
    reset,
)

_ATTEMPTS_A_SECOND = 200
_HELLOS_UNDER_WAY = 10
"""50 ms of them."""

_CHECKS_A_SECOND = 20
_NEW_CALLS_A_SECOND = 5

_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(50))
"""The beginning of a ClientHello of 512 bytes."""

_WRONG = {
    "a TLS hello": _HELLO,
    "an SSH banner": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a bare LF": b"\n",
}
_WRONG_A_SECOND = 20
NOTICED_S = 1.0
"""Until who cannot be asking for an upgrade has to be refused; the deadline of the handshake is 5 s."""

TAKEN_S = 2.0
"""Until a new call has to be taken once there is room: as long as descriptors may take to come back."""

_IDLE_CALLS = 300
_STORMING = 400
_HOLDS_A_SECOND = 800
_MOST_HELD = 2000
_HELD = 300
_ACCEPTED_S = 1.0
"""Until as many connections are accepted as come at once."""

_DRIPS = 12
"""Bytes that come one by one before the rest: whoever has been heard that often looks like a call."""

_DRIP_S = 0.02
_SLOW_PEERS = 200
_SLOW_BYTE_S = 0.25


def cut_hellos(target: Target, seconds: float) -> Outcome:
    """Each leaves a handshake behind that nobody will go on with."""
    # A reset throws away what was not read, so it comes a little later.
    waiting: deque[socket.socket] = deque()

    def act() -> None:
        sock = connect(target)
        sock.sendall(_HELLO)
        waiting.append(sock)
        if len(waiting) > _HELLOS_UNDER_WAY:
            reset(waiting.popleft())

    times = repeatedly(act, a_second=_ATTEMPTS_A_SECOND, seconds=seconds)
    for sock in waiting:
        reset(sock)
    return Outcome(f"{times} hellos")


def cut_hellos_and_calls(target: Target, seconds: float) -> Outcome:
    """The same, while somebody else wants to call."""
    turned_away: list[str] = []

    def act() -> None:
        try:
            call(target, source=HARMLESS).close()
        except OSError as error:
            turned_away.append(str(error))

    made: list[int] = []
    calling = threading.Thread(
        target=lambda: made.append(repeatedly(act, a_second=_NEW_CALLS_A_SECOND, seconds=seconds))
    )
    calling.start()
    did = cut_hellos(target, seconds).did
    calling.join()
    faults = (
        (f"{len(turned_away)} of {made[0]} new calls were not taken: {turned_away[-1]}",)
        if turned_away
        else ()
    )
    return Outcome(did, faults)


def health_checks(target: Target, seconds: float) -> Outcome:
    """A load balancer that only looks whether the port is open."""
    times = repeatedly(lambda: connect(target).close(), a_second=_CHECKS_A_SECOND, seconds=seconds)
    return Outcome(f"{times} checks")


def idle_calls(target: Target, seconds: float) -> Outcome:
    """Take every descriptor, hold them, and look how soon somebody else is taken once they are free."""
    held: list[socket.socket] = []
    until_s = time.monotonic() + seconds
    for _ in range(_IDLE_CALLS):
        with suppress(OSError):
            sock = connect(target)
            held.append(sock)
            sock.sendall(head())
        if time.monotonic() > until_s:
            break
    time.sleep(max(0.0, until_s - time.monotonic()))
    for sock in held:
        reset(sock)
    freed_at_s = time.monotonic()
    try:
        call(target, source=HARMLESS).close()
    except OSError as error:
        return Outcome(f"{len(held)} calls", (f"a new call was not taken within {TAKEN_S:g} s: {error}",))
    taken_s = time.monotonic() - freed_at_s
    late = (f"a new call was taken after {taken_s:.1f} s",) if taken_s > TAKEN_S else ()
    return Outcome(f"{len(held)} calls", late)


def wrong_protocols(target: Target, seconds: float) -> Outcome:
    """Say what cannot begin a request, and look how soon the server ends it."""
    waiting: dict[socket.socket, tuple[str, float]] = {}
    slowest_s: dict[str, float] = dict.fromkeys(_WRONG, 0.0)
    selector = selectors.DefaultSelector()
    until_s = time.monotonic() + seconds
    spoken = 0
    next_at_s = time.monotonic()
    while (now_s := time.monotonic()) < until_s + NOTICED_S and (now_s < until_s or waiting):
        if next_at_s <= now_s < until_s:
            next_at_s += 1 / _WRONG_A_SECOND
            kind = list(_WRONG)[spoken % len(_WRONG)]
            spoken += 1
            with suppress(OSError):
                sock = connect(target)
                sock.sendall(_WRONG[kind])
                waiting[sock] = kind, now_s
                selector.register(sock, selectors.EVENT_READ)
        for key, _ in selector.select(0.01):
            found: socket.socket = key.fileobj  # type: ignore[assignment]
            selector.unregister(found)
            kind, since_s = waiting.pop(found)
            slowest_s[kind] = max(slowest_s[kind], now_s - since_s)
            found.close()
    for sock, (kind, since_s) in waiting.items():
        slowest_s[kind] = max(slowest_s[kind], time.monotonic() - since_s)
        reset(sock)
    faults = tuple(
        f"{kind} was not refused within {NOTICED_S:g} s"
        for kind, took_s in slowest_s.items()
        if took_s >= NOTICED_S
    )
    return Outcome(f"{spoken} openings", faults)


def held_requests(target: Target, seconds: float) -> Outcome:
    """Many that hold back the end of their request, and then all ask at once."""
    return _held(target, seconds, head)


def held_hellos(target: Target, seconds: float) -> Outcome:
    """The same with the hello of TLS, which costs the server a signature."""
    return _held(target, seconds, _whole_hello)


def _held(target: Target, seconds: float, make: Callable[[], bytes]) -> Outcome:
    asked, until_s = 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        peers: list[tuple[socket.socket, bytes]] = []
        for number in range(_HELD):
            with suppress(OSError):
                peers.append((connect(target, source=address_of(number)), make()))
        time.sleep(_ACCEPTED_S)
        for at in range(_DRIPS):
            for sock, raw in peers:
                with suppress(OSError):
                    sock.sendall(raw[at : at + 1])
            time.sleep(_DRIP_S)
        for sock, raw in peers:
            with suppress(OSError):
                sock.sendall(raw[_DRIPS:])
        asked += len(peers)
        time.sleep(_ACCEPTED_S)
        for sock, _ in peers:
            reset(sock)
    return Outcome(f"{asked} requests")


def _whole_hello() -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
    return outgoing.read()


def held_connections(target: Target, seconds: float) -> Outcome:
    """Connect as fast as the server accepts, hold, and say nothing, while somebody else wants to call."""
    slow: list[float] = []

    def act() -> None:
        began_s = time.monotonic()
        with suppress(OSError):
            call(target, source=HARMLESS).close()
        slow.append(time.monotonic() - began_s)

    calling = threading.Thread(target=lambda: repeatedly(act, a_second=_NEW_CALLS_A_SECOND, seconds=seconds))
    calling.start()
    held: deque[socket.socket] = deque()

    def hold() -> None:
        held.append(connect(target))
        if len(held) > _MOST_HELD:
            reset(held.popleft())

    times = repeatedly(hold, a_second=_HOLDS_A_SECOND, seconds=seconds)
    calling.join()
    for sock in held:
        reset(sock)
    worst_s = max(slow, default=0.0)
    late = (f"a new call was taken after {worst_s:.1f} s",) if worst_s > TAKEN_S else ()
    return Outcome(f"{times} connections, a call after {worst_s:.2f} s", late)


def slow_heads(target: Target, seconds: float) -> Outcome:
    """Many that never come to the end of their head."""
    raw = head(more=b"X-Slow: " + b"y" * 4000 + b"\r\n")
    peers: list[tuple[socket.socket, int]] = []
    written, until_s = 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        went_on: list[tuple[socket.socket, int]] = []
        for sock, at in peers:
            try:
                sock.sendall(raw[at : at + 1])
                went_on.append((sock, at + 1))
                written += 1
            except OSError:  # the server has ended it
                sock.close()
        while len(went_on) < _SLOW_PEERS:
            try:
                went_on.append((connect(target, source=address_of(len(went_on))), 0))
            except OSError:
                break
        peers = went_on
        time.sleep(min(_SLOW_BYTE_S, max(0.0, until_s - time.monotonic())))
    for sock, _ in peers:
        reset(sock)
    return Outcome(f"{written} bytes of heads")


def upgrades(target: Target, seconds: float) -> Outcome:
    """Make a call of the server's, and let go of it."""
    return _many(lambda: reset(call(target)), seconds)


def upgrade_storm(target: Target, seconds: float) -> Outcome:
    """Make calls from everywhere, as fast as it goes, and let go of each a moment later."""
    held: deque[socket.socket] = deque()
    times, until_s = 0, time.monotonic() + seconds
    while time.monotonic() < until_s:
        with suppress(OSError):
            held.append(connect(target, source=address_of(times)))
            held[-1].sendall(head())
        times += 1
        if len(held) > _STORMING:
            reset(held.popleft())
    for sock in held:
        reset(sock)
    return Outcome(f"{times} requests")


def bad_upgrades(target: Target, seconds: float) -> Outcome:
    """Ask for a page."""

    def act() -> None:
        with connect(target) as sock:
            sock.sendall(b"GET /favicon.ico HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(1000)

    return _many(act, seconds)


def _many(act: Callable[[], None], seconds: float) -> Outcome:
    return Outcome(f"{repeatedly(act, a_second=_ATTEMPTS_A_SECOND, seconds=seconds)} requests")
