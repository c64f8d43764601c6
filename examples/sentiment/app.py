# SPDX-License-Identifier: Apache-2.0
"""The application: listens to each call, weighs what is said and how, shows the curve, and leaves it in two files.

Each call has one task that reads its turns and one that weighs them, one after the other, so that a slow recogniser
is told and holds up nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol

from audio_connector import AudioConnectorConnection, UsageError
from audio_connector.engines import Embedder, Engine, Recogniser
from audio_connector.live.demo import Outcome
from audio_connector.live.files import write_whole
from audio_connector.live.following import Following, OneByOne
from audio_connector.live.naming import dated, label_of
from audio_connector.live.settings import AppSettings, EngineTable
from audio_connector.live.troubles import Troubles
from audio_connector.simulator import CallReport
from audio_connector.turns import SpeechEnded, TurnEvent, TurnSettings, listen
from audio_connector.validation import FrozenValues
from sentiment.mood import Moods, Utterance
from sentiment.plot import plot
from sentiment.tone import tone_of
from sentiment.words import Valence, WordList

logger = logging.getLogger("sentiment")

TURNS: Final = TurnSettings(max_speech_s=15)
"""What is longer has more than one mood."""

MAX_WAITING: Final = 10
"""Utterances that wait to be weighed: a curve that is a minute behind is none."""

MAX_KEPT: Final = 2000
"""Utterances of a call in its files, the latest: three hours."""

FINISH_S: Final = 8.0
"""What is not weighed by then after the end of a call is left out."""

CLOSE_S: Final = FINISH_S + 2
"""For the files, where the program ends during a call."""


class Show(Protocol):
    """What shows something on the page: `LivePage.show`."""

    def __call__(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - JSON
        """Show it."""


class Examples(FrozenValues):
    """What people say who are content, who are not, and what is neither."""

    error_class: ClassVar[type[UsageError]] = UsageError

    good: tuple[str, ...] = ()
    bad: tuple[str, ...] = ()
    neutral: tuple[str, ...] = ()


class Settings(AppSettings):
    """What can be set, beside what every application can be told.

    Attributes:
        recogniser: The engine that understands what is said.
        embedder: The one that tells what it means.
        language: ISO 639-1; the list of words knows English.
        examples: What is good, bad and neither.
    """

    recogniser: EngineTable
    embedder: EngineTable
    language: str | None = "en"
    examples: Examples = Examples()


class Sentiment:
    """Follows the mood of every call of a server.

    Args:
        settings: See `Settings`.
        recogniser: Understands what is said.
        embedder: Tells what it means.
        words: A list of words.
        output: Where the files go: for each call its utterances as JSON, and its plot as SVG.
        show: Shows things on a page; the default shows nothing.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        recogniser: Recogniser,
        embedder: Embedder,
        words: WordList,
        output: Path,
        show: Show = lambda kind, *, key=None, **data: None,
    ) -> None:
        self.engines: Sequence[Engine] = (recogniser, embedder)
        self.settings = settings
        self.output = output
        self.recogniser = recogniser
        self.valence = Valence(words, embedder, **dict(settings.examples))
        self.show = show
        self.calls: deque[FollowedCall] = deque(maxlen=100)
        """Those that are over, the latest."""
        self._following = Following(finish_s=CLOSE_S)

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Follow a call until its end."""
        call = FollowedCall(self, client)
        self._following.begin(client, call.run(listen(client, settings=TURNS)))

    async def settle(self) -> None:
        """Wait for the files of calls that are over, for a while."""
        await self._following.settle()

    async def close(self) -> None:
        """Let the calls that have ended leave their files."""
        await self._following.close()

    async def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what came out of the demo's call."""
        del reports  # the caller only talks
        await self.settle()
        return demo_outcome(self.calls[-1]) if self.calls else Outcome(problems=["no call was followed"])


class FollowedCall:
    """One call."""

    def __init__(self, app: Sentiment, client: AudioConnectorConnection) -> None:
        self._app = app
        self._began = datetime.now(timezone.utc)
        self.id = dated(label_of(client.id), self._began)
        self.utterances: deque[Utterance] = deque(maxlen=MAX_KEPT)
        self._moods = Moods()
        self._trouble = Troubles(self._tell_trouble)
        self._waiting = OneByOne(self._weigh, most=MAX_WAITING, tell=self._trouble)

    @property
    def files(self) -> list[Path]:
        """What it leaves."""
        return [self._app.output / f"{self.id}{suffix}" for suffix in (".svg", ".json")]

    async def run(self, events: AsyncIterator[TurnEvent]) -> None:
        """Follow it until it is over."""
        self._show("call", key=self.id, began=self._began.isoformat(), is_over=False)
        async with self._waiting:
            turns: Any = events
            async with aclosing(turns):
                async for event in turns:
                    if isinstance(event, SpeechEnded):
                        self._waiting.put(event)
            await self._waiting.finish(FINISH_S)
        await self._finish()

    async def _weigh(self, ended: SpeechEnded) -> None:
        heard = await self._app.recogniser.transcribe(
            ended.audio, sample_rate=ended.sample_rate, language=self._app.settings.language
        )
        text = heard.text.strip()
        if not text:  # a cough, a door
            return
        # Some ten milliseconds a second of audio: not in the loop.
        tone = await asyncio.to_thread(tone_of, ended.audio, ended.sample_rate)
        valence = await self._app.valence.of(text)
        utterance = self._moods.take(ended.start_s, ended.end_s, text=text, tone=tone, valence=valence)
        self.utterances.append(utterance)
        self._show("utterance", **asdict(utterance))

    async def _finish(self) -> None:
        names = [path.name for path in self.files]
        try:
            await asyncio.to_thread(self._write)
        except OSError as error:
            names = []
            self._trouble(f"what came out cannot be written: {error.strerror or error}")
        self._app.calls.append(self)
        self._show("call", key=self.id, began=self._began.isoformat(), is_over=True, files=names)

    def _write(self) -> None:
        self._app.output.mkdir(parents=True, exist_ok=True)
        picture, data = self.files
        said = list(self.utterances)
        title = f"Mood of the call of {self._began:%Y-%m-%d %H:%M:%S} UTC"
        write_whole(picture, plot(said, title=title))
        told = {
            "call": self.id,
            "began": self._began.isoformat(timespec="seconds"),
            "utterances": [asdict(each) for each in said],
            "troubles": self._trouble.counts(),
        }
        write_whole(data, json.dumps(told, indent=2) + "\n")

    def _show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - JSON
        self._app.show(kind, key=key, call=self.id, **data)

    def _tell_trouble(self, text: str) -> None:
        logger.warning("%s", text)
        self._show("trouble", text=text)


def demo_outcome(call: FollowedCall) -> Outcome:
    """Say what came out of the demo: a caller who asks, complains, and is content in the end."""
    said = list(call.utterances)
    lines = [
        f"{each.start_s:5.1f} s  {each.label:9}  mood {each.mood:+.2f}, words {each.valence:+.2f}, "
        f"moved {each.arousal:+.2f}: {each.text}"
        for each in said
    ]
    problems: list[str] = []
    if not any(each.label in ("angry", "unhappy") for each in said):
        problems.append("expected the complaint to be taken for one")
    if not said or said[-1].label not in ("content", "delighted"):
        problems.append("expected the caller to be content in the end")
    if said and said[0].label != "neutral":
        problems.append(f"expected the first question to be neutral, got {said[0].label}")
    return Outcome(lines, call.files, tuple(problems))
