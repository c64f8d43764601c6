# SPDX-License-Identifier: Apache-2.0
"""JSON Web Tokens with one algorithm, HS256: who has signed one, and whether it is its time. Time is an argument.

A token is bounded before it is decoded, and its algorithm is not a choice of whoever sends it. Every key is tried,
whether one before it has fitted, so that the time taken does not tell which one did.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.server.authentication import Rejected, UpgradeRequest, portable
from audio_connector.wire.carrier import Carrier

if TYPE_CHECKING:
    from jwt import PyJWS
    from jwt.algorithms import HMACAlgorithm

ALGORITHM: Final = "HS256"

MAX_TOKEN_BYTES: Final = 4096
"""Of one that is taken: other issuers put more into theirs than fits into a REST call's headers."""

MIN_KEY_BYTES: Final = 32
"""As many as the hash has (RFC 7518 3.2)."""

INSTALL: Final = "PyJWT is not installed; tokens need: pip install 'audio-connector[auth]'"

NEW_KEY: Final = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class BadToken(Rejected):
    """A token that lets nobody in; ``kind`` is one of few, and is counted."""

    def __init__(self, kind: str, reason: str, status: int = 401) -> None:
        super().__init__(status, reason)
        self.kind = kind


def library() -> tuple[PyJWS, HMACAlgorithm]:
    """What reads and writes tokens, and what signs and compares, in a time that tells nothing.

    Raises:
        AudioConnectorConfigError: The package for it is missing.
    """
    try:
        from jwt import PyJWS  # noqa: PLC0415 - an extra, and a tenth of a second
        from jwt.algorithms import HMACAlgorithm  # noqa: PLC0415
    except ImportError:
        raise AudioConnectorConfigError(INSTALL) from None
    return PyJWS(algorithms=[ALGORITHM]), HMACAlgorithm(HMACAlgorithm.SHA256)


def checked_keys(name: str, keys: object, *, min_bytes: int = MIN_KEY_BYTES) -> tuple[bytes, ...]:
    """Return the keys as bytes; what is wrong with one is said without it.

    Raises:
        AudioConnectorConfigError: There is none, or one is too short, or none for this algorithm.
    """
    _, algorithm = library()
    several: Sequence[object] = keys if isinstance(keys, list | tuple) else [keys]
    if not several:
        raise AudioConnectorConfigError(f"{name}=[]: expected at least one key; {NEW_KEY}")
    made = []
    for number, key in enumerate(several):
        where = f"{name}[{number}]" if len(several) > 1 else name
        if not isinstance(key, str | bytes):
            raise AudioConnectorConfigError(f"{where} is of type {type(key).__name__}; expected str or bytes")
        raw = key.encode() if isinstance(key, str) else key
        if len(raw) < min_bytes:
            raise AudioConnectorConfigError(
                f"{where} has {len(raw)} bytes; expected {min_bytes} at least (RFC 7518 3.2); {NEW_KEY}"
            )
        try:
            algorithm.prepare_key(raw)
        except Exception:  # noqa: BLE001 - of PyJWT; its text could have the key
            raise AudioConnectorConfigError(
                f"{where} is a certificate, a JSON Web Key or half of a pair of keys; expected random text; {NEW_KEY}"
            ) from None
        made.append(raw)
    return tuple(made)


def check_seconds(name: str, value: object) -> None:
    """Refuse what is no length of time.

    Raises:
        AudioConnectorConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise AudioConnectorConfigError(f"{name}={value!r}: expected seconds, 0 or more")


def token_of(request: UpgradeRequest, carrier: Carrier) -> str:
    """The one token of a request.

    Raises:
        BadToken: There is none, or more than one, or it is too long.
    """
    tokens = carrier.tokens_in(request.path, request.query, request.headers)
    if len(tokens) != 1 or not tokens[0]:
        kind = "several tokens" if len(tokens) > 1 else "no token"
        raise BadToken(kind, f"{kind} in {carrier}")
    if len(tokens[0]) > MAX_TOKEN_BYTES:
        raise BadToken("too long", f"{len(tokens[0])} bytes; expected {MAX_TOKEN_BYTES} at most")
    return tokens[0]


def claims_of(token: str, keys: Sequence[bytes]) -> dict[str, Any]:
    """What a token claims, once it is known that it was signed by one of the keys.

    Raises:
        BadToken: It was not, or is none.
    """
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - as in `library`

    jws, algorithm = library()
    try:
        parts = jws.decode_complete(token, options={"verify_signature": False})
        header, payload, signature = parts["header"], parts["payload"], parts["signature"]
        if header.get("alg") != ALGORITHM or "crit" in header or "b64" in header:
            raise BadToken("algorithm", f"the token's header is none of a plain {ALGORITHM} token")
        signed = token.rpartition(".")[0].encode()
        fits = [algorithm.verify(signed, key, signature) for key in keys]
        if True not in fits:
            raise BadToken("signature", "the token is signed with another key")
        claims = portable(payload.decode())
    except (PyJWTError, ValueError, RecursionError) as error:
        raise BadToken("unreadable", f"no JSON Web Token ({type(error).__name__})") from None
    if not isinstance(claims, dict):
        raise BadToken("unreadable", "the token's content is no object")
    return claims


def time_in(claims: Mapping[str, object], name: str) -> float | None:
    """A time that a token claims, in seconds since 1970; None where it claims none.

    Raises:
        BadToken: It is no number.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        raise BadToken("unreadable", f"the claim {name} is no time")
    return float(value)


def check_times(claims: Mapping[str, object], now: float, leeway_s: float) -> None:
    """Refuse a token before or after its time, by the claims ``exp``, ``nbf`` and ``iat``, where they are there.

    Raises:
        BadToken: It is too late, or too soon.
    """
    expires, not_before, issued = (time_in(claims, name) for name in ("exp", "nbf", "iat"))
    if expires is not None and now >= expires + leeway_s:
        raise BadToken("expired", f"the token has expired {now - expires:.0f} s ago")
    for starts in (not_before, issued):
        if starts is not None and now < starts - leeway_s:
            raise BadToken("too soon", f"the token is valid in {starts - now:.0f} s; are both clocks right?")


def sign(claims: Mapping[str, object], key: bytes) -> str:
    """Make a token.

    Raises:
        UsageError: A claim is none that JSON can hold, or none that crosses to another process.
    """
    try:
        payload = json.dumps(claims, separators=(",", ":"), allow_nan=False)
        portable(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"a token cannot claim this: {error}") from None
    jws, _ = library()
    return jws.encode(payload.encode(), key, algorithm=ALGORITHM, headers={"typ": "JWT"})
