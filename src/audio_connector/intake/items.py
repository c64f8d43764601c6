# SPDX-License-Identifier: Apache-2.0
"""What is handed to the application: audio as bytes, and texts with what they mean."""

from __future__ import annotations

from typing import NamedTuple

from audio_connector.wire.messages import Event


class TextItem(NamedTuple):
    """A text message: as it came, and what it means."""

    text: str
    event: Event


Item = bytes | TextItem
