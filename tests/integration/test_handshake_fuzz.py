# SPDX-License-Identifier: Apache-2.0
"""Heads that nobody has written down, in any pieces: answered with one of a few texts, alike however they are cut."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frame_rig import Rig, frame_rig
from support.fuzzing import cuts, fuzzed, in_pieces
from support.peers import UPGRADE, request

from audio_connector.wire.refusals import Refusal
from audio_connector.wire.transport import WireLimits
from audio_connector.wire.upgrade import UpgradeRequest, read_upgrade

pytestmark = pytest.mark.thread  # no server: a listening socket of its own

STATUSES = {b"101", b"400", b"405", b"426", b"431"}

names = st.sampled_from([*UPGRADE, "Content-Length", "Transfer-Encoding", "Origin", "X-A"]) | st.text(
    max_size=6
)
values = st.sampled_from([*UPGRADE.values(), "0", "chunked", "h2c", "8", "keep-alive, Upgrade"]) | st.text(
    max_size=9
)
targets = st.sampled_from(
    [
        "GET / HTTP/1.1",
        "POST / HTTP/1.1",
        "HEAD / HTTP/1.1",
        "GET / HTTP/1.0",
        "GET http://x/a?b HTTP/1.1",
        "PRI * HTTP/2.0",
    ]
) | st.text(max_size=20)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """A right one with a few changes, in headers and in bytes."""
    pairs = list(UPGRADE.items())
    for name, value in draw(st.lists(st.tuples(names, values), max_size=3)):
        at = draw(st.integers(0, len(pairs)))
        pairs[at : at + draw(st.integers(0, 1))] = [(name, value)]
    lines = [
        draw(st.just("GET / HTTP/1.1") | targets),
        *(f"{name}: {value}" for name, value in pairs),
        "",
        "",
    ]
    data = bytearray("\r\n".join(lines).encode("utf-8", "surrogatepass"))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with frame_rig(WireLimits()) as made:
        yield made
        assert made.greets()


def status_of(answer: bytes) -> bytes | None:
    """Nothing, or an answer that is one of ours and whole."""
    if not answer:
        return None
    head, blank, body = answer.partition(b"\r\n\r\n")
    assert blank
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", head)
    assert found is not None
    status = found[1]
    assert status in STATUSES
    if status != b"101":
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        assert length is not None
        assert len(body) in (0, int(length[1]))  # nothing where HEAD was asked for
    return status


@fuzzed
@given(heads(), cuts)
def test_a_head_is_answered_alike_however_it_is_cut(rig: Rig, data: bytes, at: Sequence[int]) -> None:
    whole = status_of(rig.ask([data]))
    assert status_of(rig.ask(in_pieces(data, at))) == whole
    if b"\r\n\r\n" in data:
        assert whole is not None


@fuzzed
@given(st.binary(max_size=300), cuts)
def test_noise_is_refused_or_waited_for(rig: Rig, data: bytes, at: Sequence[int]) -> None:
    assert status_of(rig.ask(in_pieces(data, at))) in (None, b"400", b"405", b"426")


@fuzzed
@given(heads())
def test_a_head_is_read_or_refused_and_never_fails(data: bytes) -> None:
    read = read_upgrade(data.partition(b"\r\n\r\n")[0])
    assert isinstance(read, UpgradeRequest | Refusal)
    if isinstance(read, UpgradeRequest):
        assert re.fullmatch(r"[A-Za-z0-9+/]{22}==", read.key)


def test_a_right_one_is_taken(rig: Rig) -> None:
    head = request(UPGRADE)
    assert status_of(rig.ask([head])) == b"101"
    assert status_of(rig.ask([bytes([byte]) for byte in head])) == b"101"
