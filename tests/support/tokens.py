# SPDX-License-Identifier: Apache-2.0
"""Tokens made with nothing but the standard library, right and wrong, and requests that carry them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from support.peers import calling
from websockets.exceptions import InvalidStatus

from audio_connector import AudioConnectorServerHandle
from audio_connector.server.authentication import UpgradeRequest
from audio_connector.wire.carrier import Carrier
from audio_connector.wire.transport import Headers

KEY = "0123456789abcdef0123456789abcdef"
OLD_KEY = "fedcba9876543210fedcba9876543210"
NOW = 1_800_000_000.0
"""Seconds since 1970 of a test's wall clock."""


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def forged(
    claims: Mapping[str, Any] | bytes, key: str = KEY, *, header: Mapping[str, Any] | None = None
) -> str:
    """A token, by the text of RFC 7515 and not by the library that reads it."""
    head = {"alg": "HS256", "typ": "JWT"} if header is None else header
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{part(json.dumps(head).encode())}.{part(payload)}"
    return f"{signed}.{part(hmac.digest(key.encode(), signed.encode(), hashlib.sha256))}"


def good(**claims: Any) -> dict[str, Any]:
    """Claims of a token that is good at `NOW`."""
    return {"exp": int(NOW) + 60, "iat": int(NOW), "jti": "one", **claims}


def request(
    token: str | None = None,
    *,
    carrier: str = "header:authorization",
    session: str | None = None,
    resumes: object = None,
    headers: Mapping[str, str] | None = None,
) -> UpgradeRequest:
    """What a verifier is given of an upgrade with this token."""
    pairs = dict(headers or {})
    target = "/bot"
    if token is not None:
        pairs.update(Carrier.of(carrier).headers_of(token))
        target = Carrier.of(carrier).target_of(token, "ws://x/bot") or target
    if session is not None:
        pairs["x-opentok-ws-sessionid"] = session
    path, _, query = target.partition("?")
    return UpgradeRequest(path, query, Headers(pairs.items()), ("192.0.2.1", 5), False, resumes)


def bearer(token: str) -> dict[str, str]:
    """The header of an upgrade that carries it."""
    return {"Authorization": f"Bearer {token}"}


async def status_of(handle: AudioConnectorServerHandle, path: str = "/", **headers: str) -> int:
    """What who dials gets: 101, or the status of a refusal."""
    try:
        async with calling(handle.get_address(), path, additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code
