# SPDX-License-Identifier: Apache-2.0
"""What two processes tell each other about the server as a whole: plain values, as asks and tells are."""

from __future__ import annotations

from typing import NamedTuple


class Start(NamedTuple):
    """To the I/O process, first: what it is to be, and on which sockets.

    ``config`` has the fields of the configuration that concern it, as JSON; ``sockets`` are descriptors that it was
    given, and ``are_lent`` where somebody else listens on with them. Over the one of ``broker`` it is handed the
    streams of applications; None where whoever says this is the only one. Its links are numbered from ``first_link``
    on, and known to applications by numbers behind ``id_prefix``. It tells what is logged from ``log_level`` on, and
    listens on the admin port where it ``is_admin``.
    """

    version: int
    library: str
    config: str
    sockets: tuple[int, ...]
    are_lent: bool
    first_link: int
    takes_calls: bool
    log_level: int
    broker: int | None = None
    id_prefix: str = ""
    is_admin: bool = True


class Started(NamedTuple):
    """It listens; said to each application too."""

    host: str
    port: int
    id_prefix: str = ""


class NotStarted(NamedTuple):
    """It cannot, and ends; the name of a class in `errors`, and its text."""

    kind: str
    text: str


class RefuseCalls(NamedTuple):
    """Answer every upgrade with 503 from now on."""


class CloseAll(NamedTuple):
    """Stop listening, close every connection, abort what is left at the deadline; answered by `AllClosed`."""

    code: int
    reason: str
    timeout_s: float


class Load(NamedTuple):
    """How an application is, several times a second: so long its loop has taken none of so many messages."""

    lag_s: float
    waiting: int


class Retire(NamedTuple):
    """Have that application get no more calls; it keeps those that it has, or others get them.

    Each goes to another one while nothing is being said, and at the latest after ``wait_s``; None for never. An
    application says it of itself, whatever the number.
    """

    number: int
    wait_s: float | None


class Retired(NamedTuple):
    """It has no call any more."""

    number: int


class Lost(NamedTuple):
    """The stream to it is gone, and its calls go to others."""

    number: int


class AllClosed(NamedTuple):
    """It is done."""


class ShutDown(NamedTuple):
    """End, at once."""


class Refused(NamedTuple):
    """So many were refused since it started, by `wire.refusals.Refusal.name`, or ended by a bound, by its name."""

    counts: dict[str, int]


class Collect(NamedTuple):
    """Say what you have counted, with all calls where that is True; answered by `Collected` with the same token.

    ``found`` is what an I/O process that asks has counted itself.
    """

    token: int
    with_calls: bool
    found: str = ""


class Collected(NamedTuple):
    """What was counted, as the JSON of `meters.Found`: by whoever was asked; by a supervisor, of all together.

    The calls are those of all but the one that has asked.
    """

    token: int
    found: str


class Counted(NamedTuple):
    """What a worker has counted so far, as the JSON of `meters.Found`; now and then."""

    found: str


class Logged(NamedTuple):
    """A record for the log of the application; ``fields`` as of `intake.log_fields`."""

    logger: str
    level: int
    text: str
    created: float
    traceback: str | None
    fields: dict[str, str]


class Serve(NamedTuple):
    """To a worker, first: which application, with which settings (JSON), and its number."""

    app: str
    settings: str
    number: int


class Loaded(NamedTuple):
    """Its application is there; ``config`` as in `Start`."""

    config: str


class NotLoaded(NamedTuple):
    """It cannot be had: why, in a line."""

    text: str


class Ready(NamedTuple):
    """It takes calls."""


class Drain(NamedTuple):
    """Let every call come to its end, for so long, and end; answered by `Drained`."""

    timeout_s: float


class Drained(NamedTuple):
    """It has stopped; True where every call had come to its end."""

    ended: bool


Word = (
    Start | Started | NotStarted | RefuseCalls | CloseAll | AllClosed | ShutDown | Refused | Logged | Load | Retire
    | Retired | Lost | Collect | Collected | Counted | Serve | Loaded | NotLoaded | Ready | Drain | Drained
)  # fmt: skip
