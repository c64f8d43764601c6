# SPDX-License-Identifier: Apache-2.0
"""The services of the engines in clouds, on the loopback: one server that speaks the protocols of all of them.

What is said and heard here can be compared. The speech of a text is a stretch of samples for each of its characters,
of that character's number; and a word is heard for each stretch of samples of one value: w7 for samples of 7.
"""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import json
import wave
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import trustme
from aiohttp import WSMsgType, web

KEY = "sk-secret-of-the-tests"
LETTER_SAMPLES = 400
WORD_SAMPLES = 1600


def speech_of(text: str) -> bytes:
    """What the services say for it."""
    values = np.frombuffer(text.encode("utf-16-le"), dtype="<u2").astype("<i2")
    return np.repeat(values, LETTER_SAMPLES).tobytes()


def utterance_of(*words: int) -> bytes:
    """What has to be said to be heard as these words."""
    return np.repeat(np.array(words, dtype="<i2"), WORD_SAMPLES).tobytes()


def heard_in(pcm: bytes) -> list[str]:
    """The words of an utterance; silence is none."""
    values = np.frombuffer(pcm, dtype="<i2").tolist()
    return [f"w{value}" for value, _ in itertools.groupby(values) if value]


def cut(data: bytes, sizes: Iterable[int]) -> list[bytes]:
    """The same bytes in pieces of these sizes, and the rest as one."""
    pieces, start = [], 0
    for size in sizes:
        pieces.append(data[start : start + size])
        start += size
    return [piece for piece in [*pieces, data[start:]] if piece]


async def until(is_so: Callable[[], object]) -> None:
    """Wait until the other side of a connection has got so far; the test's own time limit is the end of that."""
    while not is_so():  # noqa: ASYNC110 - what changes it is the other side
        await asyncio.sleep(0.001)


@dataclass
class Asked:
    """A request, as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


@dataclass
class Cloud:
    """What the services do, for a test to set, and what they saw.

    Attributes:
        status: Answer so instead of working.
        headers: Of that answer.
        body: Likewise; a text or what becomes JSON.
        sizes: Of the pieces in which a response is written.
        stall_after: Write nothing more after so many pieces or messages; -1 for not even a status.
        cut_after: Cut the connection after so many.
        close_code: Of a WebSocket that is cut: close it with this code and `close_reason` instead.
        speech: What is said for a text.
        words: The answer of the chat.
        finish_reason: At the end of it.
        event: What is sent before it in the stream, where it is something.
        page: This in place of a transcript, where it is something.
        gate: Every request waits for it.
    """

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    sizes: list[int] = field(default_factory=list)
    stall_after: int | None = None
    cut_after: int | None = None
    close_code: int | None = None
    close_reason: str = ""
    speech: Callable[[str], bytes] = speech_of
    words: list[str] = field(default_factory=lambda: ["Good ", "morning", ", caller."])
    finish_reason: str | None = "stop"
    event: str = ""
    page: str = ""
    gate: asyncio.Event | None = None
    asked: list[Asked] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    open: int = 0
    most: int = 0

    async def until_free(self) -> None:
        """Wait until no request is open."""
        await until(lambda: not self.open)

    async def until_open(self, count: int = 1) -> None:
        """Wait until so many are."""
        await until(lambda: self.open >= count)

    @contextmanager
    def request(self, request: web.BaseRequest, body: Any = None) -> Iterator[None]:
        """Count a request while it is open."""
        self.asked.append(Asked(request.path, dict(request.query), dict(request.headers), body))
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            yield
        finally:
            self.open -= 1

    async def after(self, count: int, request: web.BaseRequest) -> bool:
        """After so many pieces: go on, hang, or cut the connection and return False."""
        if count == self.cut_after:
            if request.transport is not None:
                request.transport.abort()
            return False
        if count == self.stall_after:
            await asyncio.Event().wait()
        return True


async def _refusal(cloud: Cloud) -> web.Response | None:
    if cloud.gate is not None:
        await cloud.gate.wait()
    if cloud.stall_after == -1:
        await asyncio.Event().wait()
    if cloud.status == 200:
        return None
    if isinstance(cloud.body, str):
        return web.Response(status=cloud.status, headers=cloud.headers, text=cloud.body)
    return web.json_response(cloud.body or {}, status=cloud.status, headers=cloud.headers)


async def _stream(cloud: Cloud, request: web.Request, pieces: list[bytes], kind: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": kind})
    response.enable_chunked_encoding()
    await response.prepare(request)
    for count, piece in enumerate(pieces):
        if not await cloud.after(count, request):
            return response
        await response.write(piece)
        if len(pieces) > 1:
            await asyncio.sleep(0)
    if await cloud.after(len(pieces), request):
        await response.write_eof()
    return response


async def _say(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    asked = await request.json()
    with cloud.request(request, asked):
        if refusal := await _refusal(cloud):
            return refusal
        pieces = cut(cloud.speech(asked.get("input") or asked.get("text")), cloud.sizes)
        return await _stream(cloud, request, pieces, "application/octet-stream")


async def _answer(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    with cloud.request(request, await request.json()):
        if refusal := await _refusal(cloud):
            return refusal
        events = b"".join(_events(cloud))
        pieces = cut(events, cloud.sizes) if cloud.sizes else list(_events(cloud))
        return await _stream(cloud, request, pieces, "text/event-stream")


async def _transcribe(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    form = dict(await request.post())
    file: Any = form.pop("file")
    body: dict[str, Any] = {**form, "pcm": _pcm_of(_read(file.file))}
    with cloud.request(request, body):
        if refusal := await _refusal(cloud):
            return refusal
        if cloud.page:
            return web.Response(text=cloud.page, content_type="text/html")
        words = heard_in(body["pcm"])
        timed = [{"word": word, "start": at / 10, "end": (at + 1) / 10} for at, word in enumerate(words)]
        got: dict[str, Any] = {"text": " ".join(words), "language": "english", "duration": 1.0}
        return web.json_response({**got, "words": timed} if "verbose" in str(form) else {"text": got["text"]})


async def _scribe(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    form = dict(await request.post())
    file: Any = form.pop("file")
    body: dict[str, Any] = {**form, "pcm": _pcm_of(_read(file.file))}
    with cloud.request(request, body):
        if refusal := await _refusal(cloud):
            return refusal
        words = heard_in(body["pcm"])
        timed: list[dict[str, Any]] = [
            {"text": each, "start": 0.0, "end": 0.1, "type": "word", "logprob": 0.0} for each in words
        ]
        timed += [{"text": " ", "start": 0.1, "end": 0.2, "type": "spacing", "logprob": 0.0}]
        return web.json_response(
            {"language_code": "eng", "language_probability": 0.9, "text": " ".join(words), "words": timed}
        )


async def _listen(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    pcm = _pcm_of(await request.read())
    with cloud.request(request, {"pcm": pcm}):
        if refusal := await _refusal(cloud):
            return refusal
        metadata = {"request_id": "r", "channels": 1, "duration": 1.0}
        alternative = _alternative(heard_in(pcm), 0.0)
        return web.json_response(
            {"metadata": metadata, "results": {"channels": [{"alternatives": [alternative]}]}}
        )


async def _live_listen(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    with cloud.request(request):
        if refusal := await _refusal(cloud):
            return refusal
        return await _deepgram(cloud, request)


async def _live_scribe(cloud: Cloud, request: web.Request) -> web.StreamResponse:
    with cloud.request(request):
        if refusal := await _refusal(cloud):
            return refusal
        return await _elevenlabs(cloud, request)


def _events(cloud: Cloud) -> list[bytes]:
    def event(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {
            "id": "c",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()

    events = [f"data: {cloud.event}\n\n".encode()] if cloud.event else []
    events += [
        event({"role": "assistant", "content": ""}),
        *(event({"content": word}) for word in cloud.words),
    ]
    if cloud.finish_reason is not None:
        events.append(event({}, cloud.finish_reason))
    usage = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [],
        "usage": None,
    }
    return [*events, f": a comment\n\ndata: {json.dumps(usage)}\n\n".encode(), b"data: [DONE]\n\n"]


def _read(file: io.BufferedReader) -> bytes:
    with file:
        return file.read()


def _pcm_of(file: bytes) -> bytes:
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getnchannels(), reader.getsampwidth()) == (1, 2)
        return bytes(reader.readframes(reader.getnframes()))


def _alternative(words: list[str], start: float) -> dict[str, Any]:
    timed = [
        {
            "word": word,
            "punctuated_word": word,
            "start": start + at / 10,
            "end": start + (at + 1) / 10,
            "confidence": 0.9,
        }
        for at, word in enumerate(words)
    ]
    return {"transcript": " ".join(words), "confidence": 0.9, "words": timed}


async def _each(cloud: Cloud, socket: web.WebSocketResponse, request: web.Request) -> AsyncIterator[Any]:
    """The messages of a client, until it goes or the test has other plans."""
    async for count, message in _numbered(socket):
        if count == cloud.cut_after and cloud.close_code is not None:
            await socket.close(code=cloud.close_code, message=cloud.close_reason.encode())
            return
        if not await cloud.after(count, request):
            return
        cloud.messages.append(message.data)
        yield message


async def _numbered(socket: web.WebSocketResponse) -> AsyncIterator[tuple[int, Any]]:
    count = 0
    async for message in socket:
        yield count, message
        count += 1


async def _deepgram(cloud: Cloud, request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    open_pcm, done_s = b"", 0.0
    if isinstance(cloud.body, dict):
        await socket.send_json(cloud.body)

    async def results(*, is_final: bool) -> None:
        got = {
            "type": "Results", "channel_index": [0, 1], "duration": 1.0, "start": done_s, "is_final": is_final,
            "channel": {"alternatives": [_alternative(heard_in(open_pcm), done_s)]},
            "metadata": {"request_id": "r", "model_uuid": "u", "model_info": {"name": "n"}},
        }  # fmt: skip
        await socket.send_json(got)

    async for message in _each(cloud, socket, request):
        if message.type == WSMsgType.BINARY:
            open_pcm += message.data
            # After three words or more it is sure of what it has heard.
            is_final = len(open_pcm) >= 3 * WORD_SAMPLES * 2
            await results(is_final=is_final)
            if is_final:
                done_s += len(open_pcm) / 32000
                open_pcm = b""
        elif json.loads(message.data)["type"] == "CloseStream":
            await results(is_final=True)
            await socket.send_json({"type": "Metadata", "request_id": "r", "duration": 1.0, "channels": 1})
            await socket.close()
    return socket


async def _elevenlabs(cloud: Cloud, request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    pcm = b""
    await socket.send_json({"message_type": "session_started", "session_id": "s", "config": {}})
    if isinstance(cloud.body, dict):
        await socket.send_json(cloud.body)
    async for message in _each(cloud, socket, request):
        asked = json.loads(message.data)
        pcm += base64.b64decode(asked["audio_base_64"])
        kind = "committed_transcript" if asked["commit"] else "partial_transcript"
        await socket.send_json({"message_type": kind, "text": " ".join(heard_in(pcm))})
    return socket


_ROUTES = [
    ("POST", "/v1/audio/speech", _say),
    ("POST", "/v1/text-to-speech/{voice}/stream", _say),
    ("POST", "/v1/speak", _say),
    ("POST", "/v1/chat/completions", _answer),
    ("POST", "/v1/audio/transcriptions", _transcribe),
    ("POST", "/v1/speech-to-text", _scribe),
    ("POST", "/v1/listen", _listen),
    ("GET", "/v1/listen", _live_listen),
    ("GET", "/v1/speech-to-text/realtime", _live_scribe),
]


@asynccontextmanager
async def cloud_server() -> AsyncIterator[Cloud]:
    """Listen on a free port."""
    with _one_authority():
        async with _listening() as cloud:
            yield cloud


@contextmanager
def _one_authority() -> Iterator[None]:
    """Let clients know one certificate authority: each takes 80 ms to load the usual 140, and none is asked."""
    with pytest.MonkeyPatch.context() as patch, trustme.CA().cert_pem.tempfile() as path:
        patch.setenv("SSL_CERT_FILE", path)
        yield


@asynccontextmanager
async def _listening() -> AsyncIterator[Cloud]:
    cloud = Cloud()
    app = web.Application(client_max_size=64 * 2**20)
    for method, path, handler in _ROUTES:
        app.router.add_route(method, path, partial(handler, cloud))
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        cloud.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield cloud
    finally:
        with suppress(asyncio.CancelledError):
            await runner.cleanup()
