# SPDX-License-Identifier: Apache-2.0
"""How alike two voices are, and how often a line between "the same" and "another" is wrong. No clock and no I/O.

A voice is a vector of length 1, and a score the product of two: 1 for the same audio, and for two people mostly less
than for two recordings of one. Where the line is to be drawn depends on the engine, the telephone line and the
people; `errors_at` and `equal_error` measure it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from audio_connector.engines import Vector
from audio_connector.errors import UsageError


def template(vectors: Sequence[Vector] | Vector) -> Vector:
    """Return the voice of several samples: their mean, of length 1."""
    mean = np.mean(np.stack(list(vectors)), axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)


def score(one: Vector, other: Vector) -> float:
    """Return how alike two voices are, -1 to 1."""
    return float(one @ other)


def oddest(vectors: Vector) -> float:
    """Return how alike the sample that fits the least is to the others, in the middle of them.

    Not how alike it is to the mean of all: the mean of two voices is near to both.
    """
    alike = vectors @ vectors.T
    others = [np.delete(row, at) for at, row in enumerate(alike)]
    return float(min((np.median(row) for row in others if len(row)), default=1.0))


def best(voice: Vector, known: Mapping[str, Vector]) -> tuple[str, float, float]:
    """Return who of those known it is the most, the score, and by how much that is more than the second one's.

    Raises:
        UsageError: Nobody is known.
    """
    ranked = sorted(((score(voice, each), name) for name, each in known.items()), reverse=True)
    if not ranked:
        raise UsageError("nobody is enrolled; expected somebody to compare with; see enrol")
    margin = ranked[0][0] - ranked[1][0] if len(ranked) > 1 else 2.0
    return ranked[0][1], ranked[0][0], margin


@dataclass(frozen=True)
class Errors:
    """How often a line is wrong.

    Attributes:
        threshold: A score from which on it counts as the same voice.
        false_rejects: The share of the right people who are refused.
        false_accepts: The share of the others who are let in.
    """

    threshold: float
    false_rejects: float
    false_accepts: float


def errors_at(threshold: float, genuine: Sequence[float], impostor: Sequence[float]) -> Errors:
    """Return how often a threshold is wrong.

    Args:
        threshold: A score.
        genuine: Scores of people against themselves.
        impostor: Scores of people against others.

    Raises:
        UsageError: One of them has no score.
    """
    if not len(genuine) or not len(impostor):
        raise UsageError(
            f"got {len(genuine)} scores of the same voice and {len(impostor)} of others; expected some of both: "
            "two speakers at least, with several recordings each"
        )
    rejects = float(np.mean(np.asarray(genuine) < threshold))
    return Errors(threshold, rejects, float(np.mean(np.asarray(impostor) >= threshold)))


def equal_error(genuine: Sequence[float], impostor: Sequence[float]) -> Errors:
    """Return the errors at the threshold where both are equally frequent, or as nearly as the scores allow.

    Where several thresholds are as good, as between two groups that do not overlap, it is the one in the middle.
    """
    errors_at(0.0, genuine, impostor)  # or there is nothing to measure
    scores = np.unique(np.concatenate([np.asarray(genuine, float), np.asarray(impostor, float)]))
    edges = np.concatenate([[scores[0] - 1e-6], (scores[1:] + scores[:-1]) / 2, [scores[-1] + 1e-6]])
    rejects = np.searchsorted(np.sort(genuine), edges) / len(genuine)
    accepts = 1 - np.searchsorted(np.sort(impostor), edges) / len(impostor)
    gaps = np.abs(rejects - accepts)
    good = edges[gaps <= gaps.min() + 1e-12]
    return errors_at(float(good[np.argmin(np.abs(good - np.mean(good)))]), genuine, impostor)
