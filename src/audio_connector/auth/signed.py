# SPDX-License-Identifier: Apache-2.0
"""Tokens that your own program signs and puts into the REST call that starts a connector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from audio_connector.auth.replays import Replays
from audio_connector.auth.tokens import (
    BadToken,
    check_seconds,
    check_times,
    checked_keys,
    claims_of,
    time_in,
    token_of,
)
from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.server.authentication import UpgradeRequest, Verifier, Verify
from audio_connector.wire.carrier import Carrier


class SignedToken(Verifier):
    """Lets in who has a token of `mint_token`, or another HS256 JSON Web Token that expires, of one of the keys.

    ``client.identity`` is what the token claims. A ``session_id`` that it claims has to be that of the call. A router
    that dials again (`Timeouts.resume_s`) sends the token that it has: the call that broke off goes on with the one
    that it came with, although this has expired, or was used; and with no other.

    Args:
        keys: One or several, 32 bytes at least each; of a rotation the new one and the old one.
        carrier: Where the token is: "header:authorization" (as ``Bearer TOKEN``), "header:NAME", "query:NAME", or
            "path", whose last part it is.
        one_time: A token lets one call in. Each server, and each I/O process, remembers for itself what was used.
        leeway_s: By how much the clocks of who signs and of this machine may differ.

    Raises:
        AudioConnectorConfigError: A value is wrong, or PyJWT is missing (``pip install 'audio-connector[auth]'``).
    """

    io_module: ClassVar[str] = "audio_connector.auth.io_child"
    secret: ClassVar[str] = "keys"

    def __init__(
        self,
        keys: str | bytes | Sequence[str | bytes],
        carrier: str = "header:authorization",
        one_time: bool = False,
        leeway_s: float = 5.0,
    ) -> None:
        self._keys = checked_keys("keys", keys)
        check_seconds("leeway_s", leeway_s)
        if not isinstance(one_time, bool):
            raise AudioConnectorConfigError(f"one_time={one_time!r}: expected True or False")
        try:
            Carrier.of(carrier)
        except UsageError as error:
            raise AudioConnectorConfigError(str(error)) from None
        self.carrier = carrier
        self.one_time = one_time
        self.leeway_s = leeway_s

    def crossing(self) -> dict[str, Any]:
        """The arguments that make it anew."""
        keys = [key.decode("latin-1") for key in self._keys]
        return {"keys": keys, "carrier": self.carrier, "one_time": self.one_time, "leeway_s": self.leeway_s}

    @classmethod
    def crossed(cls, *, keys: Sequence[str], **options: Any) -> SignedToken:  # noqa: ANN401
        """Make one of `crossing`."""
        return cls([key.encode("latin-1") for key in keys], **options)

    def session_of(self, identity: Any) -> str | None:  # noqa: ANN401 - the claims
        """The session that the token is for."""
        session_id = identity.get("session_id")
        return session_id if isinstance(session_id, str) else None

    def verifying(self, wall_clock: Callable[[], float]) -> Verify:
        """Begin, with no token used."""
        carrier = Carrier.of(self.carrier)
        keys, leeway_s = self._keys, self.leeway_s
        replays = Replays() if self.one_time else None

        def verify(request: UpgradeRequest) -> dict[str, Any]:
            claims = claims_of(token_of(request, carrier), keys)
            if request.resumes is not None:
                if claims != request.resumes:
                    raise BadToken("other call", "the call that would go on came with another token")
                return claims
            now = wall_clock()
            expires = time_in(claims, "exp")
            if expires is None:
                raise BadToken("no expiry", "the token never expires; expected a claim exp")
            check_times(claims, now, leeway_s)
            session_id = claims.get("session_id")
            if session_id is not None and request.session_id is not None and session_id != request.session_id:
                raise BadToken("other session", "the token is for another session than the call")
            if replays is not None:
                replays.use(claims.get("jti"), expires + leeway_s, now)
            return claims

        return verify
