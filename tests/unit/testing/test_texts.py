# SPDX-License-Identifier: Apache-2.0
"""Texts of a server are noted on their way, and everything is passed on."""

from __future__ import annotations

import pytest
from support.call import Router
from support.clock import VirtualClock

from audio_connector.testing.texts import TextTap
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.transport import Closed

TEXTS = [
    '{"audio":"AAAA"}',
    '{"action":"clear"}',
    '{"event":"websocket:cleared","audio":"AAAA"}',
    '{"audio":7}',
    "[1]",
    "no json",
]


@pytest.mark.parametrize(("transport", "noted"), [("binary", TEXTS), ("json", TEXTS[1:])])
def test_texts_are_noted_but_for_those_that_are_audio(transport: str, noted: list[str]) -> None:
    router = Router(VirtualClock(), 16000)
    texts: list[str] = []
    tap = TextTap(router, AudioTransport.of(transport), texts)
    for text in TEXTS:
        tap.on_text(text)
    assert texts == noted
    assert router.texts == TEXTS


def test_everything_else_is_passed_on() -> None:
    router = Router(VirtualClock(), 16000)
    tap = TextTap(router, AudioTransport(), [])
    tap.on_audio(b"\0" * 640)
    tap.on_pong(b"")
    tap.on_writable(False)
    tap.on_closed(Closed(1000, "", "us"))
    assert (len(router.frames), router.pongs, router.closed) == (1, 1, Closed(1000, "", "us"))
