# SPDX-License-Identifier: Apache-2.0
"""What the page says to the program, as values that validate themselves.

Text messages are JSON objects with a ``type``; a binary message is speech of the microphone, 16-bit PCM at the call's
rate. What the program says to the page is made where it happens, in ``session`` and ``participant``.
"""

from __future__ import annotations

import json
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field

from audio_connector.errors import MessageError, UsageError
from audio_connector.validation import FrozenValues

Speaker: TypeAlias = Literal[1, 2]
"""Who: 1 is the person at the page, 2 the second participant."""

SHOWN_CHARS: Final = 60


class _FromPage(FrozenValues):
    """A message of the page."""

    error_class: ClassVar[type[UsageError]] = MessageError


class Connect(_FromPage):
    """Make the call.

    Attributes:
        rate_hz: The call's sample rate.
        profile: The router's profile, see ``simulator.PROFILES``.
    """

    rate_hz: int
    profile: Annotated[str, Field(max_length=40)]


class Disconnect(_FromPage):
    """Hang up, the second participant as well."""


class Mute(_FromPage):
    """Mute the participant or let it be heard again.

    Attributes:
        muted: Which of the two.
    """

    muted: Annotated[bool, Field(strict=True)]


class Press(_FromPage):
    """Press a telephone key.

    Attributes:
        digit: Which.
    """

    digit: Annotated[str, Field(pattern=r"^[0-9A-D*#]$")]


class BargeIn(_FromPage):
    """Speak over the bot at once, and see how long it takes to fall silent."""


class Say(_FromPage):
    """Say a packaged sentence.

    Attributes:
        speaker: Who says it.
        sample: Which, a name of ``simulator.SAMPLES``.
    """

    speaker: Speaker
    sample: Annotated[str, Field(max_length=80)]


class Stop(_FromPage):
    """Break off what a participant says.

    Attributes:
        speaker: Who.
    """

    speaker: Speaker


class Join(_FromPage):
    """Let the second participant join: a socket of its own, in the same session."""


class Leave(_FromPage):
    """Let the second participant leave."""


FromPage: TypeAlias = Connect | Disconnect | Mute | Press | BargeIn | Say | Stop | Join | Leave
"""Whatever the page says in text."""

_TYPES: Final[dict[str, type[FromPage]]] = {
    "connect": Connect,
    "disconnect": Disconnect,
    "mute": Mute,
    "press": Press,
    "barge_in": BargeIn,
    "say": Say,
    "stop": Stop,
    "join": Join,
    "leave": Leave,
}


def decode(text: str) -> FromPage:
    """Read a message of the page.

    Raises:
        MessageError: It is no JSON object, of no known type, or has a wrong value; the text says which.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"the page sent {text[:SHOWN_CHARS]!r}, which is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise MessageError(f"the page sent {text[:SHOWN_CHARS]!r}; expected a JSON object")
    kind = values.pop("type", None)
    model = _TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise MessageError(
            f"the page sent the type {str(kind)[:SHOWN_CHARS]!r}; expected one of {', '.join(_TYPES)}"
        )
    return model(**values)
