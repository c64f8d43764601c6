# SPDX-License-Identifier: Apache-2.0
"""What English sentences say of who does what until when. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from typing import Final

WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS: Final = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
ALIKE: Final = 0.7
"""Of a name and what a recogniser made of it: "Anne" is Ann."""

_DAY: Final = rf"(?:next |this )?(?:{'|'.join(WEEKDAYS)})|tomorrow|today|tonight|noon"
_PERIOD: Final = (
    r"(?:the )?end of (?:the |this |next )?(?:day|week|month|quarter|year)|(?:next|this) (?:week|month)"
)
_MONTH: Final = rf"(?:{'|'.join(MONTHS)})"
_NTH: Final = r"\d{1,2}(?:st|nd|rd|th)?"
_ON: Final = rf"(?:the )?{_NTH} (?:of )?{_MONTH}|{_MONTH} {_NTH}"
_DUE: Final = re.compile(
    rf",?\s*\b(?P<due>(?:(?:by|before|until|till|on|for|not later than) (?:{_ON}|{_PERIOD}|{_DAY})|{_PERIOD}|"
    rf"tomorrow|today|tonight|this afternoon|in (?:\d+|two|three|a) (?:days?|weeks?|hours?))"
    r"(?: (?:morning|afternoon|evening|night|at (?:\d\S*|noon)))?)\b",
    re.IGNORECASE,
)
_FILLERS: Final = re.compile(
    r"^(?:(?:ok(?:ay)?|so|well|yes|yeah|sure|right|all right|alright|good|great|fine|and|then|now|but|um|uh|thanks|"
    r"thank you|perfect|no problem)\b[,.]?\s+)+",
    re.IGNORECASE,
)
_MODAL: Final = r"(?:will|shall|should|must|can|could|needs? to|have to|has to|(?:am|is|are) going to)"
_SELF: Final = re.compile(rf"\b(?:I(?:'ll| {_MODAL}|'m going to)|let me)\s+(?P<task>.+)", re.IGNORECASE)
_ASK: Final = re.compile(
    r"\b(?:can|could|would|will) you\s+(?P<task>.+)|\bplease\s+(?P<other>.+)", re.IGNORECASE
)
_YOU: Final = re.compile(rf"\byou(?:'ll| {_MODAL})\s+(?P<task>.+)", re.IGNORECASE)
_ALL: Final = re.compile(
    r"\b(?:we|somebody|someone)\s+(?:need to|needs to|have to|has to|must|should)\s+(?P<task>.+)",
    re.IGNORECASE,
)
_THIRD: Final = re.compile(rf"\b(?P<name>[A-Z][\w'-]+)\s+{_MODAL}\s+(?P<task>.+)")
_ADDRESSED: Final = re.compile(r"^(?P<first>[A-Z][\w'-]+),\s|,\s(?P<last>[A-Z][\w'-]+)[.?!]*$")
_DECIDED: Final = re.compile(
    r"\b(?:decid\w+|decision|agree\w*|settled|approved)\b|\blet's (?:go|use|take|keep|start|move|stick)|"
    r"\bwe(?:'ll| will| are going to|'re going to)\b|\bgo(?:ing)? (?:with|ahead)\b|\bit is final\b",
    re.IGNORECASE,
)
_EMPTY: Final = frozenset(
    "a an and at be do for have i in it me my of on or so that the then this to too we will you".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Task:
    """What a sentence asks for."""

    task: str
    owner: str | None
    due: str
    due_on: date | None


def sentences(text: str) -> list[str]:
    """Cut a text behind its marks."""
    return [each for each in re.split(r"(?<=[.?!])\s+", text.strip()) if each]


def may_decide(sentence: str) -> bool:
    """Whether it has a word of a decision. What it means is for somebody else to say."""
    return _DECIDED.search(sentence) is not None and not sentence.rstrip().endswith("?")


def without_fillers(sentence: str) -> str:
    """The same without "okay, so"."""
    bare = _FILLERS.sub("", sentence.strip())
    return bare[:1].upper() + bare[1:]


def task_of(sentence: str, speaker: str, speakers: Sequence[str], today: date) -> Task | None:
    """Return what somebody is to do by a sentence, or None where it has not the form of that.

    Args:
        sentence: One of the transcript.
        speaker: Who says it: "I" is they.
        speakers: All of the session; "you" is the other one of two.
        today: What "tomorrow" counts from.
    """
    bare = _FILLERS.sub("", sentence.strip())
    addressed = _ADDRESSED.search(bare)
    named = _name(addressed.group("first") or addressed.group("last"), speakers) if addressed else None
    others = [each for each in speakers if each != speaker]
    other = named or (others[0] if len(others) == 1 else None)
    owner: str | None
    if match := _SELF.search(bare):
        owner = speaker
    elif match := _ASK.search(bare) or _YOU.search(bare):
        owner = other
    elif (match := _THIRD.search(bare)) and (owner := _name(match.group("name"), speakers)):
        pass
    elif match := _ALL.search(bare):
        owner = named
    else:
        return None
    groups = match.groupdict()
    task = groups.get("task") or groups.get("other") or ""
    if addressed and addressed.group("last"):
        task = task.removesuffix(addressed.group())
    due = _DUE.search(task) or _DUE.search(bare)
    task = _DUE.sub("", task, count=1)
    task = re.sub(r"^(?:please|also|then)\s+|,?\s*please\b", "", task.strip(), flags=re.IGNORECASE).strip(
        " .,?!"
    )
    if len([word for word in re.findall(r"[\w']+", task.lower()) if word not in _EMPTY]) < 2:
        return None  # "I will do that": what that is was said before
    words = due.group("due") if due else ""
    return Task(task[:1].upper() + task[1:], owner, words, date_of(words, today))


def date_of(words: str, today: date) -> date | None:
    """Return the date that words like "by Friday" mean, or None where they are none that is certain."""
    folded = words.lower()
    if "tomorrow" in folded:
        return today + timedelta(days=1)
    if "today" in folded or "tonight" in folded or "this afternoon" in folded or "end of the day" in folded:
        return today
    for number, name in enumerate(WEEKDAYS):
        if name in folded:
            ahead = (number - today.weekday()) % 7 or 7  # "by Friday", said on a Friday, is in a week
            return today + timedelta(days=ahead)
    for number, name in enumerate(MONTHS, start=1):
        if name in folded and (day := re.search(r"\d{1,2}", folded)):
            return _next(today, number, int(day.group()))
    return None


def _next(today: date, month: int, day: int) -> date | None:
    for year in (today.year, today.year + 1):
        try:
            found = date(year, month, day)
        except ValueError:  # the 31st of February
            continue
        if found >= today:
            return found
    return None


def _name(word: str, speakers: Sequence[str]) -> str | None:
    """The speaker who is meant by a name, as a recogniser may write it."""
    by_first = {each.split()[0].lower(): each for each in speakers if each}
    close = get_close_matches(word.lower(), by_first, n=1, cutoff=ALIKE)
    return by_first[close[0]] if close else None
