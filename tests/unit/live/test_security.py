# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import socket

import pytest

from audio_connector.live.security import Hosts
from audio_connector.wire.addresses import is_loopback


def hosts(host: str = "127.0.0.1", port: int = 8484) -> Hosts:
    made = Hosts(host)
    made.port = port
    return made


@pytest.mark.parametrize("value", ["127.0.0.1:8484", "localhost:8484", "LOCALHOST:8484", "[::1]:8484"])
def test_this_machine_is_one_of_ours(value: str) -> None:
    assert hosts().has(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "127.0.0.1",
        "127.0.0.1:8485",
        "evil.example:8484",
        "127.0.0.1.evil.example:8484",
        "localhost:8484@evil.example:8484",
        "me@localhost:8484",
        "localhost:8484/x",
        "localhost:8484; img-src *",
        "localhost:port",
        "[::1:8484",
        "10.0.0.7:8484",
        "localhost.:8484",
        "localhost:8484?",
        "localhost:8484#; script-src *",
        "local\thost:8484",
        "localhost:8484\n",
    ],
)
def test_any_other_name_is_not(value: str | None) -> None:
    assert not hosts().has(value)


def test_before_the_port_is_known_nothing_is() -> None:
    assert not Hosts("127.0.0.1").has("127.0.0.1:80")


def test_port_80_goes_without_saying() -> None:
    assert hosts(port=80).has("localhost")


def test_open_to_others_every_address_is_but_no_foreign_name() -> None:
    wide = hosts("0.0.0.0")
    assert wide.has("10.0.0.7:8484")
    assert wide.has("[fe80::1]:8484")
    assert wide.has(f"{socket.gethostname()}:8484")
    assert not wide.has("rebound.example:8484")
    assert not wide.has("[fe80::1%25; script-src *]:8484")
    assert hosts("bot.example").has("bot.example:8484")


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
