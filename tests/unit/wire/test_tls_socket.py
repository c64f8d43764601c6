# SPDX-License-Identifier: Apache-2.0
"""How much was read of a socket is told where it is certain."""

from __future__ import annotations

import fcntl
import socket
import sys

import pytest

from audio_connector.wire import tls_socket

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


def test_what_comes_while_it_is_asked_is_not_taken_for_unread_and_then_for_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that waits between the two questions, for another or since all was stopped, saw too little."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname())
        sock, _ = listening.accept()
    with peer, sock:
        peer.sendall(bytes(1000))
        assert len(sock.recv(700, socket.MSG_WAITALL)) == 700
        assert tls_socket.read_bytes_of(sock) == 700
        ioctl = fcntl.ioctl

        def meanwhile(*args: object) -> object:
            peer.sendall(bytes(5000))
            assert len(sock.recv(5300, socket.MSG_PEEK | socket.MSG_WAITALL)) == 5300
            return ioctl(*args)  # type: ignore[call-overload]

        with monkeypatch.context() as patch:
            patch.setattr(fcntl, "ioctl", meanwhile)
            assert tls_socket.read_bytes_of(sock) is None
        assert tls_socket.read_bytes_of(sock) == 700
