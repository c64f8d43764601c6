# SPDX-License-Identifier: Apache-2.0
"""A program as users of the vendor's SDK write them: its import paths, its names, its habits, and nothing else.

Prints one JSON object per line, so that a test can follow it. Ends when its first call has ended.
"""

from __future__ import annotations

import asyncio
import json
import queue
import sys
import threading

import audio_connector_sdk.vonage_video.core as vendor_core
import audio_connector_sdk.vonage_video.models as vendor_models
from audio_connector_sdk.vonage_video import Video
from audio_connector_sdk.vonage_video.errors import (
    AudioConnectorConfigError,
    AudioConnectorStartServerError,
    VideoError,
)
from audio_connector_sdk.vonage_video.models.audio_connector import (
    AudioConnectorConnectionData,
    AudioConnectorServerConfig,
    AudioConnectorServerHandle,
)

over = asyncio.Event()


def tell(what: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"what": what, **values}) + "\n")
    sys.stdout.flush()


def play_from_a_thread(
    client: vendor_core.AudioConnectorConnection, frames: queue.Queue[bytes | None]
) -> None:
    """A thread that takes from a queue and starts a loop of its own for every frame."""
    while (frame := frames.get()) is not None:
        asyncio.run(client.send_audio_buffer(frame, bytes_per_sample=640, frames_ms=20))


async def on_start() -> None:
    tell("started")


async def on_stop() -> None:
    tell("stopped")


async def talk(client: vendor_core.AudioConnectorConnection) -> None:
    audio = bytes([7, 7]) * 16000 * 10
    await client.send_audio_buffer(
        audio_data=audio, bytes_per_sample=640, frames_ms=20, pad_last_frame=True, flush_buffer=False
    )


async def flush(client: vendor_core.AudioConnectorConnection) -> None:
    await client.flush_buffer()


async def replace(client: vendor_core.AudioConnectorConnection) -> None:
    await client.send_audio_buffer(b"\x05\x05" * 100, 640, 20, True, True)


async def answer(client: vendor_core.AudioConnectorConnection) -> None:
    await client.send_json_packet(json.dumps({"answer": 1}))


async def misuse(client: vendor_core.AudioConnectorConnection) -> None:
    try:
        await client.send_json_packet("{not json}")
    except ValueError as error:
        tell("value error", is_video_error=isinstance(error, VideoError))


async def fail(client: vendor_core.AudioConnectorConnection) -> None:
    raise KeyError("in a handler")


async def hang_up(client: vendor_core.AudioConnectorConnection) -> None:
    client.disconnect()


COMMANDS = {
    "talk": talk,
    "flush": flush,
    "replace": replace,
    "answer": answer,
    "misuse": misuse,
    "fail": fail,
    "hang up": hang_up,
}


async def on_connect(client: vendor_core.AudioConnectorConnection) -> None:
    frames: queue.Queue[bytes | None] = queue.Queue()
    thread = threading.Thread(target=play_from_a_thread, args=(client, frames))
    thread.start()

    async def on_message(message: str | bytes) -> str | bytes | None:
        if isinstance(message, bytes):
            frames.put(message)
            return message
        tell("text", text=message)
        command = json.loads(message).get("do")
        if command is not None:
            await COMMANDS[command](client)
        return None

    async def on_disconnect() -> None:
        frames.put(None)
        thread.join()
        try:
            await client.send_audio_buffer(b"\0" * 640)
        except ValueError:
            tell("disconnected")
        over.set()

    async def on_error(error: Exception) -> None:
        tell("error", error=repr(error))

    client.set_handler(on_message=on_message, on_disconnect=on_disconnect, on_error=on_error)
    client.set_buffer_timing(active_seconds=7.5)
    info = client.info()
    assert isinstance(info, AudioConnectorConnectionData)
    assert info.customHeaders is not None
    tell(
        "connected",
        ids=[info.sessionId, info.conferenceId, info.connectionId, info.id],
        uri=info.uri,
        token=info.customHeaders.get("x-token"),
    )


async def main() -> None:
    assert vendor_models.AudioConnectorServerConfig is AudioConnectorServerConfig
    video = Video()
    try:
        AudioConnectorServerConfig(host="localhost", port=70000)
    except ValueError as error:
        tell("refused", is_config_error=isinstance(error, AudioConnectorConfigError))
    config = AudioConnectorServerConfig(
        host="localhost", port=0, ssl=None, on_start=on_start, on_stop=on_stop, on_connect=on_connect
    )
    server_handle = await video.start_audio_connector_server(config)
    assert isinstance(server_handle, AudioConnectorServerHandle)
    try:
        await Video().start_audio_connector_server(
            options=AudioConnectorServerConfig(host="localhost", port=server_handle.port)
        )
    except AudioConnectorStartServerError:
        tell("in use", is_video_error=issubclass(AudioConnectorStartServerError, VideoError))
    tell("listening", address=server_handle.get_address(), running=server_handle.running)
    await over.wait()
    await server_handle.stop()
    tell("end", running=server_handle.running)


if __name__ == "__main__":
    asyncio.run(main())
