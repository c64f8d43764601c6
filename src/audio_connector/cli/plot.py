# SPDX-License-Identifier: Apache-2.0
"""A drawing of a demo call: both sides, and the depth of the router's buffer, over time."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio_connector.audio.format import FRAME_MS, SAMPLE_BYTES
from audio_connector.cli.stage import FULL_SCALE, Stage, Tap, find_samples
from audio_connector.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPOKEN, _HEARD, _DEPTH = "#1f6fb4", "#c8541b", "#4d4d4d"
_COLUMNS = 1600


def check_plot(path: Path) -> None:
    """Check before the demo runs that a drawing can be made.

    Raises:
        UsageError: matplotlib is missing, the file is of an unknown kind, or its folder does not exist.
    """
    if find_spec("matplotlib") is None:
        raise UsageError("--save-plot needs matplotlib: pip install 'audio-connector[plot]'")
    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise UsageError(f"--save-plot {path}: expected a file that ends in .png, .svg or .pdf")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--save-plot {path}: there is no folder {path.absolute().parent}")


def save_plot(path: Path, stage: Stage) -> None:
    """Draw the call.

    Args:
        path: The file to write; its ending says the kind.
        stage: The demo, finished.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra, and slow to import

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.4))
    _draw_side(top, stage.spoken, stage, "caller says", _SPOKEN)
    _draw_side(middle, stage.heard, stage, "session hears", _HEARD)
    if stage.depths:
        seconds, depths_ms = zip(*stage.depths, strict=True)
        bottom.fill_between(seconds, depths_ms, step="post", color=_DEPTH, alpha=0.6, linewidth=0)
    bottom.set_ylabel("router's\nbuffer, ms")
    bottom.set_ylim(bottom=0)
    bottom.set_xlabel("seconds since the connection was made")
    bottom.set_xlim(0, max(stage.spoken.seconds, stage.heard.seconds, FRAME_MS / 1000))
    figure.suptitle(f"A parrot on an Audio Connector server, {stage.spoken.rate_hz / 1000:g} kHz")
    figure.savefig(path, dpi=120)


def _draw_side(axes: Axes, tap: Tap, stage: Stage, label: str, color: str) -> None:
    samples = np.frombuffer(bytes(tap.pcm), "<i2").astype(np.float32) / FULL_SCALE
    step = max(1, len(samples) // _COLUMNS)
    columns = samples[: len(samples) // step * step].reshape(-1, step)
    seconds = np.arange(len(columns)) * step / tap.rate_hz
    if len(columns):
        axes.fill_between(seconds, columns.min(axis=1), columns.max(axis=1), color=color, linewidth=0.4)
    peak = float(np.abs(samples).max()) if len(samples) else 0.0
    axes.set_ylim(-1.25 * peak or -1, 1.25 * peak or 1)
    axes.set_yticks([])
    axes.set_ylabel(label)
    start = 0
    for number, sentence in enumerate(stage.sentences, start=1):
        at = find_samples(bytes(tap.pcm), sentence, start)
        if at < 0:
            continue
        start = at + len(sentence)
        begin_s, end_s = (position / SAMPLE_BYTES / tap.rate_hz for position in (at, start))
        axes.axvspan(begin_s, end_s, color=color, alpha=0.1, linewidth=0)
        axes.text(begin_s, 1.1 * peak, f" sentence {number}", va="top", fontsize=8, color=color)
