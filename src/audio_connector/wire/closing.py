# SPDX-License-Identifier: Apache-2.0
"""Close codes and reasons: what a close frame may carry (RFC 6455 5.5, 7.4)."""

from __future__ import annotations

from audio_connector.errors import ConnectionClosed, UsageError
from audio_connector.wire.messages import Disconnected
from audio_connector.wire.quoting import printable

NORMAL = 1000
PROTOCOL_FAULT = 1002
UNSUPPORTED = 1003
NO_CODE = 1005
"""The close frame of the peer had no code; never sent."""
ABNORMAL = 1006
"""There was no close frame; never sent."""
BAD_TEXT = 1007
FLOODED = 1008
TOO_BIG = 1009

FLOOD = (FLOODED, "frames that bring nothing, far more than a call has")
"""How who floods is closed, see ``wire.budget``."""

RECEIVED_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""Codes below `OWN_CODES` that a close frame may carry (RFC 6455 7.4.1, and what IANA has registered since). All the
others mean something that is never sent, or nothing yet."""

STANDARD_CODES = (1000, 1001, 1003, 1008, 1011, 1012, 1013)
"""Codes that a server may send (RFC 6455 7.4)."""

OWN_CODES = range(3000, 5000)
"""Codes for libraries and applications (RFC 6455 7.4.2)."""

REASON_BYTES = 123
"""Longest reason: a control frame holds 125 bytes, and the code takes two."""


def may_be_received(code: int) -> bool:
    """Whether a peer's close frame may carry this code."""
    return code in RECEIVED_CODES or code in OWN_CODES


def fit_reason(reason: str) -> str:
    """Cut a reason to what a close frame holds, between characters."""
    return reason.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")


def check_close(code: object, reason: object) -> None:
    """Refuse what a close frame of a server cannot carry.

    Raises:
        UsageError: The code is none that may be sent, or the reason is too long.
    """
    if type(code) is not int or not (code in STANDARD_CODES or code in OWN_CODES):
        standard = ", ".join(map(str, STANDARD_CODES))
        raise UsageError(f"code={code!r}: expected one of {standard}, or 3000 to 4999")
    if not isinstance(reason, str) or len(reason.encode("utf-8", "replace")) > REASON_BYTES:
        raise UsageError(f"reason={reason!r:.60}: expected a text of up to {REASON_BYTES} bytes in UTF-8")


def closed_error(what: str, how: Disconnected | None) -> ConnectionClosed:
    """Make the error for what needs an open connection.

    Args:
        what: What was asked.
        how: How the connection ended; None where we are closing it.
    """
    closed = how or Disconnected(code=NORMAL, reason="", closed_by="server")
    code = ABNORMAL if closed.code is None else closed.code
    reason = f" ({printable(closed.reason)})" if closed.reason else ""
    return ConnectionClosed(
        f"cannot {what}: the connection was closed by the {closed.closed_by} with {code}{reason}; stop sending "
        "when on_disconnect is called",
        code=code,
        reason=closed.reason,
    )
