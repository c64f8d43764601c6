# SPDX-License-Identifier: Apache-2.0
"""Judges whether a persona reached its goal."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from audio_connector.simulator.talk.expect import NOTHING_UNDERSTOOD
from audio_connector.simulator.talk.meaning import Meaning
from audio_connector.simulator.talk.persona import Judge, Outcome, Persona, many
from audio_connector.simulator.talk.ports import Answerer, Message
from audio_connector.simulator.talk.replies import answer_of
from audio_connector.simulator.talk.transcript import TranscriptLine, said_by
from audio_connector.simulator.talk.words import folded
from audio_connector.wire.quoting import printable, quoted

JUDGING_S: Final = 120
"""Time for a chat model to judge a call; one on this machine's processor takes half of it."""

_SHOWN_CHARS: Final = 160
_MAX_TOLD_CHARS: Final = 20_000  # of a conversation: an hour
_QUESTION: Final = (
    "Here is a telephone call between a caller and a bot, as a speech recogniser understood it. The caller's goal: "
    "{goal}\nWas it reached? Answer with yes or no, and one sentence why.\n\n{call}"
)


async def judge_call(
    persona: Persona,
    lines: Sequence[TranscriptLine],
    *,
    ended: str,
    turns: int,
    meaning: Meaning,
    answerer: Answerer | None = None,
) -> Outcome:
    """Judge a call that is over.

    Args:
        persona: Who called.
        lines: What was said.
        ended: As `Outcome.ended`.
        turns: How often the persona spoke.
        meaning: Judges sentences.
        answerer: The chat model, where it is to judge.
    """
    judge = persona.judge
    if judge is None:
        reached = ended in {"rule", "model"}
        why = (
            f"the caller hung up {'as a rule said' if ended == 'rule' else 'by itself'}"
            if reached
            else _HOW[ended]
        )
        return Outcome(persona.goal, reached, (why,), "rules", turns, ended)
    said = said_by("bot", lines)
    missing = [*await _against_words(judge, said, meaning)]
    if judge.goal is not None and judge.by == "meaning" and not await meaning.says(said, judge.goal):
        missing.append(f"the bot said nothing like {quoted(judge.goal)}, by its {meaning.judged_by}")
    if judge.by == "model" and answerer is not None:
        answer = await _asked(answerer, judge.goal or persona.goal, lines)
        verdict = folded(answer)[:1]
        if verdict != ("yes",):
            missing.append(f"the model judges: {printable(answer, _SHOWN_CHARS) or 'nothing'}")
    if not (missing or said) and judge.by == "meaning":  # what it must not say is all that was judged
        missing.append(NOTHING_UNDERSTOOD)
    by = judge.by if judge.by == "model" else meaning.judged_by
    if missing and ended not in {"rule", "model"}:
        missing.append(_HOW[ended])
    return Outcome(persona.goal, not missing, tuple(missing), by, turns, ended)


async def _against_words(judge: Judge, said: str, meaning: Meaning) -> list[str]:
    must = [f"the bot did not say {each}" for each in many(judge.must) if not await meaning.found(each, said)]
    must_not = [f"the bot said {each}" for each in many(judge.must_not) if await meaning.found(each, said)]
    return must + must_not


async def _asked(answerer: Answerer, goal: str, lines: Sequence[TranscriptLine]) -> str:
    names = {"participant": "caller", "bot": "bot"}
    call = "\n".join(f"{names[line.who]}: {line.text}" for line in lines)[-_MAX_TOLD_CHARS:]
    asking = answer_of(answerer, [Message("user", _QUESTION.format(goal=goal, call=call))])
    try:
        return " ".join((await asyncio.wait_for(asking, JUDGING_S)).split())
    except (TimeoutError, asyncio.TimeoutError):  # not the same before Python 3.11
        return f"nothing within {JUDGING_S} s"


_HOW: Final = {
    "patience": "the caller lost patience: the bot said nothing that was understood",
    "turns": "the caller had spoken as often as max_turns allows",
    "time": "the call had lasted as long as max_s or the scenario allows",
    "confusion": "the caller did not understand the bot, gives_up_after times in a row, and gave up",
    "nothing": "the chat model that plays the caller had nothing to say",
    "bot": "the bot hung up",
}
