# SPDX-License-Identifier: Apache-2.0
"""The notes of one session.

Three things go on beside each other until it is over: utterances are recognised one after the other, the minutes are
made anew whenever there is something new, and the audio is recorded. Then the notes are written a last time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from audio_connector import AudioConnectorConnection, VideoError
from audio_connector.engines import EngineError
from audio_connector.engines.base.deadline import within
from audio_connector.live.files import write_whole
from audio_connector.live.following import OneByOne, Turns
from audio_connector.live.naming import dated, label_of, new_folder, speaker_name
from audio_connector.live.troubles import Troubles
from audio_connector.turns import SpeechEnded
from notes.minutes import Minutes, Said, as_markdown

if TYPE_CHECKING:
    from notes.app import Notes

logger = logging.getLogger("notes")

MAX_WAITING: Final = 64
"""Utterances that wait to be recognised: some minutes of speech, 20 MB."""

MAX_LINES: Final = 5_000
"""Of one session: a day of talk. The oldest leave the notes; what was written of them stays in the recording."""

ANSWER_S: Final = 60.0
"""For the minutes."""

AUDIO: Final = "audio.wav"

Record: TypeAlias = Callable[[Path, asyncio.Event], Awaitable[None]]
"""Records into a file until the event is set."""


class Session:
    """The notes of one session.

    Args:
        app: Its engines, page and folder.
        name: The session's id.
        turns: What is said in it.
        is_there: Whether a call of it has not ended.
        record: Records its audio.
    """

    def __init__(
        self,
        app: Notes,
        name: str,
        turns: Turns,
        is_there: Callable[[AudioConnectorConnection], bool],
        record: Record,
    ) -> None:
        self._app, self._turns, self._is_there, self._record = app, turns, is_there, record
        self.began = datetime.now().astimezone()
        self.label = label_of(name)
        self.folder = app.output / dated(self.label, self.began)
        self.said: list[Said] = []
        self.minutes = Minutes()
        self._names: dict[AudioConnectorConnection, str] = {}
        self._has_new, self._is_over = asyncio.Event(), asyncio.Event()
        self._problem = Troubles(self._tell_problem)
        self._writing = asyncio.Lock()
        self._count = 0

    async def run(self) -> None:
        """Take notes until it is over."""
        await self._make_folder()
        self._show("session", "", folder=self.folder.name, is_over=False)
        recording, summarising = tasks = [
            asyncio.create_task(work) for work in (self._keep_audio(), self._follow())
        ]
        try:
            async with OneByOne(self._recognise, most=MAX_WAITING, tell=self._problem) as waiting:
                async with aclosing(self._turns) as turns:
                    async for client, event in turns:
                        if isinstance(event, SpeechEnded):
                            waiting.put((client, event))
                self._is_over.set()
                await waiting.finish()
            await asyncio.wait((recording,))
            summarising.cancel()  # what it is at is not all of it
            await asyncio.wait((summarising,))
            await self._summarise()
            self._show("session", "", folder=self.folder.name, is_over=True)
        finally:
            for task in tasks:
                task.cancel()
            for failed in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(failed, Exception):
                    self._problem(f"the notes are not complete: {type(failed).__name__}: {failed}")

    async def _recognise(self, each: tuple[AudioConnectorConnection, SpeechEnded]) -> None:
        client, ended = each
        heard = await self._app.recogniser.transcribe(
            ended.audio, sample_rate=ended.sample_rate, language=self._app.language
        )
        if heard.text:
            self._note(client, ended, heard.text)

    def _note(self, client: AudioConnectorConnection, ended: SpeechEnded, text: str) -> None:
        self._count += 1
        line = Said(self._count, self._name(client), ended.start_s, ended.end_s, text)
        self.said.append(line)
        self.said.sort(key=lambda each: each.start_s)  # who began first may have ended last
        del self.said[:-MAX_LINES]
        self._show(
            "line",
            str(line.number),
            number=line.number,
            speaker=line.speaker,
            place=list(self._names.values()).index(line.speaker),
            start_s=round(line.start_s, 1),
            text=text,
        )
        self._has_new.set()

    def _name(self, client: AudioConnectorConnection) -> str:
        if client not in self._names:
            there = [name for each, name in self._names.items() if self._is_there(each)]
            self._names[client] = speaker_name(client.headers, set(self._names.values()), there=there)
        return self._names[client]

    # The minutes.

    async def _follow(self) -> None:
        while True:
            await self._has_new.wait()
            self._has_new.clear()
            await self._summarise()
            await asyncio.sleep(self._app.every_s)

    async def _summarise(self) -> None:
        said = list(self.said)
        try:
            self.minutes = await within(
                ANSWER_S, self._app.summariser.summarise(said, today=self.began.date())
            )
        except EngineError as error:
            self._problem(f"the minutes are as they were: {error}")
        except Exception as error:  # of an engine of one's own, which is not to cost the transcript
            logger.exception("the minutes are as they were")
            self._problem(f"the minutes are as they were: {type(error).__name__}: {error}")
        # A cancelled write goes on in its thread, and must not end after the one that follows.
        await asyncio.shield(self._write_down(self.minutes, said))
        self._show(
            "minutes",
            "minutes",
            summary=self.minutes.summary,
            decisions=[
                {"text": each.text, "speaker": each.said.speaker, "start_s": round(each.said.start_s, 1)}
                for each in self.minutes.decisions
            ],
            actions=[
                {
                    "task": each.task,
                    "owner": each.owner,
                    "due": each.due,
                    "due_on": each.due_on.isoformat() if each.due_on is not None else None,
                    "start_s": round(each.said.start_s, 1),
                }
                for each in self.minutes.actions
            ],
        )

    async def _keep_audio(self) -> None:
        try:
            await self._record(self.folder / AUDIO, self._is_over)
        except (OSError, VideoError) as error:
            self._problem(f"the recording is not complete: {error}")

    # What comes out.

    def _show(self, kind: str, key: str, **data: Any) -> None:  # noqa: ANN401 - as Page.show
        self._app.page.show(kind, key=f"{self.folder.name}/{key}", session=self.label, **data)

    def _tell_problem(self, text: str) -> None:
        logger.warning("session %s: %s", self.label, text)
        self._app.page.show("problem", key="problem", text=text)

    async def _write_down(self, minutes: Minutes, said: list[Said]) -> None:
        async with self._writing:
            try:
                await asyncio.to_thread(self._write, minutes, said, self._problem.counts())
            except OSError as error:
                self._problem(f"{self.folder / 'notes.md'} cannot be written: {error.strerror or error}")

    def _write(self, minutes: Minutes, said: list[Said], troubles: Mapping[str, int]) -> None:
        text = as_markdown(minutes, said, began=self.began, audio=AUDIO, troubles=troubles)
        write_whole(self.folder / "notes.md", text)

    async def _make_folder(self) -> None:
        """Make its folder; where the disk refuses, the notes stand on the page all the same."""
        try:
            self.folder = await asyncio.to_thread(new_folder, self.folder)
        except OSError as error:
            self._problem(
                f"{self.folder} cannot be written: {error.strerror or error}; choose another folder"
            )
