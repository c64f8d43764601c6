# SPDX-License-Identifier: Apache-2.0
"""A receiver that only notes."""

from __future__ import annotations

from typing import Any

from audio_connector.wire.transport import Closed, Transport, Upgrade


class Notes:
    """Notes what it is told, in order, and what it may send by."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.transport: Transport

    def on_open(self, transport: Transport, upgrade: Upgrade) -> None:
        self.transport = transport

    def on_audio(self, payload: bytes) -> None:
        self.told.append(payload)

    def on_text(self, text: str) -> None:
        self.told.append(text)

    def on_pong(self, payload: bytes) -> None:
        self.told.append(("pong", payload))

    def on_writable(self, writable: bool) -> None:
        self.told.append(writable)

    def on_closed(self, closed: Closed) -> None:
        self.told.append(closed)
