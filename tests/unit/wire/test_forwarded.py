# SPDX-License-Identifier: Apache-2.0
"""Who has dialled, where proxies say it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.wire.forwarded import MAX_HOPS, Proxies, site_of
from audio_connector.wire.transport import Headers

PROXY = ("10.0.0.1", 4000)
TRUSTED = Proxies(["10.0.0.0/8", "2001:db8:1::/48"])
CLIENT = ("203.0.113.7", 0)


def client(*pairs: tuple[str, str], peer: tuple[str, int] = PROXY) -> tuple[str, int]:
    return TRUSTED.client_of(peer, Headers(pairs))


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], PROXY),
        ([("X-Forwarded-For", "203.0.113.7")], CLIENT),
        ([("X-Forwarded-For", "6.6.6.6, 203.0.113.7")], CLIENT),
        ([("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "203.0.113.7")], CLIENT),
        ([("X-Forwarded-For", "203.0.113.7, 10.1.2.3,10.9.9.9")], CLIENT),
        ([("X-Forwarded-For", "203.0.113.7:5060")], ("203.0.113.7", 5060)),
        ([("X-Forwarded-For", "203.0.113.7:99999")], CLIENT),
        ([("X-Forwarded-For", "10.1.2.3")], ("10.1.2.3", 0)),
        ([("X-Forwarded-For", "203.0.113.7, unknown, 10.1.2.3")], ("10.1.2.3", 0)),
        ([("X-Forwarded-For", "nonsense")], PROXY),
        ([("X-Forwarded-For", "")], PROXY),
        ([("X-Forwarded-For", "::ffff:203.0.113.7")], CLIENT),
        ([("X-Forwarded-For", "2001:db8::7")], ("2001:db8::7", 0)),
        ([("X-Forwarded-For", "[2001:DB8::7]:80, 2001:db8:1::9")], ("2001:db8::7", 80)),
        ([("Forwarded", "for=203.0.113.7")], CLIENT),
        ([("Forwarded", 'by=x;FOR="203.0.113.7:80";proto=https')], ("203.0.113.7", 80)),
        ([("Forwarded", 'for="[2001:db8::7]:80", for=10.1.2.3;host="a,b;for=6.6.6.6"')], ("2001:db8::7", 80)),
        ([("Forwarded", "for=_hidden, for=10.1.2.3")], ("10.1.2.3", 0)),
        ([("Forwarded", "for=6.6.6.6, proto=https")], PROXY),
        ([("Forwarded", 'host="a;for=6.6.6.6;b";for=203.0.113.7')], CLIENT),
        ([("Forwarded", 'for="203.0.113.7";host="a\\",for=6.6.6.6;b"')], CLIENT),
        ([("Forwarded", 'for=", for=203.0.113.7;host="a, for=6.6.6.6"')], PROXY),
        ([("Forwarded", "xfor=6.6.6.6")], PROXY),
        ([("Forwarded", "for=203.0.113.7"), ("X-Forwarded-For", "203.0.113.7")], CLIENT),
        ([("Forwarded", "for=6.6.6.6"), ("X-Forwarded-For", "203.0.113.7")], PROXY),
    ],
)
def test_the_last_that_is_no_proxy_has_dialled(
    pairs: list[tuple[str, str]], expected: tuple[str, int]
) -> None:
    assert client(*pairs) == expected


@pytest.mark.parametrize("peer", [("203.0.113.9", 1), ("11.0.0.1", 1), ("", 0), ("fe80::1%eth0", 1)])
def test_who_is_not_trusted_is_not_believed(peer: tuple[str, int]) -> None:
    assert client(("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), peer=peer) == peer
    assert Proxies().client_of(PROXY, Headers([("X-Forwarded-For", "6.6.6.6")])) == PROXY


def test_a_proxy_is_found_at_a_socket_of_both_families() -> None:
    assert TRUSTED.trusts("::ffff:10.0.0.1")
    assert client(("X-Forwarded-For", "203.0.113.7"), peer=("::ffff:10.0.0.1", 5)) == CLIENT


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got '10\.0\.0\.0/33'; expected addresses of proxies"):
        Proxies(["10.0.0.0/33"])
    assert Proxies(["10.1.2.3/8"]).trusts("10.200.0.1")  # the bits of the host do not matter


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_header_makes_it_fail_and_what_comes_out_is_an_address(forwarded: str, x_forwarded: str) -> None:
    address, port = client(("Forwarded", forwarded), ("X-Forwarded-For", x_forwarded))
    assert site_of(address)
    assert 0 <= port <= 65535


@given(st.lists(st.sampled_from(["6.6.6.6", "10.7.7.7", "unknown", "x"]), max_size=5))
def test_whatever_a_peer_writes_in_front_what_a_proxy_adds_counts(written: list[str]) -> None:
    assert client(("X-Forwarded-For", ", ".join([*written, CLIENT[0]]))) == CLIENT
    assert (
        client(("Forwarded", ", ".join([*(f"for={node}" for node in written), f"for={CLIENT[0]}"]))) == CLIENT
    )


# Of these the first two took the loop of all calls 2 and 3 s, and the third a tenth of one: behind a proxy that hands
# on what it does not know.
@pytest.mark.parametrize(
    "value",
    [
        '"' + '\\"' * 7900,
        "for=" + " " * 15900 + "x y",
        "," * 15900,
        ";" * 15900,
        "for=10.0.0.1," * 1200,
        ":" * 15900,
    ],
)
@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For"])
def test_what_a_peer_writes_takes_no_time(name: str, value: str) -> None:
    began_at = time.process_time()
    for _ in range(10):
        assert client((name, value))[0] in (PROXY[0], "10.0.0.1")
    assert (time.process_time() - began_at) / 10 < 0.02


def test_who_has_dialled_is_not_looked_for_behind_a_great_many() -> None:
    assert client(("X-Forwarded-For", ", ".join(["6.6.6.6", *["10.1.2.3"] * MAX_HOPS]))) == ("10.1.2.3", 0)
    assert client(("X-Forwarded-For", ", ".join([CLIENT[0], *["10.1.2.3"] * (MAX_HOPS - 1)]))) == CLIENT


def test_one_customer_counts_once() -> None:
    assert site_of("203.0.113.7") == site_of("::ffff:203.0.113.7") == "203.0.113.7"
    assert site_of("2001:db8::1") == site_of("2001:db8::ffff:1") == "2001:db8::"
    assert site_of("2001:db8:0:1::1") != site_of("2001:db8::1")
    assert site_of("fe80::1%eth0") == "fe80::"
    assert site_of("") == ""
    assert site_of("a:b") == "a:b"
