# SPDX-License-Identifier: Apache-2.0
"""Records of the log say which call they are about, whoever has made them."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterator

import pytest
from support.audio import numbered
from support.conversation import Conversation

from audio_connector import AudioConnectorConnection, ConnectionLogFilter
from audio_connector.intake.log_fields import enter, fields_of, fields_of_link
from audio_connector.testing.virtual_time import in_virtual_time
from audio_connector.wire.messages import MediaUpdate
from audio_connector.wire.transport import Headers, Upgrade

log = logging.getLogger("the.application")

HEADERS = (("connectionid", "c1"), ("x-opentok-ws-sessionid", "s1"))


class Notes(logging.Handler):
    """Keeps the fields of each record, by its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(ConnectionLogFilter())
        self.fields: dict[str, tuple[object, object]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        fields = record.__dict__.get("connection"), record.__dict__.get("session")
        self.fields[record.getMessage().partition(": ")[2] or record.getMessage()] = fields


@pytest.fixture
def notes() -> Iterator[Notes]:
    notes, root = Notes(), logging.getLogger()
    level = root.level
    root.addHandler(notes)
    root.setLevel(logging.INFO)
    try:
        yield notes
    finally:
        root.removeHandler(notes)
        root.setLevel(level)


@in_virtual_time
async def test_what_handlers_log_has_the_fields_of_their_call(notes: Notes) -> None:
    async def on_connect(client: AudioConnectorConnection) -> None:
        client.set_handler(
            on_audio=lambda _: log.info("on_audio"),
            on_event=lambda _: log.info("on_event"),
            on_disconnect=lambda: log.info("on_disconnect"),
        )
        log.info("on_connect")
        client.own_tasks = [asyncio.create_task(later())]  # type: ignore[attr-defined]

    async def later() -> None:
        await asyncio.sleep(1.0)
        log.info("a task of its own")
        await asyncio.to_thread(log.info, "a thread")

    async with Conversation(on_connect, headers=HEADERS) as call:
        await call.router_sends(numbered(1, 640))
        await call.router_says(MediaUpdate(active=False))
        await asyncio.sleep(2.0)
        log.info("outside")
    said = ("on_connect", "on_audio", "on_event", "on_disconnect", "a task of its own", "a thread")
    assert {text: notes.fields[text] for text in said} == dict.fromkeys(said, ("c1", "s1"))
    assert notes.fields["outside"] == (None, None)


@in_virtual_time
async def test_two_calls_are_told_apart_and_so_is_what_fails_in_them(notes: Notes) -> None:
    def on_connect(client: AudioConnectorConnection) -> None:
        raise ValueError(client.id)

    for name in ("c1", "c2"):
        async with Conversation(on_connect, headers=(("connectionid", name),)):
            pass
    failed = {text: fields for text, fields in notes.fields.items() if "ValueError" in text}
    assert sorted(fields[0] for fields in failed.values() if isinstance(fields[0], str)) == ["c1", "c2"]
    assert all(f"'{fields[0]}'" in text for text, fields in failed.items())


def test_what_a_record_has_already_stays() -> None:
    record = logging.makeLogRecord({"connection": "of another one"})

    def judge() -> None:
        enter(fields_of("c1", "s1"))
        assert ConnectionLogFilter().filter(record)

    contextvars.copy_context().run(judge)
    assert record.__dict__["connection"] == "of another one"
    assert record.__dict__["session"] == "s1"


def test_a_peer_cannot_write_into_a_field() -> None:
    fields = fields_of("a b\x1b[2J" + "c" * 500, "\u202e s")
    assert all(isinstance(value, str) and value.isprintable() for value in fields.values())
    assert all(len(str(value)) < 100 for value in fields.values())


def test_on_the_io_side_a_call_without_an_id_has_its_number() -> None:
    def upgrade(*headers: tuple[str, str]) -> Upgrade:
        return Upgrade("/", "", Headers(list(headers)), ("::1", 1), secure=False)

    assert fields_of_link(7, None) == {"connection": "7"}
    assert fields_of_link(7, upgrade()) == {"connection": "7"}
    assert fields_of_link(7, upgrade(*HEADERS)) == {"connection": "c1", "session": "s1"}
    known = upgrade(("x-opentok-ws-connectionid", "c2"))
    assert fields_of_link(7, known) == {"connection": "c2"}
