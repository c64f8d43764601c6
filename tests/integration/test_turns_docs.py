# SPDX-License-Identifier: Apache-2.0
"""The programs of the pages on turns and sessions do what the pages say, in virtual time."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from audio_connector.server.server import AudioConnectorServer
from audio_connector.simulator import RouterCall
from audio_connector.testing import Audio, in_virtual_time, router, serve

pytestmark = pytest.mark.programs

DOCS = Path(__file__).parents[2] / "docs"
SENTENCE = Audio.of("sample:he-was-not")


def program(page: str, title: str) -> dict[str, Any]:
    """What a program of a page defines."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (code,) = re.findall(rf'^```python title="{title}"\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(code, title, "exec"), names)
    return names


@in_virtual_time
async def test_the_listener_tells_who_spoke_and_when(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(program("turns.md", "listener.py")["on_connect"]) as server, server.call() as call:
        await call.say(SENTENCE)
        await call.say(Audio.silence(1.0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "somebody speaks since 0.3 s"
    assert re.fullmatch(r"said from 0\.3 to 2\.8 s: \d{5} bytes at 16000 Hz", lines[1])


@in_virtual_time
async def test_the_storyteller_is_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve(program("turns.md", "storyteller.py")["on_connect"]) as server, server.call() as call:
        await call.say(Audio.silence(2.0))
        await call.say(SENTENCE)
    heard, interrupted = sorted(capsys.readouterr().out.splitlines())
    assert heard.startswith("Interrupted(played_ms=2")
    assert re.fullmatch(r"interrupted after 2\d\d\d ms", interrupted)


def test_a_file_without_a_call(capsys: pytest.CaptureFixture[str]) -> None:
    program("turns.md", "file.py")
    ((start_s, end_s),) = eval(capsys.readouterr().out)
    assert (start_s, end_s) == pytest.approx((0.3, 2.8), abs=0.1)


@in_virtual_time
async def test_the_minutes_have_both_streams_of_a_session(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses: list[str] = []
    start = AudioConnectorServer.start_server

    async def start_and_tell(self: AudioConnectorServer, config: Any) -> Any:
        handle = await start(self, config)
        addresses.append(handle.get_address())
        return handle

    monkeypatch.setattr(AudioConnectorServer, "start_server", start_and_tell)
    serving = asyncio.ensure_future(program("sessions.md", "minutes.py")["serve"](0))
    await asyncio.sleep(0.1)
    async with router() as a_router:
        calls = [
            RouterCall(
                url=addresses[0],
                speech=SENTENCE.pcm,
                session_id="room",
                connection_id=name,
                allow_silence=True,
            )
            for name in ("ann", "bob")
        ]
        first = asyncio.ensure_future(a_router.run(calls[0]))
        await asyncio.sleep(1.0)
        await asyncio.gather(first, a_router.run(calls[1]))
    serving.cancel()
    await asyncio.wait((serving,))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" s  ")[1] for line in lines] == ["ann spoke for 2.5 s", "bob spoke for 2.5 s"]
    assert [float(line.split()[0]) for line in lines] == pytest.approx([0.3, 1.3], abs=0.1)
