# SPDX-License-Identifier: Apache-2.0
"""WebVTT: utterances cut into cues that can be read, and brought into the order that the format asks for. Pure."""

from __future__ import annotations

import heapq
import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from audio_connector.engines import Word
from captions.delays import count_words

LINE_CHARS: Final = 42
"""What broadcasters put on a line; two of them are a cue."""

SHORTEST_S: Final = 0.2
"""A cue has to end after it begins, and a word may have no length to a recogniser."""

HEADER: Final = "WEBVTT\n\n"


@dataclass(frozen=True)
class Cue:
    """What stands on the screen at once, and from when to when, in seconds of the session."""

    start_s: float
    end_s: float
    speaker: str
    text: str

    def __str__(self) -> str:
        lines = "\n".join(_lines(self.text))
        return f"{_time(self.start_s)} --> {_time(self.end_s)}\n<v {_safe(self.speaker)}>{_safe(lines)}\n\n"


def cues_of(
    text: str,
    *,
    speaker: str,
    start_s: float,
    end_s: float,
    words: Sequence[Word] = (),
    words_from_s: float = 0.0,
) -> list[Cue]:
    """Cut an utterance into cues of two lines.

    Args:
        text: What was said.
        speaker: By whom.
        start_s: When the utterance began.
        end_s: When it ended.
        words: When each word was said, where the recogniser tells; else a letter is as long as another one.
        words_from_s: What their times count from.
    """
    pieces = _pieces(text)
    if not pieces:
        return []
    spoken = text.split()
    before = [count_words(" ".join(spoken[:number])) for number in range(len(spoken))]
    # A recogniser may time "ill" and "-disposed" apart.
    timed = [words_from_s + word.start_s for word in words for _ in range(count_words(word.text))]
    if timed and len(timed) == count_words(text):
        begins = [timed[min(number, len(timed) - 1)] for number in before]
    else:
        begins = [
            start_s + (end_s - start_s) * len(" ".join(spoken[:number])) / len(text)
            for number in range(len(spoken))
        ]
    firsts, done = [], 0
    for piece in pieces:
        firsts.append(done)
        done += len(piece.split())
    starts = [start_s, *(min(max(begins[first], start_s), end_s) for first in firsts[1:])]
    ends = [*starts[1:], end_s]
    return [
        Cue(start, max(end, start + SHORTEST_S), speaker, piece)
        for start, end, piece in zip(starts, ends, pieces, strict=True)
    ]


class InOrder:
    """Gives cues in the order of their beginnings, as soon as nothing can come that begins earlier.

    Who speaks at the same time is understood one after the other, so what began first may be ready last.
    """

    def __init__(self) -> None:
        self._open: dict[Hashable, float] = {}
        self._waiting: list[tuple[float, int, Cue]] = []
        self._numbers = count()
        self._latest_s = 0.0

    def begin(self, key: Hashable, start_s: float) -> None:
        """Somebody began to speak."""
        self._open[key] = start_s

    def finish(self, key: Hashable, cues: Sequence[Cue] = ()) -> list[Cue]:
        """An utterance is understood, or given up; returns the cues whose turn it is."""
        self._open.pop(key, None)
        for cue in cues:
            heapq.heappush(self._waiting, (cue.start_s, next(self._numbers), cue))
        until_s = min(self._open.values(), default=float("inf"))
        ready = []
        while self._waiting and self._waiting[0][0] <= until_s:
            cue = heapq.heappop(self._waiting)[2]
            # A stream that the network held up for longer may begin before what was given already.
            self._latest_s = start_s = max(self._latest_s, cue.start_s)
            ready.append(Cue(start_s, max(cue.end_s, start_s + SHORTEST_S), cue.speaker, cue.text))
        return ready


def _pieces(text: str) -> list[str]:
    """Two lines each, cut between words, and rather behind a mark than within a clause."""
    pieces: list[list[str]] = [[]]
    for word in text.split():
        size = len(" ".join([*pieces[-1], word]))
        is_long = size > LINE_CHARS and bool(pieces[-1]) and pieces[-1][-1][-1] in ".?!;:"
        if size > 2 * LINE_CHARS - 8 or is_long:  # the first line is seldom full
            pieces.append([])
        pieces[-1].append(word)
    return [" ".join(piece) for piece in pieces if piece]


def _lines(text: str) -> list[str]:
    if len(text) <= LINE_CHARS:
        return [text]
    # The blank that is nearest to the middle: two lines of one length are read faster.
    blanks = [match.start() for match in re.finditer(" ", text)]
    if not blanks:
        return [text]
    middle = min(blanks, key=lambda at: abs(at - len(text) / 2))
    return [text[:middle], text[middle + 1 :]]


def _time(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def _safe(text: str) -> str:
    # "-->" would begin a cue, and an empty line end one; of the rest the marks of tags are what has a meaning.
    return re.sub(r"\n+", "\n", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
