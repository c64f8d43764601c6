# SPDX-License-Identifier: Apache-2.0
"""Who may dial: what decides on an upgrade is given, what it answers, and the application's own function for it.

A *verifier* decides by itself, on the I/O side, and needs no application; `audio_connector.auth` has them. A function
of the application runs on its loop, is asked over the port, and has until a deadline, which the I/O side keeps as
well: an application that is blocked holds up those who dial, and no call.
"""

from __future__ import annotations

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from audio_connector.call.asks import Ask, Judged
from audio_connector.call.tells import Asked
from audio_connector.errors import UsageError, VideoError
from audio_connector.validation.handlers import Handler, name_of
from audio_connector.wire.episodes import Episodes
from audio_connector.wire.identity import identity_of
from audio_connector.wire.quoting import quoted, without_secrets
from audio_connector.wire.transport import Headers, Upgrade

logger = logging.getLogger("audio_connector.server")

MAX_IDENTITY_BYTES = 16 * 1024
"""As JSON: as much as the head of a request, and it crosses with each opening."""

CLOSE_S = 1.0
"""For a function that was cancelled to come to its end."""

FIRST_STATUS, LAST_STATUS = 400, 599


class Rejected(VideoError):
    """Raised by what decides on an upgrade: this one is not let in.

    Attributes:
        status: The HTTP status that the peer gets, 400 to 599, with a fixed text.
        reason: For the log only; without what is secret.

    Raises:
        UsageError: Another status.
    """

    kind = "rejected"
    """In the key of its count, see `AudioConnectorServerHandle.refusals`."""

    def __init__(self, status: int = 401, reason: str = "") -> None:
        if type(status) is not int or not FIRST_STATUS <= status <= LAST_STATUS:
            raise UsageError(f"Rejected(status={status!r}): expected {FIRST_STATUS} to {LAST_STATUS}")
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        # Raised in a process of a pool, it has to come here as it was.
        return type(self), (self.status, self.reason)


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """What is known of who dials, before there is a call.

    Attributes:
        path: The path of the request, without the query.
        query: The query without the question mark, possibly empty.
        headers: All headers: names in any case, every value with ``get_all``.
        remote_address: IP address and port of the peer, which may be a proxy.
        secure: True where this server terminates TLS.
        resumes: The identity of the call that broke off and would go on (`Timeouts.resume_s`); None for a new call.
    """

    path: str
    query: str = field(repr=False)
    headers: Headers = field(repr=False)
    remote_address: tuple[str, int]
    secure: bool
    resumes: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, upgrade: Upgrade, resumes: object = None) -> UpgradeRequest:
        """Make one of what the wire tells."""
        return cls(*upgrade[:5], resumes)

    @property
    def session_id(self) -> str | None:
        """The Vonage session, from the header ``x-opentok-ws-sessionid``; None where that is not there."""
        return identity_of("session", self.headers, None)


Verify = Callable[[UpgradeRequest], object]
"""Returns the identity of who dials, which JSON can hold, or raises `Rejected`; at once, and on the I/O side."""


class Verifier(ABC):
    """What decides on the I/O side, wherever that is: a value that can cross to another process.

    No dataclass and no model: what dumps a configuration would write its secrets down.
    """

    io_module: ClassVar[str]
    """The module whose ``main()`` is an I/O process that knows this class, by its name."""

    secret: ClassVar[str]
    """The name of the one argument that nothing shows."""

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.crossing().items() if name != self.secret]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.crossing() == other.crossing()

    def __hash__(self) -> int:
        return hash(repr(self))

    @abstractmethod
    def crossing(self) -> Mapping[str, Any]:
        """The arguments that make it anew, as JSON can hold them."""

    def session_of(self, identity: Any) -> str | None:  # noqa: ANN401 - its own
        """The session that who was let in is bound to; None where there is none."""
        return None

    @abstractmethod
    def verifying(self, wall_clock: Callable[[], float]) -> Verify:
        """Begin, with nothing remembered; ``wall_clock`` has seconds since 1970."""


def ask_application(request: UpgradeRequest) -> object:
    """Stands for the application's function where that is in another process; never called."""
    raise NotImplementedError(request)


def is_let_in(identity: object) -> bool:
    """Whether what a function returned lets somebody in: one that forgets to decide does not."""
    return identity is not None and identity is not False


def portable(text: str) -> Any:  # noqa: ANN401 - what JSON can hold
    """Read JSON that is to cross to another process.

    Raises:
        ValueError: It is none; or it has half of a pair of surrogates, or a number beyond 64 bits, for which
            MessagePack has no form. RecursionError where it is too deep.
    """
    value = json.loads(text, parse_int=_number)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    return value


def _number(digits: str) -> int:
    number = int(digits)
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"a number of {len(digits)} digits; expected one of 64 bits")
    return number


def plain(identity: object) -> Any:  # noqa: ANN401 - what JSON can hold
    """A copy that can cross to another process.

    Raises:
        UsageError: It cannot.
    """
    try:
        text = json.dumps(identity, allow_nan=False)
        copy = portable(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"authenticate returned {type(identity).__name__}; expected what JSON can hold, since client.identity "
            f"may cross to another process: {error}"
        ) from None
    if len(text) > MAX_IDENTITY_BYTES:
        raise UsageError(
            f"authenticate returned {len(text)} bytes as JSON; expected {MAX_IDENTITY_BYTES} at most, such as a name "
            "to look the rest up by"
        )
    return copy


class Authentication:
    """Asks the application's function about those who dial; on the application's loop."""

    def __init__(
        self, handler: Handler, post: Callable[[tuple[int, Ask]], None], clock: Callable[[], float]
    ) -> None:
        self._handler = handler
        self._post = post
        self._clock = clock
        self._tasks: set[asyncio.Future[Any]] = set()
        self._episodes: Episodes[str] = Episodes("others")
        self._is_closed = False

    def take(self, number: int, asked: Asked) -> None:
        """Somebody dials, under this number. A function that is not async is answered at once."""
        if self._is_closed:
            return
        left_s = asked.until - self._clock()
        if left_s <= 0:  # the loop was kept for so long: nobody waits for it any more
            self._post((number, Judged(None, 503, "too late")))
            return
        try:
            result = self._handler(UpgradeRequest.of(asked.upgrade, asked.resumes))
        # The latter is of something that it looked at; it would keep what comes behind from all calls.
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is logged
            self._conclude(number, asked, error)
            return
        if not isinstance(result, Awaitable):
            self._conclude(number, asked, result)
            return
        deciding = self._own(asyncio.ensure_future(result))
        self._own(asyncio.get_running_loop().create_task(self._wait(number, asked, deciding, left_s)))

    async def close(self) -> None:
        """Ask no more, and leave nothing behind."""
        self._is_closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=CLOSE_S)
        if self._tasks:
            logger.warning("%s goes on although it was cancelled", name_of(self._handler))
        for word in self._episodes.finish():
            logger.error(
                "authenticate=%s failed %d more times: %s", name_of(self._handler), word.times, word.kind
            )

    def _own(self, task: asyncio.Future[Any]) -> asyncio.Future[Any]:
        def forget(_: object) -> None:
            self._tasks.discard(task)
            if not task.cancelled():
                task.exception()  # told already, where anybody waited for it

        self._tasks.add(task)
        task.add_done_callback(forget)
        return task

    async def _wait(self, number: int, asked: Asked, deciding: asyncio.Future[Any], left_s: float) -> None:
        try:
            await asyncio.wait((deciding,), timeout=left_s)
        finally:
            is_late = deciding.cancel()
        if is_late:
            self._post((number, Judged(None, 503, f"not decided within {left_s:.3g} s")))
        elif deciding.cancelled():
            self._conclude(number, asked, asyncio.CancelledError("it was cancelled"))
        else:
            error = deciding.exception()
            self._conclude(number, asked, deciding.result() if error is None else error)

    def _conclude(self, number: int, asked: Asked, result: object) -> None:
        """Answer with what the function has returned, or raised."""
        if not isinstance(result, BaseException):
            try:
                result = plain(result)
            except UsageError as error:
                result = error
        if isinstance(result, Rejected):
            judged = Judged(None, result.status, str(result.reason))
        elif isinstance(result, BaseException):
            judged = Judged(None, 500, "it failed, see the error in the log")
            self._report(asked.upgrade, result)
        elif is_let_in(result):
            judged = Judged(result, None, "")
        else:
            judged = Judged(None, 401, f"it returned {result}")
        self._post((number, judged))

    def _report(self, upgrade: Upgrade, error: BaseException) -> None:
        word = self._episodes.note(type(error).__name__, self._clock())
        if word is not None:
            more = f"; {word.times - 1} more since the last line" if word.times > 1 else ""
            logger.error(
                "authenticate=%s failed on an upgrade with path %s from %s, which got 500%s",
                name_of(self._handler),
                quoted(without_secrets(upgrade.path)),
                upgrade.remote_address[0],
                more,
                exc_info=error,
            )
