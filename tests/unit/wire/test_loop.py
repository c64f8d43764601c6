# SPDX-License-Identifier: Apache-2.0
"""The loop of the sockets leaves nothing behind, and logs what nobody else was told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from audio_connector.wire.loop import close_loop, log_loop_error, new_loop


def test_what_is_left_in_it_comes_to_its_end() -> None:
    async def wait() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("task")

    ended: list[str] = []
    loop = new_loop()
    task = loop.create_task(wait())
    loop.call_soon(loop.stop)
    loop.run_forever()
    close_loop(loop)
    assert loop.is_closed()
    assert task.cancelled()
    assert ended == ["task"]


async def test_a_failed_handshake_is_information_and_all_else_is_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    with caplog.at_level(logging.INFO, logger="audio_connector.wire"):
        log_loop_error(loop, {"message": "x", "exception": ConnectionResetError("gone")})
        log_loop_error(loop, {"message": "what", "exception": KeyError("y")})
        log_loop_error(loop, {"message": "only words"})
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.ERROR, logging.ERROR]
