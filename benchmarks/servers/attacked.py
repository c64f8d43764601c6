# SPDX-License-Identifier: Apache-2.0
"""This library as it is attacked: an echo, or an application that takes only audio; its log is its stderr."""

from __future__ import annotations

import argparse
import asyncio
import logging
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

import trustme
from benchmarks.servers import echo
from benchmarks.servers.control import serve_until_eof

from audio_connector import AudioConnectorConnection, AudioConnectorServer
from audio_connector.server.garbage import loaded_is_kept

LOG_MARK = "\u00bb"
"""Before each record: a line without it was written by somebody else."""


class AudioOnly:
    """Echoes the audio that it takes, and takes no text."""

    def __init__(self) -> None:
        self._echoing: set[asyncio.Task[None]] = set()

    def on_connect(self, client: AudioConnectorConnection) -> None:
        """Begin with a call."""
        task = asyncio.ensure_future(self._echo(client))
        self._echoing.add(task)
        task.add_done_callback(self._echoing.discard)

    async def _echo(self, client: AudioConnectorConnection) -> None:
        async for frame in client.audio():
            await client.send_audio_buffer(frame)


def make_certificate(folder: Path) -> dict[str, str]:
    """Make a certificate and its key, as `Tls` takes them."""
    made = trustme.CA().issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "chain.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return {"certfile": str(certificate), "keyfile": str(key)}


async def serve(application: str, isolation: str, *, is_tls: bool) -> None:
    """Serve on a free port until stdin ends."""
    on_connect = AudioOnly().on_connect if application == "audio-only" else echo.on_connect
    with tempfile.TemporaryDirectory() as folder:
        config: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "on_connect": on_connect,
            "isolation": isolation,
            "tls": make_certificate(Path(folder)) if is_tls else None,
        }
        async with AudioConnectorServer(config) as handle:
            with loaded_is_kept():  # as audio_connector.run() does
                await serve_until_eof(handle.port, is_tls=is_tls)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--application", choices=("echo", "audio-only"), default="echo")
    parser.add_argument("--isolation", choices=("thread", "process"), default="thread")
    parser.add_argument("--tls", action="store_true", help="with a certificate of its own")
    parser.add_argument("--descriptors", type=int, help="at most, in each of its processes")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=f"{LOG_MARK}%(levelname)s %(name)s: %(message)s")
    if options.descriptors is not None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (options.descriptors, hard))
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    asyncio.run(serve(options.application, options.isolation, is_tls=options.tls))


if __name__ == "__main__":
    main()
