# SPDX-License-Identifier: Apache-2.0
"""Makes the tokens that `SignedToken` takes, for the REST call that starts a connector."""

from __future__ import annotations

import math
import secrets
import time
from typing import Final

from audio_connector.auth.tokens import checked_keys, sign
from audio_connector.errors import UsageError

MAX_MINTED_BYTES: Final = 512
"""Of all headers of a REST call together, names included (PROTOCOL 2.4); a query or a path holds 2,048 characters."""

ID_BYTES: Final = 12
"""Of ``jti``: nobody guesses it, and no two are the same."""


def mint_token(
    key: str | bytes, lifetime_s: float = 120.0, session_id: str | None = None, **claims: object
) -> str:
    """Make a token with which a router may dial.

    Args:
        key: One of the server's, 32 bytes at least.
        lifetime_s: Seconds until it expires. The router dials within seconds of the REST call.
        session_id: The only session whose calls it lets in; None for any.
        claims: What else it says: ``client.identity`` has it. Who sees the token can read it.

    Returns:
        The token, 512 bytes at most: as much as the headers of a REST call may have in sum. As
        ``authorization`` it may have 492, since the name and ``Bearer`` count.

    Raises:
        UsageError: It would be longer, or cannot claim this; a ``ValueError`` too. `AudioConnectorConfigError` for
            the key, or where PyJWT is missing.
    """
    [raw] = checked_keys("key", [key])
    if (
        isinstance(lifetime_s, bool)
        or not isinstance(lifetime_s, int | float)
        or not 0 < lifetime_s < math.inf
    ):
        raise UsageError(f"lifetime_s={lifetime_s!r}: expected seconds, more than 0")
    for name, instead in (("exp", "lifetime_s"), ("iat", "the time at which this is called")):
        if name in claims:
            raise UsageError(f"{name}= is not a claim of your own; it follows from {instead}")
    now = time.time()
    made: dict[str, object] = {"exp": math.ceil(now + lifetime_s), "iat": int(now)}
    if session_id is not None:
        made["session_id"] = session_id
    token = sign({**made, "jti": secrets.token_urlsafe(ID_BYTES), **claims}, raw)
    if len(token) > MAX_MINTED_BYTES:
        raise UsageError(
            f"the token has {len(token)} bytes, {len(token) - MAX_MINTED_BYTES} more than the {MAX_MINTED_BYTES} "
            "that the headers of a REST call may have; claim less, such as an id to look the rest up by"
        )
    return token
