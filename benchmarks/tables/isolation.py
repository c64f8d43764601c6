# SPDX-License-Identifier: Apache-2.0
"""Whether an application that misbehaves makes anybody stutter, and what that means for a resampling relay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.common.options import Options
from benchmarks.common.rounds import Results, Step, Tick
from benchmarks.common.table import Table, Verdict, aligned, number
from benchmarks.common.variants import Variant
from benchmarks.load.isolation import GroupReport, IsolationReport

_CALLS = 20
_SPEECH_S = 10.0
_HEAD = (
    "server",
    "the application",
    "calls",
    "frames",
    "lost",
    "late p99 ms",
    "latest ms",
    "underruns",
    "CPU s/s",
)
_LEGEND = f"""\
Speech: {_SPEECH_S:g} s that were handed over at once. When all of it is, and while other calls echo, the application
sleeps in its loop for 3 s, or spins there in Python, or keeps the interpreter in one call into C, as a regular
expression may that backtracks. An echo needs its application, so it is late by as much, with
underruns; lost it must not be. Relay: pieces of 20 ms, written into calls of 16 kHz every 20 ms, with and without a
thread of the application that spins all the time; those of 24 kHz are converted on their way, and what they are later
than those of 16 kHz is the price of where that is done. Late is against the least late frame of the same call,
without what comes at once at its start, the lead and the priming. The underruns are those of a router that begins
to play with the first frame. One run each."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A way to misbehave, and the calls meanwhile.

    Attributes:
        load: What `benchmarks.servers.isolated` calls it.
        title: What the application does.
        speaking: Calls.
        relaying: Calls.
        rate_hz: Of what is relayed.
    """

    load: str
    title: str
    speaking: int = 0
    relaying: int = 0
    rate_hz: int = 16000

    @property
    def echoing(self) -> int:
        """Calls, beside each one that speaks."""
        return self.speaking

    @property
    def key(self) -> str:
        """Its name in JSON."""
        return f"{self.load}-relay-{self.rate_hz}" if self.relaying else self.load

    @property
    def calls(self) -> int:
        """All of them."""
        return self.speaking + self.echoing + self.relaying


SCENES = (
    Scene("none", "does its work", speaking=_CALLS),
    Scene("sleep", "sleeps for 3 s", speaking=_CALLS),
    Scene("spin", "spins for 3 s", speaking=_CALLS),
    Scene("hold", "is in one call into C for 1 s", speaking=_CALLS),
    *(
        Scene(load, title, relaying=_CALLS, rate_hz=rate_hz)
        for load, title in (("none", "does its work"), ("thread", "spins beside its loop"))
        for rate_hz in (16000, 24000)
    ),
)


def _steps(options: Options) -> list[Step[IsolationReport]]:
    return [
        Step(
            key=(variant.key, scene.key),
            label=f"isolation, {variant.title}: the application {scene.title}",
            expected_s=(_SPEECH_S + 6 if scene.speaking else options.relay_s + 2),
            measure=partial(_measure, options, variant, scene),
        )
        for scene in SCENES
        for variant in options.ours
    ]


def _measure(options: Options, variant: Variant, scene: Scene, tick: Tick) -> IsolationReport:
    seconds = _SPEECH_S if scene.speaking else options.relay_s
    load = {
        "speaking": scene.speaking,
        "echoing": scene.echoing,
        "relaying": scene.relaying,
        "rate-hz": scene.rate_hz,
        "seconds": seconds,
    }
    values = variant.measure(
        ["benchmarks.load.isolation", *(f"--{name}={value}" for name, value in load.items())],
        limit_s=3 * seconds + 60,
        tick=tick,
        module="benchmarks.servers.isolated",
        arguments=[f"--load={scene.load}", f"--calls={scene.calls}", f"--speech-s={_SPEECH_S}"],
    )
    return IsolationReport.of(values)


def _text(options: Options, results: Results[IsolationReport]) -> str:
    rows = [
        _row(variant, scene, group, report)
        for variant in options.ours
        for scene in SCENES
        for report in results[variant.key, scene.key]
        for group in report.groups
    ]
    return f"{aligned([_HEAD, *rows], texts=3)}\n\n{_LEGEND}"


def _row(variant: Variant, scene: Scene, group: GroupReport, report: IsolationReport) -> Sequence[str]:
    return (
        variant.title,
        scene.title,
        f"{_CALLS} x {group.kind}",
        str(group.frames),
        str(group.lost),
        number(group.late_p99_ms, 1),
        number(group.late_max_ms, 1),
        str(group.underruns),
        number(report.cpu_share, 3),
    )


def _verdicts(options: Options, results: Results[IsolationReport]) -> list[Verdict]:
    return [
        Verdict(f"{variant.title}, speech while the application {scene.title}, underruns", 0, group.underruns)
        for variant in options.ours
        for scene in SCENES
        for report in results[variant.key, scene.key]
        for group in report.groups
        if group.kind == "speech" and scene.load != "none" and (scene.load != "hold" or variant.is_apart)
    ]


TABLE = Table("isolation", "Isolation: an application that misbehaves", _steps, _text, _verdicts)
