# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal
import threading
from contextlib import suppress

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator.talk import patterns
from audio_connector.simulator.talk.patterns import is_found

NESTED, SENTENCE = "(a+)+$", "a" * 60 + "!"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("tables? for (two|four)", "A TABLE for Four.", True), ("^four", "for four", False), ("", "", True)],
)
def test_it_is_found_without_regard_to_case(pattern: str, text: str, found: bool) -> None:
    assert is_found(pattern, text) is found


def test_what_would_take_years_is_named_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LONGEST_S", 0.05)
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(
        UsageError, match=r"the pattern '\(a\+\)\+\$' takes more than 0\.05 s .* in 61 characters"
    ):
        is_found(NESTED, SENTENCE)
    assert is_found("a!", SENTENCE)
    assert signal.getsignal(signal.SIGVTALRM) == before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


@pytest.mark.parametrize("pattern", ["a!", NESTED])
def test_a_profiler_gets_its_timer_back(monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    monkeypatch.setattr(patterns, "LONGEST_S", 0.05)
    before = signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 3600, 60)
        with suppress(UsageError):
            is_found(pattern, SENTENCE)
        left_s, every_s = signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        assert left_s > 3000
        assert every_s == 60
        assert signal.getsignal(signal.SIGVTALRM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGVTALRM, before)


def test_in_another_thread_it_is_found_as_well() -> None:
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(is_found("a+!", SENTENCE)))
    thread.start()
    thread.join()
    assert found == [True]
