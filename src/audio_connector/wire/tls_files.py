# SPDX-License-Identifier: Apache-2.0
"""A server's TLS from files, which are read again when they change: a renewed certificate needs no restart.

New connections get the new one; those that are there keep theirs. What cannot be used is said once and changes
nothing: a certificate may be replaced a moment before its key. One that has expired can be used, by the server; that
no router takes it is said, and before that, while there is time to renew it.
"""

from __future__ import annotations

import logging
import os
import ssl
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.wire.certificates import Validity, validities

logger = logging.getLogger("audio_connector.wire")

LOOK_AGAIN_S = 1.0
"""How often the files are looked at, at most, and only where somebody dials: a renewal takes months to come."""

DAY_S = 86_400.0

SOON_S, SOON_SHARE = 14 * DAY_S, 1 / 3
"""So long before its end a certificate should have been renewed: certbot does it 30 days before, or when a third is
left of one that lasts for days."""


class TlsFiles:
    """Makes the context of a server.

    Args:
        certfile: The certificate and those that lead to the authority, as PEM.
        keyfile: Its key; None where that is in ``certfile``.
        client_ca: Certificates of authorities, as PEM: a client then needs one of theirs. None asks for none.
        clock: Seconds of a monotonic clock.
        date: Seconds as of `time.time`.
    """

    def __init__(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        client_ca: str | os.PathLike[str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        date: Callable[[], float] = time.time,
    ) -> None:
        self._certfile = Path(certfile)
        self._keyfile = self._certfile if keyfile is None else Path(keyfile)
        self._client_ca = None if client_ca is None else Path(client_ca)
        self._clock, self._date = clock, date
        self._looked_at = clock()
        self._state = self._look()
        self._told = ""
        """What was wrong with the files when they were looked at last."""
        self._validity: Validity | None = None
        self._told_of_date = ""
        self._context = self._load()

    @property
    def expires_at(self) -> float | None:
        """When the first of the certificates in use ends, as of `time.time`; None where they do not say it."""
        self.context()
        return None if self._validity is None else self._validity.ends_at

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; a date that is wrong, or soon will be, is said in the log once."""
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN_S:
            self._looked_at = now
            state = self._look()
            if state != self._state or self._told:
                self._state = state
                self._renew()
        self._tell_of_date()
        return self._context

    def _tell_of_date(self) -> None:
        if self._validity is None:
            return
        begins_at, ends_at = self._validity
        now = self._date()
        soon_s = min(SOON_S, SOON_SHARE * (ends_at - begins_at))
        fault = ""
        if now >= ends_at:
            fault = f"has expired on {_day(ends_at)}, and no router takes it. Renew it"
        elif now < begins_at:
            fault = f"is valid from {_day(begins_at)} on, and no router takes it before. Look at the clock"
        elif now >= ends_at - soon_s:
            fault = f"expires on {_day(ends_at)}, and no router takes it from then on. Renew it"
        if fault and fault != self._told_of_date:
            text = "a certificate in %s %s. Files that change are used for new calls, without a restart"
            logger.warning(text, self._certfile, fault)
        self._told_of_date = fault

    def _renew(self) -> None:
        try:
            self._context = self._load()
        except AudioConnectorStartServerError as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("the TLS files have changed and are not used yet: %s", error)
        else:
            self._told = self._told_of_date = ""
            logger.info("new connections use the TLS files that have changed: %s", self._certfile)

    def _look(self) -> Sequence[tuple[int, ...] | None]:
        return [_state_of(path) for path in (self._certfile, self._keyfile, self._client_ca) if path]

    def _load(self) -> ssl.SSLContext:
        pem = _check(self._certfile, "certfile", "CERTIFICATE")
        _check(self._keyfile, "certfile" if self._keyfile == self._certfile else "keyfile", "PRIVATE KEY")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self._certfile, self._keyfile, password=_no_password)
        except OSError as error:  # ssl.SSLError is one
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                _refuse(
                    self._keyfile, "keyfile", f"is not the key of the certificate in {self._certfile}", error
                )
            _refuse(self._certfile, "certfile", f"cannot be used ({_reason_of(error)})", error)
        if self._client_ca is not None:
            _check(self._client_ca, "client_ca", "CERTIFICATE")
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self._client_ca)
            except OSError as error:
                _refuse(self._client_ca, "client_ca", f"cannot be used ({_reason_of(error)})", error)
        # All of them are sent, and a router needs all of them.
        found = validities(pem)
        self._validity = (
            Validity(max(each.begins_at for each in found), min(each.ends_at for each in found))
            if found
            else None
        )
        return context


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return (
        state.st_ino,
        state.st_size,
        state.st_mtime_ns,
        state.st_ctime_ns,
    )  # the last one for chmod and chown


def _check(path: Path, name: str, what: str) -> bytes:
    """See that there is such a thing in the file; OpenSSL says of all faults the same. Returns what it has."""
    try:
        text = path.read_bytes()
    except OSError as error:
        _refuse(path, name, f"cannot be read: {error.strerror or error}", error)
    if f"{what}-----".encode() not in text:
        _refuse(path, name, f"has no {what.lower()} in PEM form (expected a line '-----BEGIN {what}-----')")
    if b"ENCRYPTED" in text:
        _refuse(path, name, "has a key behind a passphrase; expected one without")
    return text


def _refuse(path: Path, name: str, fault: str, cause: Exception | None = None) -> NoReturn:
    raise AudioConnectorStartServerError(f"tls.{name} {str(path)!r} {fault}") from cause


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d at %H:%M UTC", time.gmtime(at))


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)


def _no_password() -> str:
    return ""  # else OpenSSL asks for one at the terminal, and waits
