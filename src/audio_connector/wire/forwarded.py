# SPDX-License-Identifier: Apache-2.0
"""Who has dialled, where that is through proxies: by what those say that are trusted. No clock and no I/O.

A proxy says it in ``Forwarded`` (RFC 7239) or ``X-Forwarded-For``, behind what it was told itself. So the list is
read from its end, and the first address that is no trusted proxy's is the one that dialled the outermost of them;
what stands before it anybody may have written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from audio_connector.wire.transport import Headers

SITE_BITS = 64
"""Of an IPv6 address: what one customer has at least, so that a limit for each address is one for each of these."""

SocketPeer = tuple[str, int]
"""An address and a port; port 0 where nobody says it."""

MAX_HOPS = 32
"""Proxies behind one another, of which there are a few. Who has dialled is not looked for beyond them."""

MAX_FORWARDED_CHARACTERS = 2048
"""Of all ``Forwarded``: ample for `MAX_HOPS`, and read in a fraction of a millisecond. A longer one is not read."""

MAX_NODE_CHARACTERS = 64
"""Of an address with a port: an IPv6 address has 45 at most."""

_MARK = re.compile(r'[",;]')
_QUOTED_MARK = re.compile(r'"|\\.', re.DOTALL)
_FOR = re.compile(r'[ \t]*for=(?:"([^"]*)"|([^" \t]*))[ \t]*', re.IGNORECASE)
_NODE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?", re.ASCII)


class Proxies:
    """Those that are trusted.

    Args:
        networks: Of their addresses: ``10.0.0.0/8``, ``2001:db8::/32``, or one address.

    Raises:
        ValueError: One is none; the text is for who wrote it.
    """

    def __init__(self, networks: Iterable[str] = ()) -> None:
        self._networks = tuple(map(_network_of, networks))

    def trusts(self, address: str) -> bool:
        """Whether it is the address of one."""
        found = _ip_of(address)
        return found is not None and any(
            found.version == network.version and found in network for network in self._networks
        )

    def client_of(self, peer: SocketPeer, headers: Headers) -> SocketPeer:
        """Return who has dialled.

        Args:
            peer: Who is at the other end of the socket; it is who has dialled, unless it is a trusted proxy.
            headers: Of the request. Where both headers are there and differ, neither is believed: one of them is what
                somebody has sent through a proxy that only knows the other.
        """
        if not self._networks or not self.trusts(peer[0]):
            return peer
        said = [
            self._outermost(nodes, peer)
            for nodes in (_forwarded(headers), _x_forwarded_for(headers))
            if nodes
        ]
        if not said or any(client[0] != said[0][0] for client in said):
            return peer
        return said[0]

    def _outermost(self, nodes: list[SocketPeer | None], peer: SocketPeer) -> SocketPeer:
        client = peer
        for node in reversed(nodes):
            if node is None:  # a proxy that says "unknown", or what is no address: nearer than that is known
                break
            client = node
            if not self.trusts(node[0]):
                break
        return client


def site_of(address: str) -> str:
    """What stands for an address where something is counted for each: an IPv4 address, or an IPv6 /64."""
    if ":" not in address:
        return address
    found = _ip_of(address)
    if not isinstance(found, IPv6Address):
        return address if found is None else str(found)
    return str(IPv6Network((found, SITE_BITS), strict=False).network_address)


def is_address(text: str) -> bool:
    """Whether it is one of IPv4 or IPv6."""
    return _ip_of(text) is not None


def _network_of(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"got {text!r:.80}; expected addresses of proxies, or networks such as 10.0.0.0/8 or 2001:db8::/32"
        ) from None


def _ip_of(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    # A socket of both families has IPv4 peers under ::ffff:0:0/96.
    return getattr(found, "ipv4_mapped", None) or found


def _forwarded(headers: Headers) -> list[SocketPeer | None]:
    """The last hops. One quote without another, and who has written what cannot be told: then none of it counts."""
    text = ", ".join(headers.get_all("forwarded"))
    if not text:
        return []
    elements = _elements(text) if len(text) <= MAX_FORWARDED_CHARACTERS else None
    return [None] if elements is None else [_for_of(pairs) for pairs in elements[-MAX_HOPS:]]


def _elements(text: str) -> list[list[str]] | None:
    """The pairs of each element (RFC 7239 4), in one pass over the text; None where a quote is not closed."""
    elements: list[list[str]] = [[]]
    begin = at = 0
    while (mark := _MARK.search(text, at)) is not None:
        at = mark.end()
        if mark[0] == '"':
            while (inside := _QUOTED_MARK.search(text, at)) is not None:
                at = inside.end()
                if inside[0] == '"':
                    break
            else:
                return None
            continue
        elements[-1].append(text[begin : mark.start()])
        begin = at
        if mark[0] == ",":
            elements.append([])
    elements[-1].append(text[begin:])
    return elements


def _for_of(pairs: Iterable[str]) -> SocketPeer | None:
    found = next((found for pair in pairs if (found := _FOR.fullmatch(pair))), None)
    return None if found is None else _node_of(found[1] or found[2] or "")


def _x_forwarded_for(headers: Headers) -> list[SocketPeer | None]:
    text = ",".join(headers.get_all("x-forwarded-for"))
    return [_node_of(each.strip()) for each in text.rsplit(",", MAX_HOPS)[-MAX_HOPS:]] if text else []


def _node_of(text: str) -> SocketPeer | None:
    """An address, bare or as RFC 7239 6 has it, with a port or without."""
    if len(text) > MAX_NODE_CHARACTERS:
        return None
    node = _NODE.fullmatch(text)
    address = text if node is None else node[1] or node[2]
    found = _ip_of(address)
    if found is None:
        return None
    port = int(node[3] or 0) if node is not None else 0
    return str(found), port if port <= 65535 else 0  # noqa: PLR2004 - the last port
