# SPDX-License-Identifier: Apache-2.0
"""`make attack`: peers that mean harm, one kind after the other, each beside 50 calls that mean well.

The calls may notice nothing of it, and the server has to keep within its bounds. Each attack has a server of its own
and a bounded time. Where calls stutter while nobody is attacked, or somebody else, it is the machine: that is said
and tried again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.attack.budget import (
    DESCRIPTORS_BACK_S,
    MAX_FOREIGN_SHARE,
    MAX_GROWTH_MIB,
    MAX_LINES_A_SECOND,
    MAX_TRIP_P99_MS,
)
from benchmarks.attack.catalogue import ATTACKS, BY_NAME, ELSEWHERE, UNDISTURBED, Attack
from benchmarks.attack.trial import CALLS, Judged, judge, try_attack
from benchmarks.common.processes import BenchmarkError
from benchmarks.common.table import aligned, number

_SECONDS, _QUICK_SECONDS = 5.0, 1.5
_HEAD = (
    "attack",
    "what it did",
    "underruns",
    "p99 ms",
    "MiB more",
    "descriptors",
    "lines/s",
    "others",
    "verdict",
)

_EXAMPLES = f"""\
budget, beside each attack: no underrun and p99 below {MAX_TRIP_P99_MS:g} ms for the calls, the server (all its
processes) less than {MAX_GROWTH_MIB:g} MiB larger, its descriptors back {DESCRIPTORS_BACK_S:g} s later, and less than
{MAX_LINES_A_SECOND:g} log line a second for each peer, none of which a peer has written

examples:
  python -m benchmarks.attack                               everything, five minutes
  python -m benchmarks.attack --quick                       one of each mechanism, for a moment each
  python -m benchmarks.attack --only pings texts-unread --isolation process

exit status: 0 within the budget; 1 not; 2 not measured, or the machine is too busy to tell
"""


class _Reporter:
    """The lines of the table as they come, and at the end what was missed."""

    def __init__(self, attacks: Sequence[Attack]) -> None:
        self._left = len(attacks)
        self.judged: dict[str, Judged] = {}

    def begin(self, attack: Attack) -> None:
        self._left -= 1
        print(f"{attack.name}: {attack.title} ({self._left} more) ...", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(f"  the machine is busy: {text}", file=sys.stderr, flush=True)

    def end(self, attack: Attack, judged: Judged) -> None:
        self.judged[attack.name] = judged
        print(f"  {_verdict(judged)}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack, print the table, and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.list:
        print(aligned([(attack.name, attack.title) for attack in ATTACKS], texts=2))
        return 0
    if sys.platform != "linux":
        print("not measured: only Linux can pin processes to cores and tell what they hold", file=sys.stderr)
        return 2
    attacks = (UNDISTURBED, ELSEWHERE, *_chosen(options))
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else _SECONDS)
    reporter = _Reporter(attacks)
    try:
        for attack in attacks:
            reporter.begin(attack)
            try_once = partial(try_attack, isolation=options.isolation, seconds=seconds, calls=options.calls)
            judged = judge(try_once, attack, attempts=options.attempts, note=reporter.note)
            reporter.end(attack, judged)
            if attack in (UNDISTURBED, ELSEWHERE) and (judged.is_noise or judged.missed):
                break  # nothing that follows would be a server's fault
    except BenchmarkError as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    if options.json is not None:
        options.json.write_text(json.dumps(_as_json(reporter.judged), indent=2) + "\n")
    return _conclude(reporter.judged, options.calls, options.isolation)


def _chosen(options: argparse.Namespace) -> list[Attack]:
    if options.only:
        return [attack for attack in ATTACKS if attack.name in options.only]
    return [attack for attack in ATTACKS if attack.is_brief or not options.quick]


def _conclude(judged: dict[str, Judged], calls: int, isolation: str) -> int:
    rows = [_row(one) for one in judged.values()]
    print(f"\n== {calls} calls beside one attack after the other, isolation={isolation!r}\n")
    print(aligned([_HEAD, *rows], texts=2))
    missed = {name: one.missed for name, one in judged.items() if one.missed}
    for name, what in missed.items():
        print(f"\n{name}: {BY_NAME[name].title}")
        print("".join(f"  {text}\n" for text in what), end="")
    busy = [share for one in judged.values() if (share := one.trial.foreign_share) > MAX_FOREIGN_SHARE]
    if busy:
        share = f"{MAX_FOREIGN_SHARE:.0%} of a core, up to {max(busy):.0%}; use an idle machine"
        print(f"\nnote: beside {len(busy)} of {len(rows)} others took more than {share}")
    noisy = [name for name, one in judged.items() if one.is_noise]
    if noisy:
        print(f"\nnot measured, because the machine is too busy: {', '.join(noisy)}")
    print(f"\n{len(missed)} of {len(judged)} beyond the budget")
    if missed:
        return 1
    return 2 if noisy else 0


def _row(judged: Judged) -> tuple[str, ...]:
    trial = judged.trial
    return (
        trial.name,
        trial.did,
        str(trial.underruns),
        number(trial.trip_p99_ms, 1),
        number(trial.grown_mib, 1),
        str(trial.descriptors_left),
        number(trial.lines_a_second, 2),
        f"{trial.foreign_share:.0%}",
        _verdict(judged),
    )


def _verdict(judged: Judged) -> str:
    if judged.missed:
        return f"{len(judged.missed)} missed"
    return "too busy" if judged.is_noise else "ok"


def _as_json(judged: dict[str, Judged]) -> dict[str, object]:
    return {
        name: {**asdict(one.trial), "missed": one.missed, "is_noise": one.is_noise}
        for name, one in judged.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attack",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [attack.name for attack in ATTACKS]
    parser.add_argument("--list", action="store_true", help="say which attacks there are")
    parser.add_argument("--only", nargs="+", choices=names, metavar="ATTACK", help="some of them")
    parser.add_argument(
        "--quick", action="store_true", help=f"one of each mechanism, {_QUICK_SECONDS:g} s each"
    )
    parser.add_argument("--seconds", type=float, help=f"of each attack ({_SECONDS:g})")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"that mean well ({CALLS})")
    parser.add_argument(
        "--isolation", choices=("thread", "process"), default="thread", help="of the server (thread)"
    )
    parser.add_argument("--attempts", type=int, default=3, help="at one that a busy machine spoils (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
