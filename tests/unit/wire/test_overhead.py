# SPDX-License-Identifier: Apache-2.0
"""What was read and brought nothing is found, however it is mixed; what was read for something never is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.overhead import FRAMING_BYTES, MESSAGE_BYTES, READ_BYTES, SPARE_BYTES, Overhead

FRAMING = 29


class Stream:
    """Records, read in pieces; what is whole is handed on."""

    def __init__(self, begun_bytes: int = 0) -> None:
        self.overhead = Overhead()
        self.read_bytes = begun_bytes
        self.pending: list[tuple[int, int]] = []
        """Of each record what is still to be read, and what it brings."""
        self.found = self.void = 0
        self._look()

    def _look(self) -> None:
        found, void = self.overhead.note(self.read_bytes)
        self.found += found
        self.void += void

    def read(self, size_bytes: int) -> None:
        """So much at once, as far as it is there."""
        while size_bytes and self.pending:
            left, brings = self.pending[0]
            taken = min(left, size_bytes)
            self.read_bytes += taken
            size_bytes -= taken
            if taken == left:
                self.overhead.handed_bytes += brings
                self.pending.pop(0)
            else:
                self.pending[0] = left - taken, brings
        self._look()


@given(
    st.integers(0, 1 << 40),
    st.lists(st.tuples(st.integers(64, 16_384), st.integers(700, 4096)), min_size=1, max_size=300),
)
def test_nothing_is_found_where_every_record_brings_something(
    begun_bytes: int, records: list[tuple[int, int]]
) -> None:
    stream = Stream(begun_bytes)
    for payload, piece in records:
        stream.pending.append((payload + FRAMING, payload))
        while stream.pending:
            stream.read(piece)
    assert stream.found == 0


@given(
    st.lists(st.tuples(st.sampled_from(["frame", "messages"]), st.integers(1, 75)), min_size=1, max_size=400),
    st.integers(27, 4096),
)
def test_all_but_what_a_record_could_be_is_found_however_it_is_mixed(
    coming: list[tuple[str, int]], piece: int
) -> None:
    stream, messages, reads = Stream(), 0, 0
    for kind, count in coming:
        if kind == "frame":
            stream.pending.append((640 + 22, 640))
        else:
            stream.pending += [(MESSAGE_BYTES, 0)] * count
            messages += count
        while stream.pending:
            stream.read(piece)
            reads += 1
    frames = sum(kind == "frame" for kind, _ in coming)
    unfound = messages - stream.found
    assert unfound >= 0
    assert unfound * MESSAGE_BYTES <= SPARE_BYTES + frames * FRAMING_BYTES + MESSAGE_BYTES


def test_messages_without_end_are_found_as_they_come() -> None:
    stream = Stream()
    stream.pending = [(MESSAGE_BYTES, 0)] * 10_000
    while stream.pending:
        stream.read(2048)
    assert 10_000 - stream.found - SPARE_BYTES // MESSAGE_BYTES in (0, 1)
    assert stream.void == stream.found


@given(
    st.lists(st.tuples(st.integers(160, 960), st.integers(22, 85), st.booleans()), min_size=1, max_size=60),
    st.integers(1, READ_BYTES),
)
def test_audio_that_has_gathered_is_never_void_however_it_is_framed(
    frames: list[tuple[int, int, bool]], piece: int
) -> None:
    """Some clients write the head of a frame apart, and a proxy makes a record of each write."""
    stream = Stream()
    for payload, framing, is_apart in frames * 20:
        parts = [8, payload] if is_apart else [8 + payload]
        stream.pending += [(part + framing, part) for part in parts]
    while stream.pending:
        stream.read(piece)
    assert stream.void == 0


def test_nothing_is_found_in_what_waits_while_a_peer_is_not_read() -> None:
    """The longest record has come whole, and the next read is full, and of all that one byte was handed on."""
    overhead = Overhead()
    overhead.note(0)
    overhead.handed_bytes = 1
    assert overhead.note(16_384 + 256 + READ_BYTES, 9) == (0, 0)
