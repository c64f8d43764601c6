# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from audio_connector.playground.outbox import MAX_AUDIO, MAX_TEXTS, Outbox


class Socket:
    def __init__(self) -> None:
        self.sent: list[str | bytes] = []

    async def send_str(self, data: str) -> None:
        self.sent.append(data)

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


async def drain(box: Outbox, socket: Socket) -> None:
    task = asyncio.ensure_future(box.run(socket))
    await asyncio.sleep(
        0
    )  # sending to this socket never waits, so that one turn of the loop sends everything
    assert len(box) == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_everything_is_sent_in_order() -> None:
    box, socket = Outbox(), Socket()
    box.post({"type": "a"})
    box.post_audio(2, b"\x01\x02")
    box.post({"type": "b"})
    await drain(box, socket)
    assert socket.sent == ['{"type":"a"}', b"\x02\x00\x01\x02", '{"type":"b"}']


async def test_what_comes_later_is_sent_as_well() -> None:
    box, socket = Outbox(), Socket()
    task = asyncio.ensure_future(box.run(socket))
    await asyncio.sleep(0)
    box.post({"n": 1})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    box.post({"n": 2})
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [json.loads(text)["n"] for text in socket.sent] == [1, 2]


@given(st.lists(st.booleans(), max_size=1500))
async def test_it_is_bounded_and_drops_the_oldest_of_its_kind(kinds: list[bool]) -> None:
    box, socket = Outbox(), Socket()
    audio, texts = [], []
    for number, is_audio in enumerate(kinds):
        if is_audio:
            box.post_audio(1, number.to_bytes(2, "little"))
            audio.append(number)
        else:
            box.post({"n": number})
            texts.append(number)
    assert len(box) <= MAX_AUDIO + MAX_TEXTS
    await drain(box, socket)
    got_audio = [int.from_bytes(item[2:], "little") for item in socket.sent if isinstance(item, bytes)]
    got_texts = [json.loads(item)["n"] for item in socket.sent if isinstance(item, str)]
    assert got_audio == audio[-MAX_AUDIO:]
    assert got_texts == texts[-MAX_TEXTS:]
    assert box.audio_dropped == len(audio) - len(got_audio)
    assert box.texts_dropped == len(texts) - len(got_texts)
