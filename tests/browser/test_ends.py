# SPDX-License-Identifier: Apache-2.0
"""What many events and one's own end do to the page."""

from __future__ import annotations

import pytest
from browser.conftest import Meet

from audio_connector import AudioConnectorConnection

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]

BELOW = """
() => {
  const footer = document.querySelector("footer").getBoundingClientRect();
  return document.documentElement.scrollHeight - Math.ceil(footer.bottom + scrollY);
}
"""


async def chatter(client: AudioConnectorConnection) -> None:
    for number in range(300):
        await client.send_json_packet({"event": "note", "number": number})


async def test_many_events_leave_nothing_blank_below_the_page(meet: Meet) -> None:
    async with meet(chatter) as visit:
        before = await visit.page.evaluate(BELOW)
        await visit.page.click("#connect")
        await visit.page.wait_for_function("() => document.getElementById('events').children.length >= 250")
        assert await visit.page.evaluate(BELOW) <= before + 1


@pytest.mark.parametrize("profile", ["video", "wsbridge", "voice"])
async def test_ones_own_end_is_no_fault_whatever_the_router_does(meet: Meet, profile: str) -> None:
    async with meet(chatter) as visit:
        page = visit.page
        await page.select_option("#profile", profile)
        await page.click("#connect")
        await page.wait_for_selector("#connect[data-action=disconnect]")
        await page.wait_for_timeout(300)
        await page.click("#connect")
        await page.wait_for_selector("#state[data-state=over]")
        assert await page.is_hidden("#call-fault")
