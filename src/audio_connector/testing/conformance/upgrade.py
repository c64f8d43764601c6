# SPDX-License-Identifier: Apache-2.0
"""Checks of the upgrade request: what routers, proxies and health checks send, and a server must take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from audio_connector.audio.format import AudioFormat
from audio_connector.errors import DialError
from audio_connector.simulator.config import MAX_HEADERS_BYTES
from audio_connector.testing.conformance.caller import Caller
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.rawdial import ask_plain, dial_raw
from audio_connector.testing.conformance.rawline import RawLine
from audio_connector.testing.conformance.session import Session
from audio_connector.wire.codec import encode_event
from audio_connector.wire.messages import Connected
from audio_connector.wire.network import Dial

MAX_URL_CHARACTERS = 2048
"""PROTOCOL 1.6."""

_SLOW_S = 2.0  # a third of what the router gives

Headers = Sequence[tuple[str, str]]


async def _taken(
    session: Session,
    what: str,
    advice: str,
    *,
    headers: Headers | None = None,
    url: str | None = None,
    dial: Dial = dial_raw,
) -> tuple[Caller, str]:
    """Make a call by an unusual request, and check that it works."""
    try:
        async with session.call(headers=headers, url=url, dial=dial) as caller:
            return caller, await session.works(caller, f"after an upgrade with {what}", advice=advice)
    except DialError as error:
        raise Failed(f"an upgrade with {what}: {error}; expected 101; {advice}") from error


@check(
    "upgrade/ordinary-call",
    does="Makes a call with nothing odd in it, speaks, and listens.",
    why="A server that ends it can be asked nothing else; the other checks are not tried then.",
    rows=("1.20",),
)
async def ordinary_call(session: Session) -> str:
    """PROTOCOL 1.20."""
    baseline = await session.baseline()
    if (ended := baseline.ended_by_server) is not None:
        raise Failed(
            f"a call with nothing odd in it was closed {ended}; expected that it goes on until the router hangs up; "
            "look into the server's log, or let the bot stay while it is checked"
        )
    manners = {
        "silent": "says nothing",
        "unasked": "talks, and does not answer",
        "echo": "talks while it is talked to",
        "answers": "answers",
    }
    return f"it goes on; the bot {manners[baseline.manner]}"


@check(
    "upgrade/in-time",
    does="Dials, and measures how long the answer to the upgrade takes.",
    why="The router gives up after 6 s, and the REST call that started it fails.",
    rows=("1.1",),
)
async def in_time(session: Session) -> str:
    """PROTOCOL 1.1."""
    began_at = time.monotonic()
    try:
        async with session.line():
            took_s = time.monotonic() - began_at
    except DialError as error:
        raise Failed(f"{error}; expected an answer within {session.timing.dial_s:g} s") from error
    slow = "; that is slow: prepare the call after the upgrade, not before" if took_s > _SLOW_S else ""
    return f"answered after {took_s * 1000:.0f} ms{slow}"


@check(
    "upgrade/keep-alive",
    does="Sends 'Connection: keep-alive, Upgrade', as proxies and Firefox do.",
    why="The header is a list of tokens; a server that compares its whole text refuses calls behind a proxy.",
    rows=("1.8",),
)
async def keep_alive(session: Session) -> str:
    """RFC 9110 7.6.1."""
    dial = partial(dial_raw, connection="keep-alive, Upgrade")
    advice = "look for the token 'upgrade' among the header's values"
    _, seen = await _taken(session, "'Connection: keep-alive, Upgrade'", advice, dial=dial)
    return f"taken; {seen}"


@check(
    "upgrade/repeated-header",
    does="Sends X-Forwarded-For twice, as a chain of proxies does.",
    why="Making a plain dict of such headers fails in some libraries, and the call with it.",
    rows=("1.2",),
)
async def repeated_header(session: Session) -> str:
    """A dict of repeated headers raises in some libraries."""
    usual = session.upgrade_headers()
    headers = [*usual, ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-For", "198.51.100.1, 10.0.0.1")]
    advice = "keep all values of a header, or join them with a comma"
    _, seen = await _taken(session, "X-Forwarded-For twice", advice, headers=headers)
    return f"taken; {seen}"


@check(
    "upgrade/subprotocol",
    does="Offers the subprotocol WSBRIDGE and an Origin that nobody knows.",
    why="The router's ancestor sent both, and servers that chose no subprotocol worked.",
    rows=("1.8",),
)
async def subprotocol(session: Session) -> str:
    """PROTOCOL 1.8."""
    headers = [
        *session.upgrade_headers(),
        ("Sec-WebSocket-Protocol", "WSBRIDGE"),
        ("Origin", "http://media-router.invalid"),
    ]
    advice = "refuse by your own secret, not by subprotocol or origin"
    caller, seen = await _taken(session, "subprotocol WSBRIDGE and an Origin", advice, headers=headers)
    chosen = _answer_of(caller, "sec-websocket-protocol")
    if chosen not in (None, "WSBRIDGE"):
        raise Failed(
            f"the server chose the subprotocol {chosen!r}; expected none, or the one that was offered"
        )
    return f"taken, {'with' if chosen else 'without'} the subprotocol; {seen}"


@check(
    "upgrade/query",
    does="Adds a query to the address: escapes, a name without a value, a name twice, 2,048 characters in all.",
    why="The router passes on the whole address; bots carry room, language or a token in it.",
    rows=("1.5", "1.6"),
)
async def query(session: Session) -> str:
    """PROTOCOL 1.5, 1.6."""
    parts = urlsplit(session.target.url)
    unusual = "room=a%20b%2Fc&flag&lang=de&lang=fr&umlaut=%C3%A4&sign=%2B+~"
    text = "&".join(filter(None, [parts.query, unusual, "padding="]))
    url = urlunsplit((parts.scheme, parts.netloc, parts.path or "/", text, ""))
    url += "x" * (MAX_URL_CHARACTERS - len(url))
    advice = "ignore parameters that you do not know"
    _, seen = await _taken(session, f"an address of {len(url):,} characters", advice, url=url)
    return f"taken, with an address of {len(url):,} characters; {seen}"


@check(
    "upgrade/no-identity",
    does="Leaves out the x-opentok-ws headers.",
    why="Nobody promises that the router always sends them; the first message can name the call as well.",
    rows=("1.2", "1.14"),
)
async def no_identity(session: Session) -> str:
    """PROTOCOL 1.2."""
    headers = tuple(session.target.headers.items())
    advice = "take a call without x-opentok-ws headers, under an id of your own"
    _, seen = await _taken(session, "no x-opentok-ws headers", advice, headers=headers)
    return f"taken; {seen}"


@check(
    "upgrade/full-headers",
    does="Sends custom headers of 512 bytes, with the upgrade and in the first message.",
    why="So much the REST call takes, and so much has to fit.",
    rows=("1.3", "2.4"),
)
async def full_headers(session: Session) -> str:
    """PROTOCOL 2.4."""
    given = dict(session.target.headers)
    room = MAX_HEADERS_BYTES - sum(len(name) + len(value) for name, value in given.items())
    name = "x-check-padding"
    if name in given or room < len(name):
        raise Skipped("the headers given with --header leave no room")
    given[name] = "x" * (room - len(name))
    headers = [*session.upgrade_headers(), (name, given[name])]
    first = encode_event(
        Connected(format=AudioFormat(session.target.rate_hz), headers=given), leading_blank=False
    )
    after = "after custom headers of 512 bytes"
    try:
        async with session.call(headers=headers, first=first) as caller:
            seen = await session.works(caller, after)
    except DialError as error:
        raise Failed(f"{after}: {error}; expected 101; allow longer headers") from error
    return f"taken; {seen}"


@check(
    "upgrade/compression",
    does="Offers no compression and expects none; then offers it, and calls without using it.",
    why="The router offers none; audio does not become smaller by it, but each call costs 50 KiB and time.",
    rows=("1.8",),
)
async def compression(session: Session) -> str:
    """PROTOCOL 1.8."""
    usual = session.upgrade_headers()
    caller, seen = await _taken(session, "no offer of compression", "take it", headers=usual)
    if (unasked := _answer_of(caller, "sec-websocket-extensions")) is not None:
        raise Failed(f"the server chose the extension {unasked!r}; expected none, because none was offered")
    offer = [*usual, ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
    # Only pinged, because what the bot says may come compressed then.
    async with session.call(headers=offer, dial=dial_raw) as caller:
        await session.pings(caller, "after an upgrade with an offer of compression")
    chosen = _answer_of(caller, "sec-websocket-extensions")
    if chosen is None:
        return f"not needed, and not taken where it is offered; {seen}"
    return (
        f"not needed; where it is offered the server takes {chosen.partition(';')[0]}: better turn that off"
    )


@check(
    "upgrade/plain-http",
    does="Asks for the address by plain HTTP, beside a call in progress.",
    why="Load balancers, scanners and curious people do; it must cost no call.",
    rows=(),
)
async def plain_http(session: Session) -> str:
    """Health checks and scanners."""
    target = session.target
    async with session.call() as bystander:
        nobody = Caller(AudioFormat(target.rate_hz), clock=time.monotonic)
        try:
            response = await ask_plain(
                target.url, nobody, ssl_context=target.ssl_context, timeout_s=session.timing.pong_s
            )
            said = "the server hung up" if response is None else f"the answer was HTTP {response.status}"
        except DialError:
            said = f"no answer in {session.timing.pong_s:g} s"
        await session.pings(bystander, "after a plain HTTP request beside it")
    await session.serves_others("after a plain HTTP request")
    return f"{said}; calls are not harmed"


def _answer_of(caller: Caller, name: str) -> str | None:
    line = caller.transport
    response = line.response if isinstance(line, RawLine) else None
    return None if response is None else response.headers.get(name)


CHECKS: tuple[Check, ...] = (
    ordinary_call,
    in_time,
    keep_alive,
    repeated_header,
    subprotocol,
    query,
    no_identity,
    full_headers,
    compression,
    plain_http,
)
