# SPDX-License-Identifier: Apache-2.0
"""The log of a connection stays readable, whatever fails in it and however often."""

from __future__ import annotations

import asyncio
import logging

import pytest

from audio_connector.errors import ConnectionClosed, DeadlineError, IntakeOverflow, ProtocolError
from audio_connector.intake.faults import CommonFaults, FaultLog, excerpt
from audio_connector.testing.virtual_time import run_in_virtual_time


def on_message(message: bytes) -> None:
    raise KeyError(message)


def boom() -> KeyError:
    try:
        on_message(b"boom")
    except KeyError as error:
        return error
    raise AssertionError


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_handler_that_fails_with_every_frame_costs_a_traceback_and_a_few_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        log = FaultLog("c1")
        for _ in range(500):
            log.raised("on_message", on_message, boom())
            await asyncio.sleep(0.02)
        log.close()
        log.close()
        await asyncio.sleep(100.0)

    run_in_virtual_time(scene())
    first, *rest = lines_of(caplog)
    assert first.startswith(
        "connection c1: on_message raised KeyError(b'boom'); the connection goes on. The handler is on_message ("
    )
    assert "test_faults.py:" in first
    assert rest == [
        "connection c1: on_message raised KeyError 250 more times in 5 s",
        "connection c1: on_message raised KeyError 249 more times in 4.98 s",
    ]
    assert [record.exc_info is not None for record in caplog.records] == [True, False, False]
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


def test_what_peers_bring_about_is_a_warning_and_what_the_program_does_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whoever alerts on ERROR is not to be woken by whoever dials."""

    async def scene() -> None:
        faults = CommonFaults()
        log = FaultLog("c1", common_faults=faults)
        for error in (ProtocolError("odd"), DeadlineError("late"), IntakeOverflow("slow"), OSError("disk")):
            log.told(error)
        log.raised("on_message", on_message, ProtocolError("of its own"))
        log.told(ProtocolError("odd"))
        log.close()
        faults.close()

    run_in_virtual_time(scene())
    warning, error = logging.WARNING, logging.ERROR
    assert [record.levelno for record in caplog.records] == [warning, warning, warning, error, error, warning]
    assert lines_of(caplog)[-1] == "1 more times in all calls: odd"


def test_a_handler_that_fails_in_each_of_a_thousand_calls_costs_a_few_tracebacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A peer can have it so, by audio that the handler does not bear."""

    async def scene() -> None:
        faults = CommonFaults()
        for number in range(1000):
            log = FaultLog(f"c{number}", common_faults=faults)
            log.raised("on_message", on_message, boom())
            log.raised("on_message", on_message, boom())
            log.close()
            await asyncio.sleep(0.01)
        faults.close()

    run_in_virtual_time(scene())
    told = [record for record in caplog.records if record.exc_info is not None]
    calls = [record.getMessage().split(":")[0] for record in told]
    assert calls == [f"connection c{number}" for number in (0, 1, 2, 500)]  # the last one after 5 s
    assert "; 994 more of the kind in all calls since the last line" in told[-1].getMessage()
    assert len(caplog.records) == 2 * len(told) + 1
    assert lines_of(caplog)[-1].startswith("998 more times in all calls: on_message raised KeyError at ")


def test_what_is_counted_says_nothing_of_whose_it_was(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        faults = CommonFaults()
        for number in range(3):
            FaultLog(f"c{number}", common_faults=faults).raised("on_message", on_message, boom())
        log = FaultLog("long", common_faults=faults)
        for _ in range(300):
            log.raised("on_message", on_message, boom())
            await asyncio.sleep(0.02)

    run_in_virtual_time(scene())
    [line] = [line for line in lines_of(caplog) if "since the last line" in line]
    assert line.startswith("connection long:")
    assert "other" not in line, "they are all of this call"


def test_two_mistakes_of_a_handler_are_two_kinds(caplog: pytest.LogCaptureFixture) -> None:
    def other() -> KeyError:
        try:
            raise KeyError("other")
        except KeyError as error:
            return error

    async def scene() -> None:
        faults = CommonFaults()
        for make in (boom, boom, boom, boom, other):
            FaultLog("c1", common_faults=faults).raised("on_message", on_message, make())

    run_in_virtual_time(scene())
    assert ["boom" in line for line in lines_of(caplog)] == [True, True, True, False]


def test_what_was_only_counted_is_told_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> FaultLog:
        log = FaultLog("c1")
        for _ in range(3):
            log.raised("on_event", on_message, boom())
        await asyncio.sleep(4.9)
        assert len(caplog.records) == 1
        return log

    log = run_in_virtual_time(scene())
    log.close()  # its loop has ended
    assert lines_of(caplog)[1:] == ["connection c1: on_event raised KeyError 2 more times in 0 s"]


def test_each_handler_and_each_type_of_error_has_its_own(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        log = FaultLog("c1")
        for name in ("on_message", "on_audio"):
            for error in (KeyError("x"), ValueError("y"), ValueError("z")):
                log.raised(name, on_message, error)
            log.raised(name, on_message, asyncio.CancelledError())
        log.told(ProtocolError("one"))
        log.told(ProtocolError("other"))
        log.close()

    run_in_virtual_time(scene())
    lines = lines_of(caplog)
    assert len(lines) == 10
    assert [line for line in lines if "more time" in line] == [
        "connection c1: on_message raised ValueError 1 more time in 0 s",
        "connection c1: on_audio raised ValueError 1 more time in 0 s",
    ]
    assert any("on_audio was cancelled; the connection goes on" in line for line in lines)
    assert "connection c1: other" in lines


@pytest.mark.parametrize("is_raised", [True, False])
def test_that_the_caller_has_gone_is_no_mistake(is_raised: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        log = FaultLog("c1")
        error = ConnectionClosed("cannot play audio", code=1000)
        for _ in range(50):
            if is_raised:
                log.raised("on_audio", on_message, error)
            else:
                log.told(error)
        log.close()

    with caplog.at_level(logging.DEBUG, logger="audio_connector.server"):
        run_in_virtual_time(scene())
    assert len(caplog.records) == 2
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    assert "cannot play audio" in lines_of(caplog)[0]


def test_a_peer_cannot_write_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    evil = "x\nERROR forged\x1b[2J" + "y" * 10_000

    async def scene() -> None:
        log = FaultLog(evil)
        log.told(ConnectionClosed(evil, code=1000))
        log.told(ProtocolError(evil))
        log.raised("on_message", on_message, ValueError(evil))
        log.raised("on_message", on_message, asyncio.CancelledError())

    with caplog.at_level(logging.DEBUG, logger="audio_connector.server"):
        run_in_virtual_time(scene())
    assert len(caplog.records) == 4
    for line in lines_of(caplog):
        assert line.isprintable()
        assert len(line) < 1200


def test_an_error_whose_repr_fails_is_named_all_the_same() -> None:
    class Rude(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    assert excerpt(Rude()) == "Rude"
