# SPDX-License-Identifier: Apache-2.0
"""The same as `ours`, traced: spans of each call go into a batch, and from there nowhere. Arguments: as of `ours`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from benchmarks.servers.echo import on_connect
from benchmarks.servers.ours import serve
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from audio_connector import Monitoring


class _Nowhere(SpanExporter):
    """What an exporter costs is not ours."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def to_nowhere() -> Monitoring:
    """Have spans made; returns the setting that does."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    trace.set_tracer_provider(provider)
    return Monitoring(traces=True)


def main() -> None:
    """Serve."""
    asyncio.run(serve(on_connect, sys.argv[1:], monitoring=to_nowhere()))


if __name__ == "__main__":
    main()
