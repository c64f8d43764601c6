# SPDX-License-Identifier: Apache-2.0
"""A connection is read where neither its user nor its budget is against it, and nothing is lost meanwhile."""

from __future__ import annotations

import asyncio
from typing import cast

from support.serving import until

from audio_connector.wire.budget import (
    BACKLOG_PER_S,
    EMPTY_COST,
    MAX_EMPTY,
    OWN_PER_S,
    READ_COST,
    ROUND,
    SAVED_S,
    Backlog,
)
from audio_connector.wire.overhead import MESSAGE_BYTES
from audio_connector.wire.reading import Reading

FRAME_BYTES = 100
ROOM_BYTES = 250


class Transport:
    def __init__(self) -> None:
        self.is_read = True
        self.is_over = False

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_over


class Parser:
    """Takes frames of a size, each of which costs one, as picows does."""

    def __init__(self, reading: Reading) -> None:
        self.taken = bytearray()
        self._room = bytearray(ROOM_BYTES)
        self._reading = reading

    def get_buffer(self, size_hint: int) -> memoryview:
        return memoryview(self._room)

    def buffer_updated(self, nbytes: int) -> None:
        before = len(self.taken) // FRAME_BYTES
        self.taken += self._room[:nbytes]
        for _ in range(before, len(self.taken) // FRAME_BYTES):
            self._reading.weigh(FRAME_BYTES)
            if self._reading.left < 0:
                self._reading.pay()


def started(backlog: Backlog | None) -> tuple[Reading, Transport, Parser]:
    reading, transport = Reading(backlog), Transport()
    reading.start(cast("asyncio.Transport", transport))
    return reading, transport, Parser(reading)


def data_of(frames: int) -> memoryview:
    return memoryview(b"".join(at.to_bytes(4, "big") * (FRAME_BYTES // 4) for at in range(frames)))


async def test_what_was_read_by_somebody_else_is_taken_at_the_pace_of_the_budget() -> None:
    reading, transport, parser = started(Backlog())
    data, begun = data_of(500), asyncio.get_running_loop().time()
    reading.feed(parser, data)
    at_once = len(parser.taken) // FRAME_BYTES
    assert 200 <= at_once < 200 + 2 * ROUND, "what it has saved up"
    assert not transport.is_read
    await until(lambda: len(parser.taken) == len(data), "all of it")
    assert parser.taken == data
    assert asyncio.get_running_loop().time() - begun > (500 - 200 - 2 * ROUND) / BACKLOG_PER_S
    await until(lambda: transport.is_read, "the end of the hold")
    reading.stop()


async def test_it_goes_on_where_both_allow_it() -> None:
    reading, transport, parser = started(Backlog())
    reading.feed(parser, data_of(300))
    reading.pause()
    held = len(parser.taken)
    await asyncio.sleep(0.1)  # the hold is over by then
    assert len(parser.taken) == held
    assert not transport.is_read
    reading.resume()
    assert transport.is_read or len(parser.taken) > held
    await until(lambda: len(parser.taken) == 300 * FRAME_BYTES, "the rest")
    reading.stop()


async def test_to_resume_does_not_end_a_hold() -> None:
    reading, transport, parser = started(Backlog())
    reading.feed(parser, data_of(300))
    held = len(parser.taken)
    reading.pause()
    reading.resume()
    assert not transport.is_read
    assert len(parser.taken) == held
    reading.stop()


async def test_after_the_end_nothing_is_taken() -> None:
    reading, transport, parser = started(Backlog())
    reading.feed(parser, data_of(300))
    held = len(parser.taken)
    reading.stop()
    transport.is_over = True
    await asyncio.sleep(0.1)
    reading.pause()
    reading.resume()
    assert len(parser.taken) == held


async def test_without_a_budget_nothing_waits() -> None:
    reading, transport, parser = started(None)
    reading.feed(parser, data_of(5000))
    assert len(parser.taken) == 5000 * FRAME_BYTES
    assert transport.is_read


async def test_looks_that_bring_nothing_are_paid_for() -> None:
    reading, transport, _ = started(Backlog())
    looks = 0
    while transport.is_read:
        reading.look()
        looks += 1
    own = OWN_PER_S * SAVED_S / READ_COST
    assert own <= looks <= own + 2 * ROUND / READ_COST
    reading.stop()


async def test_messages_of_tls_are_paid_for_as_pings_are_and_are_a_flood_in_the_end() -> None:
    reading, transport, _ = started(Backlog())
    read_bytes, is_flooded, reads = 0, False, 0
    reading.note_read(0, 1)
    while not is_flooded:
        if transport.is_read:
            read_bytes += 75 * MESSAGE_BYTES
            is_flooded = reading.note_read(read_bytes, 1)
            reads += 1
        else:
            reading._end_hold()
    assert abs(reads * 75 - (MAX_EMPTY + OWN_PER_S / EMPTY_COST)) < 1000
    reading.stop()
