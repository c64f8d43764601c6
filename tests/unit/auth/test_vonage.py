# SPDX-License-Identifier: Apache-2.0
"""The vendor's own signature: as its signed webhooks have it, fresh, and of the account's secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.tokens import NOW, forged, request

from audio_connector.auth import VonageSignature
from audio_connector.auth.tokens import BadToken
from audio_connector.errors import AudioConnectorConfigError

SECRET = "a-signature-secret"
CLAIMS = {
    "iat": int(NOW),
    "jti": "6ac8bd5f-3f0c-4bc3-8f2b-1d9a7b5fcf02",
    "iss": "Vonage",
    "payload_hash": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "api_key": "a1b2c3d4",
    "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
}


def verified(token: str, *, now: float = NOW, secret: Any = SECRET, resumes: object = None) -> Any:
    return VonageSignature(secret).verifying(lambda: now)(request(token, resumes=resumes))


def test_a_signed_upgrade_is_taken() -> None:
    assert verified(forged(CLAIMS, SECRET)) == CLAIMS


def test_while_the_secret_is_changed_both_do() -> None:
    for secret in (SECRET, "another-secret"):
        assert verified(forged(CLAIMS, secret), secret=[SECRET, "another-secret"]) == CLAIMS


@pytest.mark.parametrize(
    ("token", "kind"),
    [
        (forged(CLAIMS, "another-secret"), "signature"),
        (forged(CLAIMS, SECRET, header={"alg": "none"}), "algorithm"),
        (forged({**CLAIMS, "iat": None}, SECRET), "no issue time"),
        (forged({**CLAIMS, "iat": NOW - 65}, SECRET), "expired"),
        (forged({**CLAIMS, "iat": NOW + 6}, SECRET), "too soon"),
        (forged({**CLAIMS, "exp": NOW - 6}, SECRET), "expired"),
    ],
)
def test_another_or_an_old_one_is_not(token: str, kind: str) -> None:
    with pytest.raises(BadToken) as caught:
        verified(token)
    assert caught.value.kind == kind


def test_a_call_that_goes_on_does_so_with_the_signature_that_it_came_with() -> None:
    assert verified(forged(CLAIMS, SECRET), now=NOW + 3600, resumes=CLAIMS) == CLAIMS
    with pytest.raises(BadToken):
        verified(forged(CLAIMS, SECRET), now=NOW + 3600, resumes={**CLAIMS, "jti": "another"})


def test_its_text_has_no_secret_and_it_crosses() -> None:
    signature = VonageSignature([SECRET], max_age_s=30)
    assert SECRET not in repr(signature)
    crossed = VonageSignature.crossed(**json.loads(json.dumps(signature.crossing())))
    assert crossed.crossing() == signature.crossing()
    with pytest.raises(AudioConnectorConfigError, match="secret has 5 bytes"):
        VonageSignature("short")
