# SPDX-License-Identifier: Apache-2.0
"""Whether anybody is told of a loop that was closed while its server ran."""

from __future__ import annotations

import threading

import pytest

from audio_connector.server import lost_loop
from audio_connector.server.lost_loop import LostLoop


def test_a_program_that_goes_on_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_loop, "GOES_ON_S", 0.0)
    lost = LostLoop()
    lost.tell()
    assert caplog.text == ""
    lost.note()
    lost.tell()
    assert "has ended without handle.stop()" in caplog.text


def test_one_that_ends_is_not_and_is_not_held_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_loop, "GOES_ON_S", 60.0)
    lost = LostLoop()
    lost.note()
    telling = threading.Thread(target=lost.tell)
    telling.start()
    lost.settle()
    telling.join(20.0)
    assert not telling.is_alive()
    assert caplog.text == ""
