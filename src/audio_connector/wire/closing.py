# SPDX-License-Identifier: Apache-2.0
"""Close codes and reasons: what a close frame may carry (RFC 6455 5.5, 7.4)."""

from __future__ import annotations

NORMAL = 1000
PROTOCOL_FAULT = 1002
NO_CODE = 1005
"""The close frame of the peer had no code; never sent."""
ABNORMAL = 1006
"""There was no close frame; never sent."""
BAD_TEXT = 1007
TOO_BIG = 1009

MAX_CODE = 4999
RESERVED_CODES = (1004, NO_CODE, ABNORMAL, 1015)

REASON_BYTES = 123
"""Longest reason: a control frame holds 125 bytes, and the code takes two."""


def code_for_answer(received: int) -> int:
    """The code that answers a peer's close frame: its own, where it may be sent.

    Args:
        received: The peer's code; 0 where it sent none.
    """
    if not received:
        return NORMAL
    return received if received not in RESERVED_CODES and received <= MAX_CODE else PROTOCOL_FAULT


def fit_reason(reason: str) -> str:
    """Cut a reason to what a close frame holds, between characters."""
    return reason.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")
