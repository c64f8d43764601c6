# SPDX-License-Identifier: Apache-2.0
"""The judgement of those who dial, on the I/O side: by a verifier at once, or by the application, which is asked.

One that is asked about is *waiting* until the application has answered, or the gate has given up: at its deadline, or
because the peer has gone. What was asked counts until it is answered, whoever waits for that: an application that
does not come to it is asked no more, and those who dial get 503. Where there is none at the moment, the next one
that is there is asked, within the same deadline; and where the one that was asked is gone or kept from it, another.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from audio_connector.call import tells
from audio_connector.call.asks import Judged
from audio_connector.port.host import Deliver
from audio_connector.server.authentication import Rejected, UpgradeRequest, Verifier, Verify
from audio_connector.validation.handlers import Handler
from audio_connector.wire.network import Cancel, Refused, Verdict
from audio_connector.wire.quoting import printable, without_tokens
from audio_connector.wire.refusals import Refusal
from audio_connector.wire.transport import Upgrade

MAX_ASKED = 256
"""At a time, of 16 KiB each: what a function of the application decides in 10 ms is 25,000 a second."""

MAX_ATTEMPTS = 2
"""Applications that are asked about one: the second where the first has died meanwhile, or its loop is blocked."""

TOO_MANY = Refusal("503", "authenticate has too many to decide on already", kind="too many undecided")
ALL_DIED = Refusal("503", "the workers that were to decide have died", kind="undecided")

Asker = tuple[object | None, Deliver]
"""An application, None for the only one, and what takes its tells."""


@dataclass(eq=False)
class _Waiting:
    asked: tells.Asked
    decide: Callable[[Verdict], None] | None
    owner: object | None
    attempts: int = 1


class Judging:
    """Decides on upgrades; on the I/O side's loop.

    Args:
        by: A verifier, or whatever stands for the function of an application.
        within_s: For the application; the gate keeps that.
        clock: Seconds of a monotonic clock.
        find: Returns who is asked; None where nobody is there.
        next_number: A number that no call has.
        is_kept: Whether an application is kept from answering, by a loop that is blocked.
    """

    def __init__(
        self,
        by: Verifier | Handler,
        *,
        within_s: float,
        clock: Callable[[], float],
        find: Callable[[], Asker | None],
        next_number: Callable[[], int],
        is_kept: Callable[[object | None], bool] = lambda _: False,
    ) -> None:
        self._verifier = by if isinstance(by, Verifier) else None
        self._verify: Verify | None = self._verifier.verifying(time.time) if self._verifier else None
        self._within_s = within_s
        self._clock = clock
        self._find = find
        self._next_number = next_number
        self._is_kept = is_kept
        self._waiting: dict[int, _Waiting] = {}
        self._unasked: dict[_Waiting, None] = {}
        """Those about whom nobody could be asked so far, in their order."""

    def judge(self, upgrade: Upgrade, resumes: object, decide: Callable[[Verdict], None]) -> Verdict | Cancel:
        """Decide, or have it decided; see `wire.network.Judge`. ``resumes`` as of an `UpgradeRequest`."""
        if self._verify is not None and self._verifier is not None:
            try:
                identity = self._verify(UpgradeRequest.of(upgrade, resumes))
            except Rejected as rejected:
                return _refused(rejected.status, rejected.reason, rejected.kind)
            return upgrade._replace(identity=identity, session=self._verifier.session_of(identity))
        if len(self._waiting) + len(self._unasked) >= MAX_ASKED:
            return Refused(TOO_MANY)
        asked = tells.Asked(upgrade, resumes, self._clock() + self._within_s)
        waiting = _Waiting(asked, decide, None)
        self._ask(waiting)

        def cancel() -> None:
            waiting.decide = None
            self._unasked.pop(waiting, None)

        return cancel

    def answer(self, number: int, judged: Judged, owner: object | None) -> None:
        """Take what the application says of that number."""
        waiting = self._waiting.get(number)
        if waiting is None or waiting.owner is not owner:
            return
        del self._waiting[number]
        if judged.status is None:
            self._conclude(waiting, waiting.asked.upgrade._replace(identity=judged.identity))
        else:
            self._conclude(waiting, _refused(judged.status, judged.reason, Rejected.kind))

    def lose(self, owner: object) -> None:
        """That application is gone: ask another one about what it has not answered."""
        for number, waiting in list(self._waiting.items()):
            if waiting.owner is not owner:
                continue
            del self._waiting[number]
            waiting.attempts += 1
            if waiting.attempts > MAX_ATTEMPTS:
                self._conclude(waiting, Refused(ALL_DIED))
            elif waiting.decide is not None:
                self._ask(waiting)

    def ask_again(self) -> None:
        """There may be an application now, or one that is kept from answering what it was asked."""
        unasked, self._unasked = self._unasked, {}
        for waiting in unasked:
            self._ask(waiting)
        for number, waiting in list(self._waiting.items()):
            if (
                waiting.decide is not None
                and waiting.attempts < MAX_ATTEMPTS
                and self._is_kept(waiting.owner)
            ):
                found = self._find()
                if found is None or self._is_kept(found[0]):
                    return  # nobody else could
                del self._waiting[number]
                waiting.attempts += 1
                self._ask_of(found, waiting)

    def _ask(self, waiting: _Waiting) -> None:
        found = self._find()
        if found is None:
            self._unasked[waiting] = None
        else:
            self._ask_of(found, waiting)

    def _ask_of(self, found: Asker, waiting: _Waiting) -> None:
        number = self._next_number()
        waiting.owner, post = found
        self._waiting[number] = waiting
        post((number, waiting.asked))

    @staticmethod
    def _conclude(waiting: _Waiting, verdict: Verdict) -> None:
        decide, waiting.decide = waiting.decide, None
        if decide is not None:
            decide(verdict)


def _refused(status: int, reason: str, kind: str) -> Refused:
    return Refused(
        Refusal(str(status), "authenticate has rejected it", kind=kind), printable(without_tokens(reason))
    )
