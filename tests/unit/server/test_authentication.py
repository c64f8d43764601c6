# SPDX-License-Identifier: Apache-2.0
"""The application's own function for who may dial: what it may return and raise, and how long it may take."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stage import UPGRADE

from audio_connector.auth import Rejected, UpgradeRequest
from audio_connector.call import tells
from audio_connector.call.asks import Ask, Judged
from audio_connector.errors import AudioConnectorConfigError, UsageError
from audio_connector.server.authentication import MAX_IDENTITY_BYTES, Authentication
from audio_connector.server.config import AudioConnectorServerConfig
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.wire.transport import Headers

WITHIN_S = 3.0


class Scene:
    def __init__(self, function: Callable[[UpgradeRequest], Any]) -> None:
        self.loop = asyncio.get_running_loop()
        self.answers: list[tuple[int, Ask]] = []
        self.authentication = Authentication(function, self.answers.append, self.loop.time)

    def ask(self, number: int = 1, *, within_s: float = WITHIN_S, **request: Any) -> None:
        asked = tells.Asked(UPGRADE._replace(**request), None, self.loop.time() + within_s)
        self.authentication.take(number, asked)

    @property
    def answer(self) -> Judged:
        [(number, judged)] = self.answers
        assert number == 1
        assert isinstance(judged, Judged)
        return judged


def both(function: Callable[[UpgradeRequest], Any]) -> list[Callable[[UpgradeRequest], Any]]:
    """A function, and the same as a coroutine function."""

    async def later(request: UpgradeRequest) -> Any:
        await asyncio.sleep(0.5)
        return function(request)

    return [function, later]


async def answered(function: Callable[[UpgradeRequest], Any], **request: Any) -> Judged:
    scene = Scene(function)
    scene.ask(**request)
    await asyncio.sleep(1)
    await scene.authentication.close()
    return scene.answer


@in_virtual_time
async def test_what_it_returns_is_the_identity() -> None:
    for identity in ("Ann", 5, 0, "", {}, {"a": [1, None]}, True, 1.5, (1 << 64) - 1, -(1 << 63)):
        for function in both(lambda _, it=identity: it):  # type: ignore[misc]
            assert await answered(function) == Judged(identity, None, "")


@in_virtual_time
async def test_a_plain_function_answers_at_once() -> None:
    scene = Scene(lambda request: request.path)
    scene.ask(path="/x")
    assert scene.answer == Judged("/x", None, "")


@in_virtual_time
async def test_one_that_forgets_to_decide_lets_nobody_in() -> None:
    for nothing in (None, False):
        for function in both(lambda _, it=nothing: it):  # type: ignore[misc]
            assert await answered(function) == Judged(None, 401, f"it returned {nothing}")


@in_virtual_time
async def test_it_rejects_with_a_status() -> None:
    def reject(_: UpgradeRequest) -> None:
        raise Rejected(status=403, reason="another tenant")

    for function in both(reject):
        assert await answered(function) == Judged(None, 403, "another tenant")


@in_virtual_time
async def test_where_it_fails_the_log_has_the_traceback_and_no_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: UpgradeRequest) -> None:
        raise KeyError("customer")

    for function in both(fail):
        caplog.clear()
        assert (await answered(function, path="/eyJhbGci.x.y", query="t=s3cret")).status == 500
        [record] = caplog.records
        assert record.levelno == logging.ERROR
        assert record.exc_info is not None
        assert "failed on an upgrade with path '/…' from 127.0.0.1, which got 500" in record.getMessage()
        assert "eyJ" not in caplog.text
        assert "s3cret" not in caplog.text


@in_virtual_time
async def test_many_failures_are_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(lambda _: 1 / 0)
    for number in range(500):
        scene.ask(number)
        await asyncio.sleep(0.02)
    assert len(scene.answers) == 500
    assert 1 < len(caplog.records) < 5
    await scene.authentication.close()
    told = re.findall("; ([0-9]+) more since|failed ([0-9]+) more times", caplog.text)
    lines = caplog.text.count("which got 500")
    assert lines + sum(int(one or other) for one, other in told) == 500, (
        "what was only counted is told at the end"
    )


@in_virtual_time
async def test_what_cannot_cross_to_another_process_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    unpacked = (1 << 64, {"n": [-(1 << 63) - 1]}, "\ud800", {"\udfff": 1})  # by MessagePack
    for identity in (object(), {1, 2}, float("nan"), b"bytes", "x" * MAX_IDENTITY_BYTES, *unpacked):
        assert (await answered(lambda _, it=identity: it)).status == 500  # type: ignore[misc]
    assert "authenticate returned object; expected what JSON can hold" in caplog.text
    assert f"expected {MAX_IDENTITY_BYTES} at most" in caplog.text


@in_virtual_time
async def test_what_takes_too_long_is_cancelled() -> None:
    ends: list[float] = []

    async def wait(_: UpgradeRequest) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append(loop.time())
        return "Ann"

    loop = asyncio.get_running_loop()
    began = loop.time()
    scene = Scene(wait)
    scene.ask()
    await asyncio.sleep(WITHIN_S + 0.1)
    assert scene.answer.status == 503
    assert [at - began for at in ends] == pytest.approx([WITHIN_S], abs=0.01)


@in_virtual_time
async def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    scene = Scene(lambda _: pytest.fail("it was asked"))
    scene.ask(within_s=-0.1)
    assert scene.answer.status == 503


@in_virtual_time
async def test_one_that_cancels_itself_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def cancelled(_: UpgradeRequest) -> None:
        raise asyncio.CancelledError

    def raising(_: UpgradeRequest) -> None:
        raise asyncio.CancelledError  # which is no Exception: of a future that it asked for its result

    for function in (cancelled, raising):
        assert (await answered(function)).status == 500
        assert "CancelledError" in caplog.text
        caplog.clear()


@in_virtual_time
async def test_a_close_says_what_it_cannot_end(caplog: pytest.LogCaptureFixture) -> None:
    ends = asyncio.Event()

    async def stubborn(_: UpgradeRequest) -> None:
        while not ends.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ends.wait()

    scene = Scene(stubborn)
    scene.ask()
    await rest()
    await scene.authentication.close()
    assert "goes on although it was cancelled" in caplog.text
    scene.ask(2)
    assert scene.answers == []
    ends.set()
    await rest()


@in_virtual_time
async def test_a_close_leaves_nothing_behind() -> None:
    scene = Scene(lambda _: asyncio.sleep(60))
    for number in range(5):
        scene.ask(number)
    await rest()
    await scene.authentication.close()
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("status", [200, 399, 600, "401", True, None])
def test_a_rejection_has_a_status_of_an_error(status: Any) -> None:
    with pytest.raises(UsageError, match="expected 400 to 599"):
        Rejected(status=status)


def test_its_text_does_not_show_what_may_be_secret() -> None:
    request = UpgradeRequest("/bot", "t=s3cret", Headers([("Authorization", "s3cret")]), ("::1", 5), True)
    assert repr(request) == "UpgradeRequest(path='/bot', remote_address=('::1', 5), secure=True)"
    assert request.headers["authorization"] == "s3cret"


@pytest.mark.parametrize("wrong", ["a token", 5, lambda: None, lambda a, b: None])
def test_what_cannot_decide_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(AudioConnectorConfigError, match="authenticate="):
        AudioConnectorServerConfig(host="x", port=0, authenticate=wrong)


@given(st.lists(st.floats(0, 2 * WITHIN_S), max_size=6))
def test_each_is_answered_once(delays: list[float]) -> None:
    async def play() -> None:
        waits = dict(enumerate(delays))

        def decide(request: UpgradeRequest) -> Awaitable[str]:
            return asyncio.sleep(waits[int(request.path)], request.path)

        scene = Scene(decide)
        for number in waits:
            scene.ask(number, path=str(number))
        await asyncio.sleep(3 * WITHIN_S)
        assert sorted(number for number, _ in scene.answers) == list(waits)
        for number, judged in scene.answers:
            assert isinstance(judged, Judged)
            if abs(waits[number] - WITHIN_S) > 0.001:
                assert (judged.status is None) == (waits[number] < WITHIN_S)

    run_in_virtual_time(play())
