# SPDX-License-Identifier: Apache-2.0
"""How a call has ended, from how its socket has."""

from __future__ import annotations

from audio_connector.wire.closing import TOO_BIG
from audio_connector.wire.fragments import TEXT_TOO_BIG
from audio_connector.wire.messages import GOODBYE, ClosedBy, Disconnected
from audio_connector.wire.transport import Closed

_CLOSED_BY: dict[str, ClosedBy] = {"peer": "router", "us": "server", "network": "network"}


_NORMAL = (1000, 1001, 1005)
"""Codes of an end that somebody wanted; 1005 stands for a close frame without one."""


def is_abnormal(how: Disconnected) -> bool:
    """Whether nobody wanted it."""
    return how.code not in _NORMAL and how.reason != GOODBYE


def size_met(how: Disconnected | None) -> str | None:
    """The name of the field of `call.settings.Limits` that ended it, if one did; an application cannot close so."""
    if how is None or how.closed_by != "server" or how.code != TOO_BIG:
        return None
    return "max_text_bytes" if how.reason == TEXT_TOO_BIG.reason else "max_message_bytes"


def how_ended(closed: Closed, *, is_announced: bool) -> Disconnected:
    """Say it for the application; ``is_announced`` where the router has said goodbye by a text."""
    if closed.closed_by == "network" and is_announced:
        # The router says goodbye and then drops the socket: a normal end (PROTOCOL 1.22).
        return Disconnected(code=closed.code, reason=GOODBYE, closed_by="router")
    return Disconnected(code=closed.code, reason=closed.reason, closed_by=_CLOSED_BY[closed.closed_by])
