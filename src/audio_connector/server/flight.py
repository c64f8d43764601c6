# SPDX-License-Identifier: Apache-2.0
"""The flight recorder: the last seconds of every call, in a file where something went wrong, or somebody asks.

They are kept on the I/O side (`call.tape`), so that nothing crosses to the application until they are wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from audio_connector.call.asks import TakeTape, TapeOn
from audio_connector.call.tells import Figures, Taped, TapedEvent
from audio_connector.errors import AudioFileError, ConnectionClosed
from audio_connector.intake.faults import excerpt
from audio_connector.server.config import FlightRecorder
from audio_connector.server.line import Line, resolve
from audio_connector.wire.identity import session_of
from audio_connector.wire.quoting import named
from audio_connector.wire.transport import Upgrade

logger = logging.getLogger("audio_connector.recording")

NAME = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9_-]{1,64}-[a-z_]+(-\d+)?\.wav")
"""Of the files that are written, and deleted when there are too many: no others."""


MAX_UNWRITTEN = 4
"""Records of a server that it wants by itself and that wait for the disk, of some megabytes each."""


@dataclass(slots=True)
class _Wanted:
    """Somebody, or something, wants what is kept; ``path`` is None for a new one in the folder."""

    why: str
    detail: str
    path: Path | None = None
    future: asyncio.Future[Path | AudioFileError | None] | None = None


def check_folder(folder: Path) -> None:
    """Say at the start where nothing can be written, as with a unit of systemd that has the disk read-only.

    Else that is found out when a record is missing.
    """
    whole = folder.absolute()
    there = next(path for path in (whole, *whole.parents) if os.path.exists(path))  # noqa: PTH110 - it never raises
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        text = "no flight record can be written to %s: %s is no folder that this process may write to; choose another"
        logger.warning(text, folder, there)


class Budget:
    """How often a server may write one by itself; from any thread."""

    def __init__(self, min_interval_s: float) -> None:
        self._min_interval_s = min_interval_s
        self._next_at = 0.0
        self._left_out = self._unwritten = 0
        self._lock = threading.Lock()

    def take(self, now: float) -> int | None:
        """Return how many were left out since the last one; None where it is too early, or too many wait."""
        with self._lock:
            if now < self._next_at or self._unwritten >= MAX_UNWRITTEN:
                self._left_out += 1
                return None
            self._next_at = now + self._min_interval_s
            self._unwritten += 1
            left_out, self._left_out = self._left_out, 0
            return left_out

    def give_back(self) -> None:
        """One that was taken is written, or is not to be."""
        with self._lock:
            self._unwritten -= 1


class Flight:
    """That of one call; the router may say later which session it is of."""

    def __init__(
        self,
        line: Line,
        settings: FlightRecorder,
        budget: Budget,
        *,
        connection_id: str,
        upgrade: Upgrade,
    ) -> None:
        self._line = line
        self._id = connection_id
        self._upgrade = upgrade
        self._settings = settings
        self._budget = budget
        self._wanted: deque[_Wanted] = deque()
        self._pieces: list[Taped] = []
        self._underruns = self._drops = 0
        self._token = next(line.numbers)
        line.post(TapeOn(self._token, settings.keep_s, None, True))
        line.watch = self._watch
        line.record(self._token, self._receive)

    async def dump(self, path: Path | None) -> Path | None:
        """Write what is kept now; None where the call has ended before.

        Raises:
            AudioFileError: It cannot be written.
        """
        future: asyncio.Future[Path | AudioFileError | None] = asyncio.get_running_loop().create_future()
        self._want(_Wanted("asked_for", "", path, future))
        outcome = await future
        if isinstance(outcome, AudioFileError):
            raise outcome
        return outcome

    def note(self, why: str, detail: str = "") -> None:
        """Something went wrong; from any thread."""
        if (wanted := self._anomaly(why, detail)) is not None:
            self._want(wanted)

    def note_fault(self, name: str, error: BaseException) -> None:
        """A handler raised; that it sent to who had just hung up is no anomaly."""
        if not isinstance(error, ConnectionClosed):
            self.note("handler_error", f"{name} raised {excerpt(error)}")

    def _anomaly(self, why: str, detail: str) -> _Wanted | None:
        if why not in self._settings.on:
            return None
        left_out = self._budget.take(self._line.clock())
        if left_out is None:
            return None
        more = f"{left_out} more since the last record" if left_out else ""
        return _Wanted(why, f"{detail}; {more}".strip("; "))

    def _want(self, wanted: _Wanted) -> None:
        self._wanted.append(wanted)
        self._line.post(TakeTape(self._token, is_last=False))
        if self._token not in self._line.recorders:  # the call has ended, perhaps meanwhile
            self._give_up()

    def _watch(self, figures: Figures) -> None:
        """Figures have come; in any thread."""
        underruns, drops = figures.underruns, figures.intake.overflow_episodes
        if underruns > self._underruns:
            self.note("underrun", f"{underruns} in the call, {figures.underrun_ms:.0f} ms in sum")
        if drops > self._drops:
            self.note("drop", f"{figures.intake.dropped_messages} messages so far")
        self._underruns, self._drops = underruns, drops

    def _receive(self, taped: Taped | None) -> None:
        """What was asked for comes, in the order of asking; or it is the end. In any thread."""
        if taped is None:
            self._give_up()
            return
        self._pieces.append(taped)
        if not taped.is_complete:
            return
        pieces, self._pieces = self._pieces, []
        is_empty = taped.is_last and not (taped.came or taped.heard or taped.events)
        wanted = self._wanted.popleft() if self._wanted else None
        if wanted is None and taped.is_last and not is_empty:
            wanted = self._anomaly("abnormal_close", taped.events[-1].detail if taped.events else "")
        if wanted is not None and not is_empty:
            self._line.write_file(lambda: self._do(wanted, pieces))
        elif wanted is not None:
            self._wanted.appendleft(wanted)
        if taped.is_last:
            self._give_up()

    def _give_up(self) -> None:
        """The call has ended, and what was kept with it."""
        while self._wanted:
            wanted = self._wanted.popleft()
            if wanted.future is not None:
                resolve(wanted.future, None)
            else:
                self._budget.give_back()

    def _do(self, wanted: _Wanted, pieces: list[Taped]) -> None:
        try:
            self._write(wanted, pieces)
        finally:
            if wanted.future is None:
                self._budget.give_back()

    def _complain(self, error: AudioFileError) -> None:
        """What nobody waits for cannot be written."""
        if self._line.closed is not None:  # on_error may be over too
            logger.error("connection %s: no flight record of its end: %s", named(self._id), error)
            return
        with contextlib.suppress(RuntimeError):  # the application's loop is closed
            self._line.report(error)

    def _write(self, wanted: _Wanted, pieces: list[Taped]) -> None:
        """Where it blocks."""
        from audio_connector.recording.notes import Notes  # noqa: PLC0415 - only who records needs it
        from audio_connector.recording.take import Take  # noqa: PLC0415

        at = TapedEvent(pieces[-1].at, "server", wanted.why.replace("_", " "), wanted.detail, 0.0)
        pieces[0] = pieces[0]._replace(events=(*pieces[0].events, at))
        why = f"{wanted.why}: {wanted.detail}" if wanted.detail else wanted.why
        session_id = session_of(self._upgrade, self._line.first_message)
        notes = Notes(kind="flight record", why=why, connection=self._id, session=session_id or "")
        path = wanted.path or self._new_path(wanted.why)
        take = Take(path, notes=notes)
        with contextlib.suppress(OSError, ValueError):  # what is wrong with the folder, the file says
            path.parent.mkdir(parents=True, exist_ok=True)
        take.open(pieces[0].rate_hz)
        for piece in pieces:
            take.add(piece)
        take.close()
        if take.error is None:
            text = "connection %s: its last %.1f s are in %s: %s"
            logger.warning(text, named(self._id), take.recorded.duration_s, path, why)
        elif wanted.future is None:
            self._complain(take.error)
        if wanted.path is None:
            if take.error is not None and not take.recorded.duration_s:
                with contextlib.suppress(OSError, ValueError):  # empty ones would push out others
                    path.unlink(missing_ok=True)
            self._delete_oldest(path)
        if wanted.future is not None:
            resolve(wanted.future, take.error or path)

    def _new_path(self, why: str) -> Path:
        """A name that sorts by time; the id comes from the other side, and only what is harmless is taken of it."""
        when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        stem = f"{when}-{re.sub(r'[^A-Za-z0-9_-]', '_', self._id)[:64]}-{why}"
        names = itertools.chain((stem,), (f"{stem}-{number}" for number in itertools.count(2)))
        folder = self._settings.folder
        return next(folder / f"{name}.wav" for name in names if not (folder / f"{name}.wav").exists())

    def _delete_oldest(self, newest: Path) -> None:
        """Not the one that was just written, which is older than all where the clock was set back."""
        with contextlib.suppress(OSError):  # another process of this server may be at it as well
            ours = [path for path in self._settings.folder.iterdir() if NAME.fullmatch(path.name)]
            ours.sort(key=lambda path: (path == newest, path.stat().st_mtime_ns))  # many may be of one second
            for path in ours[: -self._settings.max_files]:
                path.unlink(missing_ok=True)
