# SPDX-License-Identifier: Apache-2.0
"""From when to when certificates are valid, compared with what `cryptography` reads of the same."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta, timezone

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.certificates import Validity, validities

KEY = ec.generate_private_key(ec.SECP256R1())
FIRST = datetime(1950, 1, 1)  # noqa: DTZ001 - as cryptography takes them
LAST = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001


def certificate(begins: datetime, ends: datetime, name: str = "localhost") -> bytes:
    """One of that validity, as PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


@given(
    st.lists(st.datetimes(FIRST, LAST), min_size=2, max_size=2).map(sorted),
    st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=64),
)
def test_they_are_those_of_the_certificate(dates: list[datetime], name: str) -> None:
    begins, ends = (each.replace(microsecond=0) for each in dates)
    expected = Validity(*(each.replace(tzinfo=timezone.utc).timestamp() for each in (begins, ends)))
    assert validities(certificate(begins, ends, name)) == [expected]


def test_of_a_chain_each_is_told_in_its_order_whatever_stands_between() -> None:
    now = datetime(2031, 1, 1)  # noqa: DTZ001
    one, other = (certificate(now, now + timedelta(days=days)) for days in (90, 300))
    key = trustme.CA().issue_cert("localhost").private_key_pem.bytes()
    text = (
        b"subject=CN = localhost\r\n"
        + one.replace(b"\n", b"\r\n")
        + key
        + b"# \xff\n"
        + other.replace(b" CERT", b" X509 CERT")
    )
    ends = [found.ends_at - found.begins_at for found in validities(text)]
    assert ends == [90 * 86_400, 300 * 86_400]


@pytest.mark.parametrize("cut", range(0, 84, 7))
def test_what_cannot_be_read_is_left_out(cut: int) -> None:
    now = datetime(2031, 1, 1)  # noqa: DTZ001
    whole = certificate(now, now + timedelta(days=90))
    der = base64.b64decode(b"".join(whole.splitlines()[1:-1]))[:cut]
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n"
    assert len(validities(pem + whole)) == 1


@given(st.binary(max_size=80))
def test_nothing_that_stands_there_raises(der: bytes) -> None:
    validities(b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(der) + b"\n-----END CERTIFICATE-----\n")
