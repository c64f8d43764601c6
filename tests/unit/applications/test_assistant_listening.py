# SPDX-License-Identifier: Apache-2.0
"""What an assistant hears where its recogniser is not as it should be."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from assistant.listening import Listening

from audio_connector.testing import in_virtual_time
from audio_connector.testing.scripted import ScriptedEars
from audio_connector.turns import SpeechEnded, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def never() -> AsyncIterator[Any]:
    await asyncio.Event().wait()
    yield


class Hanging(ScriptedEars):
    """Never begins the first time."""

    has_hung = False

    def hear(self, **options: Any) -> Any:
        if self.has_hung:
            return super().hear(**options)
        self.has_hung = True
        return never()


async def heard(text: str) -> None:
    """A partial, of which there is none."""
    raise AssertionError(text)


@in_virtual_time
async def test_a_recogniser_that_never_begins_is_given_up_and_the_words_are_understood_behind_it() -> None:
    ears, troubles = Hanging(["hello there"]), list[Exception]()
    await ears.warm()
    listening = Listening(ears, language=None, partials=True, partial=heard, trouble=troubles.append)
    audio = bytes(3200)
    await listening.begin(
        SpeechStarted(at_s=0.1, start_s=0.0, audio=audio, sample_rate=16000, audio_start_s=0.0)
    )
    ended = SpeechEnded(
        at_s=0.2, start_s=0.0, end_s=0.1, audio_start_s=0.0, audio=audio, sample_rate=16000, cause="pause"
    )
    assert await listening.understand(ended) == "hello there"
    assert [str(error).split(";")[0] for error in troubles] == ["no answer within 5 s"]
