# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_peer import FRAME, Peer

from audio_connector.audio.wav import WavWriter


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
def wav(tmp_path: Path) -> str:
    path = tmp_path / "hello.wav"
    with WavWriter(str(path), 16000) as file:
        file.write(FRAME * 3)
    return str(path)
