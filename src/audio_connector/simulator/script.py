# SPDX-License-Identifier: Apache-2.0
"""What happens in a call, and when: the same words in Python and in a scenario's file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    field_validator,
    model_validator,
)

from audio_connector.audio.format import SAMPLE_BYTES
from audio_connector.errors import MessageError, UsageError
from audio_connector.simulator.samples import is_sample, sample_named
from audio_connector.simulator.talk.words import MAX_TEXT_CHARS, AnyWanted, folded
from audio_connector.validation import FrozenValues
from audio_connector.wire.codec import encode_json

MAX_S: Final = 6 * 3600.0
"""A socket lives at most six hours (PROTOCOL 1.11)."""

MAX_MS: Final = 60_000
"""Longest delay; the server has given up long before."""


def _is_no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


class SayText(FrozenValues):
    """Words that are to be spoken by a synthetic voice.

    Attributes:
        text: The words; in the language of the voice.
        voice: The name of a voice; None for the usual one.
        language: ISO 639-1, "en", where the voice has several.

    Raises:
        UsageError: A text without a word, or a value that it cannot have.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
    voice: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    language: Annotated[str, Field(min_length=2, max_length=20)] | None = None

    @field_validator("text")
    @classmethod
    def _has_words(cls, text: str) -> str:
        if not folded(text):
            raise ValueError("expected a text with words in it")
        return text


def _as_speech(value: object) -> str | bytes | Path | SayText:
    # Not left to pydantic, which has an error for each of the four.
    if isinstance(value, dict):
        return SayText.from_values(value)
    if not isinstance(value, str | bytes | Path | SayText):
        raise ValueError('expected the path of a WAV file, sample:NAME, or {text: "words to be spoken"}')
    if isinstance(value, bytes) and len(value) % SAMPLE_BYTES:
        raise ValueError(f"{len(value)} bytes; expected 16-bit samples, an even number")
    if isinstance(value, str) and is_sample(value):
        sample_named(value)
    return value


def _as_acknowledgement(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value in ("prompt", "missing") or (is_number and 0 <= value <= MAX_MS):  # type: ignore[operator]
        return value
    raise ValueError(f"expected 'prompt', 'missing', or how many milliseconds, up to {MAX_MS}")


Number = Annotated[float, BeforeValidator(_is_no_bool), Field(allow_inf_nan=False)]
"""In a file ``yes`` is no number, though Python takes it for 1."""

Whole = Annotated[int, BeforeValidator(_is_no_bool)]
At = Annotated[Number, Field(ge=0, le=MAX_S)]
Duration = Annotated[Number, Field(gt=0, le=MAX_S)]
Ms = Annotated[Number, Field(ge=0, le=MAX_MS)]
Say: TypeAlias = Annotated[str | bytes | Path | SayText, PlainValidator(_as_speech)]

Garbage: TypeAlias = Literal["not-json", "empty", "odd-audio", "oversized", "bad-utf8", "bad-frame"]
"""What no router should send; see `Step`."""

VERBS: Final = (
    "say", "hear", "stop_speaking", "mute", "silence", "dtmf", "notify", "event", "stream", "text", "garbage",
    "stall", "slow_reader_ms", "half_open", "reset", "reconnect_s", "hang_up",
)  # fmt: skip
"""The words that say what a step does; each step has one of them."""

KEYS: Final = "0123456789ABCD*#"
"""What a telephone can have."""

WITHIN_S: Final = 10.0
"""How long a step waits for words where it does not say so; nobody on a telephone waits longer for an answer."""

_LASTING: Final = frozenset({"mute", "silence", "stall", "slow_reader_ms"})
_NEEDS_FOR_S: Final = frozenset({"silence", "stall"})


class Step(FrozenValues):
    """One thing that happens in a call. Beside its time it has exactly one of the other words.

    Attributes:
        at_s: When, in seconds since the connection was made.
        after_s: Instead of it: so many seconds after the step before it has ended. Its speech was said then, its
            words were heard, its time is over; the first step follows the connection.
        for_s: How long it lasts, in seconds, for what lasts: ``mute``, ``silence``, ``stall``,
            ``slow_reader_ms``.
        say: Speak: the path of a 16-bit WAV, ``sample:NAME`` for a packaged sentence, PCM bytes at the call's rate,
            or a `SayText` (in a file ``{text: "..."}``). Begins when what is being said has ended.
        hear: Wait until the bot has said these words, a phrase or a `Wanted`, since the step before this one began.
            Where it does not, the run fails, and the steps that follow by ``after_s`` are left out.
        within_s: How long to wait for them, in seconds: until the bot begins to say them. 10 by default.
        stop_speaking: Break off what is being said.
        mute: True mutes the participant, False unmutes: an event, and no frames meanwhile (PROTOCOL 2.7).
        silence: No frames come while the participant says nothing (PROTOCOL 2.8), without any event.
        dtmf: Press a telephone key.
        duration_ms: How long the key was held.
        notify: Send ``websocket:notify`` with this payload, though nobody asked for it.
        event: Send this JSON object.
        stream: A stream of the session was "created" or "destroyed". That such messages exist is known, their
            shape is not (PROTOCOL 2 stream created / destroyed): this one is a guess.
        text: Send this text as it is.
        garbage: Send what no router should: a text that is "not-json", an "empty" audio message, one with an
            odd number of bytes ("odd-audio"), one of 2 MiB ("oversized"), a text that is no UTF-8
            ("bad-utf8"), or a frame with an opcode that does not exist ("bad-frame").
        stall: The network carries nothing, either way, and then all of it at once.
        slow_reader_ms: The router reads one message in so many milliseconds.
        half_open: The router is gone without a word: it neither reads nor sends, and nothing closes the
            connection.
        reset: The connection is reset (TCP RST).
        reconnect_s: The connection is reset, and made again after so many seconds. Nothing says that the real
            router does so (PROTOCOL 1.27).
        hang_up: End the call: true as the router's profile does, or "announce", "goodbye" or "abrupt", see
            `Profile`.

    Raises:
        UsageError: No such word, none or two of them, or a value out of its range.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    error_class: ClassVar[type[UsageError]] = UsageError

    at_s: At | None = None
    after_s: At | None = None
    for_s: Duration | None = None
    say: Say | None = None
    hear: AnyWanted | None = None
    within_s: Duration | None = None
    stop_speaking: Literal[True] | None = None
    mute: Annotated[bool, Field(strict=True)] | None = None
    silence: Literal[True] | None = None
    dtmf: str | None = None
    duration_ms: Annotated[Whole, Field(ge=0, le=MAX_MS)] | None = None
    notify: Any = None
    event: dict[str, Any] | None = None
    stream: Literal["created", "destroyed"] | None = None
    text: str | None = None
    garbage: Garbage | None = None
    stall: Literal[True] | None = None
    slow_reader_ms: Annotated[Number, Field(gt=0, le=MAX_MS)] | None = None
    half_open: Literal[True] | None = None
    reset: Literal[True] | None = None
    reconnect_s: At | None = None
    hang_up: Literal[True, "announce", "goodbye", "abrupt"] | None = None

    @field_validator("dtmf", mode="before")
    @classmethod
    def _may_be_a_number(cls, digit: object) -> object:
        return str(digit) if type(digit) is int else digit  # which YAML makes of a digit without quotes

    @field_validator("dtmf")
    @classmethod
    def _is_a_key(cls, digit: str | None) -> str | None:
        if digit is not None and (len(digit) != 1 or digit not in KEYS):
            raise ValueError("expected one telephone key: 0 to 9, A to D, * or #")
        return digit

    @field_validator("text")
    @classmethod
    def _is_unicode(cls, text: str | None) -> str | None:
        if text is not None:
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise ValueError(f"the lone surrogate at {error.start} cannot be sent as UTF-8") from error
        return text

    @model_validator(mode="after")
    def _is_one_thing(self) -> Step:
        if self.at_s is None and self.after_s is None:
            raise ValueError("at_s is missing, or after_s, for how long after the step before it")
        if self.at_s is not None and self.after_s is not None:
            raise ValueError("at_s and after_s do not go together; expected one of them")
        verbs = [verb for verb in VERBS if verb in self.model_fields_set and self._has(verb)]
        if len(verbs) != 1:
            has = f"has {' and '.join(verbs)}" if verbs else "has nothing to do"
            raise ValueError(f"the step {self.when} {has}; expected exactly one of {', '.join(VERBS)}")
        verb = verbs[0]
        if self.for_s is not None and self.mute is False:
            raise ValueError("an unmute has no for_s, it does not last")
        if self.for_s is not None and verb not in _LASTING:
            raise ValueError(f"{verb} has no for_s; {', '.join(sorted(_LASTING))} have one")
        if self.for_s is None and verb in _NEEDS_FOR_S:
            raise ValueError(f"{verb} needs for_s, how long it lasts in seconds")
        if self.duration_ms is not None and verb != "dtmf":
            raise ValueError(f"{verb} has no duration_ms; dtmf has one")
        if self.within_s is not None and verb != "hear":
            raise ValueError(f"{verb} has no within_s; hear has one")
        for name in ("event", "notify"):
            _check_json(name, getattr(self, name))
        return self

    @property
    def verb(self) -> str:
        """The one word of `VERBS` that it has."""
        return next(verb for verb in VERBS if verb in self.model_fields_set and self._has(verb))

    @property
    def when(self) -> str:
        """When it happens, in words."""
        return f"at {self.at_s:g} s" if self.at_s is not None else f"{self.after_s:g} s after the one before"

    @property
    def heard_within_s(self) -> float:
        """How long ``hear`` waits."""
        return WITHIN_S if self.within_s is None else self.within_s

    def _has(self, verb: str) -> bool:
        return verb == "notify" or getattr(self, verb) is not None


class Impairments(FrozenValues):
    """What is wrong with the network or the router during the whole call.

    Attributes:
        jitter_ms: Every message, either way, is late by up to so much; their order is kept.
        slow_reader_ms: The router reads one message in so many milliseconds; 0 leaves it to the profile.
        clear_ack: How a clear is acknowledged: "prompt"; "missing"; or after so many milliseconds, which may
            be when the next answer is being said already (PROTOCOL 3.6).
        obeys_clear: False makes a router that ignores clear.
        seed: Of the randomness: the same seed, the same jitter.

    Raises:
        UsageError: A value out of its range.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    jitter_ms: Annotated[Number, Field(ge=0, le=10_000)] = 0.0
    slow_reader_ms: Ms = 0.0
    clear_ack: Annotated[Literal["prompt", "missing"] | float, PlainValidator(_as_acknowledgement)] = "prompt"
    obeys_clear: Annotated[bool, Field(strict=True)] = True
    seed: Whole = 0

    @property
    def clear_ack_s(self) -> float | None:
        """When a clear is acknowledged, in seconds after it came; None for never."""
        if isinstance(self.clear_ack, str):
            return 0.0 if self.clear_ack == "prompt" else None
        return self.clear_ack / 1000


def in_chains(steps: Iterable[Step]) -> list[list[int]]:
    """The places of steps that follow each other: the first of a chain has a time, the others ``after_s``."""
    chains: list[list[int]] = []
    for place, step in enumerate(steps):
        if chains and step.at_s is None:
            chains[-1].append(place)
        else:
            chains.append([place])
    return chains


def _check_json(name: str, value: object) -> None:
    try:
        encode_json({name: value})
    except MessageError as error:
        raise ValueError(f"{name} cannot be written as JSON: {error.__cause__ or error}") from error
