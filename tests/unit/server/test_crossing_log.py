# SPDX-License-Identifier: Apache-2.0
"""What an I/O process logs arrives in the log of the application, with the fields of its call and no others."""

from __future__ import annotations

import logging
from typing import cast

import pytest

from audio_connector.intake.log_fields import fields_of
from audio_connector.port import words
from audio_connector.port.codec import encode, read
from audio_connector.server.io_child import IoChild, _ToApplication
from audio_connector.server.remote import log_word


class Child:
    """In place of the I/O process."""

    def __init__(self) -> None:
        self.said: list[words.Logged] = []

    def log(self, word: words.Logged) -> None:
        self.said.append(word)


def crossed(record: logging.LogRecord) -> words.Logged:
    child = Child()
    _ToApplication(cast("IoChild", child)).emit(record)
    [word] = child.said
    again = read(*encode(word))
    assert isinstance(again, words.Logged)
    assert again == word
    return again


def test_a_record_crosses_with_its_fields(caplog: pytest.LogCaptureFixture) -> None:
    fields = fields_of("c1", "s1")
    record = logging.makeLogRecord(
        {
            "name": "audio_connector.wire",
            "levelno": logging.ERROR,
            "msg": "%s failed",
            "args": ("it",),
            **fields,
        }
    )
    log_word(crossed(record))
    [told] = caplog.records
    assert (told.name, told.getMessage(), told.created) == (
        "audio_connector.wire",
        "it failed",
        record.created,
    )
    assert (told.__dict__["connection"], told.__dict__["session"]) == ("c1", "s1")


def test_the_side_that_faces_the_network_cannot_make_other_fields_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fields = {"connection": "c1", "msg": "%s", "args": "x", "exc_info": "x", "levelno": "50"}
    log_word(words.Logged("audio_connector.wire", logging.WARNING, "text", 1.0, None, fields))
    [told] = caplog.records
    assert (told.getMessage(), told.levelno, told.exc_info) == ("text", logging.WARNING, None)
    assert told.__dict__["connection"] == "c1"
