# SPDX-License-Identifier: Apache-2.0
"""Tokens of one's own: which let somebody in, which do not and why, by keys, clocks and contents."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError
from support.tokens import KEY, NOW, OLD_KEY, forged, good, part, request

from audio_connector.auth import SignedToken
from audio_connector.auth.tokens import MAX_TOKEN_BYTES, BadToken
from audio_connector.errors import AudioConnectorConfigError
from audio_connector.server.authentication import UpgradeRequest
from audio_connector.server.config import AudioConnectorServerConfig

CARRIERS = ("header:authorization", "header:x-token", "query:token", "path")
KEYS = st.text(min_size=32, max_size=60).map(lambda text: "k" + text)  # never JSON, PEM or the like


def verified(signed: SignedToken, asked: UpgradeRequest, now: float = NOW) -> Any:
    return signed.verifying(lambda: now)(asked)


def kind_of(signed: SignedToken, asked: UpgradeRequest, now: float = NOW) -> str:
    """Why it is not let in."""
    with pytest.raises(BadToken) as caught:
        verified(signed, asked, now)
    assert caught.value.status in (401, 503)
    return caught.value.kind


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_good_token_is_taken_and_what_it_claims_is_the_identity(carrier: str) -> None:
    claims = good(customer="Ann", rooms=[1, 2])
    assert verified(SignedToken([KEY], carrier=carrier), request(forged(claims), carrier=carrier)) == claims


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (None, "no token"),
        ("", "no token"),
        ("garbage", "unreadable"),
        ("a.b.c", "unreadable"),
        ("." * 500, "unreadable"),
        ("eyJ" + "A" * MAX_TOKEN_BYTES, "too long"),
        (forged(good(), OLD_KEY), "signature"),
        (forged(good(), header={"alg": "none"}), "algorithm"),
        (forged(good(), header={"alg": "none"}).rpartition(".")[0] + ".", "algorithm"),
        (forged(good(), header={"alg": "RS256"}), "algorithm"),
        (forged(good(), header={"alg": "HS512"}), "algorithm"),
        (forged(good(), header={"alg": ["HS256"]}), "algorithm"),
        (forged(good(), header={"alg": "HS256", "crit": ["b64"], "b64": False}), "unreadable"),
        (forged(good(), header={"alg": "HS256", "crit": ["b64"], "b64": True}), "algorithm"),
        (forged(good(), header={}), "algorithm"),
        (forged(b"[1]"), "unreadable"),
        (forged(b"not json"), "unreadable"),
        (forged(b'{"exp":' + b"9" * 3000 + b"}"), "unreadable"),
        (forged(b"[" * 2000), "unreadable"),
        (forged({**good(), "account": 1 << 64}), "unreadable"),
        (forged({**good(), "account": "\ud800"}), "unreadable"),
        (forged({**good(), "exp": "soon"}), "unreadable"),
        (forged({**good(), "exp": True}), "unreadable"),
        (forged(b'{"exp":NaN}'), "unreadable"),
        (forged(b'{"exp":Infinity}'), "unreadable"),
        (forged({**good(), "iat": "now"}), "unreadable"),
        (forged({"iat": NOW}), "no expiry"),
        (forged({**good(), "exp": None}), "no expiry"),
        (forged(good(exp=NOW - 5)), "expired"),
        (forged(good(nbf=NOW + 5.1)), "too soon"),
        (forged(good(iat=NOW + 5.1)), "too soon"),
        (forged(good(session_id="other")), "other session"),
        (forged(good(session_id=["mine"])), "other session"),
    ],
)
def test_no_other_token_is(token: str | None, kind: str) -> None:
    assert kind_of(SignedToken([KEY]), request(token, session="mine")) == kind


@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_token_elsewhere_is_none(carrier: str) -> None:
    for elsewhere in CARRIERS:
        if elsewhere != carrier:
            asked = request(forged(good()), carrier=elsewhere)
            assert kind_of(SignedToken([KEY], carrier=carrier), asked) in ("no token", "unreadable")


def test_authorization_without_its_scheme_is_none() -> None:
    for value in (forged(good()), "Basic " + forged(good()), "Bearer", "Bearer a b"):
        assert kind_of(SignedToken([KEY]), request(headers={"Authorization": value})) == "no token"
    asked = request(headers={"Authorization": f"bearer  {forged(good())}"})
    assert verified(SignedToken([KEY]), asked) == good()


def test_of_two_tokens_none_is_taken() -> None:
    asked = UpgradeRequest("/", f"t={forged(good())}&t=x", request().headers, ("", 0), False)
    assert kind_of(SignedToken([KEY], carrier="query:t"), asked) == "several tokens"
    many = UpgradeRequest("/", "&".join(["a=b"] * 500), request().headers, ("", 0), False)
    assert kind_of(SignedToken([KEY], carrier="query:a"), many) == "no token"


@given(keys=st.lists(KEYS, min_size=1, max_size=4, unique=True), at=st.integers(0, 3))
def test_each_key_of_a_rotation_opens_and_no_other(keys: list[str], at: int) -> None:
    token = forged(good(), keys[at % len(keys)])
    assert verified(SignedToken(keys), request(token)) == good()
    others = [key for key in keys if key != keys[at % len(keys)]]
    if others:
        assert kind_of(SignedToken(others), request(token)) == "signature"


def test_every_key_is_tried_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    from jwt.algorithms import HMACAlgorithm  # noqa: PLC0415 - an extra

    tried: list[bytes] = []
    verify = HMACAlgorithm.verify

    def noting(self: HMACAlgorithm, text: bytes, key: bytes, signature: bytes) -> bool:
        tried.append(key)
        return verify(self, text, key, signature)

    monkeypatch.setattr(HMACAlgorithm, "verify", noting)
    for key in (KEY, OLD_KEY):
        tried.clear()
        verified(SignedToken([KEY, OLD_KEY]), request(forged(good(), key)))
        assert tried == [KEY.encode(), OLD_KEY.encode()]


@given(
    exp=st.integers(-200, 200),
    nbf=st.none() | st.integers(-200, 200),
    iat=st.none() | st.integers(-200, 200),
    # A clock that counts from 1970 has nothing as small as a float near zero.
    leeway_s=st.integers(0, 100 << 10).map(lambda each: each / 1024),
)
def test_it_is_taken_in_its_time_and_the_leeway(
    exp: int, nbf: int | None, iat: int | None, leeway_s: float
) -> None:
    times = {"exp": exp, "nbf": nbf, "iat": iat}
    claims = {name: NOW + at for name, at in times.items() if at is not None}
    is_good = -exp < leeway_s and all(at is None or at <= leeway_s for at in (nbf, iat))
    signed, asked = SignedToken([KEY], leeway_s=leeway_s), request(forged(claims))
    if is_good:
        assert verified(signed, asked) == claims
    else:
        assert kind_of(signed, asked) in ("expired", "too soon")


@given(st.data())
def test_no_byte_of_a_token_can_be_changed(data: st.DataObject) -> None:
    token = forged(good(customer="Ann"))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.characters(min_codepoint=33, max_codepoint=126).filter(lambda char: char != token[at])
    )
    changed = token[:at] + other + token[at + 1 :]
    signed = SignedToken([KEY])
    try:
        claims = verified(signed, request(changed))
    except BadToken:
        return
    # Base64 of 32 bytes has bits over in its last letter, which say nothing: whoever changes them changes no claim.
    assert at == len(token) - 1
    assert claims == good(customer="Ann")


@given(st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=200))
def test_no_text_raises_anything_else(token: str) -> None:
    for wrong in (token, f"eyJhbGciOiJIUzI1NiJ9.{token}", forged(token.encode())):
        kind_of(SignedToken([KEY]), request(wrong))


@given(
    header=st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.text(max_size=5), max_size=3)
)
def test_no_other_header_is_taken(header: dict[str, Any]) -> None:
    header = {name: value for name, value in header.items() if name != "alg"}
    assert kind_of(SignedToken([KEY]), request(forged(good(), header=header))) in ("algorithm", "unreadable")


def test_a_session_counts_where_both_say_one() -> None:
    signed = SignedToken([KEY])
    for claimed, called in (("a", "a"), (None, "a"), ("a", None), (None, None)):
        claims = good() if claimed is None else good(session_id=claimed)
        assert verified(signed, request(forged(claims), session=called)) == claims


# One time.


@pytest.fixture
def once() -> Callable[..., str]:
    """A verifier of tokens that are good once; returns how a token has fared, at a time."""
    now = [NOW]
    verify = SignedToken([KEY], one_time=True).verifying(lambda: now[0])

    def tried(claims: dict[str, Any], *, at: float = NOW, **options: Any) -> str:
        now[0] = at
        try:
            verify(request(forged(claims), **options))
        except BadToken as error:
            return error.kind
        return "taken"

    return tried


def test_a_token_is_good_once(once: Callable[..., str]) -> None:
    assert [once(good()), once(good()), once(good(jti="two")), once(good(jti="two"))] == [
        "taken", "replayed", "taken", "replayed",
    ]  # fmt: skip
    assert once(good(), at=NOW + 64.9) == "replayed"
    assert once(good(), at=NOW + 65) == "expired"


def test_one_without_an_id_is_not_taken(once: Callable[..., str]) -> None:
    for jti in (None, "", 5, "x" * 129):
        assert once(good(jti=jti)) == "no id"


def test_one_that_is_refused_is_not_used_up(once: Callable[..., str]) -> None:
    assert once(good(session_id="a"), session="b") == "other session"
    assert once(good(session_id="a"), session="a") == "taken"


def test_a_call_that_goes_on_does_so_with_the_token_that_it_came_with(once: Callable[..., str]) -> None:
    assert once(good()) == "taken"
    assert once(good(), resumes=good()) == "taken"
    assert once(good(), resumes=good(), at=NOW + 3600) == "taken"
    assert once(good(), resumes=good(jti="of another call")) == "other call"
    assert once(good(jti="new"), resumes=good()) == "other call"
    assert once(good(jti="new")) == "taken"


# What it is made of.


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"keys": []}, "keys=[]: expected at least one key"),
        ({"keys": "short and secret"}, "keys has 16 bytes; expected 32 at least"),
        ({"keys": [KEY, "short and secret"]}, "keys[1] has 16 bytes; expected 32 at least"),
        ({"keys": [KEY, 5]}, "keys[1] is of type int; expected str or bytes"),
        ({"keys": None}, "keys is of type NoneType"),
        (
            {"keys": "-----BEGIN PUBLIC KEY-----\nshort and secret\n-----END PUBLIC KEY-----"},
            "keys is a certificate",
        ),
        ({"keys": json.dumps({"kty": "oct", "k": "short and secret" * 3})}, "keys is a certificate"),
        ({"keys": KEY, "carrier": "cookie:x"}, "carrier='cookie:x': expected 'header:authorization'"),
        ({"keys": KEY, "carrier": "query:"}, "carrier='query:'"),
        ({"keys": KEY, "carrier": None}, "carrier=None"),
        ({"keys": KEY, "leeway_s": -1}, "leeway_s=-1: expected seconds, 0 or more"),
        ({"keys": KEY, "leeway_s": float("nan")}, "leeway_s=nan"),
        ({"keys": KEY, "one_time": 1}, "one_time=1: expected True or False"),
    ],
)
def test_what_is_wrong_is_said_without_a_key(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(AudioConnectorConfigError) as caught:
        SignedToken(**arguments)
    assert text in str(caught.value)
    assert "short and secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_its_text_has_no_key() -> None:
    signed = SignedToken([KEY, OLD_KEY])
    shown = "SignedToken(carrier='header:authorization', one_time=False, leeway_s=5.0)"
    assert repr(signed) == shown
    config = AudioConnectorServerConfig(host="x", port=0, authenticate=signed)
    assert shown in repr(config)
    assert config.model_dump()["authenticate"] is signed
    with pytest.raises(PydanticSerializationError) as caught:
        config.model_dump_json()
    assert KEY not in f"{caught.value} {config!r} {config.model_dump()}"


def test_it_crosses_to_another_process() -> None:
    signed = SignedToken([KEY, b"\xff" * 32], carrier="query:t", one_time=True, leeway_s=1)
    assert SignedToken.crossed(**json.loads(json.dumps(signed.crossing()))) == signed


def test_two_parts_of_base64_are_made_as_the_library_reads_them() -> None:
    """The tests' own tokens are by the text of the standard: RFC 7515, appendix A.1, has this one."""
    assert part(b'{"typ":"JWT",\r\n "alg":"HS256"}') == "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
