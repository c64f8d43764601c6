# SPDX-License-Identifier: Apache-2.0
"""A whole test as data: who speaks what, when, over which router and network. From Python, or from a YAML file."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, field_validator, model_validator

from audio_connector.audio.format import SUPPORTED_RATES_HZ
from audio_connector.errors import Fault, UsageError
from audio_connector.simulator.config import RouterCall, check_headers, check_url, new_id
from audio_connector.simulator.gate import Condition, parse_condition
from audio_connector.simulator.profile import PROFILES
from audio_connector.simulator.samples import is_sample
from audio_connector.simulator.script import (
    At,
    Duration,
    Impairments,
    Number,
    Say,
    SayText,
    Step,
    Whole,
)
from audio_connector.simulator.talk.expect import Expect
from audio_connector.simulator.talk.persona import Persona
from audio_connector.simulator.talk.persona_file import load_persona
from audio_connector.validation import FrozenValues
from audio_connector.wire.audio_transport import AudioTransport

MAX_STREAMS: Final = 50
"""Audio streams of one session at a time (PROTOCOL 1.12)."""

MAX_CALLS: Final = 2000
"""Connections of one scenario: what one process can make without being late itself is less."""

MAX_PLANNED_STEPS: Final = 200_000
"""Steps of all its connections together: each waits for its time in memory."""


def _as_headers(headers: dict[str, str]) -> dict[str, str]:
    check_headers(headers)
    return headers


def _as_persona(value: object) -> Persona | str | Path:
    if isinstance(value, dict):
        return Persona.from_values(value)
    if not isinstance(value, Persona | str | Path):
        raise ValueError("expected the path of a persona's file, or its words: {goal: ..., rules: [...]}")
    return value


AnyPersona: TypeAlias = Annotated[Persona | str | Path, PlainValidator(_as_persona)]

CustomHeaders = Annotated[dict[str, str], AfterValidator(_as_headers)]

if TYPE_CHECKING:  # a list is as good as a tuple, which pydantic makes of it
    Steps: TypeAlias = Sequence[Step]
    Texts: TypeAlias = Sequence[str]
    Participants: TypeAlias = Sequence["Participant"]
else:
    Steps = tuple[Step, ...]
    Texts = tuple[str, ...]
    Participants = tuple["Participant", ...]


class Participant(FrozenValues):
    """One stream of a session, with a connection of its own.

    Attributes:
        name: For reports; "participant 1" and so on by default.
        say: Said from the beginning: the path of a 16-bit WAV, ``sample:NAME`` for a packaged sentence, PCM bytes at
            the call's rate, or a `SayText` (in a file ``{text: "..."}``).
        say_for_s: Say it for so long, repeated or cut; once by default.
        persona: Instead of it: a `Persona`, or the path of its file, who listens, answers, and hangs up by itself.
        joins_at_s: When its connection is made, in seconds since the scenario began.
        path: Put behind the URL: who is speaking is often told so (PROTOCOL 1.14).
        headers: Custom headers of this connection, beside those of the scenario.
        steps: What else happens, in seconds since the connection was made.
        impairments: Instead of the scenario's.
        expect: Instead of the scenario's.

    Raises:
        UsageError: A value that it cannot have.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    name: Annotated[str, Field(max_length=100)] = ""
    say: Say | None = None
    say_for_s: Duration | None = None
    persona: AnyPersona | None = None
    joins_at_s: At = 0.0
    path: Annotated[str, Field(max_length=2048)] = ""
    headers: CustomHeaders = Field(default_factory=dict)
    steps: Annotated[Steps, Field(max_length=10_000)] = ()
    impairments: Impairments | None = None
    expect: Expect | None = None

    @field_validator("path")
    @classmethod
    def _can_be_requested(cls, path: str) -> str:
        try:
            check_url(f"ws://host/{path.lstrip('/')}")
        except UsageError as error:
            raise ValueError("expected a path as in a URL; write %20 for a blank") from error
        return path

    @model_validator(mode="after")
    def _says_it_one_way(self) -> Participant:
        if self.say is None and self.say_for_s is not None:
            raise ValueError(
                "say_for_s repeats or cuts what is said, and there is no say; expected both, or neither"
            )
        said = ["say"] if self.say is not None else []
        said += ["a step with say" for step in self.steps if step.say is not None]
        if self.persona is not None and said:
            raise ValueError(f"{said[0]} does not go with persona, whose opening and rules say what it says")
        return self

    def with_persona(self) -> Participant:
        """The same one, with its persona read where that is a path.

        Raises:
            UsageError: As `load_persona`.
        """
        if self.persona is None or isinstance(self.persona, Persona):
            return self
        return self.model_copy(update={"persona": load_persona(self.persona)})


class Scenario(FrozenValues):
    """A test of a server.

    Attributes:
        name: What it is called in reports.
        url: The server; whoever runs the scenario may name another one.
        profile: Which router, see `PROFILES`.
        rate_hz: Rate of the calls: 8000, 16000 or 24000.
        audio_transport: "binary", "json", or the REST body's ``audioTransport`` (PROTOCOL 4b).
        headers: Custom headers of every connection.
        participants: The streams of a session, one connection each.
        sessions: So many sessions like that at once.
        ramp_s: Their beginnings are spread evenly over so many seconds.
        duration_s: Each call is hung up after so long; by default when all was said and done, and `tail_s`.
        tail_s: How long to go on listening then.
        impairments: What is wrong with the network or the router during the whole call.
        expect: What has to be true of what the bot said, in each call.
        allow_silence: A bot that says nothing though it was spoken to does not fail the run: it records.
        allow_hangup: A server that ends a call in good order before its time does not fail the run.
        fail_on: Conditions under which the run has failed, such as ``underrun_ms>0``.

    Raises:
        UsageError: A value that it cannot have.
    """

    error_class: ClassVar[type[UsageError]] = UsageError

    name: Annotated[str, Field(min_length=1, max_length=200)] = "scenario"
    url: str | None = None
    profile: str = "video"
    rate_hz: Whole = 16000
    audio_transport: AudioTransport = AudioTransport()
    headers: CustomHeaders = Field(default_factory=dict)
    participants: Annotated[Participants, Field(max_length=MAX_STREAMS)]
    sessions: Annotated[Whole, Field(ge=1, le=MAX_CALLS)] = 1
    ramp_s: Annotated[Number, Field(ge=0, le=3600)] = 0.0
    duration_s: Duration | None = None
    tail_s: At = 2.0
    impairments: Impairments = Impairments()
    expect: Expect = Expect()
    allow_silence: bool = False
    allow_hangup: bool = False
    fail_on: Texts = ()

    @field_validator("profile")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in PROFILES:
            raise ValueError(f"expected one of {', '.join(map(repr, PROFILES))}")
        return name

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is not None:
            check_url(url)
        return url

    @field_validator("rate_hz")
    @classmethod
    def _is_a_rate(cls, rate_hz: int) -> int:
        if rate_hz not in SUPPORTED_RATES_HZ:
            raise ValueError(f"expected one of {', '.join(map(str, SUPPORTED_RATES_HZ))}")
        return rate_hz

    @field_validator("audio_transport", mode="before")
    @classmethod
    def _may_be_a_word(cls, value: object) -> object:
        return AudioTransport.of(value)

    @field_validator("participants")
    @classmethod
    def _has_somebody(cls, participants: Sequence[Participant]) -> Sequence[Participant]:
        # Not min_length, which counts what is valid, and so complains of every other mistake a second time.
        if not participants:
            raise ValueError("expected at least one participant")
        return participants

    @field_validator("fail_on")
    @classmethod
    def _are_conditions(cls, texts: Sequence[str]) -> Sequence[str]:
        for text in texts:
            parse_condition(text)
        return texts

    @model_validator(mode="after")
    def _is_bounded(self) -> Scenario:
        calls = self.sessions * len(self.participants)
        if calls > MAX_CALLS:
            raise ValueError(
                f"{self.sessions} sessions of {len(self.participants)} participants are {calls} connections; "
                f"expected at most {MAX_CALLS}"
            )
        steps = self.sessions * sum(len(participant.steps) for participant in self.participants)
        if steps > MAX_PLANNED_STEPS:
            raise ValueError(
                f"{self.sessions} sessions have {steps} steps in sum; expected at most {MAX_PLANNED_STEPS}"
            )
        return self

    @model_validator(mode="after")
    def _has_headers_that_fit(self) -> Scenario:
        for number, participant in enumerate(self.participants):
            try:
                check_headers({**self.headers, **participant.headers})
            except UsageError as error:
                together = UsageError(f"together with the scenario's, {error}")
                together.faults = (Fault(("participants", number, "headers"), f"headers: {together}"),)
                raise together from error
        return self

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of ``fail_on``."""
        return tuple(parse_condition(text) for text in self.fail_on)

    def calls(self, url: str | None = None, *, ssl_context: ssl.SSLContext | None = None) -> list[RouterCall]:
        """Return the calls to be made, session by session.

        Args:
            url: Instead of the scenario's.
            ssl_context: For ``wss``.

        Raises:
            UsageError: No URL is known, or a value that a call cannot have, such as a header's name; or the file of
                a persona cannot be read.
        """
        url = url or self.url
        if url is None:
            raise UsageError(f"the scenario {self.name!r} has no url; name the server to call")
        participants = [participant.with_persona() for participant in self.participants]
        calls: list[RouterCall] = []
        for session in range(self.sessions):
            session_id, conference_id = new_id(), new_id()
            begins_at_s = self.ramp_s * session / self.sessions
            for number, participant in enumerate(participants, start=1):
                call = self._call(url, participant, number, session)
                calls.append(
                    replace(
                        call,
                        session_id=session_id,
                        conference_id=conference_id,
                        dial_after_s=begins_at_s + participant.joins_at_s,
                        ssl_context=ssl_context,
                    )
                )
        return calls

    def _call(self, url: str, participant: Participant, number: int, session: int) -> RouterCall:
        impairments = participant.impairments or self.impairments
        persona = participant.persona if isinstance(participant.persona, Persona) else None
        if persona is not None:  # or it would interrupt at the same places in all sessions
            impairments = impairments.model_copy(update={"seed": impairments.seed + session})
        name = participant.name or (f"participant {number}" if persona is None else persona.name)
        steps = participant.steps
        if self.duration_s is not None:
            steps = (*steps, Step(at_s=self.duration_s, hang_up=True))
        return RouterCall(
            url=_with_path(url, participant.path),
            name=name if self.sessions == 1 else f"{name}, session {session + 1}",
            profile=self.profile,
            speech=participant.say,
            rate_hz=self.rate_hz,
            steps=steps,
            impairments=impairments,
            expect=participant.expect or self.expect,
            audio_transport=self.audio_transport,
            headers={**self.headers, **participant.headers},
            persona=persona,
            duration_s=participant.say_for_s,
            tail_s=self.tail_s,
            allow_silence=self.allow_silence,
            allow_hangup=self.allow_hangup,
        )

    def in_folder(self, folder: Path) -> Scenario:
        """The same scenario, with the paths of its WAV files and personas looked for in a folder."""
        participants = tuple(
            participant.model_copy(
                update={
                    "say": _in_folder(participant.say, folder),
                    "persona": folder / participant.persona
                    if isinstance(participant.persona, str | Path)
                    else participant.persona,
                    "steps": tuple(
                        step.model_copy(update={"say": _in_folder(step.say, folder)})
                        if step.say is not None
                        else step
                        for step in participant.steps
                    ),
                }
            )
            for participant in self.participants
        )
        return self.model_copy(update={"participants": participants})


def _with_path(url: str, path: str) -> str:
    """The URL with more of a path, in front of its query."""
    if not path:
        return url
    base, mark, query = url.partition("?")
    more, more_mark, more_query = path.partition("?")
    both = "&".join(part for part in (query, more_query) if part)
    return f"{base.rstrip('/')}/{more.lstrip('/')}{'?' if mark or more_mark else ''}{both}"


def _in_folder(say: str | bytes | Path | SayText | None, folder: Path) -> str | bytes | Path | SayText | None:
    if say is None or isinstance(say, bytes | SayText) or is_sample(str(say)):
        return say
    return folder / say
