# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path

import pytest

from audio_connector.errors import UsageError
from audio_connector.simulator import profile
from audio_connector.simulator.config import RouterCall
from audio_connector.simulator.profile import PROFILES, profile_named
from audio_connector.simulator.script import Impairments

PROTOCOL = Path(__file__).parents[3] / "docs" / "protocol.md"
URL = "ws://127.0.0.1:1/"


def test_the_three_routers_are_those_of_the_protocol() -> None:
    video, wsbridge, voice = (PROFILES[name] for name in ("video", "wsbridge", "voice"))
    assert [profile.max_buffer_frames for profile in (video, wsbridge, voice)] == [3000, 1024, 3072]
    assert [(profile.long_messages, profile.short_messages) for profile in (video, wsbridge, voice)] == [
        ("cut", "drop"), ("cut", "append"), ("end", "end"),
    ]  # fmt: skip
    assert [profile.clear_forms for profile in (video, wsbridge, voice)] == [
        ("action", "event", "legacy"), (), ("action",),
    ]  # fmt: skip
    assert [profile.reads_text for profile in (video, wsbridge, voice)] == [True, False, True]
    assert [profile.echo_notify for profile in (video, wsbridge, voice)] == [False, False, True]
    assert [profile.read_interval_ms for profile in (video, wsbridge, voice)] == [0, 10, 0]
    assert [profile.silence for profile in (video, wsbridge, voice)] == ["frames", "none", "frames"]
    assert [profile.close for profile in (video, wsbridge, voice)] == ["announce", "goodbye", "announce"]
    assert [profile.sends_identity for profile in (video, wsbridge, voice)] == [True, False, False]


def test_every_fact_has_a_row_in_the_protocol() -> None:
    rows = set(re.findall(r"PROTOCOL (\d\.\d+)", inspect.getsource(profile)))
    text = PROTOCOL.read_text(encoding="utf-8")
    assert len(rows) > 8
    assert {row for row in rows if f"| {row} |" not in text} == set()


def test_a_profile_is_found_by_its_name_and_keeps_it() -> None:
    assert {name: profile_named(name).name for name in PROFILES} == {name: name for name in PROFILES}
    with pytest.raises(UsageError) as caught:
        profile_named("Video")
    assert str(caught.value) == "profile is 'Video'; expected one of 'video', 'wsbridge', 'voice'"


def test_a_call_may_change_what_its_router_does() -> None:
    call = RouterCall(
        url=URL,
        profile="wsbridge",
        silence="frames",
        close="abrupt",
        echo_notify=True,
        max_buffer_ms=99.0,
        impairments=Impairments(slow_reader_ms=25),
    )
    assert call.router == replace(
        PROFILES["wsbridge"],
        silence="frames",
        close="abrupt",
        echo_notify=True,
        max_buffer_frames=4,
        read_interval_ms=25,
    )
    assert RouterCall(url=URL, profile="wsbridge").router == PROFILES["wsbridge"]
    assert RouterCall(url=URL, profile="voice", echo_notify=False).router.echo_notify is False


def test_a_router_that_nobody_has_described_yet_is_a_value() -> None:
    own = replace(PROFILES["video"], name="mine", long_messages="end", upgrade_headers=(("x-a", "b"),))
    call = RouterCall(url=URL, profile=own, session_id="s", connection_id="c", conference_id="f")
    assert call.router == own
    assert call.upgrade_headers()[-1] == ("x-a", "b")


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("video", ["x-opentok-ws-sessionid", "x-opentok-ws-connectionid", "x-opentok-ws-conferenceid", "a"]),
        ("wsbridge", ["Sec-WebSocket-Protocol", "a"]),
        ("voice", ["a"]),
    ],
)
def test_the_headers_of_the_upgrade(name: str, names: list[str]) -> None:
    call = RouterCall(url=URL, profile=name, headers={"a": "b"})
    assert [name for name, _ in call.upgrade_headers()] == names
