# SPDX-License-Identifier: Apache-2.0
"""Which application has which call, in an I/O process that several are attached to.

A call is with an application that takes calls and has the fewest; those whose loop lags come last. It is *parked*
while there is none, for a bounded time. It goes to another one

- at once, where its application dies: what that had written is heard, and what came last is handed over again;
- while nothing is being said, where its application retires: that is asked to *release* it, ends what belongs to it,
  and says so; who does not in time loses it all the same.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from audio_connector.intake.log_fields import fields_of_link, log
from audio_connector.port import words
from audio_connector.port.host import Deliver
from audio_connector.server.application import Application
from audio_connector.server.link import Link

logger = logging.getLogger("audio_connector.server")

PARK_S = 10.0
"""So long a call waits for an application; the audio that comes meanwhile is kept (`Intake.max_buffer_ms`)."""

LAG_S = 0.5
"""An application whose loop was not let run for so long gets calls only where all others are like that."""

LOOK_S = 0.02
"""How often it is looked whether a call is at rest, while an application retires; a frame."""

MAX_DEATHS = 3
"""A call whose applications have died so often may be what kills them, and must not reach all of them."""

RELEASE_S = 3.0
"""For an application to release a call."""


class Sharing:
    """Keeps the calls of one I/O process with its applications; on its loop.

    ``on_retired`` is told the number of an application that retires and has no call any more.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        *,
        on_retired: Callable[[int], None],
    ) -> None:
        self._on_retired = on_retired
        self.applications: dict[int, Application] = {}
        self._loop = loop
        self._clock = clock
        self._parked: dict[int, tuple[Link, bool, asyncio.TimerHandle]] = {}
        """With each link whether its application has died, and the end of the patience."""
        self._retiring: dict[int, float] = {}
        """By the number of an application when its calls are moved although they are not at rest."""
        self._releasing: dict[int, float] = {}
        """By the number of a link when it is taken away."""
        self._is_looking = False
        self._turn = self._asks = 0

    @property
    def has_takers(self) -> bool:
        """Whether a call that comes now goes to an application at once."""
        return any(map(_takes_calls, self.applications.values()))

    @property
    def parked(self) -> int:
        """Calls that wait for an application."""
        return len(self._parked)

    # Calls.

    def find(self) -> tuple[Application, Deliver] | None:
        """Who decides on an upgrade: one after another of those that would get a call."""
        self._asks += 1
        application = self._choose(asks=self._asks)
        return None if application is None else (application, application.post)

    def open(self, link: Link) -> None:
        """A call has come."""
        application = self._choose()
        if application is None:
            self._park(link, replays=False)
        else:
            link.bind(application, application.post, application.note)
            application.links[link.id] = link

    def forget(self, link: Link) -> None:
        """A call is over."""
        parked = self._parked.pop(link.id, None)
        if parked is not None:
            parked[2].cancel()
        self._releasing.pop(link.id, None)
        if isinstance(link.owner, Application):
            link.owner.links.pop(link.id, None)
            self._note_retired(link.owner)

    def released(self, link: Link) -> None:
        """Its application has ended its part."""
        if self._releasing.pop(link.id, None) is not None:
            self._move(link, replays=False)

    # Applications.

    def add(self, application: Application) -> None:
        """There is another one; it gets calls once it has said how its loop is."""
        self.applications[application.number] = application

    def note_load(self, application: Application, load: words.Load) -> None:
        """It says how its loop is."""
        application.loaded_at, application.lag_s = self._clock(), load.lag_s
        application.untaken = load.waiting
        for link, replays, timer in list(self._parked.values()):
            taker = self._choose()
            if taker is None:
                break
            timer.cancel()
            del self._parked[link.id]
            self._give(link, taker, replays=replays)

    def retire(self, number: int, wait_s: float | None) -> None:
        """Give it no more calls, and those that it has to others, see `words.Retire`."""
        application = self.applications.get(number)
        if application is None:
            return
        application.is_retiring = True
        self._retiring[number] = math.inf if wait_s is None else self._clock() + wait_s
        if wait_s is not None:
            self._look_soon()
        self._note_retired(application)

    def lose(self, application: Application) -> int:
        """It has died: others take its calls. Returns how many these are."""
        self.applications.pop(application.number, None)
        self._retiring.pop(application.number, None)
        links = list(application.links.values())
        for link in links:
            self._releasing.pop(link.id, None)
            link.deaths += 1
            if link.deaths < MAX_DEATHS:
                self._move(link, replays=True)
            else:
                link.bind(link.owner, _nobody, _nobody)
                text = "it is closed with 1011: %d workers that had it have died, one after another"
                _log(logging.ERROR, link, text, link.deaths)
                link.close(1011, "internal error")
        return len(links)

    def is_kept(self, application: object) -> bool:
        """Whether its loop lags so that others come before it."""
        return isinstance(application, Application) and self._lag_s_of(application) > LAG_S

    def lag_s(self) -> float:
        """How long the application has taken nothing that is furthest behind; one that is stopped says nothing."""
        return max(
            (self._lag_s_of(each) for each in self.applications.values() if _takes_calls(each)), default=0.0
        )

    # Inside.

    def _lag_s_of(self, application: Application) -> float:
        silent_s = self._clock() - application.loaded_at
        return max(application.lag_s, silent_s) if silent_s > LAG_S else application.lag_s

    def _choose(
        self, other_than: Application | None = None, *, asks: int | None = None
    ) -> Application | None:
        """The next one for a call, or, with a number of ``asks``, for that."""
        count = len(self.applications)
        if asks is None:
            self._turn += 1
        turn = self._turn if asks is None else asks
        takers = [
            (
                (self._lag_s_of(each) > LAG_S, 0 if asks else len(each.links)),
                (at - turn) % count,
                each,
            )
            for at, each in enumerate(self.applications.values())
            if _takes_calls(each) and each is not other_than
        ]
        return min(takers, key=lambda taker: taker[:2])[2] if takers else None

    def _move(self, link: Link, *, replays: bool) -> None:
        before = link.owner if isinstance(link.owner, Application) else None
        taker = self._choose(before)
        if before is not None:
            before.links.pop(link.id, None)
        if taker is None:
            self._park(link, replays=replays)
        else:
            self._give(link, taker, replays=replays)
        if before is not None:
            self._note_retired(before)

    def _give(self, link: Link, taker: Application, *, replays: bool) -> None:
        taker.links[link.id] = link
        link.hand_over(taker, taker.post, taker.note, replays=replays)

    def _park(self, link: Link, *, replays: bool) -> None:
        link.bind(link.owner, _nobody, _nobody)
        timer = self._loop.call_later(PARK_S, self._give_up, link)
        self._parked[link.id] = link, replays, timer

    def _give_up(self, link: Link) -> None:
        self._parked.pop(link.id, None)
        text = "it is closed with 1013: no worker has taken it for %g s. Look for why they do not run"
        _log(logging.ERROR, link, text, PARK_S)
        link.close(1013, "no worker took the call")

    def _look_soon(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """Move what is at rest of those that retire."""
        self._is_looking = False
        now = self._clock()
        for number, until in list(self._retiring.items()):
            application = self.applications.get(number)
            if application is None or until == math.inf or self._choose(application) is None:
                continue
            for link in list(application.links.values()):
                if link.id not in self._releasing and (now >= until or link.call.is_at_rest(now)):
                    self._releasing[link.id] = now + RELEASE_S
                    link.release()
        for link_id, until in list(self._releasing.items()):
            if now >= until:
                self._take_away(link_id)
        if any(until < math.inf for until in self._retiring.values()) or self._releasing:
            self._look_soon()

    def _take_away(self, link_id: int) -> None:
        del self._releasing[link_id]
        for application in self.applications.values():
            if (link := application.links.get(link_id)) is not None:
                text = (
                    "it was not released within %g s: another worker takes it while a handler of the one before "
                    "still runs"
                )
                _log(logging.WARNING, link, text, RELEASE_S)
                self._move(link, replays=False)
                return

    def _note_retired(self, application: Application) -> None:
        if application.is_retiring and not application.links and application.number in self._retiring:
            del self._retiring[application.number]
            self._on_retired(application.number)


def _takes_calls(application: Application) -> bool:
    return application.loaded_at > -math.inf and not application.is_retiring


def _log(level: int, link: Link, text: str, *values: object) -> None:
    fields = fields_of_link(link.id, link.call.upgrade)
    text = f"connection %s: {text}"
    log(logger, level, text, fields["connection"], *values, fields=fields)


def _nobody(*_: Any) -> None:  # noqa: ANN401
    """Takes what is told of a call that no application has; it is told anew to who takes it."""
