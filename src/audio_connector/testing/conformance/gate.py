# SPDX-License-Identifier: Apache-2.0
"""Checks of who is let in: nobody without a token of the key, and nobody with one that is not good any more."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from audio_connector.errors import DialError
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.session import Session
from audio_connector.testing.conformance.tokens import claims_of, sign

REFUSALS = (401, 403)

_WHY = "Nothing else signs the upgrade: whoever knows the address could listen in, or speak."

Make = Callable[[str, str], str | None]
"""A token of a key, for the session that dials; None for none."""


def _key_of(session: Session) -> str:
    if session.target.token_key is None:
        raise Skipped("whether anybody is kept out cannot be told without a key; give it with --token-key")
    return session.target.token_key


async def _dial(session: Session, token: str | None, session_id: str) -> int | None:
    """Dial with this token; None where it is taken, and else the status."""
    try:
        async with session.line(token=token, headers=session.upgrade_headers(session_id)) as caller:
            await session.pings(caller, "after an upgrade that was taken")
    except DialError as error:
        if error.status is None:
            raise
        return error.status
    return None


def _kept_out(name: str, *, does: str, what: str, advice: str, make: Make) -> Check:
    @check(f"gate/{name}", does=does, why=_WHY, rows=("1.28",))
    async def kept_out(session: Session) -> str:
        key, session_id = _key_of(session), secrets.token_hex(16)
        status = await _dial(session, make(key, session_id), session_id)
        if status is None:
            raise Failed(f"an upgrade {what} was taken; expected 401; {advice}")
        if status not in REFUSALS:
            raise Failed(f"an upgrade {what} got HTTP {status}; expected 401 or 403; {advice}")
        return f"refused with {status}"

    return kept_out


def _other_session(key: str, _: str) -> str:
    return sign(claims_of(secrets.token_hex(16)), key)


_OPENS = "take a token whose signature fits and whose time has not passed"


@check(
    "gate/good",
    does="Dials with a good token, of this session.",
    why="A gate that lets nobody in is no better than one that lets everybody in.",
    rows=("1.28",),
)
async def good(session: Session) -> str:
    """PROTOCOL 1.28."""
    key, session_id = _key_of(session), secrets.token_hex(16)
    status = await _dial(session, sign(claims_of(session_id), key), session_id)
    if status is not None:
        raise Failed(
            f"an upgrade with a good token got HTTP {status}; expected 101; {_OPENS}; is it this key?"
        )
    return "taken"


@check(
    "gate/replay",
    does="Dials twice with one good token.",
    why="Who has seen a token, in a log of a proxy for example, could use it until it expires.",
    rows=("1.28",),
)
async def replay(session: Session) -> str:
    """PROTOCOL 1.28."""
    key, session_id = _key_of(session), secrets.token_hex(16)
    token = sign(claims_of(session_id), key)
    if (status := await _dial(session, token, session_id)) is not None:
        raise Failed(f"an upgrade with a good token got HTTP {status}; expected 101; {_OPENS}")
    status = await _dial(session, token, session_id)
    if status is None:
        raise Skipped(
            "a token is good for more than one call here, until it expires; one_time=True changes that"
        )
    if status not in REFUSALS:
        raise Failed(f"a token that was used got HTTP {status}; expected 401 or 403")
    return f"taken once, then refused with {status}"


CHECKS: tuple[Check, ...] = (
    _kept_out(
        "no-token",
        does="Dials without a token.",
        what="without a token",
        advice="refuse what has none",
        make=lambda *_: None,
    ),
    _kept_out(
        "garbage",
        does="Dials with a token that is none.",
        what="with a token that is none",
        advice="refuse what cannot be read",
        make=lambda *_: secrets.token_urlsafe(90),
    ),
    _kept_out(
        "expired",
        does="Dials with a token that has expired a minute ago.",
        what="with a token that has expired",
        advice="look at the claim exp",
        make=lambda key, session_id: sign(claims_of(session_id, expires_s=-60.0), key),
    ),
    _kept_out(
        "other-key",
        does="Dials with a token that was signed with another key.",
        what="with a token of another key",
        advice="compare the signature",
        make=lambda _, session_id: sign(claims_of(session_id), secrets.token_urlsafe(32)),
    ),
    _kept_out(
        "unsigned",
        does="Dials with a token whose header says that it has no signature.",
        what="with a token of the algorithm none",
        advice="do not let the token choose the algorithm",
        make=lambda key, session_id: sign(claims_of(session_id), key, algorithm="none"),
    ),
    _kept_out(
        "other-session",
        does="Dials with a token of another session.",
        what="with a token of another session",
        advice="compare the claim session_id with the header x-opentok-ws-sessionid",
        make=_other_session,
    ),
    replay,
    good,
)
