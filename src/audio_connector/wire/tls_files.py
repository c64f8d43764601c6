# SPDX-License-Identifier: Apache-2.0
"""A server's TLS from files, which are read again when they change: a renewed certificate needs no restart.

New connections get the new one; those that are there keep theirs. What cannot be used is said once and changes
nothing: a certificate may be replaced a moment before its key.
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

logger = logging.getLogger("audio_connector.wire")

LOOK_AGAIN_S = 1.0
"""How often the files are looked at, at most, and only where somebody dials: a renewal takes months to come."""


class TlsFiles:
    """Makes the context of a server.

    Args:
        certfile: The certificate and those that lead to the authority, as PEM.
        keyfile: Its key; None where that is in ``certfile``.
        client_ca: Certificates of authorities, as PEM: a client then needs one of theirs. None asks for none.
        clock: Seconds of a monotonic clock.
    """

    def __init__(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None = None,
        client_ca: str | os.PathLike[str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._certfile = Path(certfile)
        self._keyfile = self._certfile if keyfile is None else Path(keyfile)
        self._client_ca = None if client_ca is None else Path(client_ca)
        self._clock = clock
        self._looked_at = clock()
        self._state = self._look()
        self._told = ""
        """What was wrong with the files when they were looked at last."""
        self._context = self._load()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        now = self._clock()
        if now - self._looked_at >= LOOK_AGAIN_S:
            self._looked_at = now
            state = self._look()
            if state != self._state or self._told:
                self._state = state
                self._renew()
        return self._context

    def _renew(self) -> None:
        try:
            self._context = self._load()
        except AudioConnectorStartServerError as error:
            if str(error) != self._told:
                self._told = str(error)
                logger.warning("the TLS files have changed and are not used yet: %s", error)
        else:
            self._told = ""
            logger.info("new connections use the TLS files that have changed: %s", self._certfile)

    def _look(self) -> Sequence[tuple[int, ...] | None]:
        return [_state_of(path) for path in (self._certfile, self._keyfile, self._client_ca) if path]

    def _load(self) -> ssl.SSLContext:
        _check(self._certfile, "certfile", "CERTIFICATE")
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


def _check(path: Path, name: str, what: str) -> None:
    """See that there is such a thing in the file; OpenSSL says of all faults the same."""
    try:
        text = path.read_bytes()
    except OSError as error:
        _refuse(path, name, f"cannot be read: {error.strerror or error}", error)
    if f"{what}-----".encode() not in text:
        _refuse(path, name, f"has no {what.lower()} in PEM form (expected a line '-----BEGIN {what}-----')")
    if b"ENCRYPTED" in text:
        _refuse(path, name, "has a key behind a passphrase; expected one without")


def _refuse(path: Path, name: str, fault: str, cause: Exception | None = None) -> NoReturn:
    raise AudioConnectorStartServerError(f"tls.{name} {str(path)!r} {fault}") from cause


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)


def _no_password() -> str:
    return ""  # else OpenSSL asks for one at the terminal, and waits
