# SPDX-License-Identifier: Apache-2.0
"""Messages reach the handlers in order, one at a time, and what a handler does wrong harms nobody."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.dispatching import TEXT, Stage

from audio_connector.intake.dispatch import Dispatcher
from audio_connector.testing.virtual_time import in_virtual_time, rest, run_in_virtual_time
from audio_connector.validation.handlers import Handler


@in_virtual_time
async def test_messages_come_in_order_and_one_at_a_time() -> None:
    stage = Stage()
    told: list[object] = []
    running = 0

    async def on_message(message: object) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.5)
        told.append(message)
        running -= 1

    stage.set(on_message=on_message)
    stage.feed(b"1", TEXT, b"2")
    await rest()
    stage.feed(b"3")
    await stage.end()
    assert told == [b"1", TEXT.text, b"2", b"3"]
    assert stage.dispatcher.handled == 4


@in_virtual_time
async def test_each_kind_goes_to_its_own_handlers() -> None:
    stage = Stage()
    told: list[tuple[str, object]] = []
    for name in ("on_message", "on_audio", "on_event"):
        stage.set(**{name: lambda what, name=name: told.append((name, what))})
    stage.feed(b"1", TEXT)
    await stage.end()
    assert told == [
        ("on_message", b"1"),
        ("on_audio", b"1"),
        ("on_message", TEXT.text),
        ("on_event", TEXT.event),
    ]


@in_virtual_time
async def test_an_error_of_a_handler_goes_to_on_error_and_the_next_message_is_handled() -> None:
    stage = Stage()
    told: list[object] = []
    errors: list[Exception] = []

    async def on_message(message: bytes) -> None:
        if message == b"bad":
            raise KeyError("bad")
        told.append(message)

    stage.set(on_message=on_message, on_error=errors.append)
    stage.feed(b"1", b"bad", b"2")
    await stage.end()
    assert told == [b"1", b"2"]
    assert [repr(error) for error in errors] == ["KeyError('bad')"]


@pytest.mark.parametrize("fails", ["an error", "a cancellation"])
@pytest.mark.parametrize("has_on_error", [True, False])
def test_on_error_itself_may_fail(fails: str, has_on_error: bool, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> list[object]:
        stage = Stage()
        told: list[object] = []

        def on_message(message: bytes) -> None:
            told.append(message)
            raise ValueError("bad")

        async def on_error(error: Exception) -> None:
            if fails == "an error":
                raise RuntimeError("worse")
            raise asyncio.CancelledError

        stage.set(on_message=on_message)
        if has_on_error:
            stage.set(on_error=on_error)
        stage.feed(b"1", b"2")
        await stage.end()
        return told

    assert run_in_virtual_time(scene()) == [b"1", b"2"]
    first, then = (record.getMessage() for record in caplog.records)
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    if not has_on_error:
        assert first.startswith(
            "connection c1: on_message raised ValueError('bad'); the connection goes on. "
        )
        assert then == "connection c1: on_message raised ValueError 1 more time in 0 s"
    elif fails == "an error":
        assert "on_error raised RuntimeError('worse'); it was told of ValueError('bad'); the con" in first
        assert then == "connection c1: on_error raised RuntimeError 1 more time in 0 s"
    else:
        assert "on_error was cancelled; the connection goes on" in first
        assert then == "connection c1: on_error was cancelled 1 more time in 0 s"


def test_a_handler_that_fails_with_every_frame_leaves_the_log_readable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        stage = Stage()

        async def on_message(message: object) -> None:
            raise KeyError("boom")

        stage.set(on_message=on_message, on_event=lambda event: 1 / 0)
        for _ in range(250):
            stage.feed(b"1", TEXT)
            await asyncio.sleep(0.02)
        await stage.end()

    run_in_virtual_time(scene())
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 4
    assert sum(record.exc_info is not None for record in caplog.records) == 2
    assert sum("on_message raised KeyError" in line for line in lines) == 2
    assert sum("on_event raised ZeroDivisionError" in line for line in lines) == 2


def test_with_on_error_set_it_is_told_of_every_failure_and_the_log_of_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        stage = Stage()
        errors: list[Exception] = []

        async def on_audio(audio: bytes) -> None:
            if audio == b"c":
                raise asyncio.CancelledError
            raise KeyError(audio)

        stage.set(on_audio=on_audio, on_error=errors.append)
        stage.feed(b"a", b"c", b"b")
        await stage.end()
        assert [type(error) for error in errors] == [KeyError, RuntimeError, KeyError]
        assert "on_audio" in str(errors[1])

    run_in_virtual_time(scene())
    assert caplog.records == []


def test_a_dispatcher_whose_loop_is_gone_is_collected_in_silence() -> None:
    loop = asyncio.new_event_loop()
    dispatcher = Dispatcher("c1", credit_batch=4, want=lambda *asked: None, owes_work=lambda: True)
    run = dispatcher.run()

    async def scene() -> None:
        dispatcher.on_message = lambda message: 1 / 0
        dispatcher.update_wants()
        for _ in range(2):
            dispatcher.feed(b"1")
        run.send(None)

    loop.run_until_complete(scene())
    loop.close()
    run.close()


@in_virtual_time
async def test_a_handler_that_was_cancelled_inside_is_an_error_and_no_end() -> None:
    stage = Stage()
    errors: list[Exception] = []
    told: list[object] = []

    async def on_message(message: bytes) -> None:
        if message == b"1":
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
        told.append(message)

    stage.set(on_message=on_message, on_error=errors.append)
    stage.feed(b"1", b"2")
    await stage.end()
    assert told == [b"2"]
    assert [type(error) for error in errors] == [RuntimeError]


@in_virtual_time
async def test_whoever_cancels_it_for_good_ends_it() -> None:
    stage = Stage()
    stage.set(on_message=lambda message: asyncio.sleep(1000))
    stage.feed(b"1", b"2")
    await rest()
    stage.dispatcher.is_cancelled = True
    stage.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage.task


@in_virtual_time
async def test_an_error_of_the_connection_is_told_ahead_of_what_waits_and_in_order() -> None:
    stage = Stage()
    told: list[object] = []
    stage.set(on_message=told.append, on_error=lambda error: told.append(str(error)))
    stage.feed(b"1", b"2")
    stage.dispatcher.feed_error(ValueError("first"))
    stage.dispatcher.feed_error(ValueError("second"))
    await stage.end()
    assert told == ["first", "second", b"1", b"2"]


@pytest.mark.parametrize("ends", ["by itself", "cancelled"])
def test_an_error_that_comes_too_late_to_be_told_is_in_the_log(
    ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []

    async def scene() -> None:
        stage = Stage()
        stage.set(on_message=lambda message: asyncio.sleep(1000), on_error=told.append)
        if ends == "cancelled":
            stage.feed(b"1")
            await rest()
            stage.dispatcher.feed_error(OSError("it waited"))
            stage.dispatcher.is_cancelled = True
            stage.task.cancel()
        stage.dispatcher.end()
        await asyncio.wait([stage.task])
        stage.dispatcher.feed_error(OSError("the disk is full"))

    run_in_virtual_time(scene())
    assert told == []
    late = ["connection c1: the disk is full"]
    assert caplog.messages == (["connection c1: it waited", *late] if ends == "cancelled" else late)


@in_virtual_time
async def test_an_error_that_comes_where_the_handlers_were_never_run_is_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage()
    stage.task.cancel()  # before it began, as where a loop ends with the connection's first step
    await asyncio.wait([stage.task])
    stage.dispatcher.forget()
    stage.dispatcher.end()
    stage.dispatcher.feed_error(OSError("the disk is full"))
    assert caplog.messages == ["connection c1: the disk is full"]


@in_virtual_time
async def test_it_sleeps_while_there_is_nothing_to_do() -> None:
    stage = Stage()
    stage.set(on_message=lambda message: None)
    await rest()
    assert stage.dispatcher.handled == 0
    stage.feed(b"1")
    await rest()
    assert stage.dispatcher.handled == 1
    await stage.end()


@in_virtual_time
async def test_a_handler_that_cancels_the_task_it_runs_in_is_an_error_and_no_end() -> None:
    stage = Stage()
    errors: list[Exception] = []
    told: list[object] = []

    def on_message(message: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        if message == b"1":
            task.cancel()
        else:
            told.append(message)

    stage.set(on_message=on_message, on_error=errors.append)
    stage.feed(b"1")
    await rest()
    stage.feed(b"2")
    await stage.end()
    assert told == [b"2"]
    assert [type(error) for error in errors] == [RuntimeError]
    assert sys.version_info < (3, 11) or stage.task.cancelling() == 0


# What it asks for.


@in_virtual_time
async def test_it_asks_for_what_somebody_takes() -> None:
    stage = Stage()
    assert stage.wanted == []
    stage.set(on_event=lambda event: None)
    stage.set(on_error=lambda error: None)
    stage.set(on_audio=lambda audio: None)
    stage.set(on_message=lambda message: None)
    assert stage.wanted == [(False, True, 0, False), (True, True, 0, False)]
    await stage.end()


@in_virtual_time
async def test_what_was_wanted_once_stays_wanted() -> None:
    stage = Stage()
    stage.set(on_message=lambda message: None)
    stage.set(on_message=None)  # type: ignore[arg-type]  # as set_handler() does without arguments
    assert stage.wanted == [(True, True, 0, False)]
    stage.feed(b"1")
    await stage.end()
    assert stage.dispatcher.handled == 1


@in_virtual_time
async def test_it_says_once_that_the_rest_can_go_and_asks_again_for_what_is_wanted_later() -> None:
    stage = Stage(2)
    stage.set(on_audio=lambda audio: None)
    stage.dispatcher.let_go()
    stage.dispatcher.let_go()
    stage.feed(b"1", b"2")
    await rest()
    stage.set(on_event=lambda event: None)
    assert stage.wanted == [
        (True, False, 0, False),
        (True, False, 0, True),
        (True, False, 2, True),
        (True, True, 0, True),
    ]
    await stage.end()


@given(batch=st.integers(1, 8), bursts=st.lists(st.integers(1, 20), max_size=10))
def test_credit_is_what_was_handled_less_than_a_batch(batch: int, bursts: list[int]) -> None:
    async def scene() -> None:
        stage = Stage(batch)
        stage.set(on_message=lambda message: None)
        total = 0
        for burst in bursts:
            stage.feed(*[b"1"] * burst)
            total += burst
            await rest()
            credit = sum(asked[2] for asked in stage.wanted)
            assert total - batch < credit <= total
            assert credit % batch == 0
        await stage.end()

    run_in_virtual_time(scene())


@in_virtual_time
async def test_a_slow_handler_gives_credit_as_it_goes() -> None:
    stage = Stage(2)
    stage.set(on_message=lambda message: asyncio.sleep(1.0))
    stage.feed(*[b"1"] * 6)
    credit = []
    for _ in range(6):
        await asyncio.sleep(1.01)
        credit.append(sum(asked[2] for asked in stage.wanted))
    assert credit == [0, 2, 2, 4, 4, 6]
    await stage.end()


# Early, and late.


@in_virtual_time
async def test_what_the_end_brings_waits_for_somebody_to_ask_for_it() -> None:
    stage = Stage()
    told: list[object] = []
    stage.feed(b"1", TEXT)
    stage.dispatcher.end()
    await rest()
    assert not stage.task.done()
    stage.set(on_message=told.append)
    await stage.task
    assert told == [b"1", TEXT.text]


@in_virtual_time
async def test_where_nobody_will_ask_it_is_let_go() -> None:
    stage = Stage()
    stage.feed(b"1", TEXT)
    stage.dispatcher.end()
    await rest()
    stage.dispatcher.settle()
    await stage.task


@in_virtual_time
async def test_an_error_is_told_although_nobody_asked_for_messages() -> None:
    stage = Stage()
    errors: list[Exception] = []
    stage.set(on_error=errors.append)
    stage.dispatcher.feed_error(ValueError("early"))
    await rest()
    assert len(errors) == 1
    await stage.end()


def test_the_path_of_a_frame_takes_functions_and_coroutine_functions() -> None:
    async def scene(make: Callable[[list[bytes]], Handler]) -> list[bytes]:
        stage = Stage()
        told: list[bytes] = []
        stage.set(on_audio=make(told))
        stage.feed(b"1", b"2")
        await stage.end()
        return told

    def plain(told: list[bytes]) -> Handler:
        return told.append

    def coroutine(told: list[bytes]) -> Handler:
        async def on_audio(audio: bytes) -> None:
            await asyncio.sleep(0.1)
            told.append(audio)

        return on_audio

    def future(told: list[bytes]) -> Handler:
        async def on_audio(audio: bytes) -> None:
            told.append(audio)

        return lambda audio: asyncio.ensure_future(on_audio(audio))

    assert [run_in_virtual_time(scene(make)) for make in (plain, coroutine, future)] == [[b"1", b"2"]] * 3


@pytest.mark.parametrize("owes_work", [True, False])
@in_virtual_time
async def test_between_two_messages_others_run_where_the_loop_owes_them_work(owes_work: bool) -> None:
    stage, order = Stage(owes_work=owes_work), []

    def on_audio(message: bytes) -> None:
        order.append(message)
        asyncio.get_running_loop().call_soon(order.append, b"other")

    stage.set(on_audio=on_audio)
    stage.feed(b"1", b"2", b"3")
    await stage.end()
    expected = [b"1", b"other", b"2", b"other", b"3"] if owes_work else [b"1", b"2", b"3"]
    assert order[: len(expected)] == expected
