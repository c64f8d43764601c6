# SPDX-License-Identifier: Apache-2.0
"""A server with TLS from files: its certificate is renewed under a call, which notices nothing."""

from __future__ import annotations

import asyncio
import logging
import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme
from support.peers import FRAME, first_message
from support.serving import certificates, echo, serving, tls_client, until
from support.watching import admin_in, counts_of
from websockets.asyncio.client import connect

from audio_connector import (
    AudioConnectorConfigError,
    AudioConnectorServerConfig,
    AudioConnectorStartServerError,
    Monitoring,
    Tls,
)
from audio_connector.wire.tls_files import LOOK_AGAIN_S


def issue(folder: Path) -> ssl.SSLContext:
    """Write a new certificate; returns who trusts that alone."""
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(part.bytes() for part in leaf.cert_chain_pems))
    (folder / "key.pem").write_bytes(leaf.private_key_pem.bytes())
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    return client


@tls_client
async def test_a_renewed_certificate_is_used_and_no_call_is_cut(tmp_path: Path) -> None:
    before = issue(tmp_path)
    tls = {"certfile": str(tmp_path / "chain.pem"), "keyfile": tmp_path / "key.pem"}
    async with serving(echo, tls=tls) as handle:
        address = handle.get_address()
        assert address.startswith("wss://")
        assert handle.secure
        async with connect(address, ssl=before, compression=None, proxy=None) as caller:
            await caller.send(first_message())
            after = issue(tmp_path)
            await asyncio.sleep(LOOK_AGAIN_S)
            async with connect(address, ssl=after, compression=None, proxy=None) as other:
                await other.send(first_message())
                with pytest.raises(ssl.SSLError):
                    await connect(address, ssl=before, proxy=None)
                await caller.send(FRAME)
                while await caller.recv() != FRAME:
                    pass
        await until(lambda: not len(handle.connections), "the ends")


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_one_that_has_expired_is_said_once_and_counted(
    isolation: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "audio_connector")
    ends = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(hours=1)
    leaf = trustme.CA().issue_cert("localhost", not_before=ends - timedelta(days=90), not_after=ends)
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    monitoring = Monitoring(admin_port=0)
    tls = Tls(certfile=tmp_path / "both.pem")
    async with serving(echo, tls=tls, isolation=isolation, monitoring=monitoring):
        await until(lambda: "are told at" in caplog.text, "the line of the admin port")
        counts = await counts_of(admin_in(caplog.text))
        assert counts["certificate_expires_timestamp_seconds", ()] == ends.timestamp()
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"both.pem has expired on {ends:%Y-%m-%d at %H:%M UTC}" in record.getMessage()


async def test_what_is_wrong_with_the_files_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(AudioConnectorStartServerError, match=r"tls\.certfile '.*chain\.pem' cannot be read"):
        async with serving(tls=Tls(certfile=tmp_path / "chain.pem")):
            pass


def test_only_one_of_a_context_and_files(tmp_path: Path) -> None:
    with pytest.raises(AudioConnectorConfigError, match="got both ssl and tls"):
        AudioConnectorServerConfig(
            host="", port=0, ssl=certificates().server, tls=Tls(certfile=tmp_path / "chain.pem")
        )
