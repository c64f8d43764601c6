# SPDX-License-Identifier: Apache-2.0
"""A text in the pieces that a synthesiser is asked for, one after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LONGEST: Final = 300
"""Characters in a piece, some twenty seconds of speech: what is made in vain, and what others wait for, where a
caller interrupts."""

_ENDS: Final = re.compile(
    r"""(?<![.!?\u2026])[.!?\u2026]+["'\u201d\u2019)\]]*(?=\s+["'\u201c\u2018(\[]?[^\sa-z])|[\u3002\uff01\uff1f]|\n\s*\n"""
)
"""Where a sentence may end: before what does not begin with a small letter, after a CJK mark, or at an empty line. A
run of marks is looked at from its first one alone, or a thousand dots would hold up the event loop."""

ABBREVIATION_CHARS: Final = 8
"""More than the longest below has, with what is before it. No more is searched, since a text may have any number."""

_ABBREVIATED: Final = re.compile(
    r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|Sr|Sra|No|vs|etc|e\.g|i\.e|a\.m|p\.m|U\.S)\.$", re.IGNORECASE
)


_SOON: Final = re.compile(r".{10,60}?[,;:\uff0c](?=\s.{15})", re.DOTALL)
"""A beginning that can be said alone: half a second and more of speech, in which what follows it is made."""


def sentences(text: str, *, quick: bool = False) -> Iterator[str]:
    """Cut a text at the ends of its sentences, and sentences that are too long at a comma or a blank.

    Args:
        text: Of any length. Nothing of it is lost but blanks around the cuts.
        quick: Whether the first piece may end at a comma already, for an engine that makes a whole piece before any
            of it is heard.

    Returns:
        Pieces of at most `LONGEST` characters, none of them empty.
    """
    soon = _SOON.match(text) if quick else None
    begin = 0
    if soon is not None and _ENDS.search(soon.group()) is None:
        yield soon.group().strip()
        begin = soon.end()
    for end in _ENDS.finditer(text, begin):
        near = max(begin, end.start() - ABBREVIATION_CHARS)
        if end.group().startswith(".") and _ABBREVIATED.search(text, near, end.start() + 1):
            continue
        yield from _cut(text[begin : end.end()].strip())
        begin = end.end()
    yield from _cut(text[begin:].strip())


def _cut(sentence: str) -> Iterator[str]:
    while len(sentence) > LONGEST:
        head = sentence[:LONGEST]
        # Not in its first half, so that the number of pieces stays in proportion.
        at = max((head.rfind(mark, LONGEST // 2) for mark in (", ", "; ", ": ", "\uff0c")), default=-1)
        at = at + 1 if at >= 0 else head.rfind(" ", LONGEST // 2)
        at = at if at > 0 else LONGEST
        yield sentence[:at].strip()
        sentence = sentence[at:].strip()
    if sentence:
        yield sentence
