# SPDX-License-Identifier: Apache-2.0
"""Tokens for a server that lets in nobody else: HS256 JSON Web Tokens, right and wrong (RFC 7515, RFC 7519).

Written down here a second time, because a mistake that is shared with the server would cancel itself out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping

LIFETIME_S = 120.0


def claims_of(session_id: str | None, *, expires_s: float = LIFETIME_S) -> dict[str, object]:
    """What a good token claims, or one that has expired."""
    now = int(time.time())
    claims: dict[str, object] = {"iat": now, "exp": int(now + expires_s), "jti": secrets.token_urlsafe(12)}
    return claims if session_id is None else {**claims, "session_id": session_id}


def sign(claims: Mapping[str, object], key: str, *, algorithm: str = "HS256") -> str:
    """Make a token; one of another algorithm has no signature."""
    signed = f"{_part(_json({'alg': algorithm, 'typ': 'JWT'}))}.{_part(_json(claims))}"
    signature = hmac.digest(key.encode(), signed.encode(), hashlib.sha256) if algorithm == "HS256" else b""
    return f"{signed}.{_part(signature)}"


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
