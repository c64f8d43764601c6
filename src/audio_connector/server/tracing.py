# SPDX-License-Identifier: Apache-2.0
"""Calls, utterances and barge-ins as spans of OpenTelemetry (extra ``otel``), and times of a blocked loop.

The tracer is that of the provider that the application has set up. A span is made and ended on the application's
side, never in the I/O thread, since what a processor does with it may take its time; and never for a frame.

Times are those of the I/O side's clock, counted from one look at the wall clock for each call: a span that is known
only afterwards is dated back, and a wall clock that is set meanwhile bends no duration.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from audio_connector._version import __version__
from audio_connector.call.tells import Figures, Opened
from audio_connector.errors import AudioConnectorStartServerError
from audio_connector.playback.speech import Flushed, Interrupted, Played
from audio_connector.port.host import Block
from audio_connector.server.plain_talk import PlainTalk
from audio_connector.wire.episodes import Episodes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, Tracer
    from opentelemetry.util.types import AttributeValue

    Attributes = Mapping[str, AttributeValue]

logger = logging.getLogger("audio_connector.server")

INSTALL = (
    "got monitoring.traces=True, and opentelemetry is not installed: pip install 'audio-connector[otel]', and set up "
    "a tracer provider with opentelemetry-sdk; or leave traces out"
)
NO_PROVIDER = (
    "monitoring.traces is on and no tracer provider is set up, so that the spans go nowhere: call "
    "opentelemetry.trace.set_tracer_provider() when the program starts, or start it with opentelemetry-instrument"
)
TRACEPARENT = "traceparent"
"""The header by which a trace goes on (W3C Trace Context 3.2)."""


class Tracing:
    """Makes the spans of one server, on the application's loop.

    Args:
        pause_s: A silence of so long ends what is written plainly.

    Raises:
        AudioConnectorStartServerError: OpenTelemetry is not installed.
    """

    def __init__(self, pause_s: float) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise AudioConnectorStartServerError(INSTALL) from error
        self._spans = _Spans(trace.get_tracer("audio_connector", __version__))
        self._loop = asyncio.get_running_loop()
        self._pause_s = pause_s
        self.clock: Callable[[], float] = time.monotonic
        """That of the I/O side; whoever has this sets it."""
        self._has_looked = False

    def open(self, opened: Opened, attributes: Attributes) -> CallTrace:
        """Begin the span of a call: in the trace that its upgrade names, linked with that of who had it before."""
        from opentelemetry.trace import SpanKind, set_span_in_context  # noqa: PLC0415

        self._look_for_provider()
        context = _context_of(opened.upgrade.headers.get(TRACEPARENT) or "")
        epoch_ns = _epoch_ns(self.clock())
        span = self._spans.start(
            "call",
            context,
            kind=SpanKind.SERVER,
            attributes=attributes,
            links=_links_to(opened.trace),
            start_time=epoch_ns + _ns(self.clock()),
        )
        return CallTrace(
            self._spans,
            set_span_in_context(span, context),
            clock=self.clock,
            epoch_ns=epoch_ns,
            post=self._post,
            pause_s=self._pause_s,
        )

    def note_block(self, block: Block) -> None:
        """Tell of a time in which the application's loop was blocked; from any thread."""
        self._post(self._tell_block, block)

    def _tell_block(self, block: Block) -> None:
        from opentelemetry.context import Context  # noqa: PLC0415

        start_ns = _epoch_ns(self.clock()) + _ns(block.began_at)
        attributes = {"audio_connector.block.cause": block.cause, "audio_connector.block.place": block.place}
        span = self._spans.start("blocked event loop", Context(), attributes=attributes, start_time=start_ns)
        self._spans.end(span, start_ns + _ns(block.seconds))

    def _post(self, work: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed, and nobody would export anything
            self._loop.call_soon_threadsafe(work, *arguments)

    def _look_for_provider(self) -> None:
        from opentelemetry import trace  # noqa: PLC0415

        if not self._has_looked:
            self._has_looked = True
            if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
                logger.warning(NO_PROVIDER)


class _Spans:
    """Begins and ends spans: a sampler or a processor of the application that raises costs a span, and no call."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._failures: Episodes[str] = Episodes("others")

    def start(self, name: str, context: Context, **options: Any) -> Span:  # noqa: ANN401 - as of a tracer
        """Begin one; where that fails, one that tells nobody anything."""
        from opentelemetry.trace import INVALID_SPAN  # noqa: PLC0415

        try:
            return self._tracer.start_span(name, context, **options)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._report(error)
            return INVALID_SPAN

    def end(self, span: Span, at_ns: int) -> None:
        """End one."""
        try:
            span.end(at_ns)
        except Exception as error:  # noqa: BLE001 - it is logged
            self._report(error)

    def _report(self, error: Exception) -> None:
        word = self._failures.note(type(error).__name__, time.monotonic())
        if word is not None:
            text = "a span was lost, since what the tracer provider is made of failed (%d times since the last line)"
            logger.error(text, word.times, exc_info=error)


class CallTrace:
    """The span of a call, and those below it; every method may be called from any thread, `end` on the loop.

    ``post`` has something done on the application's loop.
    """

    def __init__(
        self,
        spans: _Spans,
        context: Context,
        *,
        clock: Callable[[], float],
        epoch_ns: int,
        post: Callable[..., None],
        pause_s: float,
    ) -> None:
        from opentelemetry.trace import format_trace_id, get_current_span  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        self._spans, self._context = spans, context
        self._span = get_current_span(context)
        self._clock, self._epoch_ns, self._post = clock, epoch_ns, post
        self._speeches: dict[int, Span] = {}
        self._talk = PlainTalk(pause_s)
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, context)
        self.traceparent = carrier.get(TRACEPARENT, "")
        """What another worker links to; empty where nothing is recorded by any provider."""
        self.trace_id = format_trace_id(self._span.get_span_context().trace_id)

    def enter(self) -> None:
        """Have spans that are begun in the current context belong to this call."""
        from opentelemetry.context import attach  # noqa: PLC0415

        attach(self._context)

    def note(self, name: str) -> None:
        """Something has happened to the call."""
        self._span.add_event(name, timestamp=self._at(self._clock()))

    def set(self, attributes: Attributes) -> None:
        """Something is known of it."""
        self._span.set_attributes(attributes)

    def begin_speech(self, number: int) -> None:
        """It was asked for; in the thread that asks."""
        attributes = {"audio_connector.utterance.kind": "speech"}
        self._speeches[number] = self._spans.start(
            "utterance", self._context, attributes=attributes, start_time=self._at(self._clock())
        )

    def finish_speech(self, number: int, outcome: Played | Interrupted) -> None:
        """It was heard, or cut; in the I/O side's thread."""
        if (span := self._speeches.pop(number, None)) is not None:
            self._post(self._end_speech, span, outcome, self._at(self._clock()))

    def follow(self, figures: Figures) -> None:
        """Look what is heard that no speech has said; in the I/O side's thread, ten times a second at most."""
        for talk in self._talk.follow(figures, self._clock()):
            self._post(self._tell_talk, *talk)

    def barge_in(self, asked_at: float, flushed: Flushed) -> None:
        """What was said was cut."""
        attributes = {
            "audio_connector.played_ms": flushed.played_ms,
            "audio_connector.discarded_ms": flushed.discarded_ms,
        }
        self._tell("barge-in", attributes, asked_at, self._clock())

    def end(self, attributes: Attributes, error_type: str | None) -> None:
        """The call is over, or has gone to another worker; by which error, where it is one."""
        from opentelemetry.trace import Status, StatusCode  # noqa: PLC0415

        for talk in self._talk.finish():
            self._tell_talk(*talk)
        self._span.set_attributes(attributes)
        if error_type is not None:
            self._span.set_attribute("error.type", error_type)
            self._span.set_status(Status(StatusCode.ERROR))
        self._spans.end(self._span, self._at(self._clock()))

    def _tell_talk(self, began_at: float, ended_at: float) -> None:
        attributes: Attributes = {
            "audio_connector.utterance.kind": "plain",
            "audio_connector.played_ms": (ended_at - began_at) * 1000,
        }
        self._tell("utterance", attributes, began_at, ended_at)

    def _tell(self, name: str, attributes: Attributes, began_at: float, ended_at: float) -> None:
        start_ns = self._at(began_at)
        span = self._spans.start(name, self._context, attributes=attributes, start_time=start_ns)
        self._spans.end(span, self._at(ended_at))

    def _end_speech(self, span: Span, outcome: Played | Interrupted, at_ns: int) -> None:
        is_cut = isinstance(outcome, Interrupted)
        span.set_attribute("audio_connector.utterance.outcome", "interrupted" if is_cut else "played")
        span.set_attribute("audio_connector.played_ms", outcome.played_ms)
        if isinstance(outcome, Interrupted):
            span.set_attribute("audio_connector.discarded_ms", outcome.discarded_ms)
        self._spans.end(span, at_ns)

    def _at(self, seconds: float) -> int:
        return self._epoch_ns + _ns(seconds)


def _context_of(traceparent: str) -> Context:
    """That of a trace that goes on, and nothing else: no baggage of a peer reaches what the application calls."""
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent}, Context())


def _links_to(traceparent: str) -> list[Link]:
    from opentelemetry.trace import Link, get_current_span  # noqa: PLC0415

    before = get_current_span(_context_of(traceparent)).get_span_context()
    return [Link(before)] if before.is_valid else []


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _epoch_ns(now: float) -> int:
    """The wall clock's time at the zero of the I/O side's clock."""
    return time.time_ns() - _ns(now)
