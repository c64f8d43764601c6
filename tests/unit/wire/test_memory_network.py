# SPDX-License-Identifier: Apache-2.0
"""A network in process: its ports, who is found there, and how long what is said is under way."""

from __future__ import annotations

import errno
import ssl

import pytest
from support.clock import VirtualClock
from support.ends import End

from audio_connector.errors import DialError
from audio_connector.wire.memory_network import FIRST_FREE_PORT, MemoryNetwork
from audio_connector.wire.network import DialOptions, ListenOptions
from audio_connector.wire.refusals import NOT_NOW, Refusal
from audio_connector.wire.transport import Receiver, Upgrade, WireLimits


class Net:
    """A network whose port takes everyone, and notes what they asked for."""

    def __init__(self, **times: float) -> None:
        self.clock = VirtualClock()
        self.network = MemoryNetwork({}, self.clock.call_later, **times)
        self.asked: list[Upgrade] = []
        self.server: End | None = End()

    def accept(self, upgrade: Upgrade) -> Receiver | Refusal:
        self.asked.append(upgrade)
        return self.server or NOT_NOW


async def test_a_call_is_dialled_by_its_port() -> None:
    net, router = Net(), End()
    listening = await net.network.listen(net.accept, ListenOptions(host="anywhere"))
    assert listening.address == ("anywhere", FIRST_FREE_PORT)
    url = f"ws://somewhere:{FIRST_FREE_PORT}/a?b=c"
    transport = await net.network.dial(url, router, DialOptions(headers=[("X-A", "1"), ("X-A", "2")]))
    [upgrade] = net.asked
    path, query, headers = upgrade[:3]
    assert (headers["host"], headers.get_all("x-a"), path, query) == (
        f"somewhere:{FIRST_FREE_PORT}",
        ["1", "2"],
        "/a",
        "b=c",
    )
    assert net.server is not None
    assert net.server.upgrade == router.upgrade
    assert (router.upgrade.path, router.upgrade.query, router.upgrade.secure) == ("/a", "b=c", False)
    transport.send_text("1")
    net.clock.run_for(0.0)
    assert net.server.messages == ["1"]


async def test_what_the_router_says_first_is_heard_after_the_opening_and_in_order() -> None:
    net, router = Net(opening_s=0.005), End()
    await net.network.listen(net.accept, port=80)
    transport = await net.network.dial("ws://x", router)
    transport.send_text("1")
    transport.send_audio(b"2")
    assert net.server is not None
    net.server.transport.send_text("a")
    net.clock.run_for(0.0049)
    assert (net.server.messages, router.messages) == ([], ["a"])
    net.clock.run_for(0.0002)
    transport.send_text("3")
    net.clock.run_for(0.0)
    assert net.server.messages == ["1", b"2", "3"]


async def test_what_is_said_is_under_way_in_both_directions() -> None:
    net, router = Net(latency_s=0.005), End()
    await net.network.listen(net.accept, port=80)
    (await net.network.dial("ws://x", router)).send_text("1")
    assert net.server is not None
    net.server.transport.send_text("2")
    net.clock.run_for(0.0049)
    assert net.server.messages == router.messages == []
    net.clock.run_for(0.0002)
    assert (net.server.messages, router.messages) == (["1"], ["2"])


async def test_the_limits_are_those_of_each_end() -> None:
    net, router = Net(), End()
    await net.network.listen(
        net.accept, port=80, limits=WireLimits(send_buffer_bytes=0, write_high_bytes=100)
    )
    transport = await net.network.dial("ws://x", router, limits=WireLimits(receive_buffer_bytes=1))
    transport.pause_reading()
    assert net.server is not None
    for _ in range(1000):
        net.server.transport.send_audio(bytes(100))
    assert net.server.writable == [False]
    transport.send_audio(bytes(16384))
    assert router.writable == []


async def test_a_port_is_taken_once_until_it_is_let_go() -> None:
    net = Net()
    first = await net.network.listen(net.accept, port=80)
    with pytest.raises(OSError, match="in use") as caught:
        await net.network.listen(net.accept, port=80)
    assert caught.value.errno == errno.EADDRINUSE
    first.stop()
    second = await net.network.listen(net.accept, port=80)
    first.stop()
    assert net.network.ports == {80: second}
    free = [(await net.network.listen(net.accept)).address[1] for _ in range(2)]
    assert free == [FIRST_FREE_PORT, FIRST_FREE_PORT + 1]


async def test_who_is_not_found_or_not_taken_is_told() -> None:
    net = Net()
    listening = await net.network.listen(
        net.accept, port=443, ssl_context=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    )
    with pytest.raises(DialError, match=r"port 80 \(open: 443\)"):
        await net.network.dial("ws://x/", End())
    with pytest.raises(DialError, match="should it be wss://"):
        await net.network.dial("ws://x:443/", End())
    net.server = None
    with pytest.raises(DialError, match="HTTP 503") as caught:
        await net.network.dial("wss://x/", End())
    assert caught.value.status == 503
    assert listening.refusals == {"503": 1}
