# SPDX-License-Identifier: Apache-2.0
"""What blocks the application's loop is told by its cause: a handler, a collection, a call into C; with real ones."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import cast

import pytest
from support.peers import calling
from support.serving import all_warnings_of, serving, until
from support.spans import Spans, seconds_of

from audio_connector import AudioConnectorConnection, AudioConnectorServerHandle
from audio_connector.server import garbage

pytestmark = pytest.mark.slow  # alone: a busy machine is told from a held lock by what runs beside it

BOTH = pytest.mark.parametrize("isolation", ["thread", "process"])


def sleep() -> None:
    time.sleep(0.8)


def hold_the_lock() -> None:
    """A call into C that computes for so long and lets nothing else run."""
    began_at, count = time.monotonic(), 1 << 22
    sum(range(count))
    per_s = count / (time.monotonic() - began_at)
    sum(range(int(0.9 * per_s)))


def blocked_s(handle: AudioConnectorServerHandle) -> dict[str, float]:
    assert handle._server is not None
    assert handle._server._running is not None
    rows = handle._server._running.io.meters.snapshot()
    return {labels[0]: cast(float, sample) for name, labels, sample in rows if name == "loop_blocked_seconds"}


def lags(handle: AudioConnectorServerHandle) -> list[float]:
    """The histogram of how late a timer was on the application's loop."""
    assert handle._server is not None
    assert handle._server._running is not None
    rows = handle._server._running.io.meters.snapshot()
    [counts] = [cast(list[float], sample) for name, labels, sample in rows if labels == ("application",)]
    return counts


@BOTH
@pytest.mark.parametrize(
    ("block", "cause", "line"),
    [
        (sleep, "handler", "the application's event loop is blocked, for 0."),
        (hold_the_lock, "gil", "a call into C kept Python's lock for "),
    ],
)
async def test_what_blocks_the_loop_is_told_by_its_cause(
    block: Callable[[], None], cause: str, line: str, isolation: str, caplog: pytest.LogCaptureFixture
) -> None:
    spans = Spans()

    async def on_connect(client: AudioConnectorConnection) -> None:
        block()

    async with serving(on_connect, isolation=isolation, monitoring={"traces": True}) as handle:
        await asyncio.sleep(0.5)
        async with calling(handle.get_address()):
            await until(lambda: cause in blocked_s(handle), "that it is counted")
            await until(
                lambda: any(cause in (span.attributes or {}).values() for span in spans.all),
                "that it is told",
            )
            # On a busy machine there may be others.
            told = next(
                span for span in spans.of("blocked event loop") if cause in (span.attributes or {}).values()
            )
            assert 0.5 <= seconds_of(told) <= 10.0
            place = str((told.attributes or {})["audio_connector.block.place"])
            await until(lambda: any(text.startswith(line) for text in all_warnings_of(caplog)), "the line")
            told_line = next(text for text in all_warnings_of(caplog) if text.startswith(line))
            if cause == "handler":  # the place of a call into C is that of a moment later
                assert block.__name__ in place
                assert "test_loop_monitor.py" in place
                assert block.__name__ in told_line
            await until(lambda: lags(handle)[-1] >= 0.4, "that it is counted how late timers were")
    assert not any(isinstance(each, object) and "GarbageWatch" in repr(each) for each in gc.callbacks)


async def test_a_garbage_collection_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(garbage, "LONG_S", 0.0)  # a real one of 0.2 s takes gigabytes
    async with serving() as handle:
        gc.collect()
        await until(lambda: "gc" in blocked_s(handle), "that it is counted")
        assert any("a garbage collection of generation" in text for text in all_warnings_of(caplog))
