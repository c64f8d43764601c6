# SPDX-License-Identifier: Apache-2.0
"""A server of another library for the commands to call, in a thread of its own."""

from __future__ import annotations

import threading
from http import HTTPStatus

from support.talking import frames_of
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

FRAME = b"\x01\x02" * 320


class Peer:
    """A server of another library in a thread; its paths say how it behaves."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self._server = serve(self._serve, "127.0.0.1", 0, process_request=self._answer)
        port = self._server.socket.getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append({name.lower(): value for name, value in request.headers.raw_items()})
        path = request.path.partition("?")[0].strip("/")
        if path.isdigit():
            return connection.respond(HTTPStatus(int(path)), "no\n")
        return None

    def _serve(self, connection: ServerConnection) -> None:
        path = connection.request.path if connection.request is not None else ""
        try:
            connection.recv()
            if path == "/burst":
                for _ in range(5):
                    connection.send(FRAME)
            if path == "/welcomes":
                for frame in frames_of("welcome goodbye"):
                    connection.send(frame)
            if path == "/sloppy":
                connection.send(FRAME[:-2])
            if path == "/leaves":
                connection.close(1011, "out of order")
            if path == "/bye":
                connection.close(1000, "bye")
            for _ in connection:
                pass
        except ConnectionClosed:
            pass
