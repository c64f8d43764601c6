# SPDX-License-Identifier: Apache-2.0
"""Enrolments, encrypted (AES-256-GCM): one file, one key, which is never in the same place.

The file is read anew each time and written as a whole, under a lock, so that a server and a command see the same. Who
has the file without the key has nothing; who has both has the voices. What was forgotten is in no later file, but
may be in a copy of an earlier one: `Vault.rotate` makes those worthless, once the old key is gone as well.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from audio_connector.engines import Vector
from audio_connector.errors import UsageError
from biometrics.likeness import template
from biometrics.spoof import Print

KEY_VARIABLE, NEW_KEY_VARIABLE = "BIOMETRICS_KEY", "BIOMETRICS_NEW_KEY"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
FORMAT: Final = "biometrics-vault-1"
KEPT_PRINTS: Final = 10
"""Of one person: of the enrolment and of the latest calls, 1.3 kB for each ten seconds."""


@dataclass(frozen=True, eq=False)
class Enrolment:
    """One person's voice.

    Attributes:
        name: Who.
        vectors: One row for each sample.
        engine: Which encoder made them: vectors of another one mean nothing to it.
        line_hz: The sample rate of the line that it was enrolled on; on another one a voice is another.
        brightness_db: See `spoof.brightness_db`.
        consent: How and when this person has agreed.
        enrolled_at: ISO 8601.
        prints: Of recordings that were heard, the latest last.
    """

    name: str
    vectors: Vector
    engine: str
    line_hz: int
    brightness_db: float
    consent: str
    enrolled_at: str
    prints: tuple[Print, ...] = ()

    @property
    def voice(self) -> Vector:
        """All samples in one."""
        return template(self.vectors)

    def having_heard(self, heard: Print) -> Enrolment:
        """The same with another print."""
        return replace(self, prints=(*self.prints, heard)[-KEPT_PRINTS:])


class Keys:
    """Where the key is.

    Args:
        file: The key's file, for its owner alone; `KEY_VARIABLE` in the environment counts before it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._next = file.with_name(f"{file.name}.next")

    @property
    def is_in_environment(self) -> bool:
        """Whether the file does not count."""
        return bool(os.environ.get(KEY_VARIABLE))

    def ready(self, *, make: bool) -> dict[str, bytes]:
        """Return the keys by their ids, the present one first, and one behind that a rotation has left.

        Args:
            make: Make one where there is none: nothing is encrypted with another yet.

        Raises:
            UsageError: There is none, it is none, or others may read it.
        """
        if self.is_in_environment:
            return _by_id([_key_of(os.environ[KEY_VARIABLE], KEY_VARIABLE)])
        if not self.file.exists() and not self._next.exists():
            if not make:
                raise UsageError(
                    f"there is no key in {str(self.file)!r} nor in {KEY_VARIABLE}, and the enrolments were encrypted "
                    "with one; put it back: without it they cannot be read, and have to be deleted and made anew"
                )
            self.write(new_key(), self.file)
        return _by_id([_read_key(path) for path in (self.file, self._next) if path.exists()])

    def write(self, key: bytes, path: Path) -> None:
        """Write a key where nothing is yet.

        Raises:
            UsageError: It cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb", opener=_for_the_owner) as file:
                try:
                    file.write(base64.urlsafe_b64encode(key) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:  # half a key would be in the way of the good one
                    path.unlink()
                    raise
        except OSError as error:
            raise UsageError(f"the key {str(path)!r} cannot be written: {error.strerror}") from error

    @contextmanager
    def renewing(self) -> Iterator[bytes]:
        """Give a new key, which takes the place of the present one after the block.

        Where the process ends in the block, both files are there, and whichever key fits is found.
        """
        if self.is_in_environment:
            text = os.environ.get(NEW_KEY_VARIABLE)
            if not text:
                raise UsageError(
                    f"the key is in {KEY_VARIABLE}; put the new one into {NEW_KEY_VARIABLE}, such as "
                    f"{base64.urlsafe_b64encode(new_key()).decode()}, rotate, and then have {KEY_VARIABLE} say that"
                )
            yield _key_of(text, NEW_KEY_VARIABLE)
            return
        if not self._next.exists():
            self.write(new_key(), self._next)
        yield _read_key(self._next)
        self._next.replace(self.file)


class Vault:
    """The file of enrolments.

    Args:
        path: The file, made where there is none.
        keys: What it is encrypted with.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        self.path = path
        self.keys = keys

    def all(self) -> dict[str, Enrolment]:
        """Return everybody by name.

        Raises:
            UsageError: There is no key, or not the right one, or the file was changed.
        """
        with self._locked(only_reads=True):
            return self._read()

    def put(self, enrolment: Enrolment, *, before: Enrolment | None = None) -> None:
        """Keep somebody.

        Args:
            enrolment: Of whom.
            before: Who has had the name; None where nobody has.

        Raises:
            UsageError: By now somebody else has it, or the file cannot be written.
        """

        def change(known: dict[str, Enrolment]) -> None:
            now = known.get(enrolment.name)
            if now is not before and not (now and before and np.array_equal(now.vectors, before.vectors)):
                raise UsageError(
                    f"somebody else was enrolled as {enrolment.name} meanwhile; look, and try again"
                )
            known[enrolment.name] = enrolment

        self._change(change)

    def heard(self, name: str, heard: Print) -> None:
        """Remember a recording, so that it is known again; of nobody who was forgotten meanwhile."""

        def change(known: dict[str, Enrolment]) -> None:
            if name in known:
                known[name] = known[name].having_heard(heard)

        self._change(change)

    def forget(self, name: str) -> bool:
        """Delete somebody; returns whether there was anybody of that name."""
        with self._locked():
            known = self._read()
            if known.pop(name, None) is None:
                return False
            self._write(known, self._key_in_use())
            return True

    def rotate(self) -> int:
        """Encrypt everything with a new key; returns how many there are."""
        with self._locked():
            known = self._read()
            with self.keys.renewing() as key:
                self._write(known, key)
        return len(known)

    def _change(self, change: Callable[[dict[str, Enrolment]], object]) -> None:
        with self._locked():
            known = self._read()
            change(known)
            self._write(known, self._key_in_use())

    def _key_in_use(self) -> bytes:
        return next(iter(self.keys.ready(make=not self.path.exists()).values()))

    def _read(self) -> dict[str, Enrolment]:
        if not self.path.exists():
            return {}
        keys = self.keys.ready(make=False)
        try:
            sealed = json.loads(self.path.read_text(encoding="ascii"))
            key = keys.get(sealed["key"])
            if key is None:
                raise UsageError(
                    f"{str(self.path)!r} was encrypted with the key {sealed['key']}; got {', '.join(keys)}; put that "
                    f"key into {str(self.keys.file)!r} or {KEY_VARIABLE}"
                )
            nonce, data = (base64.b64decode(sealed[each], validate=True) for each in ("nonce", "data"))
            plain = AESGCM(key).decrypt(nonce, data, _bound_to(sealed["key"]))
            return {name: _of_json(name, values) for name, values in json.loads(plain).items()}
        except UsageError:
            raise
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{str(self.path)!r} is no file of enrolments, or was changed; take the latest copy that is good"
            ) from error
        except OSError as error:
            raise UsageError(f"{str(self.path)!r} cannot be read: {error.strerror}") from error

    def _write(self, known: Mapping[str, Enrolment], key: bytes) -> None:
        plain = json.dumps({name: _as_json(each) for name, each in known.items()}).encode()
        nonce, name = secrets.token_bytes(NONCE_BYTES), _id_of(key)
        data = AESGCM(key).encrypt(nonce, plain, _bound_to(name))
        sealed = {"format": FORMAT, "key": name, "nonce": _text(nonce), "data": _text(data)}
        fresh = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}")
        try:
            with open(fresh, "xb", opener=_for_the_owner) as file:
                file.write(json.dumps(sealed).encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)  # all of it or nothing
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise UsageError(f"{str(self.path)!r} cannot be written: {error.strerror}") from error

    @contextmanager
    def _locked(self, *, only_reads: bool = False) -> Iterator[None]:
        try:
            with ExitStack() as stack:
                try:
                    self.path.parent.mkdir(parents=True, exist_ok=True)
                    lock = self.path.with_name(f"{self.path.name}.lock")
                    file = stack.enter_context(open(lock, "wb", opener=_for_the_owner))
                except OSError as error:  # where nobody can write, who reads needs no lock
                    if not only_reads or error.errno not in (errno.EROFS, errno.EACCES):
                        raise
                else:
                    with suppress(ImportError):  # Windows has none: one process at a time there
                        import fcntl  # noqa: PLC0415

                        fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise UsageError(f"{str(self.path)!r} cannot be opened: {error.strerror}") from error


def new_key() -> bytes:
    """Return a key that nobody has had."""
    return secrets.token_bytes(KEY_BYTES)


def _read_key(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the key {str(path)!r} cannot be read: {error}") from error
    if os.name == "posix" and mode & 0o077:
        raise UsageError(f"the key {str(path)!r} can be read by others; chmod 600 {path}")
    return _key_of(text, str(path))


def _key_of(text: str, where: str) -> bytes:
    with suppress(ValueError):
        key = base64.urlsafe_b64decode(text.strip())
        if len(key) == KEY_BYTES:
            return key
    raise UsageError(f"{where} is no key; expected {KEY_BYTES} bytes in base64, as a new key file has them")


def _by_id(keys: list[bytes]) -> dict[str, bytes]:
    return {_id_of(key): key for key in keys}


def _id_of(key: bytes) -> str:
    """Says which key it is, and nothing about it."""
    return hashlib.sha256(b"id of " + key).hexdigest()[:12]


def _bound_to(key_id: str) -> bytes:
    """What is not encrypted, and cannot be changed all the same."""
    return f"{FORMAT} {key_id}".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _as_json(each: Enrolment) -> dict[str, Any]:
    return {
        "vectors": [_text(np.asarray(row, "<f4").tobytes()) for row in each.vectors],
        "engine": each.engine,
        "line_hz": each.line_hz,
        "brightness_db": each.brightness_db,
        "consent": each.consent,
        "enrolled_at": each.enrolled_at,
        "prints": [_text(heard.packed()) for heard in each.prints],
    }


def _of_json(name: str, values: dict[str, Any]) -> Enrolment:
    vectors = np.stack([np.frombuffer(base64.b64decode(each), "<f4") for each in values.pop("vectors")])
    prints = tuple(Print.unpacked(base64.b64decode(each)) for each in values.pop("prints"))
    return Enrolment(name, vectors, prints=prints, **values)
