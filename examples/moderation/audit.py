# SPDX-License-Identifier: Apache-2.0
"""A log to which lines are only added, and of which one sees where a line was changed, removed or put in.

Each line is a JSON object that has the hash of the line before it, ``before``, and its own, ``hash``. What this can
not show is that the last lines are missing, or that all of it was written anew: for that, keep the ``hash`` of a
late line somewhere else, and give it to `verify`. A line is handed to the operating system as soon as it is written;
a machine that loses its power may lose the latest ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from os import PathLike
from pathlib import Path
from typing import Any, Final

from audio_connector.errors import UsageError

BEGINNING: Final = "0" * 64
"""What stands for the line before the first one."""


class AuditBroken(UsageError):
    """A log is not as it was written; the text says where."""


@dataclass(frozen=True)
class Verified:
    """A log that is as it was written.

    Attributes:
        lines: How many.
        head: The hash of the last one.
        clips: Files of evidence that are as they were written.
    """

    lines: int
    head: str
    clips: int = 0


class AuditLog:
    """Adds lines to a log; what it has already is verified first.

    Args:
        path: The file, made where there is none; only its owner may read it.

    Raises:
        AuditBroken: It is there, and broken: keep it, and begin another one.
        UsageError: It cannot be written, or another process writes to it.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise UsageError(
                f"audit log {str(path)!r}: cannot be written: {error.strerror}; choose another folder"
            ) from error
        try:
            _lock(self._file, self.path)
            done = verify(self.path)
        except AuditBroken as error:
            os.close(self._file)
            raise AuditBroken(
                f"{error}; keep it for whoever looks into that, and take another folder"
            ) from error
        except BaseException:
            os.close(self._file)
            raise
        self.lines, self.head = done.lines, done.head
        self._is_open = True

    def write(self, event: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - as JSON holds it
        """Add a line, and return it.

        Raises:
            OSError: The disk refused; nothing of it counts.
        """
        entry = {
            "line": self.lines + 1,
            "at": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "event": event,
            **fields,
            "before": self.head,
        }
        entry["hash"] = _hash_of(entry)
        text = json.dumps(entry, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        there = os.fstat(self._file)
        if not there.st_nlink:  # or it would be written into nothing, without an error
            raise OSError(f"{self.path}: it was removed while it was written to; begin another one")
        try:
            # One call, so that a process which is killed leaves a whole line or none.
            if os.write(self._file, text) != len(text):
                raise OSError(f"{self.path}: the disk is full")
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, there.st_size)  # half a line would break all that follows
            raise
        self.lines, self.head = self.lines + 1, entry["hash"]
        return entry

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._is_open:
            self._is_open = False
            os.close(self._file)


def verify(
    path: str | PathLike[str], *, head: str | None = None, clips: str | PathLike[str] | None = None
) -> Verified:
    """See to it that a log is as it was written.

    Args:
        path: The log.
        head: A hash that was noted earlier: the line with it has to be there still.
        clips: The folder of the evidence, whose files are compared as well.

    Raises:
        AuditBroken: It is not.
        UsageError: It cannot be read.
    """
    before, lines, checked = BEGINNING, 0, 0
    is_head_there = head is None or head == BEGINNING
    for entry in _entries(Path(path)):
        lines += 1
        own = entry.pop("hash", None)
        if entry.get("line") != lines or entry.get("before") != before:
            raise AuditBroken(
                f"{path}, line {lines}: it does not follow the line before it; a line was removed or put in"
            )
        if own != _hash_of(entry):
            raise AuditBroken(f"{path}, line {lines}: it was changed after it was written")
        before = str(own)
        is_head_there = is_head_there or before == head
        if clips is not None and entry.get("event") == "clip":
            _compare(
                Path(clips) / Path(str(entry["file"])).name, str(entry["sha256"]), f"{path}, line {lines}"
            )
            checked += 1
    if not is_head_there:
        raise AuditBroken(f"{path}: the line whose hash is {head} is missing; lines were cut off")
    return Verified(lines, before, checked)


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    entry = None
                if not isinstance(entry, dict):
                    raise AuditBroken(f"{path}, line {number}: it is no whole line of JSON")
                yield entry
    except OSError as error:
        raise UsageError(f"audit log {str(path)!r}: cannot be read: {error.strerror}") from error


def _hash_of(entry: dict[str, Any]) -> str:
    """Of all its fields, in an order that does not depend on how they were written down."""
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _compare(file: Path, sha256: str, where: str) -> None:
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise AuditBroken(f"{where}: its clip {file} cannot be read: {error.strerror}") from error
    if found != sha256:
        raise AuditBroken(f"{where}: its clip {file} was changed after it was written")


def _lock(file: int, path: Path) -> None:
    try:
        import fcntl  # noqa: PLC0415 - there is none on Windows, where two writers are for the user to avoid
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise UsageError(
            f"audit log {str(path)!r}: another process writes to it; give each of them a folder of its own"
        ) from error
