# SPDX-License-Identifier: Apache-2.0
"""Spans of OpenTelemetry, kept in memory: one provider for the whole run, as a program has one."""

from __future__ import annotations

from functools import cache

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


@cache
def _provide() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


class Spans:
    """Those that were ended since this was made."""

    def __init__(self) -> None:
        self._exporter = _provide()
        self._exporter.clear()

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def of(self, name: str) -> list[ReadableSpan]:
        """By name, as they began."""
        return sorted((span for span in self.all if span.name == name), key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        [span] = self.of(name)
        return span


def seconds_of(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e9


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    ours, theirs = span.parent, parent.context
    return (
        ours is not None
        and theirs is not None
        and (ours.trace_id, ours.span_id)
        == (
            theirs.trace_id,
            theirs.span_id,
        )
    )
