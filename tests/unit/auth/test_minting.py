# SPDX-License-Identifier: Apache-2.0
"""Tokens that are minted: taken by the server, and never longer than a REST call can carry."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tokens import KEY, request

from audio_connector.auth import SignedToken, mint_token
from audio_connector.auth.minting import MAX_MINTED_BYTES
from audio_connector.errors import AudioConnectorConfigError, UsageError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RESERVED = {"exp", "iat", "nbf", "jti", "session_id", "key", "lifetime_s"}
NAMES = st.text(st.characters(categories=["L"]), min_size=1, max_size=8).filter(
    lambda name: name not in RESERVED
)


@given(claims=st.dictionaries(NAMES, JSON, max_size=3), session=st.none() | st.text("abc-", min_size=1))
def test_what_is_minted_is_taken_with_all_that_it_claims(claims: dict[str, Any], session: str | None) -> None:
    try:
        token = mint_token(KEY, session_id=session, **claims)
    except UsageError:  # so much does not fit
        assert len(json.dumps({**claims, "session_id": session})) > 200
        return
    assert len(token) <= MAX_MINTED_BYTES
    taken = SignedToken([KEY], one_time=True).verifying(time.time)(request(token, session=session))
    assert isinstance(taken, dict)
    assert {name: taken[name] for name in claims} == claims
    assert taken.get("session_id") == session


def test_no_two_are_the_same() -> None:
    assert len({mint_token(KEY) for _ in range(100)}) == 100


def test_one_that_is_too_long_says_by_how_much() -> None:
    text = r"the token has \d+ bytes, \d+ more than the 512 that the headers"
    with pytest.raises(ValueError, match=text) as caught:
        mint_token(KEY, notes="x" * 400)
    has, over = (int(word.strip(",")) for word in str(caught.value).split()[3:6:2])
    assert has - over == MAX_MINTED_BYTES
    assert len(mint_token(KEY, notes="x" * (400 - over))) <= MAX_MINTED_BYTES


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"lifetime_s": 0}, "lifetime_s=0: expected seconds, more than 0"),
        ({"lifetime_s": float("inf")}, "lifetime_s=inf"),
        ({"exp": 5}, "exp= is not a claim of your own; it follows from lifetime_s"),
        ({"iat": 5}, "iat= is not a claim of your own"),
        ({"who": object()}, "a token cannot claim this"),
        ({"who": float("nan")}, "a token cannot claim this"),
        ({"who": 1 << 64}, "a token cannot claim this: a number of 20 digits; expected one of 64 bits"),
        ({"who": "\ud800"}, "a token cannot claim this"),
    ],
)
def test_what_it_cannot_be_is_said(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError) as caught:
        mint_token(KEY, **arguments)
    assert text in str(caught.value)


def test_a_key_that_is_too_short_is_not_quoted() -> None:
    with pytest.raises(AudioConnectorConfigError, match="key has 6 bytes") as caught:
        mint_token("secret")
    assert "'secret'" not in str(caught.value)


def test_without_the_package_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys  # noqa: PLC0415

    monkeypatch.setitem(sys.modules, "jwt", None)
    for make in (lambda: mint_token(KEY), lambda: SignedToken([KEY])):
        with pytest.raises(AudioConnectorConfigError, match=r"pip install 'audio-connector\[auth\]'"):
            make()
