# SPDX-License-Identifier: Apache-2.0
"""From when to when certificates are valid, out of their PEM.

Python reads that of a peer's certificate only, which is no help to who serves one. It stands early in a certificate,
at a place that never changes, so that it takes no library: RFC 5280 4.1, written as X.690 says.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from typing import NamedTuple

BLOCK = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----(.+?)-----END ", re.DOTALL)
"""The three names that OpenSSL takes."""

VERSION, UTC_TIME = 0xA0, 0x17
"""Tags: of the only field in front that may be missing, and of the times until 2049."""


class Validity(NamedTuple):
    """When a certificate begins to be valid and when that ends, in seconds as of `time.time`."""

    begins_at: float
    ends_at: float


def validities(pem: bytes) -> list[Validity]:
    """Those of all certificates in a file, in its order; one that cannot be read is left out."""
    found = []
    for text in BLOCK.findall(pem):
        try:
            found.append(_validity_of(base64.b64decode(text)))
        except (ValueError, IndexError):
            continue
    return found


def _validity_of(der: bytes) -> Validity:
    at = _element(der, _element(der, 0)[1])[1]  # inside Certificate, inside TBSCertificate
    if der[at] == VERSION:
        at = _element(der, at)[2]
    for _ in ("serialNumber", "signature", "issuer"):
        at = _element(der, at)[2]
    begins = _element(der, _element(der, at)[1])
    return Validity(_time_of(der, begins), _time_of(der, _element(der, begins[2])))


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of what begins there, and where its content begins and ends."""
    size, begin = der[at + 1], at + 2
    if size & 0x80:  # so many bytes follow that hold it
        count = size & 0x7F
        size, begin = int.from_bytes(der[begin : begin + count], "big"), begin + count
    return der[at], begin, begin + size


def _time_of(der: bytes, element: tuple[int, int, int]) -> float:
    tag, begin, end = element
    text = der[begin:end].decode("ascii")
    if tag == UTC_TIME:  # two digits of the year: RFC 5280 4.1.2.5.1
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
