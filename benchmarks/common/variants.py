# SPDX-License-Identifier: Apache-2.0
"""The servers under comparison, and what is wanted of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.common.environments import Environment
from benchmarks.common.processes import ROOT, put_load_on

VENDOR_PACKAGE = "vonage-audio-connector-server==0.1.1"
_VENDOR = Environment("vendor", f"{VENDOR_PACKAGE} (without it: --no-vendor)", (VENDOR_PACKAGE,))
_COMPILED = Environment(
    "compiled",
    "this library, compiled, which takes a C compiler and a minute (without it: --only bare vendor plain)",
    (str(ROOT),),
    ("AUDIO_CONNECTOR_COMPILE=1",),
    is_anew=True,
)


@dataclass(frozen=True, slots=True)
class Targets:
    """What is wanted of a form of this library; each value is the most that is allowed, but for `opens_per_s`.

    Attributes:
        cpu_vs_bare: CPU of `at_calls` echoing calls, as a multiple of bare picows in the same round.
        cpu_vs_vendor: The same of the vendor's SDK.
        trip_p50_ms: Round trip at `at_calls`, median.
        trip_p99_ms: The same at 99 %.
        open_cpu_ms: CPU per opened call.
        opens_per_s: Calls opened one after another in a second, at least.
        open_call_kb: Memory of an open, silent call, in units of 1000 bytes.
        at_calls: The number of calls that the first four are about.
        root_share: What of the CPU the process of the application may take; None for all.
        most_calls: So many calls have no underrun, and a round trip of ``most_p99_ms``; None: not asked.
        most_p99_ms: See there.
    """

    cpu_vs_bare: float = 2.4
    cpu_vs_vendor: float = 0.49
    trip_p50_ms: float = 3.0
    trip_p99_ms: float = 10.0
    open_cpu_ms: float = 0.7
    opens_per_s: float = 1000.0
    open_call_kb: float = 40.0
    at_calls: int = 150
    root_share: float | None = None
    most_calls: int | None = None
    most_p99_ms: float = 20.0


@dataclass(frozen=True, slots=True)
class Variant:
    """A server: a small program that prints its address when it is ready and ends with its stdin.

    Attributes:
        key: Its name in options and JSON.
        title: Its name in tables.
        module: What `python -m` starts.
        environment: Where it is installed; None for the sources of this tree.
        settings: `name=value` of our configuration; ours alone take some.
        targets: What is wanted of it; ours alone have some.
    """

    key: str
    title: str
    module: str
    environment: Environment | None = None
    settings: tuple[str, ...] = ()
    targets: Targets | None = None

    @property
    def is_apart(self) -> bool:
        """Whether its sockets are in a process of their own."""
        return "isolation=process" in self.settings

    @property
    def is_vendor(self) -> bool:
        """Whether it is the vendor's package."""
        return self is VENDOR

    def measure(
        self,
        load: Sequence[str],
        *,
        limit_s: float,
        tick: Callable[[], None],
        module: str | None = None,
        arguments: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Start it, put a load on it, and return the load generator's report.

        Args:
            load: Module and arguments of the load generator.
            limit_s: For the load generator.
            tick: Called now and then meanwhile.
            module: Another application on the same form of the library.
            arguments: Its arguments.

        Raises:
            BenchmarkError: One of the processes failed.
        """
        python = sys.executable if self.environment is None else self.environment.python
        return put_load_on(
            [python, "-m", module or self.module, *arguments, *self.settings],
            load,
            title=self.title,
            limit_s=limit_s,
            tick=tick,
            with_sources=self.environment is None,
            quiet=self.is_vendor,
        )


BARE = Variant("bare", "bare picows", "benchmarks.servers.bare")
VENDOR = Variant("vendor", "vendor SDK 0.1.1", "benchmarks.servers.vendor", _VENDOR)
VARIANTS = (
    BARE,
    VENDOR,
    Variant("thread", "this library, thread", "benchmarks.servers.ours", _COMPILED, targets=Targets()),
    Variant(
        "process",
        "this library, process",
        "benchmarks.servers.ours",
        _COMPILED,
        ("isolation=process",),
        Targets(
            cpu_vs_bare=2.2,
            cpu_vs_vendor=0.42,
            trip_p50_ms=1.0,
            trip_p99_ms=5.0,
            root_share=0.5,
            most_calls=1000,
        ),
    ),
    Variant("plain", "the thread, not compiled", "benchmarks.servers.ours"),
)
"""All of them, in the order in which they take turns."""

PLAIN = VARIANTS[-1]
WATCHING = (
    Variant("watched", "the same, figures read each second", "benchmarks.servers.watched"),
    Variant("traced", "the same, traced", "benchmarks.servers.traced"),
    Variant("observed", "the same, both of it", "benchmarks.servers.watched", settings=("--traced",)),
    Variant(
        "flight", "the same, its last seconds kept", "benchmarks.servers.recorded", settings=("--flight",)
    ),
    Variant("recorded", "the same, recorded", "benchmarks.servers.recorded"),
)
"""Beside "plain" they show what it costs to look at calls."""
