# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import pytest

from audio_connector.errors import AudioFormatError, UsageError
from audio_connector.simulator.config import RouterCall

URL = "ws://127.0.0.1:8765/path?x=1"


def test_the_upgrade_has_the_routers_headers_and_the_custom_ones() -> None:
    call = RouterCall(
        url=URL, session_id="s", connection_id="c", conference_id="f", headers={"Caller": "Ann"}
    )
    assert call.upgrade_headers() == [
        ("x-opentok-ws-sessionid", "s"),
        ("x-opentok-ws-connectionid", "c"),
        ("x-opentok-ws-conferenceid", "f"),
        ("Caller", "Ann"),
    ]


def test_ids_are_made_up_and_differ_between_calls() -> None:
    first, second = RouterCall(url=URL), RouterCall(url=URL)
    assert len({first.session_id, first.connection_id, first.conference_id, second.connection_id}) == 4


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://x/",
        "ws://",
        "ws:///path",
        "127.0.0.1:8765",
        "ws://x:port/",
        "ws://x:99999/",
        "ws://[::1/",
        "ws://x:0",
        "ws://x/a b",
        "ws://x/a\r\nX-Evil: 1",
        "ws://x/\t",
        "ws://x/#part",
        "ws://x/\0",
    ],
)
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is not a WebSocket URL"):
        RouterCall(url=url)


@pytest.mark.parametrize(
    "url", ["ws://localhost", "wss://example.org/a/b?c=d", "ws://[::1]:8765/", "ws://x/%20/\N{SNOWMAN}"]
)
def test_websocket_urls_are_taken(url: str) -> None:
    assert RouterCall(url=url).url == url


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"tail_s": -1}, "tail_s"),
        ({"duration_s": math.nan}, "duration_s"),
        ({"dial_timeout_s": 0}, "dial_timeout_s"),
        ({"max_buffer_ms": 19}, "max_buffer_ms"),
        ({"pause_after_ms": -1}, "pause_after_ms"),
        ({"silence": "loud"}, "silence"),
        ({"close": "later"}, "close"),
        ({"dial_after_s": -1}, "dial_after_s"),
        ({"profile": "vdeo"}, "profile is 'vdeo'; expected one of 'video', 'wsbridge', 'voice'"),
        ({"headers": {"a b": "c"}}, "not a header name"),
        ({"headers": {"": "c"}}, "not a header name"),
        ({"headers": {"a": "b\r\nc: d"}}, "printable ASCII"),
        ({"headers": {"Event": "x"}}, "overwritten"),
        ({"headers": {"a": "x" * 512}}, "513 bytes"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        RouterCall(url=URL, **options)


def test_a_rate_that_the_protocol_does_not_have_is_refused() -> None:
    with pytest.raises(AudioFormatError, match="11025"):
        RouterCall(url=URL, rate_hz=11025)
