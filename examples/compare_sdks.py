# SPDX-License-Identifier: Apache-2.0
"""What a media router receives from one and the same program, under this library or under the vendor's SDK.

It imports the vendor's paths, so that it runs with whichever of the two distributions is installed, and dials
itself with ``websockets``. The comparison in the README is what it prints.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

LOGGING_BEFORE = (logging.root.level, len(logging.root.handlers))

# What the import does to the logging is part of what is compared.
from audio_connector_sdk.vonage_video import Video  # noqa: E402
from audio_connector_sdk.vonage_video.core import AudioConnectorConnection  # noqa: E402
from audio_connector_sdk.vonage_video.models import AudioConnectorServerConfig  # noqa: E402

LOGGING_AFTER = (logging.root.level, len(logging.root.handlers))

FRAME = b"\x01\x02" * 320
FAILURES = (WebSocketException, asyncio.TimeoutError, TimeoutError)
Handler = Callable[[AudioConnectorConnection], Awaitable[None]]


@contextlib.asynccontextmanager
async def call(
    on_connect: Handler, headers: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[ClientConnection]:
    """One call to a server with this handler, as a router makes it."""
    with socket.create_server(("localhost", 0)) as finder:
        port = finder.getsockname()[1]  # the vendor's handle does not tell which port 0 became
    config = AudioConnectorServerConfig(host="localhost", port=port, on_connect=on_connect)
    handle = await Video().start_audio_connector_server(config)
    try:
        async with connect(handle.get_address(), additional_headers=headers, max_queue=None) as router:
            first = {"content-type": "audio/l16;rate=16000", "event": "websocket:connected"}
            await router.send(json.dumps(first))
            yield router
    finally:
        await handle.stop()


async def received(router: ClientConnection, seconds: float) -> list[bytes]:
    """The audio messages that arrive in this time."""
    messages: list[bytes] = []
    end = time.monotonic() + seconds
    with contextlib.suppress(asyncio.TimeoutError, TimeoutError, ConnectionError):
        while True:
            message = await asyncio.wait_for(router.recv(), end - time.monotonic())
            if isinstance(message, bytes):
                messages.append(message)
    return messages


async def short_chunk() -> str:
    """A 10 ms chunk, with the request to pad it."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(FRAME[:320], pad_last_frame=True)

    async with call(on_connect) as router:
        return sizes(await received(router, 1.0))


async def odd_end() -> str:
    """30 ms in one call, with the default arguments."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(FRAME + FRAME[:320])

    async with call(on_connect) as router:
        return sizes(await received(router, 1.0))


async def small_pieces() -> str:
    """200 ms in pieces of 100 bytes, as a streaming synthesizer might deliver it."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        for _ in range(64):
            await client.send_audio_buffer(FRAME[:100])

    async with call(on_connect) as router:
        heard = sum(map(len, await received(router, 1.5)))
        return f"{heard} of 6400 bytes arrive"


async def long_audio() -> str:
    """12 s in one call: how much leaves in the first half second."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(FRAME * 600)

    async with call(on_connect) as router:
        ahead = 0.02 * len(await received(router, 0.5))
        return f"{ahead:.1f} s of audio after 0.5 s"


async def flush() -> str:
    """What a flush in the middle of playback tells the program."""
    answers: asyncio.Queue[object] = asyncio.Queue()

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(FRAME * 600)
        await asyncio.sleep(0.5)
        answers.put_nowait(await client.flush_buffer())

    async with call(on_connect):
        answer = await answers.get()
        return "nothing" if answer is None else "what was heard and what was not"


async def failing_handler() -> str:
    """on_message raises once, and there is no on_error."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        async def on_message(message: bytes | str) -> None:
            if isinstance(message, str):
                raise RuntimeError("a mistake in the program")
            await client.send_audio_buffer(message)

        client.set_handler(on_message=on_message)

    async with call(on_connect) as router:
        try:
            await asyncio.sleep(0.2)
            for _ in range(10):
                await router.send(FRAME)
            return "goes on" if await received(router, 1.0) else "closed"
        except FAILURES as error:
            return f"closed: {type(error).__name__}"


async def repeated_header() -> str:
    """A proxy sends X-Forwarded-For twice."""
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def on_connect(client: AudioConnectorConnection) -> None:
        seen.put_nowait((client.info().customHeaders or {})["x-forwarded-for"])

    headers = (("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2"))
    try:
        async with call(on_connect, headers):
            return await asyncio.wait_for(seen.get(), 1.0)
    except FAILURES as error:
        return f"the call fails: {type(error).__name__}"


async def compression() -> str:
    """A client that offers permessage-deflate, as most do."""

    async def on_connect(client: AudioConnectorConnection) -> None:
        await client.send_audio_buffer(FRAME)

    async with call(on_connect) as router:
        return ", ".join(extension.name for extension in router.protocol.extensions) or "none"


def sizes(messages: list[bytes]) -> str:
    """The sizes of some messages."""
    return " + ".join(str(len(message)) for message in messages) + " bytes" if messages else "nothing arrives"


async def main() -> None:
    """Print one line for each probe."""
    for probe in (
        short_chunk,
        odd_end,
        small_pieces,
        long_audio,
        flush,
        failing_handler,
        repeated_header,
        compression,
    ):
        print(f"{probe.__name__}: {await probe()}", flush=True)
    print(f"import: logging {'is configured' if LOGGING_AFTER != LOGGING_BEFORE else 'is left alone'}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    logging.disable()  # the failures that are provoked here are on purpose
    asyncio.run(main())
