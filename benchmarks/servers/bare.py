# SPDX-License-Identifier: Apache-2.0
"""The least that a WebSocket echo in Python can cost here: picows under uvloop and nothing else."""

from __future__ import annotations

import uvloop
from benchmarks.servers.control import serve_until_eof
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)


class Echo(WSListener):
    """Returns every binary frame, and answers a close."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Echo from inside the callback, the cheapest place there is."""
        if frame.msg_type == WSMsgType.BINARY:
            # A copy, as every server needs one whose handler sees the audio.
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()


def _listener(request: WSUpgradeRequest) -> Echo:
    del request
    return Echo()


async def main() -> None:
    """Serve on a free port until stdin ends."""
    server = await ws_create_server(_listener, "127.0.0.1", 0, backlog=1024)
    await serve_until_eof(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    uvloop.run(main())
