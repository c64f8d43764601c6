# SPDX-License-Identifier: Apache-2.0
"""The stream between two processes: in order from any thread, held up by nobody, lost with a reason."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.port.framing import encode_all
from audio_connector.port.stream import Stream, stream_pair


class End(Stream):
    """One that keeps what it was told."""

    def __init__(self, sock: socket.socket) -> None:
        self.got: list[tuple[int, Any]] = []
        super().__init__(sock, self.got.append, max_message_bytes=1 << 20)

    def read_all(self) -> None:
        while self.read():
            pass


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    ours, theirs = map(End, stream_pair())
    yield ours, theirs
    ours.close()
    theirs.close()


def test_what_one_end_posts_the_other_is_told(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    messages = [(1, b"ab"), (2, b""), (1, b"c" * 640)]
    ours.queue.extend(messages)
    assert ours.flush()
    theirs.read_all()
    assert theirs.got == messages
    assert not theirs.read()


def test_nothing_blocks_where_the_other_end_does_not_read_and_nothing_is_lost(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    messages = [(at, bytes(640)) for at in range(5000)]
    ours.queue.extend(messages)
    assert not ours.flush()
    assert ours.is_full
    waiting = len(ours.queue)
    ours.queue.append((5000, b"later"))
    assert not ours.flush()
    assert len(ours.queue) == waiting + 1, "what waits for the other end waits as it is"
    while not ours.flush():
        theirs.read_all()
    theirs.read_all()
    assert theirs.got == [*messages, (5000, b"later")]
    assert not ours.is_full


def test_many_threads_post_and_flush(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    per_thread, threads = 3000, 4
    done = threading.Event()

    def post(number: int) -> None:
        for at in range(per_thread):
            ours.queue.append((number, at.to_bytes(4, "big")))
            ours.flush()

    def read() -> None:
        while len(theirs.got) < per_thread * threads and not done.is_set():
            theirs.read()
            ours.flush()

    posting = [threading.Thread(target=post, args=(number,)) for number in range(threads)]
    reading = threading.Thread(target=read)
    for thread in (*posting, reading):
        thread.start()
    for thread in posting:
        thread.join(30)
    reading.join(30)
    done.set()
    for number in range(threads):
        got = [int.from_bytes(body, "big") for each, body in theirs.got if each == number]
        assert got == list(range(per_thread))


def test_posting_while_posting_as_a_finalizer_does(ends: tuple[End, End]) -> None:
    ours, theirs = ends

    class Meddler:
        """Posts in the middle of the other's flush."""

        def send(self, data: memoryview) -> int:
            if not self.has_meddled:
                self.has_meddled = True
                ours.queue.append((2, b"meddled"))
                assert ours.flush()
            return real.send(data)

        has_meddled = False

    real = ours.sock
    ours.sock = Meddler()  # type: ignore[assignment]
    ours.queue.append((1, b"first"))
    assert ours.flush()
    ours.sock = real
    theirs.read_all()
    assert theirs.got == [(1, b"first"), (2, b"meddled")]


def test_the_end_of_the_other_end_is_told(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    theirs.queue.append((1, b"last words"))
    theirs.flush()
    theirs.close()
    ours.read_all()
    assert ours.got == [(1, b"last words")]
    assert (ours.is_lost, ours.why_lost) == (True, "the other end closed the stream")
    ours.queue.append((1, b"too late"))
    assert ours.flush()


def test_writing_to_an_end_that_is_gone_is_told(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    theirs.close()
    ours.queue.append((1, b"too late"))
    assert ours.flush()
    assert (ours.is_lost, ours.why_lost) == (True, "Broken pipe")


def test_garbage_loses_the_stream(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    theirs.sock.send(b"\xff" * 20)
    ours.read_all()
    assert ours.is_lost
    assert "got a message of 4294967295 bytes" in ours.why_lost
    theirs.sock.send(encode_all([(1, b"more")]))
    assert ours.read() == 0
    assert ours.got == []


@given(
    st.lists(st.binary(max_size=2000), max_size=20), st.lists(st.integers(1, 3000), min_size=1, max_size=20)
)
def test_whatever_a_socket_takes_at_a_time(bodies: list[bytes], takes: list[int]) -> None:
    """The socket takes a few bytes, none, and then more, and the other end reads meanwhile or not."""
    ours, theirs = map(End, stream_pair())
    real, turn = ours.sock, iter(takes * 1000)

    class Narrow:
        def send(self, data: memoryview) -> int:
            size = next(turn, 3000)
            if not size % 3:
                raise BlockingIOError
            return real.send(data[:size])

    try:
        ours.sock = Narrow()  # type: ignore[assignment]
        messages = list(enumerate(bodies))
        for message in messages:
            ours.queue.append(message)
            ours.flush()
        for _ in range(100_000):
            if ours.flush() or not (ours.queue or ours.is_full):
                break
            theirs.read()
            if all(not take % 3 for take in takes):
                break
        else:
            pytest.fail("it never comes to an end")
        if any(take % 3 for take in takes):
            theirs.read_all()
            assert theirs.got == messages
    finally:
        ours.sock = real
        ours.close()
        theirs.close()


@given(st.lists(st.binary(max_size=300), max_size=12), st.data())
def test_cut_anywhere_it_has_delivered_what_was_whole_and_says_that_it_is_lost(
    bodies: list[bytes], data: st.DataObject
) -> None:
    ours, theirs = map(End, stream_pair())
    try:
        messages = list(enumerate(bodies))
        whole = encode_all(messages)
        at = data.draw(st.integers(0, len(whole)))
        theirs.sock.sendall(whole[:at])
        theirs.close()
        ours.read_all()
        assert ours.is_lost
        assert ours.got == messages[: len(ours.got)]
        assert len(encode_all(ours.got)) <= at < len(whole) + 1
        if len(ours.got) < len(messages):
            assert len(encode_all(messages[: len(ours.got) + 1])) > at
    finally:
        ours.close()
        theirs.close()
