# SPDX-License-Identifier: Apache-2.0
"""What went wrong with a service in a network, in words: whatever the exception of the vendor's client is called.

The clients have a tree of exceptions each, and below it those of the HTTP or WebSocket library that they happen to
use; both change with their versions. So an exception is not known by its class but by what it carries: a status, a
response, a close frame, an error of the operating system, and the word "timeout" in its name.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from audio_connector.wire.quoting import printable, quoted

SAID_CHARS: Final = 200
"""How much of a service's own explanation is quoted: two sentences."""

_AGAIN: Final = "try again"
_MOVED: Final = ("is somewhere else", "check base_url")
_BY_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    **dict.fromkeys((301, 302, 307, 308), _MOVED),
    401: ("refuses the key", "check {key}"),
    402: ("refuses to work without payment", "look into the account"),
    403: ("refuses this to the key", "check {key}, and what the account allows"),
    404: ("has nothing of that name", "check model, voice and base_url"),
    408: ("did not answer in time", _AGAIN),
    413: ("takes less at a time", "say or hear it in shorter parts"),
    429: ("takes no more requests now", "{wait}, or raise the limits of the account"),
    504: ("did not answer in time", _AGAIN),
}
_SERVER_ERRORS: Final = 500
_REFUSED: Final = ("refuses the request", "check the settings")
_FAILED: Final = ("failed", _AGAIN)


_UNREACHABLE: Final = (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH)


class Explanation(NamedTuple):
    """Two parts of a sentence whose subject is the service.

    Attributes:
        happened: What it did.
        remedy: What to do.
    """

    happened: str
    remedy: str


def explained(error: BaseException, *, key_name: str, timeout_s: float) -> Explanation:
    """Say what an exception of a vendor's client means.

    Args:
        error: The exception.
        key_name: Where the key comes from, for who has to look at it.
        timeout_s: How long was waited, in seconds.
    """
    links = list(chain_of(error))
    for link in links:
        status = _status_of(link)
        if status is not None:
            return _of_status(link, status, key_name)
    if any("timeout" in each.__name__.lower() for link in links for each in type(link).__mro__):
        return Explanation(f"gave nothing for {timeout_s:g} s", f"{_AGAIN}, or raise timeout_s")
    if any(_is_of_dialling(link) for link in links):
        return Explanation(f"cannot be reached{_quote(_reason(links))}", "check the network and base_url")
    for link in links:
        if close := _close_of(link):
            return Explanation(f"closed the connection{_quote(close)}", _AGAIN)
    if any(isinstance(link, OSError | EOFError) or _is_of_transport(link) for link in links):
        return Explanation(f"broke off{_quote(_reason(links))}", _AGAIN)
    return Explanation(
        f"answered what is not understood ({type(error).__name__}{_quote(str(error), ': ')})",
        "check base_url, and whether the client's version is one that the extra allows",
    )


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that it came of."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def has_secret(error: BaseException, secret: str) -> bool:
    """Whether a traceback of it would show the secret."""
    return bool(secret) and any(secret in f"{link} {link!r}" for link in chain_of(error))


def _of_status(error: BaseException, status: int, key_name: str) -> Explanation:
    happened, remedy = _BY_STATUS.get(status, _REFUSED if status < _SERVER_ERRORS else _FAILED)
    after = _headers_of(error).get("retry-after", "")
    seconds = f"after {after} s" if after.replace(".", "", 1).isdigit() else "later"
    return Explanation(
        f"{happened} ({status}{_quote(_said(error), ': ')})",
        remedy.format(key=key_name, wait=f"try again {seconds}"),
    )


def _status_of(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for status in (getattr(error, "status_code", None), getattr(response, "status_code", None)):
        if isinstance(status, int):
            return status
    return None


def _headers_of(error: BaseException) -> dict[str, str]:
    headers = getattr(getattr(error, "response", None), "headers", None) or getattr(error, "headers", None)
    return {str(name).lower(): str(value) for name, value in dict(headers or {}).items()}


def _close_of(error: BaseException) -> str:
    """What the close frame of a WebSocket says."""
    frame = getattr(error, "rcvd", None)
    return "" if frame is None else f"{frame.code} {frame.reason}".strip()


def _is_of_dialling(error: BaseException) -> bool:
    """Whether there was no connection at all."""
    if type(error).__name__ in ("ConnectError", "gaierror"):
        return True
    # asyncio joins the errors of several addresses in one text.
    return isinstance(error, OSError) and (error.errno in _UNREACHABLE or "Multiple exceptions" in str(error))


def _is_of_transport(error: BaseException) -> bool:
    """Whether a connection ended that should not have; the three libraries agree on these words at least."""
    name = type(error).__name__
    return name.endswith(
        ("ReadError", "WriteError", "ProtocolError", "ConnectionError", "ConnectionClosedError")
    )


def _reason(links: list[BaseException]) -> str:
    """The innermost text that there is: the outer ones say that there was an error."""
    system = [link.strerror for link in links if isinstance(link, OSError) and link.strerror]
    texts = [str(link) for link in links if str(link)]
    return [*texts, *system][-1] if texts or system else ""


def _said(error: BaseException) -> str:
    """The service's own words in the body of its answer."""
    body: Any = getattr(error, "body", None)
    while isinstance(body, Mapping):
        inner = next(
            (body[name] for name in ("error", "detail", "message", "err_msg", "msg") if body.get(name)), None
        )
        body = str(dict(body)) if inner is None else inner
    if isinstance(body, list):
        body = "; ".join(
            str(each.get("msg", each)) if isinstance(each, Mapping) else str(each) for each in body
        )
    return "" if body is None else str(body)


def _quote(text: str, before: str = ": ") -> str:
    text = " ".join(text.split())
    return f"{before}{quoted(printable(text, SAID_CHARS), SAID_CHARS)}" if text else ""
