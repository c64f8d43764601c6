# SPDX-License-Identifier: Apache-2.0
"""What is handed over comes one by one, in a socket that keeps messages apart and in a stream, which macOS has."""

from __future__ import annotations

import os
import socket
import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there are no workers", allow_module_level=True)

from audio_connector.cluster import member
from audio_connector.cluster.member import broker_pair


@pytest.mark.parametrize("kind", [member.BROKER_KIND, socket.SOCK_STREAM])
def test_each_is_received_alone_with_its_descriptor(
    kind: socket.SocketKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "BROKER_KIND", kind)
    ours, theirs = broker_pair()
    handed = socket.socketpair()
    with theirs, handed[0], handed[1]:
        with ours:
            assert not ours.getblocking()
            for number, sock in enumerate(handed, 9):
                socket.send_fds(ours, [b"%d" % number], [sock.fileno()])
        for number, sock in enumerate(handed, 9):
            data, [descriptor], _, _ = socket.recv_fds(theirs, 64, 1)
            assert data == b"%d" % number
            assert os.path.sameopenfile(descriptor, sock.fileno())
            os.close(descriptor)
        assert socket.recv_fds(theirs, 64, 1)[0] == b""
