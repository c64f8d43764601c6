# SPDX-License-Identifier: Apache-2.0
"""Which calls ``audio-connector simulate`` makes: those of a scenario, or copies of one that options describe."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from audio_connector.cli.common import check_rate
from audio_connector.errors import UsageError
from audio_connector.simulator import (
    PROFILES,
    Condition,
    Impairments,
    RouterCall,
    load_persona,
    load_scenario,
    sample_speech,
)
from audio_connector.wire.audio_transport import AudioTransport

RAMP_S_PER_CALL: Final = 0.005
"""Time between the beginnings of two calls: a server is not asked for 300 handshakes in one instant."""

_FIELD_OF: Final = {
    "wav": "say",
    "profile": "profile",
    "rate": "rate_hz",
    "calls": "sessions",
    "json-audio": "audio_transport",
    "duration": "say_for_s or duration_s",
    "tail": "tail_s",
    "persona": "participants, each of which may have a persona",
}
"""Where a scenario says what an option says."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Attributes:
        calls: The calls.
        ramp_s: Their beginnings are spread over so many seconds.
        title: What the run is called.
        text: The scenario's file; empty without one.
        conditions: Those of the scenario.
    """

    calls: list[RouterCall]
    ramp_s: float
    title: str
    text: str = ""
    conditions: tuple[Condition, ...] = ()


_PERSONA_FIELD_OF: Final = {
    "wav": "opening and rules",
    "duration": "max_s",
    "tail": "patience_s",
}
"""Where a persona's file says what an option says."""


def check_unused(options: Mapping[str, object], *, by: str = "scenario") -> None:
    """Refuse options that a scenario's or a persona's file has words for.

    Raises:
        UsageError: One was given.
    """
    for name, value in options.items():
        if value is not None:
            field = (_FIELD_OF if by == "scenario" else _PERSONA_FIELD_OF)[name]
            raise UsageError(f"--{name} does not go with --{by}; its file says it: {field}")


def plan_scenario(
    path: Path, url: str | None, *, headers: Mapping[str, str], ssl_context: ssl.SSLContext | None
) -> Plan:
    """Plan what a scenario's file says.

    Args:
        path: The file.
        url: The server, instead of the scenario's.
        headers: Further custom headers.
        ssl_context: For ``wss``.

    Raises:
        UsageError: The file is no scenario, or nobody names a server.
    """
    scenario = load_scenario(path)
    scenario = scenario.model_copy(update={"headers": {**scenario.headers, **headers}})
    calls = scenario.calls(url, ssl_context=ssl_context)
    return Plan(calls, 0.0, scenario.name, path.read_text(encoding="utf-8"), scenario.conditions)


def plan_persona(
    path: Path,
    url: str | None,
    count: int,
    *,
    profile: str,
    rate_hz: int,
    headers: Mapping[str, str],
    json_audio: bool,
    seed: int,
    ssl_context: ssl.SSLContext | None,
) -> Plan:
    """Plan so many calls of a persona; each has a seed of its own, counted up from ``seed``.

    Raises:
        UsageError: The file is no persona, a value that a call cannot have, or no server.
    """
    persona = load_persona(path)
    _check(url, profile, rate_hz)
    calls = [
        RouterCall(
            url=url or "",
            name=persona.name if count == 1 else f"{persona.name}, seed {seed + number}",
            persona=persona,
            profile=profile,
            rate_hz=rate_hz,
            headers=headers,
            audio_transport=AudioTransport(transport="json" if json_audio else "binary"),
            impairments=Impairments(seed=seed + number),
            tail_s=None,
            ssl_context=ssl_context,
        )
        for number in range(count)
    ]
    title = f"{persona.name}: {persona.goal}"
    return Plan(calls, RAMP_S_PER_CALL * count, title, path.read_text(encoding="utf-8"))


def plan_calls(  # noqa: PLR0913 - each one is an option of the command line
    url: str | None,
    count: int,
    *,
    wav: Path | None,
    profile: str,
    rate_hz: int,
    headers: Mapping[str, str],
    json_audio: bool,
    duration_s: float | None,
    tail_s: float,
    ssl_context: ssl.SSLContext | None,
) -> Plan:
    """Plan so many calls that differ in nothing but their ids.

    Raises:
        UsageError: A value that a call cannot have, or no server.
    """
    _check(url, profile, rate_hz)
    speech = sample_speech(rate_hz=rate_hz) if wav is None else wav
    calls = [
        RouterCall(
            url=url or "",
            speech=speech,
            profile=profile,
            rate_hz=rate_hz,
            headers=headers,
            audio_transport=AudioTransport(transport="json" if json_audio else "binary"),
            duration_s=duration_s,
            tail_s=tail_s,
            ssl_context=ssl_context,
        )
        for _ in range(count)
    ]
    return Plan(
        calls, RAMP_S_PER_CALL * count, "Simulated call" if count == 1 else f"{count} simulated calls"
    )


def _check(url: str | None, profile: str, rate_hz: int) -> None:
    if url is None:
        raise UsageError("which server? expected ws://host:port/path, or --scenario FILE with a url in it")
    check_rate(rate_hz)
    if profile not in PROFILES:
        raise UsageError(f"--profile is {profile!r}; expected one of {', '.join(PROFILES)}")
