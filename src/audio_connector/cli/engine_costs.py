# SPDX-License-Identifier: Apache-2.0
"""What an engine costs on this machine, measured on the packaged speech, in a process of its own for each."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Final

from audio_connector.audio.wav import read_wav
from audio_connector.errors import VideoError

SENTENCE: Final = "Good morning, your table for four is booked for Friday at seven."
SAMPLE: Final = "unless-to-be.wav"
ROUNDS: Final = 3
"""Of which the best counts: what the machine does besides is no cost of the engine."""
WITHIN_S: Final = 120.0


@dataclass(frozen=True)
class Costs:
    """What was measured.

    Args:
        load_s: From nothing to ready.
        memory_mb: What the process has grown by, and the engine's own process.
        work: What the work took, in words.
        work_ms: The same as a number: of the piece of work that ``work`` names.
    """

    load_s: float
    memory_mb: float
    work: str
    work_ms: float


def measure(name: str) -> Costs:
    """Measure one engine in a new process.

    Raises:
        VideoError: It failed; the text says how.
    """
    code = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {} import main; main(sys.argv[1])"
    command = [sys.executable, "-c", code.format(__name__), "\n".join(sys.path), name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        raise VideoError(
            f"{name} was not done in {WITHIN_S:g} s; try again when the machine is idle"
        ) from None
    if done.returncode:
        raise VideoError((done.stderr.strip().splitlines() or [f"{name}: status {done.returncode}"])[-1])
    return Costs(**json.loads(done.stdout.splitlines()[-1]))


def main(name: str) -> None:
    """Be that process."""
    print(json.dumps(asdict(asyncio.run(_MEASURES[name]()))))


async def _costs(engine: Any, work: Callable[[], Awaitable[tuple[str, float]]]) -> Costs:  # noqa: ANN401 - any adapter
    before_mb = _peak_mb()
    began_at = time.perf_counter()
    await engine.warm()
    load_s = time.perf_counter() - began_at
    words, work_ms = min([await work() for _ in range(ROUNDS)], key=lambda each: each[1])
    await engine.close()
    return Costs(round(load_s, 2), round(_peak_mb() - before_mb), words, round(work_ms, 2))


def _peak_mb() -> float:
    """The most memory that this process and those that it waited for have had."""
    try:
        import resource  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return 0.0
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(each).ru_maxrss for each in whose) / unit


async def _whisper(model: str) -> Costs:
    from audio_connector.engines.faster_whisper import FasterWhisper  # noqa: PLC0415 - only what is measured

    audio, rate_hz = read_wav(str(files("audio_connector") / "samples" / SAMPLE))
    engine = FasterWhisper(model, language="en")

    async def work() -> tuple[str, float]:
        began_at = time.perf_counter()
        await engine.transcribe(audio, sample_rate=rate_hz)
        took_ms = (time.perf_counter() - began_at) * 1e3
        return f"{took_ms:.0f} ms for a sentence of {len(audio) / 2 / rate_hz:.1f} s", took_ms

    return await _costs(engine, work)


async def _speaking(engine: Any) -> Costs:  # noqa: ANN401 - a Synthesiser
    async def work() -> tuple[str, float]:
        began_at, first_ms, got = time.perf_counter(), 0.0, 0
        async for piece in engine.say(SENTENCE):
            first_ms = first_ms or (time.perf_counter() - began_at) * 1e3
            got += len(piece)
        took_s = time.perf_counter() - began_at
        rate = took_s / (got / 2 / engine.sample_rate)
        return f"first audio after {first_ms:.0f} ms, {rate:.3f} s for each second of speech", first_ms

    return await _costs(engine, work)


async def _piper() -> Costs:
    from audio_connector.engines.piper import Piper  # noqa: PLC0415

    return await _speaking(Piper())


async def _espeak() -> Costs:
    from audio_connector.engines.espeak import Espeak  # noqa: PLC0415

    return await _speaking(Espeak())


class _Detecting:
    """Gives a detector, which is made at once, the two methods of an engine."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.detector: Any = None

    async def warm(self) -> None:
        self.detector = self._make()

    async def close(self) -> None:
        self.detector = None


async def _detecting(make: Callable[[], Any]) -> Costs:
    engine = _Detecting(make)
    audio, _ = read_wav(str(files("audio_connector") / "samples" / SAMPLE))

    async def work() -> tuple[str, float]:
        length = engine.detector.frame_samples * 2
        frames = [audio[begin : begin + length] for begin in range(0, len(audio) - length + 1, length)]
        began_at = time.perf_counter()
        for frame in frames:
            engine.detector.probability(frame)
        took_ms = (time.perf_counter() - began_at) / len(frames) * 1e3
        return f"{took_ms:.3f} ms a frame", took_ms

    return await _costs(engine, work)


async def _silero() -> Costs:
    from audio_connector.engines.silero import Silero  # noqa: PLC0415

    return await _detecting(Silero)


async def _webrtc() -> Costs:
    from audio_connector.engines.webrtc import WebRtc  # noqa: PLC0415

    return await _detecting(WebRtc)


async def _minilm() -> Costs:
    from audio_connector.engines.minilm import MiniLm  # noqa: PLC0415

    engine = MiniLm()

    async def work() -> tuple[str, float]:
        began_at = time.perf_counter()
        await engine.embed([SENTENCE])
        took_ms = (time.perf_counter() - began_at) * 1e3
        return f"{took_ms:.1f} ms a sentence", took_ms

    return await _costs(engine, work)


async def _speaker() -> Costs:
    from audio_connector.engines.speaker import Speaker  # noqa: PLC0415

    engine = Speaker()
    audio, rate_hz = read_wav(str(files("audio_connector") / "samples" / SAMPLE))

    async def work() -> tuple[str, float]:
        began_at = time.perf_counter()
        await engine.encode(audio, sample_rate=rate_hz)
        took_ms = (time.perf_counter() - began_at) * 1e3 / (len(audio) / 2 / rate_hz)
        return f"{took_ms:.0f} ms for each second of speech", took_ms

    return await _costs(engine, work)


_MEASURES: Final[Mapping[str, Callable[[], Coroutine[Any, Any, Costs]]]] = {
    "whisper-tiny.en": lambda: _whisper("tiny.en"),
    "whisper-base": lambda: _whisper("base"),
    "piper": _piper,
    "espeak-ng": _espeak,
    "silero": _silero,
    "webrtcvad": _webrtc,
    "minilm": _minilm,
    "speaker": _speaker,
}
MEASURED: Final = frozenset(_MEASURES)
"""The engines that can be measured: those that work here, without a bill for it."""
