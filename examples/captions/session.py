# SPDX-License-Identifier: Apache-2.0
"""The captions of one session: a task for each utterance, from its first sound to its line in the files.

What happens to an utterance: it is *open* while somebody speaks, and partials replace each other on the page; it is
*ended* when they pause, and a better recogniser hears all of it again; then it is *final*, and may be translated.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_connector import AudioConnectorConnection
from audio_connector.engines import EngineError, Hearing, Recogniser, Transcript
from audio_connector.engines.base.deadline import begun_within, within
from audio_connector.live.following import Turns
from audio_connector.live.naming import dated, label_of, new_folder, speaker_name
from audio_connector.live.troubles import Troubles, told
from audio_connector.turns import SpeechEnded, SpeechGoesOn, SpeechStarted, TurnEvent
from captions.delays import Shown, count_words, delays_of, percentile
from captions.interpreter import Interpreter
from captions.webvtt import HEADER, Cue, InOrder, cues_of

if TYPE_CHECKING:
    from captions.app import Captions

logger = logging.getLogger("captions")

MAX_OPEN: Final = 32
"""Utterances of a session that are not final yet: a minute behind, and no caption any more."""

BEGIN_S: Final = 5.0
"""For a recogniser to begin to hear; without it an utterance is understood behind its end."""

FINAL_S: Final = 30.0
"""For a final or a translation; a service that takes longer will not come."""


@dataclass(frozen=True)
class Caption:
    """A final."""

    speaker: str
    start_s: float
    end_s: float
    language: str | None
    text: str
    translation: str = ""


@dataclass
class Speaker:
    """Who speaks: one stream."""

    name: str
    place: int
    language: str | None


@dataclass(eq=False)
class _Utterance:
    number: int
    client: AudioConnectorConnection
    speaker: Speaker
    started: SpeechStarted
    ended: asyncio.Future[SpeechEnded]
    audio: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    shown: list[Shown] = field(default_factory=list)


class Session:
    """The captions of one session.

    Args:
        app: Its engines, page, folder and figures.
        name: The session's id.
        turns: What is said in it.
        is_there: Whether a call of it has not ended.
        clock: What its clock shows.
    """

    def __init__(
        self,
        app: Captions,
        name: str,
        turns: Turns,
        is_there: Callable[[AudioConnectorConnection], bool],
        clock: Callable[[], float],
    ) -> None:
        self._app, self._turns, self._is_there, self._clock = app, turns, is_there, clock
        self.label = label_of(name)
        self._folder = app.output / dated(self.label, datetime.now().astimezone())
        self._speakers: dict[AudioConnectorConnection, Speaker] = {}
        self._open: dict[AudioConnectorConnection, _Utterance] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._count = 0
        self._spoken, self._translated = InOrder(), InOrder()
        self._problem = Troubles(self._tell_problem)
        self._writing = asyncio.Lock()
        voice, target = app.voice, app.wishes.translate_to
        self._interpreter = (
            Interpreter(voice, target, clock) if voice is not None and target is not None else None
        )

    async def run(self) -> None:
        """Caption it until it is over."""
        speaking = asyncio.create_task(self._interpreter.run()) if self._interpreter is not None else None
        try:
            await self._make_folder()
            self._show_session(is_over=False)
            async with aclosing(self._turns) as turns:
                async for client, event in turns:
                    self._take(client, event)
            if self._tasks:
                await asyncio.wait(self._tasks)
            self._show_session(is_over=True)
        finally:
            tasks = [*self._tasks, *([speaking] if speaking is not None else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, client: AudioConnectorConnection, event: TurnEvent) -> None:
        if isinstance(event, SpeechStarted):
            self._begin(client, event)
        elif (utterance := self._open.get(client)) is None:
            return
        elif isinstance(event, SpeechGoesOn):
            utterance.audio.put_nowait(event.audio)
        elif isinstance(event, SpeechEnded):
            del self._open[client]
            utterance.audio.put_nowait(None)
            if not utterance.ended.done():  # given up: its task was cancelled
                utterance.ended.set_result(event)

    def _begin(self, client: AudioConnectorConnection, started: SpeechStarted) -> None:
        if len(self._tasks) >= MAX_OPEN:
            self._problem(
                f"{MAX_OPEN} utterances are not understood yet, so one is left out; use a faster recogniser"
            )
            return
        self._count += 1
        speaker = self._speaker(client)
        ended: asyncio.Future[SpeechEnded] = asyncio.get_running_loop().create_future()
        utterance = self._open[client] = _Utterance(self._count, client, speaker, started, ended)
        utterance.audio.put_nowait(started.audio)
        self._spoken.begin(utterance, started.start_s)
        if self._app.wishes.translate_to is not None:
            self._translated.begin(utterance, started.start_s)
        task = asyncio.create_task(self._caption(utterance))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._tell_failure)

    def _speaker(self, client: AudioConnectorConnection) -> Speaker:
        speaker = self._speakers.get(client)
        if speaker is None:
            names = list(dict.fromkeys(each.name for each in self._speakers.values()))
            there = [each.name for client, each in self._speakers.items() if self._is_there(client)]
            language, wishes = client.headers.get("language", ""), self._app.wishes
            is_one = language in wishes.languages if wishes.languages else re.fullmatch("[a-z]{2}", language)
            name = speaker_name(client.headers, names, there=there)
            place = names.index(name) if name in names else len(names)
            speaker = Speaker(name, place, language if is_one else wishes.language)
            self._speakers[client] = speaker
        return speaker

    # One utterance.

    async def _caption(self, utterance: _Utterance) -> None:
        cues: list[Cue] = []
        translated: list[Cue] = []
        try:
            final = await self._understood(utterance)
            ended = await utterance.ended
            if not final.text or (self._interpreter is not None and self._interpreter.is_own(final.text)):
                self._show_text(utterance, "", is_final=True)  # a noise, or our own voice that came back
                return
            cues = translated = self._final(utterance, final, ended)
            await self._write("captions.vtt", "".join(map(str, self._spoken.finish(utterance, cues))))
            await self._write("captions.jsonl", _line(utterance, final, ended))
            translation = await self._translation(utterance, final, ended)
            if translation:
                translated = cues_of(
                    translation, speaker=utterance.speaker.name, start_s=ended.start_s, end_s=ended.end_s
                )
            self._app.captions.append(
                Caption(
                    utterance.speaker.name,
                    ended.start_s,
                    ended.end_s,
                    final.language,
                    final.text,
                    translation,
                )
            )
        finally:
            await self._write("captions.vtt", "".join(map(str, self._spoken.finish(utterance))))
            if self._app.wishes.translate_to is not None:
                ready = self._translated.finish(utterance, translated)
                await self._write(f"captions.{self._app.wishes.translate_to}.vtt", "".join(map(str, ready)))

    async def _understood(self, utterance: _Utterance) -> Transcript:
        """Hear it: the partials while it is said, then all of it."""
        known = self._app.wishes.partial_languages
        engine = self._app.partials or self._app.finals
        if not known or utterance.speaker.language in known or engine is self._app.finals:
            try:
                return await self._heard_live(engine, utterance)
            except Exception as error:  # noqa: BLE001 - of an engine of one's own too
                self._problem(f"no partials: {told(error)}")
        return await self._heard_whole(utterance)

    async def _heard_live(self, engine: Recogniser, utterance: _Utterance) -> Transcript:
        begins = engine.hear(sample_rate=utterance.started.sample_rate, language=utterance.speaker.language)
        async with begun_within(BEGIN_S, begins) as hearing:
            showing = asyncio.create_task(self._show_partials(hearing, utterance))
            try:
                while (audio := await utterance.audio.get()) is not None:
                    await hearing.write(audio)
                if engine is self._app.finals:
                    return await within(FINAL_S, hearing.finish())
                return await self._heard_whole(utterance)  # while the last partial still comes
            finally:
                showing.cancel()
                await asyncio.gather(showing, return_exceptions=True)

    async def _heard_whole(self, utterance: _Utterance) -> Transcript:
        ended = await utterance.ended
        hearing = self._app.finals.transcribe(
            ended.audio, sample_rate=ended.sample_rate, language=utterance.speaker.language
        )
        try:
            return await within(FINAL_S, hearing)
        except EngineError as error:
            self._problem(f"an utterance is not understood: {error}")
            return Transcript("")

    async def _show_partials(self, hearing: Hearing, utterance: _Utterance) -> None:
        try:
            async for partial in hearing.partials():
                self._show_text(utterance, partial.text, is_final=False)
        except Exception as error:  # noqa: BLE001 - likewise
            self._problem(f"no partials: {told(error)}")

    def _final(self, utterance: _Utterance, final: Transcript, ended: SpeechEnded) -> list[Cue]:
        self._show_text(utterance, final.text, is_final=True, language=final.language)
        app = self._app
        if len(utterance.shown) > 1:  # else there were no partials, on purpose or for want of time
            app.delays_s += delays_of(final.words, ended.audio_start_s, utterance.shown)
        app.page.show(
            "figures",
            key="figures",
            p50_s=round(percentile(app.delays_s, 0.5), 2),
            p95_s=round(percentile(app.delays_s, 0.95), 2),
            words=len(app.delays_s),
        )
        return cues_of(
            final.text,
            speaker=utterance.speaker.name,
            start_s=ended.start_s,
            end_s=ended.end_s,
            words=final.words,
            words_from_s=ended.audio_start_s,
        )

    async def _translation(self, utterance: _Utterance, final: Transcript, ended: SpeechEnded) -> str:
        app, source, target = self._app, final.language, self._app.wishes.translate_to
        if app.translator is None or target is None or source == target:
            return ""
        translating = app.translator.translate(
            final.text, source=source, target=target, audio=ended.audio, sample_rate=ended.sample_rate
        )
        try:
            text = await within(FINAL_S, translating)
        except EngineError as error:
            self._problem(f"an utterance is not translated: {error}")
            return ""
        self._show_text(utterance, final.text, is_final=True, language=source, translation=text)
        await self._write(
            "captions.jsonl", _json({"number": utterance.number, "language": target, "translation": text})
        )
        if self._interpreter is not None and text:
            others = [client for client in self._speakers if client is not utterance.client]
            self._interpreter.say(text, [utterance.client, *others])
        return text

    # What comes out.

    def _show_text(
        self,
        utterance: _Utterance,
        text: str,
        *,
        is_final: bool,
        language: str | None = None,
        translation: str = "",
    ) -> None:
        utterance.shown.append(Shown(self._clock(), count_words(text)))
        self._show(
            "caption",
            str(utterance.number),
            number=utterance.number,
            speaker=utterance.speaker.name,
            place=utterance.speaker.place,
            start_s=round(utterance.started.start_s, 2),
            text=text,
            is_final=is_final,
            language=language,
            translation=translation,
        )

    def _show_session(self, *, is_over: bool) -> None:
        files = [*self._vtt_files(), "captions.jsonl"]
        self._show("session", "", folder=self._folder.name, files=files, is_over=is_over)

    def _vtt_files(self) -> list[str]:
        target = self._app.wishes.translate_to
        return ["captions.vtt", *([f"captions.{target}.vtt"] if target is not None else [])]

    def _show(self, kind: str, key: str, **data: Any) -> None:  # noqa: ANN401 - as Page.show
        self._app.page.show(kind, key=f"{self._folder.name}/{key}", session=self.label, **data)

    def _tell_problem(self, text: str) -> None:
        logger.warning("session %s: %s", self.label, text)
        self._app.page.show("problem", key="problem", text=text)

    def _tell_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._problem(f"an utterance is lost: {told(error)}")

    async def _make_folder(self) -> None:
        """Make its folder; where the disk refuses, the captions stand on the page all the same."""
        try:
            await asyncio.to_thread(self._made_folder)
        except OSError as error:
            self._problem(
                f"{self._folder} cannot be written: {error.strerror or error}; choose another folder"
            )

    def _made_folder(self) -> None:
        self._folder = new_folder(self._folder)
        for name in self._vtt_files():
            _append(self._folder / name, HEADER)
        self._app.folders.append(self._folder)

    async def _write(self, name: str, text: str) -> None:
        """Append whole cues or lines, in the order of asking; the disk keeps nobody else waiting."""
        if not text:
            return
        async with self._writing:
            try:
                await asyncio.to_thread(_append, self._folder / name, text)
            except OSError as error:
                self._problem(f"{self._folder / name} cannot be written: {error.strerror or error}")


def _append(path: Path, text: str) -> None:
    # Unbuffered, so in one write: who reads meanwhile sees whole cues.
    with path.open("ab", buffering=0) as file:
        data, size = text.encode(errors="replace"), file.tell()
        if file.write(data) != len(data):  # the disk is full; half a cue would spoil what follows
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _line(utterance: _Utterance, final: Transcript, ended: SpeechEnded) -> str:
    return _json(
        {
            "number": utterance.number,
            "speaker": utterance.speaker.name,
            "start_s": round(ended.start_s, 3),
            "end_s": round(ended.end_s, 3),
            "language": final.language,
            "text": final.text,
        }
    )


def _json(line: Mapping[str, object]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
