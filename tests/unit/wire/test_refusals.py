# SPDX-License-Identifier: Apache-2.0
"""Refused connections are counted, and told rarely."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.refusals import (
    BAD_UPGRADE,
    FIRST_INTERVAL_S,
    NOT_AN_UPGRADE,
    NOT_HTTP,
    QUOTED_CHARACTERS,
    TLS_FAILED,
    Refusal,
    Refusals,
    quote_request,
)

GET = b"GET /x HTTP/1.1\r\nHost: y\r\n\r\n"
DAY_S = 86400


def test_the_first_is_told_at_once() -> None:
    line = Refusals().note(NOT_AN_UPGRADE, 5.0, request=GET, peer="127.0.0.1")
    assert line == "refused GET '/x' from 127.0.0.1 with 426: not a WebSocket upgrade (dial ws:// or wss://)"


def test_what_had_no_answer_has_no_status() -> None:
    line = Refusals().note(TLS_FAILED, 0.0, peer="::1", detail="TLSV1_ALERT_UNKNOWN_CA")
    assert line == "refused a connection from ::1: the TLS handshake failed: TLSV1_ALERT_UNKNOWN_CA"


def test_the_next_ones_are_told_later_with_their_number() -> None:
    refusals = Refusals()
    assert refusals.note(NOT_HTTP, 0.0) is not None
    assert [refusals.note(NOT_HTTP, at) for at in (1.0, 2.0, FIRST_INTERVAL_S - 0.1)] == [None] * 3
    line = refusals.note(NOT_HTTP, FIRST_INTERVAL_S)
    assert line is not None
    assert line.endswith("; 3 more of the kind since the last line")
    assert refusals.counts == {"400": 5}


def test_kinds_are_told_apart_and_counted_by_status() -> None:
    refusals = Refusals()
    lines = [refusals.note(kind, 0.0) for kind in (NOT_HTTP, BAD_UPGRADE, TLS_FAILED, NOT_HTTP)]
    assert [line is not None for line in lines] == [True, True, True, False]
    assert refusals.counts == {"400": 3, "tls": 1}
    refusals.counts.clear()
    assert refusals.counts, "a copy is handed out"


def test_a_day_of_health_checks_is_few_lines() -> None:
    refusals = Refusals()
    told = sum(refusals.note(NOT_AN_UPGRADE, float(at)) is not None for at in range(DAY_S))
    assert 20 < told < 40
    assert refusals.counts == {"426": DAY_S}


def test_the_end_tells_what_was_counted_only() -> None:
    refusals = Refusals()
    for _ in range(4):
        refusals.note(NOT_HTTP, 0.0)
    refusals.note(TLS_FAILED, 0.0)
    assert refusals.take_untold() == ["refused 3 more: not a valid HTTP request (RFC 9112)"]
    assert refusals.take_untold() == []


@given(st.lists(st.tuples(st.sampled_from([NOT_HTTP, NOT_AN_UPGRADE]), st.floats(0, 1000)), max_size=50))
def test_every_refusal_is_in_exactly_one_line(noted: list[tuple[Refusal, float]]) -> None:
    refusals = Refusals()
    lines = [refusals.note(kind, at) for kind, at in sorted(noted, key=lambda each: each[1])]
    told = sum(1 + _more(line) for line in lines if line)
    told += sum(int(line.split()[1]) for line in refusals.take_untold())
    assert told == len(noted) == sum(refusals.counts.values())


def _more(line: str) -> int:
    _, found, more = line.partition("; ")
    return int(more.split()[0]) if found else 0


@pytest.mark.parametrize(
    ("request_", "quoted"),
    [
        (b"", "a connection"),
        (GET, "GET '/x'"),
        (b"GET /x", "GET '/x'"),
        (b"POST /a b HTTP/1.1\r\n", "POST '/a b'"),
        (b"nonsense\r\nsecond line", "'nonsense'"),
        (b"get / HTTP/1.1", "'get / HTTP/1.1'"),
        (b"\x16\x03\x01\x1b[2J\nHost: x", repr("\x16\x03\x01\x1b[2J")),
        (b"GET /\xc2\x9b31m HTTP/1.1", "GET " + repr("/\xc2\x9b31m")),
        (b"GET /" + b"y" * 500 + b" HTTP/1.1", "GET " + repr("/" + "y" * (QUOTED_CHARACTERS - 1)) + "…"),
        (b"X" * 500 + b" / HTTP/1.1", repr("X" * QUOTED_CHARACTERS) + "…"),
    ],
)
def test_what_a_peer_sent_is_quoted_and_cut(request_: bytes, quoted: str) -> None:
    assert quote_request(request_) == quoted


@given(st.binary(max_size=300))
def test_no_peer_writes_a_line_of_its_own(raw: bytes) -> None:
    line = Refusals().note(NOT_HTTP, 0.0, request=raw, peer="127.0.0.1")
    assert line is not None
    assert line.isprintable()
    assert len(line) < 4 * QUOTED_CHARACTERS + 200
