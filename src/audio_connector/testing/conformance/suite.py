# SPDX-License-Identifier: Apache-2.0
"""All checks, which of them are wanted, and how they are run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from difflib import get_close_matches

from audio_connector.errors import DialError, UsageError
from audio_connector.testing.conformance import (
    clearing,
    closing,
    events,
    framing,
    gate,
    odd_inputs,
    pacing,
    upgrade,
)
from audio_connector.testing.conformance.check import Check, Result, Status
from audio_connector.testing.conformance.model import Failed, Skipped, Target, Timing
from audio_connector.testing.conformance.session import Session
from audio_connector.wire.quoting import printable

CHECKS: tuple[Check, ...] = (
    *upgrade.CHECKS,
    *framing.CHECKS,
    *pacing.CHECKS,
    *clearing.CHECKS,
    *events.CHECKS,
    *odd_inputs.CHECKS,
    *closing.CHECKS,
    *gate.CHECKS,
)
"""Every check, in the order of a report."""

AT_ONCE = 8
"""Calls that a bot on a small machine, or behind a speech service with a limit, is expected to bear."""

_MOST_REASON_CHARACTERS = 2000

Watch = Callable[[Check], None]
Take = Callable[[Result], None]


def select(names: Sequence[str], checks: Sequence[Check] = CHECKS) -> tuple[Check, ...]:
    """Return the checks of these names: ``group/name``, or a group as a whole.

    Raises:
        UsageError: No check has such a name.
    """
    known = {check.full_name for check in checks} | {check.group for check in checks}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no check {name!r}{_suggestion(name, checks, known)}")
    return tuple(check for check in checks if check.full_name in names or check.group in names)


def _suggestion(name: str, checks: Sequence[Check], known: set[str]) -> str:
    near = [check.full_name for check in checks if check.name == name]
    near = near or get_close_matches(name, sorted(known | {check.name for check in checks}), n=1)
    near = [check.full_name for check in checks if check.name == near[0]] or near if near else []
    return f"; did you mean {near[0]!r}?" if near else "; --list shows them all"


async def run_checks(
    target: Target,
    checks: Sequence[Check] = CHECKS,
    *,
    timing: Timing | None = None,
    at_once: int = AT_ONCE,
    on_start: Watch = lambda check: None,
    on_result: Take = lambda result: None,
) -> list[Result]:
    """Check a server.

    The first call is made alone, because pace is measured in it; then checks run side by side. One that fails
    beside others is tried again alone, and that result counts.

    Args:
        target: The server.
        checks: What is checked.
        timing: How long things may take.
        at_once: So many checks at once, at most.
        on_start: Told of each check that begins.
        on_result: Told of each result, in the order in which they come.

    Returns:
        The results, in the order of ``checks``.

    Raises:
        DialError: The server cannot be reached, or does not speak WebSocket there.
    """
    async with Session(target, timing or Timing()) as session:
        ended = (await session.baseline()).ended_by_server
        runner = Runner(session, on_start, on_result, ended=ended)
        results = await runner.run_all(checks, at_once)
    return [results[check.full_name] for check in checks]


class Runner:
    """Runs checks, first side by side, then those that failed alone.

    Args:
        session: What they share.
        on_start: As in `run_checks`.
        on_result: As in `run_checks`.
        ended: How the server ended a call with nothing odd in it; None where it did not.
    """

    def __init__(
        self, session: Session, on_start: Watch, on_result: Take, *, ended: str | None = None
    ) -> None:
        self._session = session
        self._on_start = on_start
        self._on_result = on_result
        self._results: dict[str, Result] = {}
        self._is_gone = False
        self._ended = ended

    async def run_all(self, checks: Sequence[Check], at_once: int) -> dict[str, Result]:
        """Run them, and return the results by the names of the checks."""
        waiting = list(reversed(checks))
        failed: list[Result] = []

        async def work() -> None:
            while waiting:
                result = await self._run(waiting.pop())
                if result.status == "fail" and at_once > 1 and len(checks) > 1:
                    failed.append(result)
                else:
                    self._conclude(result)

        tasks = [asyncio.ensure_future(work()) for _ in range(min(at_once, len(checks)))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for first in failed:
            self._conclude(await self._again(first))
        return self._results

    def _conclude(self, result: Result) -> None:
        self._results[result.check.full_name] = result
        self._on_result(result)

    async def _again(self, first: Result) -> Result:
        if self._is_gone or first.check is upgrade.ordinary_call:  # which is made once in a run
            return first
        second = await self._run(first.check)
        if second.status == "fail":
            return second
        reason = f"{second.reason} (but beside other calls it failed: {first.reason})"
        return Result(first.check, second.status, reason, second.duration_s)

    async def _run(self, check: Check) -> Result:
        session = self._session
        if self._is_gone:
            return Result(check, "skip", "not tried: the server cannot be reached any more")
        if self._ended is not None and check is not upgrade.ordinary_call:
            return Result(check, "skip", f"not tried: even an ordinary call was closed {self._ended}")
        self._on_start(check)
        began_at = time.monotonic()
        status: Status = "fail"
        try:
            reason = await asyncio.wait_for(check.run(session), session.timing.check_s)
            status = "pass"
        except Failed as failure:
            reason = str(failure)
        except Skipped as skipped:
            status, reason = "skip", str(skipped)
        except DialError as error:
            reason = f"{error}; expected that a new call can be made at any time; look whether the server still runs"
            await self._look_whether_it_is_gone()
        except (asyncio.TimeoutError, TimeoutError):
            reason = (
                f"not done after {session.timing.check_s:g} s; expected that it is; is the server overloaded?"
            )
        # What the server said may be in it: close reasons, headers, texts.
        return Result(check, status, printable(reason, _MOST_REASON_CHARACTERS), time.monotonic() - began_at)

    async def _look_whether_it_is_gone(self) -> None:
        try:
            async with self._session.line():
                pass
        except DialError:
            self._is_gone = True
