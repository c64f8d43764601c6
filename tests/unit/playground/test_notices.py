# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio

from audio_connector.playground.notices import KEPT, Notices


async def test_pages_hear_what_comes_and_the_latest_of_what_came() -> None:
    notices = Notices()
    for number in range(KEPT + 5):
        notices.tell(str(number))
    heard: list[str] = []
    stop = notices.listen(heard.append)
    assert heard == [str(number) for number in range(5, KEPT + 5)]
    notices.tell("now")
    stop()
    notices.tell("later")
    assert heard[-1] == "now"


async def test_any_thread_may_tell() -> None:
    notices, heard = Notices(), asyncio.Queue[str]()
    notices.listen(heard.put_nowait)
    await asyncio.to_thread(notices.tell_from_any_thread, "from a thread")
    assert await asyncio.wait_for(heard.get(), 5) == "from a thread"


def test_after_the_end_nobody_is_told_and_nothing_is_raised() -> None:
    async def make() -> Notices:
        return Notices()

    asyncio.run(make()).tell_from_any_thread("too late")
