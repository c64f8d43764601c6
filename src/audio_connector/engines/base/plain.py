# SPDX-License-Identifier: Apache-2.0
"""Markdown as the words that somebody would read aloud: of ``**now**`` a voice would make "star star now star star".

The rules:

1. What only says how a text looks leaves: emphasis, code, headings, quotes, lines that part, tags and comments.
2. Of a link and of a picture its text is said, of an address by itself where it leads, without ``https://www.``.
3. The items of a list, and the cells of a table, are parted by commas, and the last one ends as a sentence does.
4. What is no Markdown stays: ``2*3``, ``snake_case``, ``#1 in town``, ``5 < 6``, ``<your name>``. So does what
   is Markdown by its letter and stands beside numbers or within words: ``2*3 and 4*5``.
"""

from __future__ import annotations

import html
import re
import string
from typing import Final

_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
_HIDDEN: Final = 0xF0000
"""Where what was escaped is kept meanwhile: characters of private use that no font has a use for either."""
_SHOWN: Final = {_HIDDEN + code: chr(code) for code in range(0x80)}

_COMMENT: Final = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NO_WORDS: Final = re.compile(
    r"[ \t]*(?:```[^`]*|~~~[^~]*|([-*_=])[ \t]*(?:\1[ \t]*){2,}|[|:\- \t]*\|[|:\- \t]*"
    r"|\[\^[^\]]+\]:.*|\[[^\]]+\]:[ \t]*(?:<[^<>]*>|[^\s/#@]*[/#@]\S*)(?:[ \t]+(?:\".*\"|'.*'|\(.*\)))?[ \t]*)"
)
"""A fence, a line that parts, the line below a table's heads, a footnote, and where a link leads that has a name."""
_QUOTE: Final = re.compile(r"^[ \t]*(?:>[ \t]?)+")
_HEADING: Final = re.compile(r"^[ \t]*#{1,6}[ \t]+")
_ITEM: Final = re.compile(r"[ \t]*[-*+\u2022][ \t]+(?:\[[ xX]\][ \t]+)?")
_NUMBERED: Final = re.compile(r"[ \t]*[0-9]{1,3}[.)][ \t]+\S")
_ROW: Final = re.compile(r"[ \t]*\|(.*)\|[ \t]*")
_ENDS: Final = (".", "!", "?", ":", ";", ",", "\u2026", "\u3002", "\uff01", "\uff1f")

_CODE: Final = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_LINK: Final = re.compile(
    r"!?\[([^\[\]]*)\](?:\(\s*(?:<[^<>]*>|[^\s()]*(?:\([^\s()]*\)[^\s()]*)*)(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)|\[[^\[\]]*\])"
)
_NOTE: Final = re.compile(r"\[\^[^\[\]]+\]")
_ADDRESS: Final = re.compile(r"<?\b(?:https?://(?:www\.)?|mailto:)([^\s<>]*[^\s<>.,;:!?)/])/?>?")
_MAIL: Final = re.compile(r"<([^\s<>@]+@[^\s<>@]+)>")
_TAG: Final = re.compile(
    r"</?(?:a|abbr|b|big|blockquote|br|center|cite|code|dd|del|details|div|dl|dt|em|font|h[1-6]|hr|i|img|ins|kbd|li|mark"
    r"|ol|p|picture|pre|q|s|samp|small|source|span|strike|strong|sub|summary|sup|table|tbody|td|tfoot|th|thead|tr|tt|u|ul"
    r"|var)(?:\s[^<>]*|\s*/)?>",
    re.IGNORECASE,
)
_ENTITY: Final = re.compile(r"&(?:\w+|#\w+);")
# A mark within a word is one only where it is double, for languages that part no words, and never beside a number.
_DOUBLE: Final = re.compile(r"(?<!\d)(\*{2,3}|~~)(?=[^\s*~])(.+?)(?<=[^\s*~])\1(?!\d)")
_SINGLE: Final = re.compile(r"(?<![\w*])(_{1,3}|\*)(?=[^\s_*])(.+?)(?<=[^\s_*])\1(?![\w*])")
_LEFT: Final = re.compile(r"(?<![^\W_])(?:\*\*+|``+|~~+|__+)(?!\s)|(?<!\s)(?:\*\*+|``+|~~+|__+)(?![^\W_])")
"""What stands alone: a text that comes sentence by sentence may have the other one in the next."""


def plain(markdown: str) -> str:
    """Return a text as words, in one line; empty where nothing of it is to be said.

    Args:
        markdown: Of any length; a text without Markdown returns as it is, with single blanks.
    """
    text = _ESCAPED.sub(lambda match: _hidden(match[1]), _COMMENT.sub(" ", markdown))
    said: list[str] = []
    in_list = is_after_blank = False
    for line in text.splitlines():
        if not line.strip() or _NO_WORDS.fullmatch(line):
            is_after_blank = True
            continue
        words, begins_item = _of_line(line)
        if not words:
            continue
        if in_list and begins_item:
            said[-1] = _ended(said[-1], ",")
        elif in_list and is_after_blank and line[0] not in " \t":
            said[-1], in_list = _ended(said[-1], "."), False
        said.append(words)
        in_list, is_after_blank = in_list or begins_item, False
    if in_list:
        said[-1] = _ended(said[-1], ".")
    return " ".join(said).translate(_SHOWN)


def _of_line(line: str) -> tuple[str, bool]:
    """The words of a line, and whether it is an item of a list, or a row."""
    bare = _HEADING.sub("", _QUOTE.sub("", line)).removesuffix("\\")
    item, row = _ITEM.match(bare), _ROW.fullmatch(bare)
    if row is not None:
        bare = ", ".join(filter(None, (cell.strip() for cell in row[1].split("|"))))
    elif item is not None:
        bare = bare[item.end() :]
    is_item = item is not None or row is not None or _NUMBERED.match(bare) is not None
    return " ".join(_inline(bare).split()), is_item


def _hidden(text: str) -> str:
    return "".join(chr(_HIDDEN + ord(each)) if each in string.punctuation else each for each in text)


def _ended(words: str, mark: str) -> str:
    return words if words.endswith(_ENDS) else words + mark


def _inline(line: str) -> str:
    line = _NOTE.sub("", _CODE.sub(lambda match: _hidden(match[2]), line))
    before = None
    while before != line:  # a picture within a link, what is bold within what is italic
        before = line
        line = _SINGLE.sub(r"\2", _DOUBLE.sub(r"\2", _LINK.sub(r"\1", line)))
    bare = _TAG.sub(" ", _MAIL.sub(r"\1", _ADDRESS.sub(r"\1", line)))
    return _ENTITY.sub(lambda match: html.unescape(match[0]), _LEFT.sub("", bare))
