# SPDX-License-Identifier: Apache-2.0
"""The assistant: the engines that all its calls share, and what the demo says of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from assistant.brain import Brain
from assistant.conversation import Conversation, Parts, Shows
from assistant.manner import Manner
from assistant.memory import STAGES, Turn, median_ms
from assistant.speaking import Voice
from audio_connector import AudioConnectorConnection
from audio_connector.engines import Engine, Recogniser, Synthesiser
from audio_connector.live.demo import Outcome
from audio_connector.simulator import CallReport


class Assistant:
    """Serves calls; what they share.

    Args:
        recogniser: Understands the caller.
        synthesiser: Speaks.
        brain: Knows what to say.
        page: Told what happens.
        manner: How it talks.
        language: Of the caller, ISO 639-1; None lets the recogniser guess.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        synthesiser: Synthesiser,
        brain: Brain,
        *,
        page: Shows,
        manner: Manner | None = None,
        language: str | None = None,
    ) -> None:
        manner = manner or Manner()
        voice = Voice(synthesiser, manner.phrases.model_dump(), brain.openings)
        self._parts = Parts(recogniser, brain, voice, manner, page, language)
        self._calls = 0

    @property
    def turns(self) -> Sequence[Turn]:
        """What was said in all calls, the latest of it."""
        return tuple(self._parts.turns)

    @property
    def engines(self) -> Sequence[Engine]:
        """What is loaded before the first call."""
        return self._parts.recogniser, self._parts.brain, self._parts.voice

    async def on_connect(self, client: AudioConnectorConnection) -> None:
        """Serve a call to its end."""
        self._calls += 1
        await Conversation(self._parts, client, str(self._calls)).run()

    async def close(self) -> None:
        """Nothing is written."""

    def outcome(self, reports: Sequence[CallReport]) -> Outcome:
        """Say what a turn took, by our clock and by the caller's; each one is in the log."""
        theirs = [turn.latency_ms for report in reports for turn in report.turns]
        answered = [turn for turn in self.turns if turn.is_answered]
        ours = median_ms(answered)
        if ours is None or not theirs:
            return Outcome(problems=["nothing was answered"])
        took = {
            stage: [turn.stages_ms[stage] for turn in answered if stage in turn.stages_ms] for stage in STAGES
        }
        stages = ", ".join(f"{name} {statistics.median(ms):.0f}" for name, ms in took.items() if ms)
        return Outcome(
            [
                f"p50 of {len(answered)} turns: {ours:.0f} ms from the end of speech to the first sound ({stages})",
                f"p50 at the caller's ear: {statistics.median(theirs):.0f} ms",
            ]
        )
