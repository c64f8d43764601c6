# SPDX-License-Identifier: Apache-2.0
"""A gate whose judge takes its time: what may happen meanwhile, in every order."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audio_connector.server.judging import TOO_MANY
from audio_connector.testing.virtual_time import in_virtual_time, run_in_virtual_time
from audio_connector.wire import refusals
from audio_connector.wire.gate import MAX_EARLY_BYTES, Gate, Gates, Upgraded, answer_to, least_request
from audio_connector.wire.network import Cancel, ListenOptions, Refused, Verdict
from audio_connector.wire.refusals import NOT_NOW, Refusal
from audio_connector.wire.transport import Upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEAD = (
    "GET /bot?token=s3cret HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()
READ_S, JUDGE_S = 5.0, 3.0
NO = Refusal("403", "not you", kind="rejected")


class Wire:
    """A transport in memory, and what it is handed on to."""

    def __init__(self) -> None:
        self.written = b""
        self.got = b""
        self.protocol: Any = None
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed, "a write to nobody"
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def get_extra_info(self, name: str) -> object:
        return ("192.0.2.1", 5) if name == "peername" else None

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def feed(self, data: bytes) -> None:
        self.got += data


class Scene:
    """One connection at a gate; ``decide`` gives the verdict, where it is asked for later."""

    def __init__(self, at_once: Verdict | Exception | None = None) -> None:
        self.at_once = at_once
        self.asked: list[Upgrade] = []
        self.opened: list[Upgrade] = []
        self.cancelled = 0
        self.takes: bool | Exception = True
        self.wire = Wire()
        options = ListenOptions(handshake_timeout_s=READ_S, judge=self._judge, judge_timeout_s=JUDGE_S)
        self.gates = Gates(self._open, options, asyncio.get_running_loop().time, most_waiting=10)
        self.gate = Gate(self.gates, "10.0.0.1")
        self.gate.connection_made(cast("asyncio.Transport", self.wire))

    def _judge(self, upgrade: Upgrade, decide: Any) -> Verdict | Cancel:
        self.asked.append(upgrade)
        self.decide = decide
        if isinstance(self.at_once, Exception):
            raise self.at_once
        if self.at_once is not None:
            return self.at_once
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1

    def _open(self, transport: asyncio.Transport, upgrade: Upgrade) -> Upgraded | Refusal:
        if isinstance(self.takes, Exception):
            raise self.takes
        if not self.takes:
            return NOT_NOW
        self.opened.append(upgrade)
        return self.wire

    def let_in(self) -> None:
        self.decide(self.asked[0]._replace(identity="Ann"))

    def leave(self) -> None:
        """The peer goes."""
        self.wire.is_closed = True
        self.gate.connection_lost(None)

    @property
    def status(self) -> str:
        return self.wire.written[9:12].decode()


@in_virtual_time
async def test_who_has_not_asked_yet_is_read_like_who_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "keep_new", kept.append, raising=False)
    scene = Scene()
    sock = SimpleNamespace(fileno=lambda: 7)
    monkeypatch.setattr(scene.wire, "get_extra_info", {"socket": sock}.get)
    for byte in HEAD[:-1]:
        scene.gate.data_received(bytes([byte]))
    assert kept == [7] * (len(HEAD) - 1)
    scene.gate.data_received(HEAD[-1:])
    assert len(scene.asked) == 1
    assert len(kept) == len(HEAD) - 1
    monkeypatch.undo()
    scene.leave()


@in_virtual_time
async def test_who_is_let_in_later_is_opened_with_the_identity_and_what_it_sent_early() -> None:
    scene = Scene()
    scene.gate.data_received(HEAD + b"abc")
    scene.gate.data_received(b"def")
    assert (scene.opened, scene.wire.written) == ([], b"")
    await asyncio.sleep(JUDGE_S - 0.1)
    scene.let_in()
    [upgrade] = scene.opened
    assert (upgrade.path, upgrade.query, upgrade.identity) == ("/bot", "token=s3cret", "Ann")
    assert scene.wire.got == least_request(KEY) + b"abcdef"
    assert scene.wire.protocol is scene.wire
    await asyncio.sleep(60)
    assert (scene.wire.is_closed, scene.gates.refusals.counts, scene.cancelled) == (False, {}, 0)


@in_virtual_time
async def test_who_is_not_gets_the_status_and_a_fixed_text() -> None:
    for status, line in {
        "401": "401 Unauthorized\r\nWWW-Authenticate: Bearer",
        "403": "403 Forbidden",
        "418": "418 I'm a Teapot",
        "499": "499 Refused",
        "502": "502 Bad Gateway",
    }.items():
        scene = Scene()
        scene.gate.data_received(HEAD)
        scene.decide(Refused(Refusal(status, "a secret reason", kind="rejected"), "a secret detail"))
        head, _, body = scene.wire.written.decode().partition("\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {line}\r\nConnection: close\r\n")
        assert body in ("This server does not let you in.\n", "This server cannot take the connection now.\n")
        assert "secret" not in head
        assert scene.gates.refusals.counts == {f"{status} rejected": 1}
        assert (scene.opened, scene.wire.is_closed) == ([], True)


@in_virtual_time
async def test_a_verdict_at_once_takes_no_timer_and_no_cancel() -> None:
    scene = Scene(at_once=Refused(NO))
    scene.gate.data_received(HEAD)
    assert scene.status == "403"
    scene = Scene(at_once=Upgrade("/", "", None, ("", 0), False, {"who": 1}))  # type: ignore[arg-type]
    scene.gate.data_received(HEAD)
    assert scene.opened[0].identity == {"who": 1}
    assert scene.cancelled == 0


@in_virtual_time
async def test_one_that_is_not_decided_in_time_gets_503_and_the_late_verdict_is_none() -> None:
    scene = Scene()
    await asyncio.sleep(READ_S - 0.1)
    scene.gate.data_received(HEAD)
    await asyncio.sleep(JUDGE_S - 0.1)
    assert scene.wire.written == b""
    await asyncio.sleep(0.2)
    assert (scene.status, scene.cancelled) == ("503", 1)
    assert scene.gates.refusals.counts == {"503 undecided": 1}
    scene.let_in()
    assert scene.opened == []


@in_virtual_time
async def test_a_judge_that_fails_gives_500_and_says_so_in_our_log(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(at_once=RuntimeError("a secret"))
    scene.gate.data_received(HEAD)
    assert (scene.status, scene.opened) == ("500", [])
    [record] = caplog.records
    assert (record.levelname, record.exc_info is not None) == ("ERROR", True)
    assert "s3cret" not in caplog.text


@in_virtual_time
async def test_nothing_is_opened_for_who_has_gone() -> None:
    scene = Scene()
    scene.gate.data_received(HEAD)
    scene.leave()
    assert scene.cancelled == 1
    scene.let_in()
    assert (scene.opened, list(scene.gates.waiting), scene.gates.refusals.counts) == ([], [], {})


@in_virtual_time
async def test_nothing_is_opened_between_the_end_of_a_stream_and_its_notice() -> None:
    scene = Scene()
    scene.gate.data_received(HEAD)
    scene.wire.is_closed = True
    scene.let_in()
    assert (scene.opened, scene.wire.written) == ([], b"")
    scene.gate.connection_lost(None)


@in_virtual_time
async def test_what_is_sent_meanwhile_is_bounded() -> None:
    scene = Scene()
    scene.gate.data_received(HEAD)
    scene.gate.data_received(bytes(MAX_EARLY_BYTES))
    assert scene.wire.written == b""
    scene.gate.data_received(b"x")
    assert (scene.status, scene.cancelled) == ("400", 1)
    scene.let_in()
    assert scene.opened == []


@in_virtual_time
async def test_a_stop_drops_who_is_judged() -> None:
    scene = Scene()
    scene.gate.data_received(HEAD)
    scene.gates.stop()
    assert scene.wire.is_closed
    scene.let_in()
    scene.gate.connection_lost(None)
    assert (scene.opened, scene.cancelled, list(scene.gates.waiting)) == ([], 0, [])


@in_virtual_time
async def test_who_is_let_in_may_still_find_no_room() -> None:
    for takes, status in ((False, "503"), (ValueError("a secret"), "500")):
        scene = Scene()
        scene.takes = takes
        scene.gate.data_received(HEAD)
        scene.let_in()
        assert (scene.status, scene.opened) == (status, [])
        assert b"secret" not in scene.wire.written


class Play(Scene):
    """Acts in any order, as the network and the judge may do them."""

    def __init__(self) -> None:
        super().__init__()
        self.is_lost = False

    @property
    def is_at_the_gate(self) -> bool:
        return not (self.is_lost or self.opened or self.wire.is_closed)

    def act(self, name: str) -> None:
        if name in ("a little", "too much") and self.is_at_the_gate:
            self.gate.data_received(bytes(9 if name == "a little" else MAX_EARLY_BYTES))
        elif name == "let in":
            self.let_in()
        elif name == "refuse":
            self.decide(Refused(NO))
        elif name == "stop":
            self.gates.stop()
        elif name == "leave" and self.is_at_the_gate:
            self.wire.is_closed = True

    def notice(self) -> None:
        """A round of the loop later: who is closed is told so."""
        if self.wire.is_closed and not self.is_lost:
            self.is_lost = True
            self.gate.connection_lost(None)

    def check(self) -> None:
        assert len(self.opened) + bool(self.wire.written) <= 1
        assert sum(self.gates.refusals.counts.values()) == bool(self.wire.written)
        assert self.cancelled <= 1
        assert bool(self.gates.waiting) != bool(self.opened or self.is_lost)


WAITS = {"a moment": 0.1, "long": JUDGE_S}
ACTS = ("a little", "too much", "let in", "refuse", "leave", "stop", *WAITS)


@given(acts=st.lists(st.sampled_from(ACTS), max_size=8), split=st.integers(1, len(HEAD) - 1))
def test_in_every_order_one_thing_becomes_of_it(acts: list[str], split: int) -> None:
    async def play() -> None:
        scene = Play()
        scene.gate.data_received(HEAD[:split])
        scene.gate.data_received(HEAD[split:])
        for name in acts:
            scene.act(name)
            await asyncio.sleep(WAITS.get(name, 0))
            scene.notice()
            scene.check()
        if scene.is_at_the_gate:
            await asyncio.sleep(JUDGE_S + READ_S)
            assert scene.status == "503"

    run_in_virtual_time(play())


@pytest.mark.parametrize(
    "refusal",
    [
        *(each for each in vars(refusals).values() if isinstance(each, Refusal) and each.status == "503"),
        TOO_MANY,
    ],
    ids=lambda refusal: refusal.name,
)
def test_who_gets_503_is_told_when_to_come_again(refusal: Refusal) -> None:
    head = answer_to(refusal, b"").partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"\r\nRetry-After: " in head
