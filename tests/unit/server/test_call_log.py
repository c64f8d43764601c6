# SPDX-License-Identifier: Apache-2.0
"""A call is three lines of the log at INFO, and the caller writes none of them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, cast

import pytest
from support.audio import numbered
from support.conversation import Conversation

from audio_connector.server.call_log import CallLog, losses_of
from audio_connector.testing.virtual_time import in_virtual_time, run_in_virtual_time
from audio_connector.wire.messages import Disconnected

FRAME = numbered(7, 640)


def lines_of_a_call(caplog: pytest.LogCaptureFixture, **groups: Any) -> list[str]:
    async def scene() -> None:
        async with Conversation(
            lambda client: client.set_handler(on_audio=lambda audio: None), **groups
        ) as call:
            await call.router_sends(FRAME)
            await asyncio.sleep(12.3)
            call.router_socket.close(1000, "bye\nERROR forged")
            await call.session.task

    with caplog.at_level(logging.INFO, logger="audio_connector.server"):
        run_in_virtual_time(scene())
    return [record.getMessage() for record in caplog.records if record.name == "audio_connector.server"]


def test_a_call_is_three_lines(caplog: pytest.LogCaptureFixture) -> None:
    headers = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "2_MX4"))
    first, rate, last = lines_of_a_call(caplog, headers=headers, path="/voice?token=secret", rate_hz=8000)
    assert first == "connection c1: opened by 127.0.0.1:49153 with path '/voice', session 2_MX4"
    assert rate == "connection c1: its audio has 8000 Hz"
    assert last == (
        "connection c1: closed by the router with 1000 'bye\\nERROR forged' after 12.3 s, 8000 Hz; 0.0 s of audio "
        "came and 0.0 s were sent; nothing was lost, 1 message unasked for"
    )


def test_an_application_that_has_fields_of_these_names_keeps_its_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logging module raises where both set one; the call went unheard then."""
    make = logging.getLogRecordFactory()

    def made(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = make(*arguments, **options)
        record.session = "of the application"
        return record

    monkeypatch.setattr(logging, "_logRecordFactory", made)
    headers = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "2_MX4"))
    assert len(lines_of_a_call(caplog, headers=headers)) == 3
    fields = {(record.__dict__["connection"], record.__dict__["session"]) for record in caplog.records}
    assert fields == {("c1", "of the application")}


def test_a_caller_cannot_write_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    headers = (("connectionid", "a b\x1b[2J" + "c" * 500), ("x-opentok-ws-sessionid", "\u202e s"))
    for line in lines_of_a_call(caplog, headers=headers, path="/\x1b[31m" + "p" * 5000, rate_hz=None):
        assert line.isprintable()
        assert len(line) < 400
        assert line.startswith("connection 'a b\\x1b[2Jccc")


def test_what_only_the_first_message_says_is_in_the_second_line(caplog: pytest.LogCaptureFixture) -> None:
    first, rate, _ = lines_of_a_call(caplog, first_message={"sessionId": "2_MX4"})
    assert first.endswith(", no session")
    assert rate.partition(": ")[2] == "its audio has 16000 Hz, session 2_MX4"
    fields = [
        (record.__dict__.get("connection"), record.__dict__.get("session")) for record in caplog.records
    ]
    assert [session for _, session in fields] == [None, "2_MX4", "2_MX4"]
    assert {connection for connection, _ in fields} == {first.split()[1].rstrip(":")}


def test_a_rate_that_nobody_has_said_is_a_guess(caplog: pytest.LogCaptureFixture) -> None:
    _, rate, last = lines_of_a_call(caplog, rate_hz=None)
    assert rate.endswith(": its audio has 16000 Hz, as far as one can tell without a first message")
    assert "16000 Hz; 0.0 s" in last


def test_where_nobody_listens_to_it_nothing_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with Conversation() as call:
            call.router_socket.close()
            await call.session.task

    with caplog.at_level(logging.WARNING, logger="audio_connector.server"):
        run_in_virtual_time(scene())
    assert caplog.records == []


@in_virtual_time
async def test_what_was_lost_is_said_with_its_amount() -> None:
    async with Conversation(lambda client: client.set_handler(on_message=lambda message: None)) as call:
        figures = call.client.statistics()
    assert losses_of(figures) == "nothing was lost"
    lossy = replace(figures, dropped_messages=3, dropped_ms=60.0, underruns=1, underrun_ms=85.2, stalls=2)
    assert losses_of(lossy) == (
        "lost: 60 ms of audio dropped unread, 85 ms of silence in 1 underrun, 2 stalls of the router"
    )
    late = replace(figures, skips=2, skipped_ms=340.0)
    assert losses_of(late) == "lost: 340 ms of audio skipped to keep the delay"
    worse = replace(figures, unsent_ms=1500.0, unreadable_messages_received=1, unwanted_messages=20)
    assert (
        losses_of(worse) == "lost: 1500 ms of audio not sent, 1 unreadable message, 20 messages unasked for"
    )


@in_virtual_time
async def test_what_was_written_and_never_sent_is_lost() -> None:
    async with Conversation(lambda client: client.set_handler(on_message=lambda message: None)) as call:
        await call.client.send_audio_buffer(FRAME * 250)
        await asyncio.sleep(1.0)
        call.router_socket.close()
        await call.session.task
        figures = call.client.statistics()
    assert figures.queued_ms == 0.0
    assert 3700.0 <= figures.unsent_ms <= 3800.0
    assert losses_of(figures) == f"lost: {figures.unsent_ms:.0f} ms of audio not sent"


@in_virtual_time
async def test_what_was_written_is_not_lost_where_another_worker_takes_the_call() -> None:
    async with Conversation(lambda client: client.set_handler(on_message=lambda message: None)) as call:
        await call.client.send_audio_buffer(FRAME * 250)
        call.session.release()
        await call.session.task
        figures = call.client.statistics()
    assert losses_of(figures) == "nothing was lost"


def test_of_a_call_that_another_worker_had_it_is_said_how_long_this_one_had_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        async with Conversation(lambda client: None) as call:
            client = cast("Any", call.client)
            client._is_resumed = True
            with caplog.at_level(logging.INFO, logger="audio_connector.server"):
                CallLog(call.session.faults, client).end(Disconnected(1000, "", "router"), 6.2)

    run_in_virtual_time(scene())
    assert "closed by the router with 1000 after 6.2 s in this worker, 16000 Hz; " in caplog.text
