# SPDX-License-Identifier: Apache-2.0
"""One call that is coached.

Its session has one task that reads its turns, and one that understands them, so that what takes a while does not hold
up who has the floor. Both end with the session.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from audio_connector import LiveSession, SessionStream
from audio_connector.engines import Recogniser
from audio_connector.live.files import write_whole
from audio_connector.live.following import OneByOne
from audio_connector.live.naming import dated, label_of
from audio_connector.live.troubles import Troubles
from audio_connector.turns import (
    SpeechEnded,
    SpeechGoesOn,
    SpeechStarted,
    TurnEvent,
    TurnSettings,
    listen_apart,
)
from coaching.floor import AGENT, CUSTOMER, ROLES, Floor
from coaching.hints import Hint, Rules
from coaching.meaning import Meanings
from coaching.settings import Settings

logger = logging.getLogger("coaching")

TURNS: Final = TurnSettings(pause_ms=400, max_speech_s=10, silence_s=0.5)
"""A hint has two seconds: 0.3 of them is the session behind the call, this pause is 0.4, and a decode of Whisper
takes 0.6. What is longer than ten seconds is understood in pieces, or it would be understood when it is over."""

MAX_WAITING: Final = 20
"""Utterances that wait to be understood; a recogniser that is further behind coaches nobody any more."""

MAX_LINES: Final = 2000
SHOW_EACH_S: Final = 0.5
SHOW_ALL_EACH_S: Final = 30.0
"""The page keeps the latest that was shown: what is still to be said is shown again before it would leave it."""

FINISH_S: Final = 8.0
"""What is not understood by then after the end of a session is left out."""

UPSET: Final = "upset"
CLOSING: Final = "closing"
ITEM: Final = "item: "


class Show(Protocol):
    """What shows something on the page: `LivePage.show`."""

    def __call__(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - JSON
        """Show it."""


@dataclass(frozen=True)
class Line:
    """Something that was said."""

    role: str
    start_s: float
    end_s: float
    text: str


def groups_of(settings: Settings) -> Mapping[str, Sequence[str]]:
    """What is looked for in the words of both sides."""
    items = {f"{ITEM}{item.name}": item.phrases for item in settings.checklist}
    return {**items, UPSET: settings.upset, CLOSING: settings.closing}


class CoachedCall:
    """One session, from its first stream to its last.

    Args:
        session: The session.
        settings: See `Settings`.
        recogniser: Understands both sides.
        meanings: What it looks for in their words; see `groups_of`.
        show: Shows things on a page.
    """

    def __init__(
        self,
        session: LiveSession,
        settings: Settings,
        *,
        recogniser: Recogniser,
        meanings: Meanings,
        show: Show,
    ) -> None:
        self._session, self._settings = session, settings
        self._recogniser, self._meanings, self._shown_on = recogniser, meanings, show
        self._began = datetime.now(timezone.utc)
        self.id = dated(label_of(session.id), self._began)
        self._floor = Floor()
        self._rules = Rules(self._settings.hints)
        self._roles: WeakKeyDictionary[SessionStream, str | None] = WeakKeyDictionary()
        self._said: dict[str, dict[str, Any]] = {}
        self._hints: deque[dict[str, Any]] = deque(maxlen=MAX_LINES)
        self._lines: deque[Line] = deque(maxlen=MAX_LINES)
        self._trouble = Troubles(self._tell_trouble)
        self._waiting = OneByOne(self._understand, most=MAX_WAITING, tell=self._trouble)
        self._closed_s: float | None = None
        self._together_s: float | None = None
        self._shown_s = self._all_shown_s = 0.0

    async def run(self, output: Path) -> dict[str, Any]:
        """Coach until the session is over; returns the summary, which is written into a folder."""
        self._show_all()
        async with self._waiting:
            events: Any = listen_apart(self._session, settings=TURNS)
            async with aclosing(events):
                async for stream, event in events:
                    role = self._role_of(stream)
                    if role is not None:
                        self._take(stream, role, event)
            await self._waiting.finish(FINISH_S)
        return await self._finish(output)

    def _role_of(self, stream: SessionStream) -> str | None:
        if stream not in self._roles:
            role = self._roles[stream] = self._settings.role_of(stream.connection)
            if role is None:
                told = self._settings
                where = (
                    "the end of its path"
                    if told.role_by == "path"
                    else f"its {told.role_by} {told.role_name!r}"
                )
                self._trouble(
                    f"a stream does not say whether it is the agent or the customer, and is left out; expected "
                    f"{' or '.join(map(repr, told.roles.values()))} as {where}"
                )
        return self._roles[stream]

    def _take(self, stream: SessionStream, role: str, event: TurnEvent) -> None:
        """Take what one side does, without waiting for anything."""
        self._floor.feed(stream.id, role, event)
        there = {self._role_of(each) for each in self._session.streams}
        if not there.issuperset(ROLES):
            self._together_s = None
        elif self._together_s is None:
            self._together_s = self._floor.now_s
        for hint in self._rules.look(self._floor, together_s=self._together_s):
            self._give(hint)
        if isinstance(event, SpeechEnded):
            self._show_span(stream, role, event.start_s, event.end_s)
            self._waiting.put((role, event))
        if self._floor.now_s - self._shown_s >= SHOW_EACH_S:
            self._shown_s = self._floor.now_s
            if isinstance(event, SpeechStarted | SpeechGoesOn):
                self._show_span(stream, role, event.start_s, event.start_s + event.speech_s)
            self._show("figures", key=self.id, figures=self._floor.figures())
            for hint in self._remind():
                self._give(hint)
        if self._floor.now_s - self._all_shown_s >= SHOW_ALL_EACH_S:
            self._all_shown_s = self._floor.now_s
            self._show_all()

    async def _understand(self, said: tuple[str, SpeechEnded]) -> None:
        role, ended = said
        heard = await self._recogniser.transcribe(
            ended.audio, sample_rate=ended.sample_rate, language=self._settings.language
        )
        if heard.text.strip():
            await self._weigh(Line(role, ended.start_s, ended.end_s, heard.text.strip()))

    async def _weigh(self, line: Line) -> None:
        """Look what something that was said means for the call."""
        self._lines.append(line)
        self._show("line", **asdict(line))
        self._floor.words(line.role, len(line.text.split()), line.end_s - line.start_s)
        hints = self._rules.pace(self._floor, line.end_s) if line.role == AGENT else []
        for match in (await self._meanings.find(line.text)).values():
            if match.group == CLOSING:
                self._closed_s = self._closed_s or line.end_s
            elif match.group == UPSET and line.role == CUSTOMER:
                hints += self._rules.upset(match.sentence, line.end_s)
            elif match.group.startswith(ITEM) and line.role == AGENT:
                self._tick(match.group[len(ITEM) :], line, match.sentence, match.likeness)
        for hint in (*hints, *self._remind()):
            self._give(hint)

    def _tick(self, name: str, line: Line, sentence: str, likeness: float) -> None:
        if name in self._said:
            return
        said = {"name": name, "is_said": True, "at_s": round(line.start_s, 2)}
        self._said[name] = {**said, "sentence": sentence, "likeness": likeness}
        self._show_item(self._said[name])

    def _remind(self) -> list[Hint]:
        missing = [item.name for item in self._settings.checklist if item.name not in self._said]
        return self._rules.missing(missing, now_s=self._floor.now_s, closed_s=self._closed_s)

    def _give(self, hint: Hint) -> None:
        shown_s = self._session.now_s
        told = {"cause_s": hint.cause_s, "shown_s": shown_s, "late_s": shown_s - hint.cause_s}
        given = {**asdict(hint), **{name: round(seconds, 2) for name, seconds in told.items()}}
        self._hints.append(given)
        self._show("hint", **given)
        logger.info("hint %.1f s after its cause: %s", given["late_s"], hint.rule)

    def _checklist(self) -> list[dict[str, Any]]:
        return [
            self._said.get(item.name, {"name": item.name, "is_said": False})
            for item in self._settings.checklist
        ]

    def _show_all(self) -> None:
        self._show("call", key=self.id, began=self._began.isoformat(), is_over=False)
        for item in self._checklist():
            self._show_item(item)

    def _show_item(self, item: dict[str, Any]) -> None:
        number = [each.name for each in self._settings.checklist].index(item["name"])
        self._show("item", key=f"{self.id} {number}", number=number, **item)

    def _show_span(self, stream: SessionStream, role: str, start_s: float, end_s: float) -> None:
        key = f"{self.id} {stream.id} {start_s:.2f}"
        self._show("span", key=key, role=role, start_s=round(start_s, 2), end_s=round(end_s, 2))

    def _show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - JSON
        self._shown_on(kind, key=key, call=self.id, **data)

    def _tell_trouble(self, text: str) -> None:
        logger.warning("%s", text)
        self._show("trouble", text=text)

    def summary(self) -> dict[str, Any]:
        """How the call went, as JSON holds it."""
        return {
            "call": self.id,
            "began": self._began.isoformat(timespec="seconds"),
            "figures": self._floor.figures(),
            "checklist": self._checklist(),
            "hints": list(self._hints),
            "transcript": [
                {**asdict(line), "start_s": round(line.start_s, 2), "end_s": round(line.end_s, 2)}
                for line in sorted(self._lines, key=lambda line: line.start_s)
            ],
            "timeline": [
                [span.role, round(span.start_s, 2), round(span.end_s, 2)] for span in self._floor.spans
            ],
            "troubles": self._trouble.counts(),
        }

    async def _finish(self, output: Path) -> dict[str, Any]:
        summary = self.summary()
        path = output / f"{self.id}.json"
        self._show("figures", key=self.id, figures=summary["figures"])
        is_there = True
        try:
            await asyncio.to_thread(_write, path, summary)
        except OSError as error:
            is_there = False
            self._trouble(f"the summary cannot be written to {path}: {error.strerror or error}")
        file = path.name if is_there else None
        self._show("call", key=self.id, began=summary["began"], is_over=True, file=file)
        return summary


def _write(path: Path, summary: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(summary, indent=2) + "\n")
