# SPDX-License-Identifier: Apache-2.0
"""Counts as text, read again by the parser of prometheus-client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from audio_connector import __version__
from audio_connector.port.meters import METRICS, Meters, Snapshot
from audio_connector.server.prometheus import PREFIX, text_of


def samples_of(snapshot: Snapshot) -> dict[tuple[str, tuple[str, ...]], float]:
    text, _ = text_of(snapshot)
    samples: list[Sample] = [
        each for family in text_string_to_metric_families(text.decode()) for each in family.samples
    ]
    return {
        (each.name.removeprefix(f"{PREFIX}_"), tuple(each.labels.values())): each.value for each in samples
    }


def test_what_never_happened_is_there_as_zero() -> None:
    samples = samples_of([])
    assert samples.pop(("info", (__version__,))) == 1.0
    assert set(samples.values()) == {0.0}
    text = text_of([])[0].decode()
    for name, metric in METRICS.items():
        assert (f"# TYPE {PREFIX}_{name}" in text) == (not metric.labels and metric.kind != "min"), name


def test_a_histogram_is_cumulative() -> None:
    meters = Meters()
    for value in (0.001, 0.0011, 0.3, 99.0):
        meters.observe("loop_lag_seconds", value, "sockets")
    samples = samples_of(meters.snapshot())
    counts = [
        samples["loop_lag_seconds_bucket", (bound, "sockets")]
        for bound in ("0.001", "0.0025", "0.2", "0.5", "+Inf")
    ]
    assert counts == [1, 2, 2, 3, 4]
    assert samples["loop_lag_seconds_count", ("sockets",)] == 4
    assert samples["loop_lag_seconds_sum", ("sockets",)] == 99.3021


def test_labels_are_escaped_as_they_should_be() -> None:
    name = 'a"b\\c\nd'
    samples = samples_of([("errors", (name,), 2.0), ("calls_ended", ("router", "1000"), 3.0)])
    assert samples["errors_total", (name,)] == 2.0
    assert samples["calls_ended_total", ("router", "1000")] == 3.0
