# SPDX-License-Identifier: Apache-2.0
"""The signature that Vonage's Voice API puts on an upgrade, where the call's endpoint asks for it (PROTOCOL 1.28)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from audio_connector.auth.tokens import (
    BadToken,
    check_seconds,
    check_times,
    checked_keys,
    claims_of,
    time_in,
    token_of,
)
from audio_connector.server.authentication import UpgradeRequest, Verifier, Verify
from audio_connector.wire.carrier import AUTHORIZATION, Carrier

MIN_SECRET_BYTES: Final = 8
"""The vendor makes them, and says nowhere how long they are."""


class VonageSignature(Verifier):
    """Lets in calls of the Voice API whose websocket endpoint has an ``authorization`` of type ``vonage``.

    It comes as ``Authorization: Bearer TOKEN``, the JSON Web Token of the vendor's signed webhooks: HS256, with the
    account's signature secret. ``client.identity`` is what that claims: ``application_id``, ``api_key`` and so on.
    There is none on a call of the Video API: that takes `SignedToken`.

    Args:
        secret: The account's signature secret, of the vendor's dashboard; several while it is changed.
        max_age_s: A token that was issued longer ago is refused, since it says no expiry of its own.
        leeway_s: By how much the clocks may differ.

    Raises:
        AudioConnectorConfigError: A value is wrong, or PyJWT is missing (``pip install 'audio-connector[auth]'``).
    """

    io_module: ClassVar[str] = "audio_connector.auth.io_child"
    secret: ClassVar[str] = "secret"

    def __init__(
        self, secret: str | bytes | Sequence[str | bytes], max_age_s: float = 60.0, leeway_s: float = 5.0
    ) -> None:
        self._secrets = checked_keys("secret", secret, min_bytes=MIN_SECRET_BYTES)
        check_seconds("max_age_s", max_age_s)
        check_seconds("leeway_s", leeway_s)
        self.max_age_s = max_age_s
        self.leeway_s = leeway_s

    def crossing(self) -> dict[str, Any]:
        """The arguments that make it anew."""
        latin = [secret.decode("latin-1") for secret in self._secrets]
        return {"secret": latin, "max_age_s": self.max_age_s, "leeway_s": self.leeway_s}

    @classmethod
    def crossed(cls, *, secret: Sequence[str], **options: Any) -> VonageSignature:  # noqa: ANN401
        """Make one of `crossing`."""
        return cls([each.encode("latin-1") for each in secret], **options)

    def verifying(self, wall_clock: Callable[[], float]) -> Verify:
        """Begin; it remembers nothing."""
        carrier = Carrier("header", AUTHORIZATION)
        secrets, max_age_s, leeway_s = self._secrets, self.max_age_s, self.leeway_s

        def verify(request: UpgradeRequest) -> dict[str, Any]:
            claims = claims_of(token_of(request, carrier), secrets)
            if request.resumes is not None and claims == request.resumes:
                return claims
            now, issued = wall_clock(), time_in(claims, "iat")
            if issued is None:
                raise BadToken(
                    "no issue time", "the token does not say when it was issued; expected a claim iat"
                )
            check_times(claims, now, leeway_s)
            if now >= issued + max_age_s + leeway_s:
                raise BadToken("expired", f"the token was issued {now - issued:.0f} s ago")
            return claims

        return verify
