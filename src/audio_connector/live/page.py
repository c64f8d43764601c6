# SPDX-License-Identifier: Apache-2.0
"""A page in a browser that is told what an application does.

States: made, *open* inside the ``async with`` block, and over. What is shown before it is open, or after, is kept or
dropped without a word, so that an application shows things without asking whether anybody looks. Each viewer has a
queue of its own, of which all goes out at once; one that does not read is hung up on, comes again by itself, and goes
on where it was.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections import deque
from collections.abc import Iterable
from importlib.resources import files
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from aiohttp import web

from audio_connector.errors import AudioConnectorStartServerError, UsageError
from audio_connector.live.history import History, Shown
from audio_connector.live.security import Hosts, add_headers, guard
from audio_connector.live.settings import make_folder

MAX_EVENTS: Final = 2000
"""An hour of one caption each two seconds."""

MAX_BEHIND: Final = 500
"""Events that a viewer may be behind."""

_BESIDE: Final = r"[\w-]+\.(?:js|css|svg|png|html)"
"""What a page loads, and not what else lies there: settings, keys, sources."""

ALIVE_S: Final = 15.0
"""Between two signs of life where nothing is shown: proxies cut what is silent for a minute."""

BATCH_S: Final = 0.1
"""Viewers are told that often at most; what is shown after a pause goes out at once."""

MAX_VIEWERS: Final = 300
"""That are told as it happens: each takes 30 us of our loop and more, so all of them 10 ms in each 100."""

AGAIN_MS: Final = 10_000
"""Whoever is more is told what there is, and comes again for the rest after so long."""


class LivePage:
    """Serves a page, and tells it what happens.

    ``async with LivePage("captions/page.html", port=8080) as page: page.show("caption", text="hello")``

    The page loads ``/live.js``, which calls its handlers with what is shown, and may load ``/live.css``, and the
    scripts, style sheets and pictures beside it; nothing from elsewhere, and no script of its own text.

    Args:
        html: The page; whatever else it loads lies in the same folder.
        host: Where to listen. Only this machine can see a loopback address, and no other one asks who looks.
        port: Likewise; 0 takes a free one.
        folder: Served below ``/files/``: recordings, clips.
        max_events: So many are kept for who opens the page later.

    Raises:
        UsageError: There is no such page.
    """

    def __init__(
        self,
        html: str | PathLike[str],
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        folder: str | PathLike[str] | None = None,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._html = Path(html)
        if not self._html.is_file():
            raise UsageError(f"got {str(self._html)!r} as page; expected an HTML file")
        self._host, self._port = host, port
        self._folder = None if folder is None else Path(folder)
        self._history = History(max_events)
        self._run = secrets.token_hex(4)
        """Part of the ids of events: a browser that was open before says by it that it has seen nothing of these."""
        self._viewers: set[_Viewer] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = -math.inf
        self._began_at = time.monotonic()
        self._runner: web.AppRunner | None = None
        self._is_over = False

    @property
    def url(self) -> str:
        """Where it is; only while it is open is the port known."""
        name = "localhost" if self._host == "127.0.0.1" else self._host
        return f"http://{f'[{name}]' if ':' in name else name}:{self._port}/"

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)

    def show(self, kind: str, *, key: str | None = None, **data: Any) -> None:  # noqa: ANN401 - as JSON holds it
        """Show something, to who looks now and to who comes later; on the loop that the page was opened on.

        Args:
            kind: Which of the page's handlers is called.
            key: What is shown later with the same key takes its place.
            data: What the handler is given: whatever JSON can hold.

        Raises:
            UsageError: The data is something else.
        """
        shown = self._history.add(kind, key, time.monotonic() - self._began_at, data)
        for viewer in list(self._viewers):
            if len(viewer.waiting) < MAX_BEHIND:
                viewer.waiting.append(shown)
            else:
                self._hang_up(viewer)
                viewer.abort()
        self._tell_in(max(0.0, self._told_at + BATCH_S - time.monotonic()))

    async def __aenter__(self) -> LivePage:
        """Open it.

        Raises:
            AudioConnectorStartServerError: The port is taken, or the address is none of this machine's.
            UsageError: It was opened before, or its folder cannot be made.
        """
        if self._runner is not None or self._is_over:
            raise UsageError("a page can be opened once; make another LivePage")
        hosts = Hosts(self._host)
        app = web.Application(middlewares=[guard(hosts)])
        app.on_response_prepare.append(add_headers)
        app.router.add_get("/", self._page)
        app.router.add_get("/events", self._events, allow_head=False)  # which has no head without a viewer
        app.router.add_get("/favicon.ico", _nothing)  # every browser asks for one
        for name in ("live.js", "live.css"):
            app.router.add_get(f"/{name}", _own(name))
        if self._folder is not None:
            make_folder(self._folder)
            app.router.add_static("/files/", self._folder)
        app.router.add_get(rf"/{{name:{_BESIDE}}}", self._beside)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        try:
            await self._runner.setup()
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except OSError as error:
            await self._close()
            raise AudioConnectorStartServerError(
                f"the page cannot be at {self._host}:{self._port}: {error.strerror or error}; "
                "choose another port, 0 for a free one"
            ) from error
        except BaseException:
            await self._close()
            raise
        self._port = hosts.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on who looks, and close it."""
        await self._close()

    async def _close(self) -> None:
        self._is_over = True
        for viewer in list(self._viewers):
            self._hang_up(viewer)
        if self._timer is not None:
            self._timer.cancel()
        if self._runner is not None:
            runner, self._runner = self._runner, None
            await runner.cleanup()

    def _tell_in(self, seconds: float) -> None:
        """Tell the viewers what waits for them, or that we are alive; whichever time is the earliest."""
        if not self._viewers:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._tell)

    def _tell(self) -> None:
        self._timer, self._told_at = None, time.monotonic()
        for viewer in self._viewers:
            viewer.is_told.set()
        self._tell_in(ALIVE_S)

    def _hang_up(self, viewer: _Viewer) -> None:
        self._viewers.discard(viewer)
        viewer.is_over = True
        viewer.is_told.set()

    async def _page(self, _: web.Request) -> web.FileResponse:
        return web.FileResponse(self._html)

    async def _beside(self, request: web.Request) -> web.FileResponse:
        path = self._html.parent / request.match_info["name"]
        if not path.is_file():
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a browser comes again by itself, and says which it has seen."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        past = self._written(self._history.since(self._seen(request.headers.get("Last-Event-ID", ""))))
        if len(self._viewers) >= MAX_VIEWERS:
            await answer.write(f"retry: {AGAIN_MS}\n\n".encode() + past)
            return answer
        viewer = _Viewer(request.transport)
        self._viewers.add(viewer)
        self._tell_in(ALIVE_S)
        try:
            await answer.write(b"retry: 1000\n\n" + past)
            while not viewer.is_over:
                await viewer.is_told.wait()
                await answer.write(self._written(viewer.take()) or b": alive\n\n")
        except ConnectionError:
            pass
        finally:
            self._viewers.discard(viewer)
        return answer

    def _written(self, events: Iterable[Shown]) -> bytes:
        return "".join(f"id: {self._run}-{each.number}\ndata: {each.text}\n\n" for each in events).encode()

    def _seen(self, last_id: str) -> int:
        """Up to which event a browser has seen all; 0 where that was of another run."""
        run, _, number = last_id.partition("-")
        return int(number) if run == self._run and re.fullmatch("[0-9]{1,18}", number) else 0


class _Viewer:
    """Somebody who looks: what they were not sent yet."""

    def __init__(self, transport: asyncio.Transport | None) -> None:
        self.waiting: deque[Shown] = deque()
        self.is_told = asyncio.Event()
        self.is_over = False
        self._transport = transport

    def take(self) -> list[Shown]:
        """What waits; nothing does afterwards."""
        taken = list(self.waiting)
        self.waiting.clear()
        self.is_told.clear()
        return taken

    def abort(self) -> None:
        """Do not wait for them to read what was sent already: they may never."""
        self.waiting.clear()
        if self._transport is not None:
            self._transport.abort()


async def _nothing(_: web.Request) -> web.Response:
    return web.Response(status=204)


def _own(name: str) -> Any:  # noqa: ANN401 - a handler of aiohttp's
    text = (files("audio_connector.live") / "static" / name).read_text(encoding="utf-8")
    kind = "text/javascript" if name.endswith(".js") else "text/css"

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind)

    return answer
