# SPDX-License-Identifier: Apache-2.0
"""What goes wrong in a bot's own tasks reaches the text of the test that fails by it."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from audio_connector import AudioConnectorConnection
from audio_connector.testing import CallFailed, Stuck, in_virtual_time, run_in_virtual_time, serve
from audio_connector.testing.misfortunes import KEPT, Misfortunes, watching

Work = Callable[[], Coroutine[Any, Any, None]]


async def fail() -> None:
    raise LookupError("the bot's own mistake")


async def fail_unseen() -> None:
    await asyncio.gather(fail(), return_exceptions=True)


async def start_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


async def dial_and_swallow() -> None:
    try:
        await asyncio.open_connection("example.org", 80)
    except Exception:  # noqa: BLE001 - as clients do that try again
        await asyncio.sleep(3600)


def bot(work: Work) -> Callable[[AudioConnectorConnection], None]:
    """A bot that does its work in a task, and looks at none of it."""
    tasks = []

    def on_connect(client: AudioConnectorConnection) -> None:
        tasks.append(asyncio.ensure_future(work()))

    return on_connect


async def why_no_reply(work: Work) -> str:
    with pytest.raises(CallFailed) as failed:
        async with serve(bot(work)) as server, server.call() as call:
            await call.reply(within_s=1)
    return str(failed.value)


def run_and_forget(main: Awaitable[str]) -> str:
    """Run it in virtual time, where a task's exception may be left untaken."""
    texts = []

    async def run() -> None:
        texts.append(await main)

    try:
        run_in_virtual_time(run())
    except AssertionError as left:
        assert "nobody took the exception" in str(left) or "have not" in str(left)  # noqa: PT017
    gc.collect()
    return texts[0]


def test_a_failed_task_is_listed_with_its_traceback() -> None:
    for work in (fail, fail_unseen):
        text = run_and_forget(why_no_reply(work))
        assert text.startswith("no reply within 1 s")
        assert "(fail) failed:\n    Traceback (most recent call last):\n" in text
        assert text.endswith("LookupError: the bot's own mistake")
        assert "    raise LookupError" in text
        assert "asyncio" not in text.partition("failed:")[2]


async def test_in_real_time_as_well() -> None:
    before = asyncio.get_running_loop().get_task_factory()
    text = await why_no_reply(fail_unseen)
    assert "(fail) failed:\n    Traceback (most recent call last):\n" in text
    assert asyncio.get_running_loop().get_task_factory() is before


@pytest.mark.parametrize(
    ("work", "word", "line"),
    [
        (start_a_process, "subprocess_exec", 'await asyncio.create_subprocess_exec("true")'),
        (dial_and_swallow, "create_connection", 'await asyncio.open_connection("example.org", 80)'),
    ],
)
def test_what_virtual_time_refuses_reaches_the_reader_even_where_it_was_swallowed(
    work: Work, word: str, line: str
) -> None:
    text = run_and_forget(why_no_reply(work))
    assert text.count(f"loop.{word}() in virtual time, which has no sockets and no processes") == 1
    assert re.search(rf"asked for at \S*test_misfortunes\.py:\d+: {re.escape(line)}\.", text)
    assert "run the test in real time, without @in_virtual_time" in text


def test_who_waits_for_what_a_failed_task_should_have_done_is_told_why() -> None:
    async def main() -> None:
        task = asyncio.ensure_future(fail())
        await asyncio.Event().wait()
        del task

    with pytest.raises(Stuck, match=r"\(fail\) failed:\n  Traceback"):
        run_in_virtual_time(main())
    gc.collect()


def test_a_callback_that_raises_is_told_too() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.Event().wait()

    with pytest.raises(Stuck, match="ZeroDivisionError"):
        run_in_virtual_time(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="notes of exceptions")
def test_any_other_failure_of_the_test_has_it_as_a_note() -> None:
    async def main() -> str:
        try:
            async with serve(bot(fail_unseen)) as server, server.call() as call:
                await asyncio.sleep(0.1)
                assert call.texts == ("hello",)
        except AssertionError as error:
            return "\n".join(getattr(error, "__notes__", []))
        return ""

    assert "(fail) failed:" in run_and_forget(main())


@in_virtual_time
async def test_an_exception_that_several_tasks_have_is_told_once_and_there_is_a_bound() -> None:
    misfortunes = Misfortunes()
    with watching(asyncio.get_running_loop()) as seen:
        for _ in range(3 * KEPT):
            with pytest.raises(LookupError):
                await asyncio.wait_for(asyncio.ensure_future(fail()), 1)
            misfortunes.note("again")
    assert len(seen.texts()) == len(misfortunes.texts()) == KEPT + 1
    assert seen.texts()[-1] == misfortunes.texts()[-1] == f"and {2 * KEPT} more failures like these"


@in_virtual_time
async def test_a_task_that_was_cancelled_or_did_well_is_no_failure() -> None:
    with watching(asyncio.get_running_loop()) as seen:
        task = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait((task, asyncio.ensure_future(asyncio.sleep(0.1))))
    assert seen.texts() == []
