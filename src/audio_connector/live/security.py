# SPDX-License-Identifier: Apache-2.0
"""Who may talk to a page's server: the page that it has served itself, and nobody else.

A page of any other site in the same browser can send requests to this machine. Three rules keep it out:

1. The ``Host`` has to be one of ours. A foreign name that was made to resolve to this machine (DNS rebinding)
   would otherwise count as the same origin.
2. What changes something, a WebSocket or a POST, has to carry the ``Origin`` of that very host. A browser always
   sends it, and a page cannot forge it.
3. The page itself may load nothing from elsewhere and runs no inline script (Content-Security-Policy).
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from audio_connector.wire.addresses import is_loopback

_HOST = re.compile(r"[\w.:\[\]-]+", re.ASCII)
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_MAX_NAME_BYTES = (
    255  # of a file, on any disk: more is an OSError, and a traceback in the log for who wants one
)
_SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Hosts:
    """The names under which a page may be asked for.

    Args:
        host: What it listens on.

    Attributes:
        port: The port, known once it listens; before that, nothing is one of ours.
    """

    def __init__(self, host: str) -> None:
        self.port: int | None = None
        self._is_local = is_loopback(host)
        names = {*_LOOPBACK_NAMES, host}
        if not self._is_local:
            names.add(socket.gethostname())
        self._names = {name.lower() for name in names}

    def has(self, value: str | None) -> bool:
        """Whether the value of a ``Host`` header is one of ours.

        On a machine that others may reach, every literal address is: it cannot be rebound, only a name can.
        """
        # Whatever else a URL may have here, such as a query or a scope, would get into the policy of the answer.
        if value is None or _HOST.fullmatch(value) is None:
            return False
        try:
            parts = urlsplit(f"//{value}")
            name, port = parts.hostname or "", parts.port or 80
        except ValueError:
            return False
        if port != self.port:
            return False
        return name in self._names or (not self._is_local and _address_of(name) is not None)


def guard(hosts: Hosts) -> Middleware:
    """Make the middleware that applies the rules, and sets the headers of every answer."""

    @web.middleware
    async def check(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        host = request.headers.get(hdrs.HOST)
        if not hosts.has(host):
            raise web.HTTPMisdirectedRequest(text="this is not the name of this page\n")
        is_upgrade = hdrs.UPGRADE in request.headers
        if (is_upgrade or request.method not in _SAFE_METHODS) and not _is_same_origin(request, host):
            raise web.HTTPForbidden(text="only the page that comes from here may do this\n")
        if max(map(len, os.fsencode(request.path).split(b"/"))) > _MAX_NAME_BYTES:
            raise web.HTTPNotFound
        return await handler(request)

    return check


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Set what a browser has to know of every answer; for ``on_response_prepare``, so that errors have it as well."""
    response.headers.update(_HEADERS)
    # "self" covers ws:// in today's browsers only, so the address is written out; only one of ours gets past 421.
    host = request.headers.get(hdrs.HOST, "")
    connect = f" ws://{host}" if response.status != web.HTTPMisdirectedRequest.status_code and host else ""
    response.headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self'{connect}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    )


def _is_same_origin(request: web.Request, host: str | None) -> bool:
    return request.headers.getall(hdrs.ORIGIN, []) == [f"http://{host}"]


def _address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
