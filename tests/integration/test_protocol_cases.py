# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 frame by frame, as a whole and in pieces: the kinds of the Autobahn suite, without the suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.frame_model import Expected, differences, expect
from support.frame_rig import Rig, frame_rig
from support.protocol_cases import MAX_MESSAGE_BYTES, Case, cases

from audio_connector.wire.transport import WireLimits

pytestmark = pytest.mark.thread  # no server: a listening socket of its own

CASES = list(cases())

OCTETS_UP_TO_BYTES = 600
"""What is longer is written in pieces of an odd size, or a system call for each byte would take most of the time."""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    with frame_rig(WireLimits(max_message_bytes=MAX_MESSAGE_BYTES)) as made:
        yield made


def expected_of(case: Case) -> Expected:
    """As the table says it."""
    received = case.code if case.received is None else case.received
    return Expected(
        messages=list(case.messages),
        pongs=list(case.pongs),
        # RFC 6455 7.1.5: what closes without a code may be answered without one.
        codes={case.code, None} if received == 1005 else {case.code},
        is_peers=case.is_peers,
        received=received if case.is_peers else None,
    )


KNOWN_FAULTS = {
    "a frame that picows refuses takes those with it that were read with it": [
        f"{section} opcode {opcode} after a text"
        for section, opcodes in {"4.1": range(3, 8), "4.2": range(11, 16)}.items()
        for opcode in opcodes
    ],
    "who has closed is the peer, where its close frame was read with its fault": ["7.1 right after a fault"],
}


def _param(case: Case) -> object:
    marks = [
        pytest.mark.xfail(strict=True, reason=fault)
        for fault, names in KNOWN_FAULTS.items()
        if case.name in names
    ]
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [_param(case) for case in CASES])
def test_frames_are_taken_as_the_rfc_has_them(case: Case, rig: Rig) -> None:
    stream = case.stream
    size = 1 if len(stream) <= OCTETS_UP_TO_BYTES else 997
    whole = rig.exchange([stream])
    pieces = rig.exchange(stream[at : at + size] for at in range(0, len(stream), size))
    assert differences(whole, expected_of(case)) == []
    assert differences(pieces, expected_of(case)) == []


def test_the_reference_says_the_same() -> None:
    """By which streams are judged that nobody has written down, in `test_frame_fuzz`."""
    for case in CASES:
        assert expect(case.stream, max_bytes=MAX_MESSAGE_BYTES) == expected_of(case), case.name


def test_every_case_has_a_name_of_its_own() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {name for names in KNOWN_FAULTS.values() for name in names} <= set(names)
