# SPDX-License-Identifier: Apache-2.0
"""A peer's close frame that is none, and what comes behind one."""

from __future__ import annotations

import pytest
from support.peers import BINARY, FRAME, TEXT, Frame, bare, close_frame
from support.serving import Listener, serving

from audio_connector import Disconnected


@pytest.mark.parametrize(
    "sent",
    [
        *(close_frame(code) for code in (0, 1, 1004, 1006, 1015, 1016, 2999, 5000, 65535)),
        close_frame()._replace(rsv=4),
        close_frame(None)._replace(rsv=1),
    ],
)
async def test_a_close_frame_that_is_none_is_a_fault(sent: Frame) -> None:
    listener = Listener()
    async with serving(listener) as handle, bare(handle.get_address()) as peer:
        await listener.call()
        peer.send(sent)
        assert (await peer.frame()).code == 1002
        assert await peer.rest() == b""
        end = (await listener.ended()).end
        assert (end.code, end.closed_by) == (1002, "server")
        assert end.reason


@pytest.mark.parametrize(
    "behind",
    [
        close_frame(1000).encode(),
        Frame(TEXT, b"{}").encode(),
        b"\xff\xff\xff\xff",
        Frame(BINARY, FRAME).encode(mask=False),
    ],
    ids=("another one", "a text", "no frame", "no mask"),  # the bytes differ from run to run, by their masks
)
async def test_behind_a_close_frame_nothing_counts(behind: bytes) -> None:
    """Not even a fault; the parser has found it before the close frame is told."""
    listener = Listener()
    async with serving(listener) as handle, bare(handle.get_address()) as peer:
        heard = await listener.call()
        peer.write(close_frame(1001, "bye").encode() + behind)
        assert (await peer.frame()).code == 1001
        assert await peer.rest() == b""
        await listener.ended()
        assert heard.end == Disconnected(code=1001, reason="bye", closed_by="router")
        assert heard.messages == []
