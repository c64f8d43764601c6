# SPDX-License-Identifier: Apache-2.0
"""The pages: what a browser may ask the playground for.

    GET  /, /css/…, /js/…, /worklets/…      the page's files, from the package
    GET  /page                              its WebSocket: the page lives as long as this
    POST /pages/{id}/speech                 a WAV that a participant says
    GET  /pages/{id}/recording.wav          left what was spoken, right what was heard

The id is known to its page only.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Coroutine
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from aiohttp import WSCloseCode, WSMsgType, hdrs, web

from audio_connector import __version__
from audio_connector.audio.format import SUPPORTED_RATES_HZ
from audio_connector.errors import UsageError
from audio_connector.live.security import Hosts, add_headers, guard
from audio_connector.playground.messages import Speaker
from audio_connector.playground.notices import Notices
from audio_connector.playground.outbox import Outbox
from audio_connector.playground.session import PageSession, Settings
from audio_connector.playground.speeches import read_speech, sentences
from audio_connector.simulator import PROFILES, Router
from audio_connector.wire.quoting import without_secrets

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable  # in another place before Python 3.11

MAX_PAGES: Final = 8
"""Pages at once; each may hold a recording of 10 min."""

MAX_MESSAGE_BYTES: Final = 64 << 10
"""Longest message of a page; 20 ms of speech are 960 bytes."""

MAX_UPLOAD_BYTES: Final = 128 << 20
"""Longest WAV: 10 min of stereo at 48 kHz are 115 MB."""

UPLOAD_S: Final = 60.0
"""Time that a WAV may take to arrive, in seconds."""

HEARTBEAT_S: Final = 5.0
"""Between pings to a page; a browser that vanished without closing its socket is noticed by them."""

_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class Playground:
    """The web application.

    Args:
        settings: Whom the pages call.
        router: Makes the calls.
        notices: What every page is told.
        hosts: The names under which it may be asked for.
    """

    def __init__(self, settings: Settings, *, router: Router, notices: Notices, hosts: Hosts) -> None:
        self._settings = settings
        self._router = router
        self._notices = notices
        self._pages: dict[str, tuple[PageSession, web.WebSocketResponse]] = {}
        self._uploads = asyncio.Semaphore(2)  # a few at once fit into memory
        self._files = _load_files(files("audio_connector") / "playground" / "static")
        self.app = web.Application(middlewares=[guard(hosts)])
        self.app.on_response_prepare.append(add_headers)
        self.app.on_shutdown.append(self._close_pages)
        self.app.add_routes(
            [
                web.get("/page", self._page),
                web.post("/pages/{id}/speech", self._speech),
                web.get("/pages/{id}/recording.wav", self._recording),
                web.get("/{path:.*}", self._file),
            ]
        )

    async def _file(self, request: web.Request) -> web.Response:
        found = self._files.get(request.match_info["path"] or "index.html")
        if found is None:
            raise web.HTTPNotFound(text="there is no such file\n")
        body, content_type = found
        return web.Response(body=body, content_type=content_type, charset="utf-8")

    async def _page(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False, timeout=1.0
        )
        await socket.prepare(request)
        if len(self._pages) >= MAX_PAGES:
            await socket.close(
                code=WSCloseCode.POLICY_VIOLATION, message=f"{MAX_PAGES} pages are open already".encode()
            )
            return socket
        outbox = Outbox()
        session = PageSession(self._settings, router=self._router, outbox=outbox)
        self._pages[session.id] = (session, socket)
        outbox.post(self._hello(session))
        unlisten = self._notices.listen(lambda text: outbox.post({"type": "notice", "text": text}))
        try:
            await _until_one_ends(outbox.run(socket), session.run(), _read(socket, session))
        finally:
            unlisten()
            del self._pages[session.id]
            await session.close()
            await socket.close()
        return socket

    def _hello(self, session: PageSession) -> dict[str, object]:
        settings = self._settings
        return {
            "type": "hello",
            "id": session.id,
            "version": __version__,
            "bot": settings.label,
            "url": without_secrets(settings.url),
            "rates_hz": list(SUPPORTED_RATES_HZ),
            "rate_hz": settings.rate_hz,
            "profiles": [{"name": profile.name, "text": profile.text} for profile in PROFILES.values()],
            "profile": settings.profile,
            "sentences": sentences(),
        }

    async def _speech(self, request: web.Request) -> web.Response:
        session = self._session_of(request)
        name = unquote(request.query.get("name", ""))[:80] or "the file"
        try:
            speaker = cast(Speaker, {"1": 1, "2": 2}[request.query.get("speaker", "1")])
        except KeyError:
            raise web.HTTPBadRequest(text="speaker has to be 1 or 2\n") from None
        try:
            rate_hz = session.rate_of(speaker)
            async with self._uploads:
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "speech.wav"
                    await asyncio.wait_for(_store(request, path, name), UPLOAD_S)
                    speech = await asyncio.to_thread(read_speech, str(path), name, rate_hz)
            if session.rate_of(speaker) != rate_hz:
                raise UsageError(f"another call began while {name} was sent; drop it again")
            session.say(speaker, speech)
        except UsageError as error:
            return web.Response(status=422, text=" ".join(str(error).split()))
        except asyncio.TimeoutError:
            raise web.HTTPRequestTimeout(text=f"{name} did not arrive within {UPLOAD_S:g} s\n") from None
        return web.Response(status=204)

    async def _recording(self, request: web.Request) -> web.Response:
        recording = self._session_of(request).recording
        if recording is None or not recording.seconds:
            raise web.HTTPNotFound(text="nothing is recorded yet\n")
        body = await asyncio.to_thread(recording.wav)
        name = time.strftime("playground-%Y%m%d-%H%M%S.wav")
        return web.Response(
            body=body,
            content_type="audio/wav",
            headers={hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'},
        )

    def _session_of(self, request: web.Request) -> PageSession:
        found = self._pages.get(request.match_info["id"])
        if found is None:
            raise web.HTTPNotFound(text="that page is closed\n")
        return found[0]

    async def _close_pages(self, _: web.Application) -> None:
        await asyncio.gather(
            *(socket.close(code=WSCloseCode.GOING_AWAY) for _, socket in self._pages.values()),
            return_exceptions=True,
        )


async def _read(socket: web.WebSocketResponse, session: PageSession) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            session.take(message.data)
        elif message.type is WSMsgType.BINARY:
            session.listen(message.data)


async def _until_one_ends(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts of a page; when one ends, however it does, the others are ended as well."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # A page that is gone or takes nothing ends one of them with an error, which is nobody's fault.
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, OSError | asyncio.TimeoutError):
            raise result


async def _store(request: web.Request, path: Path, name: str) -> None:
    """Store a request's body, as long as it is not too long."""
    size_bytes = 0
    with path.open("wb") as file:
        async for piece in request.content.iter_chunked(1 << 16):
            size_bytes += len(piece)
            if size_bytes > MAX_UPLOAD_BYTES:
                raise UsageError(f"{name} is larger than {MAX_UPLOAD_BYTES >> 20} MiB; cut it")
            file.write(piece)


def _load_files(folder: Traversable, prefix: str = "") -> dict[str, tuple[bytes, str]]:
    """Return every file of the page with its type: what is not in here does not exist, so no path leads out of it."""
    found: dict[str, tuple[bytes, str]] = {}
    for entry in folder.iterdir():
        if entry.is_dir():
            found.update(_load_files(entry, f"{prefix}{entry.name}/"))
        elif (content_type := _TYPES.get(Path(entry.name).suffix)) is not None:
            found[prefix + entry.name] = (entry.read_bytes(), content_type)
    return found
