# SPDX-License-Identifier: Apache-2.0
"""What a peer wrote, in a log or an error of ours: on one line, without effect on the terminal, and short."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[A-Za-z0-9._:@+-]{1,64}")
"""What connections, sessions and conferences are usually called; it cannot be taken for anything else."""


_TOKEN = re.compile(r"eyJ[A-Za-z0-9_.%-]*")
"""A JSON Web Token, or the beginning of one: it is an object in base64, and begins like this."""


def without_secrets(target: str) -> str:
    """A URL or the target of a request, without the query and without tokens."""
    path, question, query = target.partition("?")
    return without_tokens(path) + (question + "…" if query else question)


def without_tokens(text: str) -> str:
    """The same of any text."""
    return _TOKEN.sub("…", text)


def printable(text: str, limit: int = 300) -> str:
    r"""A text of a peer without what would act instead of being read.

    Control characters, marks that turn the direction of writing, and lone surrogates are escaped: ``\x1b``. What
    is longer than ``limit`` is cut.
    """
    cut = text if len(text) <= limit else f"{text[:limit]}…"
    if cut.isprintable():
        return cut
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut
    )


def quoted(text: str, limit: int = 80) -> str:
    """The same in quotes, so that one sees where it begins and ends."""
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}…"


def named(name: str) -> str:
    """A name that a peer gave, as it is where that is plain, and else in quotes."""
    return name if _PLAIN.fullmatch(name) else quoted(name, 64)
