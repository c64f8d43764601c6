# SPDX-License-Identifier: Apache-2.0
"""What the program espeak-ng does where it fails, by programs that do the same; that it speaks is in tests/apps."""

from __future__ import annotations

from pathlib import Path

import pytest

from audio_connector.engines import EngineError
from audio_connector.engines.espeak import Espeak

SAYS = "cat > /dev/null; head -c 6044 /dev/zero"


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ("kill -SEGV $$", "espeak-ng en-us: it was ended by signal 11; see espeak-ng --voices"),
        ("exit 1", "it failed"),
        ("echo 'no such\\nvoice' >&2; exit 1", "no such voice"),
    ],
)
async def test_a_program_that_breaks_off_has_not_said_it_all(tmp_path: Path, ends: str, text: str) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{SAYS}\n{ends}\n")
    program.chmod(0o755)
    engine = Espeak(program=str(program))
    said = 0
    try:
        with pytest.raises(EngineError, match=text):
            async for piece in engine.say("Good morning."):
                said += len(piece)
    finally:
        await engine.close()
    assert said == 6000
