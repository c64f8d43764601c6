# SPDX-License-Identifier: Apache-2.0
"""Streams of frames that nobody has written down, valid and bent, against a reference that says what they mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frame_model import CLOSE, VALID_CODES, differences, expect
from support.frame_rig import Rig, frame_rig
from support.fuzzing import cuts, fuzzed, in_pieces
from support.peers import BINARY, CONTINUATION, PING, PONG, TEXT, Frame

from audio_connector.wire.transport import WireLimits

pytestmark = pytest.mark.thread  # no server: a listening socket of its own

MAX_BYTES = 1000

payloads = st.binary(max_size=30) | st.sampled_from([bytes(size) for size in (125, 126, 127, 600, MAX_BYTES)])
texts = st.text(max_size=20).map(str.encode)
codes = st.sampled_from(sorted(VALID_CODES)[:12]) | st.integers(3000, 4999)
closes = st.just(b"") | st.builds(lambda code, why: code.to_bytes(2, "big") + why, codes, texts)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)).map(
    lambda values: Frame(*values)
)


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """A message in one frame or several, with control frames in between."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(texts if opcode == TEXT else payloads)
    ends = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    frames: list[Frame] = []
    for at, (begin, end) in enumerate(zip([0, *ends], [*ends, len(payload)], strict=True)):
        frames += draw(st.lists(controls, max_size=1)) if at else []
        frames.append(Frame(CONTINUATION if at else opcode, payload[begin:end], fin=at == len(ends)))
    return frames


valid = st.lists(messages() | controls.map(lambda frame: [frame]), max_size=6).map(
    lambda groups: [frame for group in groups for frame in group]
)
odd = st.tuples(st.integers(0, 15), payloads | closes, st.booleans(), st.just(0) | st.integers(0, 7)).map(
    lambda values: Frame(*values)
)

KEY = b"\x37\xfa\x21\x3d"
"""Always the same mask, so that an example can be tried again; how it is applied is the parser's own affair."""


def masked(frame: Frame) -> bytes:
    plain = frame.encode(mask=False)
    head = plain[: len(plain) - len(frame.payload)]
    payload = bytes(byte ^ KEY[at % 4] for at, byte in enumerate(frame.payload))
    return head[:1] + bytes([head[1] | 0x80]) + head[2:] + KEY + payload


def encoded(frames: Sequence[Frame]) -> bytes:
    return b"".join(map(masked, frames))


streams = st.builds(
    lambda frames, close: encoded(frames) + close,
    valid,
    st.just(b"") | closes.map(lambda payload: masked(Frame(CLOSE, payload))),
)
odd_streams = st.lists(valid | odd.map(lambda frame: [frame]), max_size=4).map(
    lambda groups: b"".join(encoded(group) for group in groups)
)


@st.composite
def bent_streams(draw: st.DrawFn) -> bytes:
    """A stream with other bits, and bytes more or less."""
    data = bytearray(draw(streams))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["flip", "insert", "delete", "cut"]))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=4))
        elif kind == "delete":
            del data[at : at + draw(st.integers(1, 4))]
        elif kind == "cut":
            del data[at:]
    return bytes(data)


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with frame_rig(WireLimits(max_message_bytes=MAX_BYTES)) as made:
        yield made
        assert made.greets()


def check(rig: Rig, data: bytes, at: Sequence[int]) -> None:
    expected = expect(data, max_bytes=MAX_BYTES)
    seen = rig.exchange(in_pieces(data, at))
    assert differences(seen, expected, is_lax=True) == []


@fuzzed
@given(streams, cuts)
def test_what_is_right_is_taken_however_it_is_cut(rig: Rig, data: bytes, at: list[int]) -> None:
    check(rig, data, at)


@fuzzed
@given(odd_streams, cuts)
def test_frames_of_any_kind_are_taken_or_refused_as_the_reference_says(
    rig: Rig, data: bytes, at: list[int]
) -> None:
    check(rig, data, at)


@fuzzed
@given(bent_streams(), cuts)
def test_a_stream_with_other_bytes_too(rig: Rig, data: bytes, at: list[int]) -> None:
    check(rig, data, at)


@fuzzed
@given(st.binary(max_size=300), cuts)
def test_and_noise(rig: Rig, data: bytes, at: list[int]) -> None:
    check(rig, data, at)
