# SPDX-License-Identifier: Apache-2.0
"""Speech to text with Whisper on this machine, by faster-whisper: ``pip install 'audio-connector[whisper]'``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.floats import to_floats
from audio_connector.engines.base.hearing import EVERY_S, RepeatedHearing
from audio_connector.engines.base.models import find
from audio_connector.engines.base.ports import Transcript, Word
from audio_connector.engines.base.work import Stop, Worker
from audio_connector.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ: Final = 16_000
FILES: Final = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")
SHORTEST_S: Final = 0.1
"""Less than this is no word, and makes Whisper invent some."""

# Whisper was trained on 30 s, and most of a decode goes into the silence behind a short utterance. 15 s and,
# behind longer ones, 5 s of silence were as good on 17 sentences (tiny.en: 6.9 % of words wrong instead of 7.4) and
# took 0.57 of the time; with 10 s it began to say "No? No? No?". What repeats itself is decoded again in full.
FULL_WINDOW, SHORTEST_WINDOW, AFTERWARDS = 3_000, 1_500, 500
"""In spectra of 10 ms."""
FULL_S: Final = FULL_WINDOW / 100
"""Longer audio is decoded window by window."""
REPEATING: Final = 2.4
"""By how much a text can be compressed that repeats itself; faster-whisper's own line."""


class FasterWhisper:
    """Whisper, in a thread of its own; a `Recogniser`, and a `Translator` from speech to English.

    A decode takes a third of a second with the smallest model, however short the audio is, and cannot be interrupted
    before its end: one instance is for one or two calls at a time.

    Args:
        model: Its size as faster-whisper names it, ``tiny.en``, ``base``, ``small``, or a folder with a model for
            CTranslate2.
        language: ISO 639-1, where `hear` and `transcribe` are not told; None lets Whisper guess, for 0.1 s more.
        beam_size: Sentences followed beside each other. 5 makes a third fewer errors than 1 and takes a third longer.
        words: Whether a final tells when each word was said, which takes some 0.1 s more.
        threads: Of each decode. One leaves the others to the calls.
        partial_every_s: Seconds of new audio between two partials.
        download: Whether `warm` may fetch a model that is not there from the model hub, some hundred megabytes.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        model: str | Path = "tiny.en",
        *,
        language: str | None = None,
        beam_size: int = 1,
        words: bool = False,
        threads: int = 1,
        partial_every_s: float = EVERY_S,
        download: bool = False,
    ) -> None:
        if beam_size < 1 or threads < 1 or not partial_every_s > 0:
            raise UsageError(
                f"got beam_size={beam_size!r}, threads={threads!r}, partial_every_s={partial_every_s!r}; expected "
                "1 or more, 1 or more, and more than 0"
            )
        self._model = model
        self._language = language
        self._beam_size = beam_size
        self._words = words
        self._threads = threads
        self._partial_every_s = partial_every_s
        self._download = download
        self._worker: Worker[Any] = Worker(self.name, self._load)

    @property
    def name(self) -> str:
        """What errors and progress call it."""
        return f"whisper {self._model}"

    async def warm(self) -> None:
        """Load the model.

        Raises:
            EngineMissing: faster-whisper or the model is not there, or a file of it.
        """
        await self._worker.warm()

    async def close(self) -> None:
        """Free the model, after the decode that is at work."""
        await self._worker.close()

    def hear(self, *, sample_rate: int, language: str | None = None) -> RepeatedHearing:
        """Begin an utterance whose audio comes piece by piece."""

        async def decode(audio: bytes, is_final: bool) -> Transcript:
            return await self._decode(audio, sample_rate, language=language, is_final=is_final)

        return RepeatedHearing(decode, sample_rate=sample_rate, every_s=self._partial_every_s)

    async def transcribe(self, audio: bytes, *, sample_rate: int, language: str | None = None) -> Transcript:
        """Return what was said in a whole utterance."""
        return await self._decode(audio, sample_rate, language=language, is_final=True)

    async def translate(
        self,
        text: str,
        *,
        source: str | None,
        target: str,
        audio: bytes | None = None,
        sample_rate: int | None = None,
    ) -> str:
        """Return in English what was said in ``audio``; it takes no text.

        Raises:
            EngineError: There is no audio, another language than English is wanted, or the model knows English only.
        """
        if audio is None or sample_rate is None or target != "en":
            given = "text alone" if audio is None or sample_rate is None else f"target {target!r}"
            raise EngineError(
                f"{self.name} translates speech, and to English: got {given}; expected audio, its sample_rate and "
                "target='en'; use another translator for the rest"
            )
        if source == "en":
            return text
        if str(self._model).endswith(".en"):
            raise EngineError(
                f"{self.name} knows English only; expected a model without '.en', such as 'base'"
            )
        heard = await self._decode(audio, sample_rate, language=source, is_final=True, task="translate")
        return heard.text

    async def _decode(
        self,
        audio: bytes,
        sample_rate: int,
        *,
        language: str | None,
        is_final: bool,
        task: str = "transcribe",
    ) -> Transcript:
        def job(model: Any, stop: Stop) -> Transcript:  # noqa: ANN401 - as in _load
            samples = to_floats(audio, sample_rate, RATE_HZ)
            options = {
                "language": language or self._language,
                "task": task,
                # Else a clip that it is unsure of is decoded up to six times; one took 11 s.
                "temperature": 0.0,
                # A partial is there to be quick, and is corrected soon.
                "beam_size": self._beam_size if is_final else 1,
                "word_timestamps": self._words and is_final,
                "condition_on_previous_text": False,
            }
            return _transcribe(model, samples, options, stop, is_final=is_final)

        return await self._worker.run(job, gives_way=not is_final)

    def _load(self) -> Any:  # noqa: ANN401 - a WhisperModel, whose package has no types
        if find_spec("faster_whisper") is None:
            raise EngineMissing(
                "faster-whisper is not installed", mend="pip install 'audio-connector[whisper]'"
            )
        folder = self._folder()
        whisper = import_module("faster_whisper")
        return _with_windows(whisper)(
            str(folder), device="cpu", compute_type="int8", cpu_threads=self._threads, local_files_only=True
        )

    def _folder(self) -> Path:
        if Path(self._model).is_dir():
            return _checked(Path(self._model))
        name = str(self._model)
        get = (lambda folder: fetch(name, folder)) if self._download else None
        return find(f"whisper-{name}", _files(name), download=get)["model.bin"].parent


def fetch(model: str, folder: Path) -> None:
    """Fetch a model from the model hub, by faster-whisper's own list of them.

    Raises:
        EngineMissing: faster-whisper is not installed.
        EngineError: There is no model of that name, or the hub cannot be reached.
    """
    if find_spec("faster_whisper") is None:
        raise EngineMissing("faster-whisper is not installed", mend="pip install 'audio-connector[whisper]'")
    utils, hub = import_module("faster_whisper.utils"), import_module("huggingface_hub")
    repository = utils._MODELS.get(model)
    if repository is None:
        raise EngineError(
            f"whisper has no model {model!r}; expected one of {', '.join(sorted(utils._MODELS))}"
        )
    try:
        # Not by faster-whisper's own function, which hides the progress.
        hub.snapshot_download(repository, local_dir=str(folder), allow_patterns=[*FILES, "vocabulary.*"])
    except (OSError, ValueError, RuntimeError) as error:
        raise EngineError(
            f"whisper {model} cannot be fetched from the model hub: {type(error).__name__}: {error}; try again, or "
            "give a folder that has it"
        ) from error


def _checked(folder: Path) -> Path:
    """The folder that was given: without its tokenizer faster-whisper would fetch another one from the model hub."""
    absent = [name for name in FILES[:3] if not (folder / name).is_file()]
    if not any(path.is_file() for path in folder.glob("vocabulary.*")):
        absent.append(FILES[3])
    if absent:
        convert = f"ct2-transformers-converter --model MODEL --output_dir {folder} --force"
        raise EngineMissing(
            f"the folder {str(folder)!r} is no whole model of whisper: it has no {', '.join(absent)}",
            mend=f"{convert} --copy_files tokenizer.json",
        )
    return folder


def _files(model: str) -> Sequence[str]:
    # The large ones of the third generation have their vocabulary as JSON.
    is_third = "large-v3" in model or "turbo" in model or model == "large"
    return (*FILES[:3], "vocabulary.json") if is_third else FILES


def _with_windows(whisper: Any) -> Any:  # noqa: ANN401 - as above
    """A model that looks at no more than ``frames`` spectra of 10 ms, where that is not 0."""

    class Windowed(whisper.WhisperModel):  # type: ignore[misc]  # no types
        frames = 0

        def encode(self, features: NDArray[np.float32]) -> Any:  # noqa: ANN401 - as above
            return super().encode(features[..., : self.frames].copy() if self.frames else features)

    return Windowed


def _windows(audio_s: float) -> Iterator[int]:
    """The windows to try one after the other: a short one where the audio is short, and all of 30 s."""
    frames = max(SHORTEST_WINDOW, int(audio_s * 100) + AFTERWARDS)
    if frames < FULL_WINDOW:
        yield frames + frames % 2  # the network halves them
    yield 0


def _transcribe(
    model: Any,  # noqa: ANN401 - as above
    samples: NDArray[np.float32],
    options: dict[str, Any],
    stop: Stop,
    *,
    is_final: bool,
) -> Transcript:
    audio_s = len(samples) / RATE_HZ
    transcript = Transcript("", is_final=is_final, language=options["language"], audio_s=audio_s)
    if audio_s < SHORTEST_S or not samples.any():
        return transcript
    for window in _windows(audio_s):
        model.frames = window
        # In each window; with more than 448, which is all that the network has room for, none is decoded.
        most_tokens = int(20 + 10 * min(audio_s, FULL_S))
        segments, info = model.transcribe(samples, **options, max_new_tokens=most_tokens)
        done = []
        for segment in segments:  # each is decoded as it is asked for
            done.append(segment)
            if stop.is_set():
                return transcript
        transcript = replace(
            transcript,
            text=" ".join(segment.text.strip() for segment in done).strip(),
            language=info.language,
            words=tuple(_word(each) for segment in done for each in segment.words or ()),
        )
        if all(segment.compression_ratio < REPEATING for segment in done):
            break
    return transcript


def _word(word: Any) -> Word:  # noqa: ANN401 - as above
    return Word(word.word.strip(), float(word.start), float(word.end), float(word.probability))
