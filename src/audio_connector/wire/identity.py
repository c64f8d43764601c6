# SPDX-License-Identifier: Apache-2.0
"""Who a connection is: from the headers of the upgrade, or else from the first message (PROTOCOL 1.2, 1.3, 1.14)."""

from __future__ import annotations

from typing import Literal

from audio_connector.wire.messages import Connected
from audio_connector.wire.transport import Headers, Upgrade

IdName = Literal["session", "connection", "conference"]


def identity_of(name: IdName, headers: Headers, first_message: Connected | None) -> str | None:
    """Return one of the three ids, or None where nothing says it."""
    header = f"x-opentok-ws-{name}id"
    said = headers.get(header)
    if said or first_message is None:
        return said or None
    values = {key.lower(): value for key, value in first_message.headers.items()}
    for key in (header, f"{name}id", f"{name}_id", f"{name}-id"):
        value = values.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def session_of(upgrade: Upgrade, first_message: Connected | None) -> str | None:
    """Return the session: as the upgrade says, or what let it in; only where neither does, the first message.

    That comes when it is let in already, and who has a token for one session could name another one there.
    """
    said = identity_of("session", upgrade.headers, None) or upgrade.session
    return said or identity_of("session", upgrade.headers, first_message)
