# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging

from audio_connector.playground.faults import LOGGER, FaultHandler

HERE = "test_faults.py, line "


def raised(text: str) -> Exception:
    try:
        json.loads(text)
    except ValueError as error:
        return error
    raise AssertionError


def test_warnings_and_errors_become_a_line_each() -> None:
    lines: list[str] = []
    handler = FaultHandler(lines.append)
    logger = logging.Logger(LOGGER)  # noqa: LOG001 - one that nobody else hears
    logger.addHandler(handler)
    logger.info("no")
    logger.warning("connection %s:\n  late %s", "0123456789abcdef" * 2, "c")
    logger.error("on_connect failed", exc_info=raised("["))
    assert lines[0] == "connection 01234567…: late c"
    assert lines[1].startswith("on_connect failed: JSONDecodeError: ")
    assert HERE in lines[1]
    assert len(lines) == 2
