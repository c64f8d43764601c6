# SPDX-License-Identifier: Apache-2.0
"""What the loop is told of a peer's TLS leaves no line, and everything else does."""

from __future__ import annotations

import asyncio

import pytest

from audio_connector.wire.quiet import quiet_handshakes


async def test_what_a_peer_does_to_tls_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    with quiet_handshakes():
        for error in (ConnectionResetError, RuntimeError("incoming BIO: no writable capacity")):
            loop.call_exception_handler({"message": "Error occurred during read", "exception": error})
        assert not caplog.records
        loop.call_exception_handler({"message": "Error", "exception": RuntimeError("an error of ours")})
    assert "an error of ours" in caplog.text
