# SPDX-License-Identifier: Apache-2.0
"""Which headers make an upgrade request, and how their bytes are read."""

from __future__ import annotations

import pytest

from audio_connector.wire.upgrade import header_text, judge_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    "connection", [["Upgrade"], ["keep-alive, Upgrade"], ["keep-alive", "upgrade"], [" UPGRADE ,x"]]
)
def test_an_upgrade_is_one_among_any_tokens(connection: list[str]) -> None:
    assert judge_upgrade(connection, KEY, "13") is None


@pytest.mark.parametrize(
    ("connection", "key", "version", "status"),
    [
        ([], KEY, "13", 400),
        (["keep-alive"], KEY, "13", 400),
        (["upgrades"], KEY, "13", 400),
        (["Upgrade"], "", "13", 400),
        (["Upgrade"], KEY[1:], "13", 400),
        (["Upgrade"], KEY + "\n", "13", 400),
        (["Upgrade"], KEY, "8", 426),
        (["Upgrade"], KEY, None, 426),
        (["Upgrade"], "short", "8", 400),
    ],
)
def test_what_is_none_has_a_status(connection: list[str], key: str, version: str | None, status: int) -> None:
    assert judge_upgrade(connection, key, version) == status


def test_bytes_beyond_ascii_are_utf_8_or_else_latin_1() -> None:
    assert header_text("plain") == "plain"
    assert header_text("Zoë".encode().decode("ascii", "surrogateescape")) == "Zoë"
    assert header_text("Zoë".encode("latin-1").decode("ascii", "surrogateescape")) == "Zoë"
