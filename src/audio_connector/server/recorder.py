# SPDX-License-Identifier: Apache-2.0
"""The application's handle of a recording."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from audio_connector.audio.format import check_rate_hz
from audio_connector.call.asks import TakeTape, TapeMore, TapeOn
from audio_connector.call.tells import Taped
from audio_connector.errors import UsageError
from audio_connector.recording.outcome import Recorded
from audio_connector.server.connection import AudioConnectorConnection
from audio_connector.server.line import resolve

if TYPE_CHECKING:
    from audio_connector.recording.take import Take

KEEP_S = 10.0
"""So much waits on the I/O side for a disk that does not write, or an application that is held up."""

AT_ONCE_S = 0.25
"""A recorder that is started so soon after the call was handed over has the caller from the first frame on, however
long the application took to come to it. A later one has nothing of what was said before: nobody may have agreed."""

BATCHES = 4
"""Two seconds, told ahead of what was written."""


class Recorder:
    """Records a call into a stereo WAV file: the caller left, and right what the session hears of us.

    Both sides are on one clock, ours. What did not come is silence of its true length. Ours stands where it was
    heard, by the router's clock, and ends where a flush cut it. It is written to disk meanwhile, in a thread of its
    own. What happened (texts, flushes, underruns, errors) is kept behind the audio: ``audio-connector report`` shows
    it all.

    ``async with Recorder(client, "call.wav") as recording:`` records as long as the block lasts, or the call. A name
    out of ``client.id``, which whoever dials may choose, could lead anywhere.
    Where the disk refuses, that is one error, for on_error or the log, and the call goes on.

    Args:
        client: The call; it may have several recorders.
        path: The file; an existing one is replaced, unless another call is being recorded into it.
        sample_rate: Its rate in Hz, 4,000 to 192,000; None takes the call's.
        events: False leaves out what happened, the texts of the call above all.

    Raises:
        UsageError: An argument is of another type, or out of range.
    """

    def __init__(
        self,
        client: AudioConnectorConnection,
        path: str | PathLike[str],
        *,
        sample_rate: int | None = None,
        events: bool = True,
    ) -> None:
        if not isinstance(client, AudioConnectorConnection):
            raise UsageError(
                f"got {type(client).__name__} as client; expected the connection that on_connect is given"
            )
        if not isinstance(path, str | PathLike):
            raise UsageError(f"got {path!r} as path; expected a str or a Path, the file to write")
        self._path = Path(path)
        self._rate_hz = None if sample_rate is None else check_rate_hz(sample_rate)
        self._keeps_events = events
        self._client = client
        self._line = client._line
        self._token = 0
        self._take: Take | None = None
        self._recorded: Recorded | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> Recorder:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin, now; from any thread. It ends by itself with the call.

        Raises:
            UsageError: It was started before.
            ConnectionClosed: The call is over.
        """
        # What writes files is needed by those only who record.
        from audio_connector.recording.notes import Notes  # noqa: PLC0415
        from audio_connector.recording.take import Take  # noqa: PLC0415

        if self._take is not None:
            raise UsageError(
                "a recorder records once; make another one, Recorder(client, path), for another file"
            )
        line, client = self._line, self._client
        line.check_open("record")
        notes = Notes(connection=client.id, session=client.session_id or "")
        take = self._take = Take(
            self._path, rate_hz=self._rate_hz, notes=notes, keeps_events=self._keeps_events
        )
        self._token = next(line.numbers)
        rate_hz = client.format.rate_hz
        line.write_file(lambda: self._tell_error(take, lambda: take.open(rate_hz)))
        is_from_start = line.clock() - line.handed_at < AT_ONCE_S
        line.post(TapeOn(self._token, KEEP_S, BATCHES, is_from_start))
        line.record(self._token, self._receive)

    async def stop(self) -> Recorded:
        """End it, and wait until the file is complete; more than once is fine.

        Returns:
            What was recorded. Nothing is raised for the disk's sake: see `Recorded.error`.

        Raises:
            UsageError: It was not started.
        """
        if self._take is None:
            raise UsageError("this recorder was not started; begin with: async with Recorder(client, path)")
        if self._recorded is None:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.add(future)
            try:
                self._line.post(TakeTape(self._token, is_last=True))
                if self._recorded is None:  # else it became complete meanwhile, in another thread
                    await future
            finally:
                self._waiting.discard(future)
        return self.recorded

    @property
    def recorded(self) -> Recorded:
        """What was recorded so far.

        Raises:
            UsageError: It was not started.
        """
        if self._take is None:
            raise UsageError("this recorder was not started; begin with: async with Recorder(client, path)")
        return self._take.recorded if self._recorded is None else self._recorded

    def _receive(self, taped: Taped | None) -> None:
        """Hand on what was taped to who writes; in any thread, never blocking."""
        self._line.write_file(lambda: self._write(taped))

    def _write(self, taped: Taped | None) -> None:
        take = self._take
        if take is None:  # cannot be: it was started
            return
        is_last = taped is None or taped.is_last
        try:
            if taped is not None:
                self._tell_error(take, lambda: take.add(taped))
        finally:  # whatever went wrong, nobody waits for ever
            if is_last:
                self._finish(take)
            elif taped is not None and taped.is_complete:
                is_over = take.error is not None
                self._line.post(TakeTape(self._token, is_last=True) if is_over else TapeMore(self._token))

    def _finish(self, take: Take) -> None:
        try:
            self._tell_error(take, take.close)
        finally:
            self._recorded = take.recorded
            for future in list(self._waiting):
                resolve(future, None)

    def _tell_error(self, take: Take, work: Callable[[], None]) -> None:
        before = take.error
        work()
        if take.error is not before and take.error is not None:
            with contextlib.suppress(RuntimeError):  # the application's loop is closed
                self._line.report(take.error)
