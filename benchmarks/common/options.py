# SPDX-License-Identifier: Apache-2.0
"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.common.variants import BARE, VARIANTS, VENDOR, Variant


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured.

    Attributes:
        variants: The servers.
        calls: How many calls echo, one row after the other.
        rounds: Turns of each server; the best counts.
        opening_s: At the start of an echo, not measured: the priming of 100 ms is in it.
        steady_s: Then measured.
        opens: Calls opened one after another.
        silent_calls: Calls that are open and silent.
        imports: Times that the library is imported.
        relay_s: How long relayed audio is listened to.
    """

    variants: tuple[Variant, ...] = VARIANTS
    calls: tuple[int, ...] = (20, 150, 300, 600, 1000)
    rounds: int = 3
    opening_s: float = 2.0
    steady_s: float = 5.0
    opens: int = 1000
    silent_calls: int = 500
    imports: int = 10
    relay_s: float = 8.0

    @property
    def ours(self) -> tuple[Variant, ...]:
        """The forms of this library."""
        return tuple(one for one in self.variants if one not in {BARE, VENDOR})

    def quick(self) -> Options:
        """Return what takes a minute, and shows that it works rather than how much anything costs."""
        return replace(
            self,
            calls=(20, 150),
            rounds=1,
            steady_s=2.0,
            opens=200,
            silent_calls=200,
            imports=3,
            relay_s=3.0,
        )
