# SPDX-License-Identifier: Apache-2.0
"""What an application that does not read is told once it does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from audio_connector.call import tells
from audio_connector.playback.speech import Answered
from audio_connector.port.framing import Message
from audio_connector.port.stream import Stream, stream_pair
from audio_connector.server.application import Application
from audio_connector.wire.messages import Disconnected

FRAME = bytes(640)
ENDED = tells.Ended(Disconnected(code=1000, reason="bye", closed_by="router"))


@pytest.mark.parametrize("tell", [Answered(3, True), ENDED])
async def test_what_follows_from_figures_comes_behind_the_newest(tell: Any) -> None:
    """By those of the end an application knows what was lost, and looks at none that come later."""
    ours, theirs = stream_pair()
    heard: list[Message] = []
    application = Application(1, ours, asyncio.get_running_loop(), lambda *_: None, lambda _: None)
    reader = Stream(theirs, heard.append, max_message_bytes=1 << 20)
    try:
        while not application.stream.is_full:
            application.post((7, FRAME))
            application.flush()
        for count in (1, 2):
            application.note(7, tells.Figures(stalls=count))
        application.note(7, tell)
        if tell is ENDED:
            application.post((7, tell))  # as all that is in the order of events
        while reader.read() or application.waiting or application.stream.is_full:
            application.flush()
    finally:
        application.close()
        reader.close()
    assert [message for _, message in heard if message != FRAME] == [tells.Figures(stalls=2), tell]
