# SPDX-License-Identifier: Apache-2.0
"""What a main program does with its process."""

from __future__ import annotations

import io
import signal
import sys

import pytest

from audio_connector.server.program import end_at_next_interrupt, print_what_can_be, take_interrupts


def test_what_an_encoding_lacks_is_printed_as_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # as a test runner has it: nothing is encoded
    print_what_can_be()
    sys.stdout.write("✓ Grüße\n")
    sys.stdout.flush()
    assert printed.getvalue() == b"? Gr??e\n"


def test_the_next_interrupt_is_the_systems() -> None:
    before = signal.getsignal(signal.SIGINT)
    try:
        end_at_next_interrupt()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("before", "after"),
    [(signal.SIG_DFL, signal.default_int_handler), (signal.SIG_IGN, signal.SIG_IGN)],
)
def test_interrupts_that_were_left_to_the_system_are_taken_back(
    before: signal.Handlers, after: object
) -> None:
    kept = signal.signal(signal.SIGINT, before)
    try:
        take_interrupts()
        assert signal.getsignal(signal.SIGINT) == after
    finally:
        signal.signal(signal.SIGINT, kept)
