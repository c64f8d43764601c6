# SPDX-License-Identifier: Apache-2.0
"""Calls, utterances and barge-ins become spans, children where they should be, with the times of what happened."""

from __future__ import annotations

import asyncio
import builtins
import itertools
import logging
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.audio import numbered
from support.conversation import Conversation
from support.spans import Spans, is_child, seconds_of

from audio_connector import AudioConnectorConnection, AudioConnectorServer, AudioConnectorStartServerError
from audio_connector.call.tells import Opened
from audio_connector.port.host import Block
from audio_connector.server.tracing import NO_PROVIDER, Tracing
from audio_connector.testing.virtual_time import in_virtual_time, run_in_virtual_time
from audio_connector.wire.transport import Headers, Upgrade

TRACED: dict[str, Any] = {"traces": True}
HEADERS = (
    ("connectionid", "c1"),
    ("x-opentok-ws-sessionid", "s1"),
    ("user-agent", "router/1 \x1b[2J" + "a" * 500),
)
SECOND = numbered(7, 640) * 50
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def spans() -> Spans:
    return Spans()


@in_virtual_time
async def test_a_call_is_a_span_that_says_who_came_and_how_it_ended(spans: Spans) -> None:
    async with Conversation(
        lambda client: client.set_handler(on_audio=lambda _: None),
        headers=HEADERS,
        path="/voice/eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjF9.c2ln?token=secret",
        rate_hz=8000,
        monitoring=TRACED,
    ) as call:
        await asyncio.sleep(12.0)
        call.router_socket.close(1000, "bye\nforged")
        await call.session.task
    span = spans.one("call")
    assert span.kind is SpanKind.SERVER
    assert seconds_of(span) == pytest.approx(12.0, abs=0.5)
    assert span.status.status_code is StatusCode.UNSET
    said = dict(span.attributes or {})
    agent = said.pop("user_agent.original")
    assert isinstance(agent, str)
    assert agent.isprintable()
    assert len(agent) < 220
    assert isinstance(said.pop("client.port"), int)
    assert said == {
        "network.protocol.name": "websocket",
        "url.scheme": "ws",
        "url.path": "/voice/…",  # where a token is part of the path as well
        "client.address": "127.0.0.1",
        "audio_connector.connection.id": "c1",
        "audio_connector.session.id": "s1",
        "audio_connector.is_resumed": False,
        "audio_connector.audio.sample_rate_hz": 8000,
        "audio_connector.audio.received_ms": 0.0,
        "audio_connector.audio.sent_ms": 0.0,
        "audio_connector.audio.dropped_ms": 0.0,
        "audio_connector.audio.unsent_ms": 0.0,
        "audio_connector.underruns": 0,
        "audio_connector.close.by": "router",
        "audio_connector.close.code": 1000,
        "audio_connector.close.reason": "'bye\\nforged'",
    }


@in_virtual_time
async def test_a_call_that_fails_is_an_error(spans: Spans) -> None:
    def on_connect(client: AudioConnectorConnection) -> None:
        raise ValueError

    async with Conversation(on_connect, monitoring=TRACED):
        pass
    span = spans.one("call")
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "1011"


@in_virtual_time
async def test_a_speech_is_an_utterance_from_its_beginning_until_it_was_heard(spans: Spans) -> None:
    async with Conversation(monitoring=TRACED) as call:
        async with call.client.speech() as speech:
            await asyncio.sleep(1.0)
            await speech.write(SECOND * 2)
        await speech.finished()
        await asyncio.sleep(1.0)
    utterance = spans.one("utterance")
    assert is_child(utterance, spans.one("call"))
    assert seconds_of(utterance) == pytest.approx(3.0, abs=0.1)
    assert utterance.attributes == {
        "audio_connector.utterance.kind": "speech",
        "audio_connector.utterance.outcome": "played",
        "audio_connector.played_ms": 2000.0,
    }


@in_virtual_time
async def test_a_barge_in_is_one_and_says_what_it_cut(spans: Spans) -> None:
    async with Conversation(monitoring=TRACED) as call:
        async with call.client.speech() as speech:
            await speech.write(SECOND * 3)
        await asyncio.sleep(1.0)
        flushed = await call.client.flush_buffer()
        await asyncio.sleep(1.0)
    cut, utterance = spans.one("barge-in"), spans.one("utterance")
    assert is_child(cut, spans.one("call"))
    assert cut.attributes == {
        "audio_connector.played_ms": flushed.played_ms,
        "audio_connector.discarded_ms": flushed.discarded_ms,
    }
    said = dict(utterance.attributes or {})
    assert said["audio_connector.utterance.outcome"] == "interrupted"
    assert said["audio_connector.discarded_ms"] == flushed.discarded_ms
    assert seconds_of(utterance) == pytest.approx(1.0, abs=0.1)


@in_virtual_time
async def test_what_the_end_of_the_call_cuts_is_ended_with_it(spans: Spans) -> None:
    async with Conversation(monitoring=TRACED) as call:
        async with call.client.speech() as speech:
            await speech.write(SECOND * 3)
        await asyncio.sleep(0.5)
    assert (spans.one("utterance").attributes or {})["audio_connector.utterance.outcome"] == "interrupted"


@in_virtual_time
async def test_plain_writing_between_silences_is_an_utterance(spans: Spans) -> None:
    async with Conversation(monitoring=TRACED) as call:
        for _ in range(3):
            for _ in range(50):
                await call.client.send_audio_buffer(SECOND[:640])
                await asyncio.sleep(0.02)
            await asyncio.sleep(2.0)
    assert [seconds_of(span) for span in spans.of("utterance")] == [pytest.approx(1.0, abs=0.05)] * 3
    assert {(span.attributes or {})["audio_connector.utterance.kind"] for span in spans.of("utterance")} == {
        "plain"
    }
    starts = [span.start_time or 0 for span in spans.of("utterance")]
    assert [(b - a) / 1e9 for a, b in itertools.pairwise(starts)] == [pytest.approx(3.0, abs=0.1)] * 2
    assert all(is_child(span, spans.one("call")) for span in spans.of("utterance"))


@in_virtual_time
async def test_a_frame_makes_no_span(spans: Spans) -> None:
    async with Conversation(
        lambda client: client.set_handler(on_audio=client.send_audio_buffer), monitoring=TRACED
    ) as call:
        for _ in range(500):
            await call.router_sends(SECOND[:640])
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)
    assert [span.name for span in spans.all] == ["utterance", "call"]
    assert seconds_of(spans.one("utterance")) == pytest.approx(10.0, abs=0.1)


@in_virtual_time
async def test_spans_of_the_application_are_children_of_the_call(spans: Spans) -> None:
    tracer = trace.get_tracer("bot")

    async def on_connect(client: AudioConnectorConnection) -> None:
        def on_audio(_: bytes) -> None:
            with tracer.start_as_current_span("in on_audio"):
                pass

        def on_disconnect() -> None:
            tracer.start_span("in on_disconnect").end()

        client.set_handler(on_audio=on_audio, on_disconnect=on_disconnect)
        with tracer.start_as_current_span("in on_connect"):
            await asyncio.sleep(0.1)

    async with Conversation(on_connect, monitoring=TRACED) as call:
        await call.router_sends(numbered(1, 640))
        tracer.start_span("outside").end()
        await asyncio.sleep(1.0)
    for name in ("in on_connect", "in on_audio", "in on_disconnect"):
        assert is_child(spans.one(name), spans.one("call")), name
    assert spans.one("outside").parent is None


@in_virtual_time
async def test_a_trace_that_the_upgrade_names_goes_on(spans: Spans) -> None:
    async with Conversation(headers=(("traceparent", PARENT), ("baggage", "a=b")), monitoring=TRACED):
        pass
    span = spans.one("call")
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)


@pytest.mark.parametrize("header", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é" * 5000])
def test_a_header_that_names_none_begins_one(header: str, spans: Spans) -> None:
    @in_virtual_time
    async def scene() -> None:
        Tracing(0.4).open(opened(("traceparent", header)), {}).end({}, None)

    scene()
    assert spans.one("call").parent is None


@in_virtual_time
async def test_another_worker_links_to_the_one_before(spans: Spans) -> None:
    tracing = Tracing(0.4)
    first = tracing.open(opened(), {})
    first.end({}, None)
    tracing.open(opened(trace=first.traceparent), {}).end({}, None)
    before, after = spans.of("call")
    assert before.context is not None
    assert after.context is not None
    [link] = after.links
    assert link.context.span_id == before.context.span_id
    assert link.context.trace_id == before.context.trace_id != after.context.trace_id
    assert after.parent is None


@in_virtual_time
async def test_who_takes_a_call_over_is_told_the_trace_of_who_had_it(spans: Spans) -> None:
    async with Conversation(monitoring=TRACED) as call:
        told: list[Any] = []
        call.link.hand_over(None, told.append, lambda *tell: told.append(tell), replays=False)
        again = next(tell for _, tell in told if isinstance(tell, Opened))
        assert call.client._line.trace is not None
        assert again.trace == call.client._line.trace.traceparent != ""
        call.link.bind(None, call.running.deliver, call.running.note)


@in_virtual_time
async def test_a_blocked_loop_is_a_span_dated_back(spans: Spans) -> None:
    tracing = Tracing(0.4)
    loop = asyncio.get_running_loop()
    tracing.clock = loop.time
    await asyncio.sleep(5.0)
    tracing.note_block(Block("handler", "the handler slow (bot.py:7)", loop.time() - 3.0, 2.5))
    await asyncio.sleep(0)
    span = spans.one("blocked event loop")
    assert seconds_of(span) == pytest.approx(2.5)
    now_ns = trace.get_tracer("x").start_span("now")
    now_ns.end()
    assert ((spans.one("now").start_time or 0) - (span.start_time or 0)) / 1e9 == pytest.approx(3.0, abs=0.5)
    assert span.attributes == {
        "audio_connector.block.cause": "handler",
        "audio_connector.block.place": "the handler slow (bot.py:7)",
    }


@in_virtual_time
async def test_without_being_asked_for_there_is_none(spans: Spans) -> None:
    async with Conversation() as call:
        async with call.client.speech() as speech:
            await speech.write(SECOND)
        await call.client.flush_buffer()
    assert spans.all == []


@in_virtual_time
async def test_without_the_extra_a_server_does_not_start_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments)

    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    server = AudioConnectorServer({"host": "localhost", "port": 0, "monitoring": TRACED})
    with pytest.raises(AudioConnectorStartServerError) as caught:
        await server.__aenter__()
    assert "pip install 'audio-connector[otel]'" in str(caught.value)
    await server.stop()


@in_virtual_time
async def test_spans_that_go_nowhere_are_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)
    tracing = Tracing(0.4)
    with caplog.at_level(logging.WARNING, logger="audio_connector.server"):
        for _ in range(3):
            tracing.open(opened(), {}).end({}, None)
    assert [record.getMessage() for record in caplog.records] == [NO_PROVIDER]


def opened(*headers: tuple[str, str], trace: str = "") -> Opened:
    return Opened(Upgrade("/", "", Headers(list(headers)), ("127.0.0.1", 1), secure=False), trace=trace)


@pytest.mark.parametrize("fails", ["start_span", "end"])
def test_a_provider_that_fails_costs_spans_and_no_call(
    fails: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a processor raises comes out of start_span(): the call was never handed over, and stayed open."""

    def fail(*_: object, **__: object) -> None:
        raise LookupError("of the application")

    if fails == "end":
        monkeypatch.setattr("opentelemetry.sdk.trace.Span.end", fail)
    else:
        monkeypatch.setattr("opentelemetry.sdk.trace.Tracer.start_span", fail)
    Spans()
    heard: list[bytes] = []

    async def scene() -> None:
        async with Conversation(
            lambda client: client.set_handler(on_audio=heard.append), headers=HEADERS, monitoring=TRACED
        ) as call:
            async with call.client.speech() as speech:
                await speech.write(SECOND)
            await call.router_sends(numbered(7, 640))
            await speech.finished()
            call.router_socket.close(1000)
            await call.session.task

    run_in_virtual_time(scene())
    assert heard
    [line] = [record for record in caplog.records if "a span was lost" in record.getMessage()]
    assert line.exc_info
