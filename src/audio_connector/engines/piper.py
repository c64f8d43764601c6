# SPDX-License-Identifier: Apache-2.0
"""Text to speech with Piper on this machine: ``pip install 'audio-connector[piper]'``.

Piper is under the GPL, version 3 or later. It runs as a program of its own, started by `main` below, and is spoken to
over its pipes; nothing of it is loaded into the process of the application.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from audio_connector.engines.base.child import Child, serve
from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.models import find, locate, missing
from audio_connector.engines.base.sentences import sentences
from audio_connector.engines.base.work import Stop, Worker
from audio_connector.errors import UsageError

PIECE_MS: Final = 100
"""Of audio in one piece: enough for five frames, and little to throw away where a caller interrupts."""

_INSTALL: Final = "pip install 'audio-connector[piper]'"


class Piper:
    """A Piper voice, in a process of its own; a `Synthesiser`.

    Args:
        voice: Its name, ``en_US-joe-medium``, or its file, ``voice.onnx`` with ``voice.onnx.json`` beside it.
        speed: How fast it speaks; 1 as the voice was made.
        threads: Of the process. One leaves the others to the calls.
        download: Whether `warm` may fetch a voice that is not there by Piper's own list of voices, some 60 MB.
    """

    def __init__(
        self,
        voice: str | Path = "en_US-joe-medium",
        *,
        speed: float = 1.0,
        threads: int = 1,
        download: bool = False,
    ) -> None:
        if not 0.25 <= speed <= 4:  # noqa: PLR2004 - beyond it is no speech
            raise UsageError(f"got speed={speed!r}; expected 0.25 to 4")
        self._voice = voice
        self._speed = speed
        self._threads = threads
        self._download = download
        self._rate_hz: int | None = None
        self._worker: Worker[Child] = Worker(self.name, self._load, unload=Child.close)

    @property
    def name(self) -> str:
        """What errors and progress call it."""
        return f"piper {Path(self._voice).name}"

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the audio that `say` gives: 22,050 for most voices, as the file beside the voice has it.

        Raises:
            EngineMissing: The voice is not there.
            EngineError: The file has no rate.
        """
        if self._rate_hz is None:
            self._rate_hz = self._read_rate()
        return self._rate_hz

    async def warm(self) -> None:
        """Start the process and load the voice.

        Raises:
            EngineMissing: Piper or the voice is not there.
            EngineError: The process cannot be started.
        """
        await self._worker.warm()

    async def close(self) -> None:
        """End the process."""
        await self._worker.close()

    async def say(self, text: str, *, language: str | None = None) -> AsyncGenerator[bytes, None]:
        """Iterate over the speech, in pieces of 100 ms; a voice has one language, so ``language`` changes nothing.

        Piper makes a sentence as a whole, so what comes before a first comma is made alone. A sentence is asked for
        when the one before was taken. Closing the iterator stops the process at its next piece, and what it has made
        in vain is dropped.

        Raises:
            EngineMissing: Piper or the voice is not there.
            EngineError: The process died; the next call starts another one.
        """
        for sentence in sentences(text, quick=True):
            request = {"text": sentence, "speed": self._speed}
            async with aclosing(self._worker.stream(partial(_ask, request))) as made:
                async for piece in made:
                    yield piece

    def _load(self) -> Child:
        if find_spec("piper") is None:
            raise EngineMissing("piper-tts is not installed", mend=_INSTALL)
        name, files, folder = self._wanted()
        get = (lambda empty: fetch(str(self._voice), empty)) if self._download and folder is None else None
        voice = find(name, files, path=folder, download=get)[files[0]]
        child = Child(self.name, __name__, str(voice), str(self._threads))
        child.start()
        return child

    def _wanted(self) -> tuple[str, tuple[str, str], Path | None]:
        """What the voice is called, its two files, and the folder where one was given."""
        path = Path(self._voice)
        if path.suffix == ".onnx":
            return path.stem, (path.name, f"{path.name}.json"), path.parent
        return f"piper-{path}", (f"{path}.onnx", f"{path}.onnx.json"), None

    def _read_rate(self) -> int:
        name, files, folder = self._wanted()
        located = locate(name, files, path=folder)
        if located is None:
            raise missing(name, files, path=folder)
        (path,) = located.files[files[1]]
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["audio"]["sample_rate"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineError(
                f"{path} has no audio.sample_rate ({error}); expected the file of a Piper voice; get it anew"
            ) from error


def _ask(request: dict[str, Any], child: Child, stop: Stop) -> Iterator[bytes]:
    return child.ask(request, stop)


def fetch(voice: str, folder: Path) -> None:
    """Fetch a voice from where Piper has its voices, by a program of Piper's own.

    Raises:
        EngineMissing: Piper is not installed.
        EngineError: There is no voice of that name, or it cannot be reached.
    """
    import subprocess  # noqa: PLC0415 - for this alone
    import sys  # noqa: PLC0415

    if find_spec("piper") is None:
        raise EngineMissing("piper-tts is not installed", mend=_INSTALL)
    command = [sys.executable, "-m", "piper.download_voices", "--download-dir", str(folder), voice]
    done = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise EngineError(
            f"piper {voice} cannot be fetched: {last}; expected the name of a voice, and a network"
        )


def main(voice: str, threads: str) -> None:
    """Be the process that speaks: the only place that loads Piper."""

    def load() -> tuple[dict[str, Any], Any]:
        piper, onnx = import_module("piper"), import_module("onnxruntime")
        options = onnx.SessionOptions()
        options.intra_op_num_threads = int(threads)
        options.inter_op_num_threads = 1
        loaded = piper.PiperVoice.load(voice)
        # Piper makes its session with as many threads as there are cores.
        loaded.session = onnx.InferenceSession(
            voice, sess_options=options, providers=["CPUExecutionProvider"]
        )
        list(loaded.synthesize("Ready."))  # the first sentence takes twice as long as the others
        return {}, lambda request: _pieces(piper, loaded, request)

    serve(load)


def _pieces(piper: Any, voice: Any, request: dict[str, Any]) -> Iterator[bytes]:  # noqa: ANN401 - its package's
    config = piper.SynthesisConfig(length_scale=(voice.config.length_scale or 1.0) / request["speed"])
    for chunk in voice.synthesize(request["text"], config):
        audio = chunk.audio_int16_bytes
        length = chunk.sample_rate * PIECE_MS // 1000 * 2
        for begin in range(0, len(audio), length):
            yield audio[begin : begin + length]
