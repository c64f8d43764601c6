# SPDX-License-Identifier: Apache-2.0
"""Spans of real processes arrive at a receiver that decodes the real protocol; logs and spans name each other."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from support.otlp import attributes_of, otlp_receiver
from support.serving import until
from support.workers import guests, supervised

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no workers")

BOT = """
import logging
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from audio_connector import AudioConnectorServerConfig

provider = TracerProvider()
exporter = OTLPSpanExporter(endpoint="ENDPOINT", timeout=5)
provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=100))
trace.set_tracer_provider(provider)

async def on_connect(client):
    with trace.get_tracer("bot").start_as_current_span("greeting"):
        logging.getLogger("bot").warning("in on_connect")
        async with client.speech() as speech:
            await speech.write(bytes(64_000))
        if not client.is_resumed:
            await client.flush_buffer()
    await client.send_json_packet({"is_resumed": client.is_resumed})

config = AudioConnectorServerConfig(host="127.0.0.1", port=0, on_connect=on_connect)
"""


async def test_a_call_that_moves_to_another_worker_is_two_spans_that_are_linked(tmp_path: Path) -> None:
    with otlp_receiver() as received:
        bot = BOT.replace("ENDPOINT", received.endpoint)
        flags = "--traces", "--log-format", "json", "--log-level", "info", "--move-s", "0.2"
        headers = {"connectionid": "c1", "x-opentok-ws-sessionid": "s1"}
        with supervised(tmp_path, *flags, workers=1, bot=bot) as served:
            async with guests(served.address, "/bot?token=secret", additional_headers=headers) as [guest]:
                os.kill(served.pid, signal.SIGHUP)
                await until(lambda: any(word.get("is_resumed") for word in guest.told), "the other worker")
            await until(lambda: len(received.of("call")) == 2, "both spans")
            await until(lambda: len(received.of("utterance")) == 2, "those of the utterances")
            lines = [json.loads(line) for line in served.log.splitlines()]
    first, second = received.of("call")
    assert [(link.trace_id, link.span_id) for link in second.links] == [(first.trace_id, first.span_id)]
    assert not first.links
    assert attributes_of(first)["audio_connector.worker"] == 1
    assert attributes_of(second)["audio_connector.worker"] == 2
    assert attributes_of(second)["audio_connector.is_resumed"] is True
    for call in (first, second):
        said = attributes_of(call)
        assert said["audio_connector.connection.id"] == "c1"
        assert said["url.path"] == "/bot"
    [barge_in] = received.of("barge-in")
    [cut, heard] = received.of("utterance")
    [_, greeting] = received.of("greeting")
    assert barge_in.parent_span_id == cut.parent_span_id == first.span_id
    assert heard.parent_span_id == greeting.parent_span_id == second.span_id
    assert attributes_of(cut)["audio_connector.utterance.outcome"] == "interrupted"
    assert attributes_of(heard)["audio_connector.utterance.outcome"] in ("played", "interrupted")
    assert received.scopes == {"audio_connector", "bot"}

    said_inside = [line for line in lines if line["message"] == "in on_connect"]
    assert [line["worker"] for line in said_inside] == [1, 2]
    assert {(line["connection"], line["session"]) for line in said_inside} == {("c1", "s1")}
    assert [line["trace_id"] for line in said_inside] == [call.trace_id.hex() for call in (first, second)]
