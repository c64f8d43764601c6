# SPDX-License-Identifier: Apache-2.0
"""Counts as the text that Prometheus reads, by prometheus-client (extra ``metrics``)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from audio_connector._version import __version__
from audio_connector.port.meters import METRICS, Metric, Snapshot

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family

PREFIX = "audio_connector"


def text_of(snapshot: Snapshot) -> tuple[bytes, str]:
    """Return the text, and its content type.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    from prometheus_client.core import CollectorRegistry  # noqa: PLC0415 - an extra
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        from prometheus_client.core import InfoMetricFamily  # noqa: PLC0415

        yield InfoMetricFamily(PREFIX, "The library.", value={"version": __version__})
        for name, metric in METRICS.items():
            rows = [(labels, sample) for named, labels, sample in self._snapshot if named == name]
            if rows or not (metric.labels or metric.kind == "min"):
                yield _family(name, metric, rows)


def _family(name: str, metric: Metric, rows: Iterable[tuple[tuple[str, ...], float | list[float]]]) -> Family:
    from prometheus_client.core import (  # noqa: PLC0415
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    full = f"{PREFIX}_{name}"
    kinds = {"counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    family: Any = kinds.get(metric.kind, GaugeMetricFamily)(full, metric.about, labels=metric.labels)
    rows = list(rows) or [((), [0.0] * (len(metric.buckets) + 2) if metric.buckets else 0.0)]
    for labels, sample in sorted(rows):
        if isinstance(sample, list):
            family.add_metric(labels, _buckets(metric, sample[:-1]), sum_value=sample[-1])
        else:
            family.add_metric(labels, sample)
    made: Family = family
    return made


def _buckets(metric: Metric, counts: list[float]) -> list[tuple[str, float]]:
    """Each with all that is below it, as Prometheus has them."""
    bounds = [*(str(bound) for bound in metric.buckets), "+Inf"]
    sums = [sum(counts[: at + 1]) for at in range(len(counts))]
    return list(zip(bounds, sums, strict=True))
