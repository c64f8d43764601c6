# SPDX-License-Identifier: Apache-2.0
"""The port on a real socket: the only file that imports picows, and the owner of its edges.

picows is a fast frame transport, not a whole protocol. What RFC 6455 asks beyond frames is done here and in
``wire.fragments``: joining fragments under one total limit, refusing stray continuations and reserved bits,
checking UTF-8, and the closing handshake in both directions with a deadline. Frames of the peer live in a buffer that
picows reuses, so a payload is copied exactly once, inside the callback.

picows parses all that it has read in one go. So it is given little room at a time, and a peer that has sent more than
is its own, see ``wire.budget``, is not read for a while.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not in its stubs
from picows.url import WSParsedURL

from audio_connector.errors import DialError
from audio_connector.wire.addresses import NO_LINGER, addresses_of, connect_first, hang_up, peer_of
from audio_connector.wire.budget import EMPTY_BYTES, LONG_BYTES, Backlog
from audio_connector.wire.closing import (
    ABNORMAL,
    FLOOD,
    NO_CODE,
    NORMAL,
    PROTOCOL_FAULT,
    fit_reason,
    may_be_received,
)
from audio_connector.wire.dialling import dial_error, hung_up, not_a_websocket
from audio_connector.wire.fragments import BINARY, Fault, Fragments
from audio_connector.wire.listening import Listening, listen_at
from audio_connector.wire.network import DIAL, LISTEN, AcceptUpgrade, DialOptions, ListenOptions, with_target
from audio_connector.wire.quiet import FaultLog, QuietLogger, quiet_handshakes, take_end_of
from audio_connector.wire.quoting import without_secrets
from audio_connector.wire.reading import Reading
from audio_connector.wire.refusals import Refusal
from audio_connector.wire.transport import Closed, ClosedBy, Headers, Nobody, Receiver, Upgrade, WireLimits
from audio_connector.wire.upgrade import header_text, split_target
from audio_connector.wire.watermarks import Watermarks, watch_write_buffer

logger = logging.getLogger("audio_connector.wire")

READ_BYTES = 1024
"""Read at once: a frame of any rate, or 170 of the shortest, which take a millisecond or two. picows' buffer has
twice that. It grows for a message that is longer, and for nothing else: it doubles where a read has filled it."""

_BINARY = WSMsgType.BINARY
_TEXT = WSMsgType.TEXT
_CONTINUATION = WSMsgType.CONTINUATION
_CLOSE = WSMsgType.CLOSE
_PING = WSMsgType.PING
_PONG = WSMsgType.PONG

_QUIET = QuietLogger(logger, {})

_get_buffer = WSProtocol.get_buffer  # looked up once


class _Protocol(WSProtocol):  # type: ignore[misc]  # which is Any to mypy
    """picows' own, which reads no more than `READ_BYTES` at once."""

    socket: _Socket

    def get_buffer(self, size_hint: int) -> memoryview:
        """Give room for the next bytes; once for each read."""
        self.socket.reading.look()
        room: memoryview = _get_buffer(self, size_hint)
        return room if len(room) <= READ_BYTES else room[:READ_BYTES]

    def feed(self, data: bytes) -> None:
        """Take bytes that were read by somebody else, as if they came now."""
        self.socket.reading.feed(self, memoryview(data))


class _TlsProtocol(_Protocol):
    """The same over TLS (`wire.tls_socket`)."""

    def buffer_updated(self, nbytes: int) -> None:
        """Take so many bytes that were put into the room."""
        self.socket.reading.overhead.handed_bytes += nbytes
        super().buffer_updated(nbytes)

    def on_read(self, read_bytes: int, reads: int) -> None:
        """As of `wire.tls_socket.Told`."""
        if self.socket.reading.note_read(read_bytes, reads):
            self.socket.close(*FLOOD)


class _Socket(WSListener):
    """One connection: picows' callbacks on one side, the port on the other."""

    def __init__(
        self,
        receiver: Receiver,
        limits: WireLimits,
        upgrade: Upgrade | None = None,
        backlog: Backlog | None = None,
        faults: FaultLog | None = None,
    ) -> None:
        super().__init__()
        self._receiver = receiver
        self._limits = limits
        self._upgrade = upgrade
        """What a server was asked; None for an end that dials."""
        self._ws: WSTransport = None  # type: ignore[assignment]  # set by on_ws_connected, before any use
        self._fragments = Fragments(limits.max_message_bytes, limits.max_text_bytes)
        self._closing = False
        self._faults = faults
        self._fault: Closed | None = None
        """How we have ended it, where the peer's close frame was no good."""
        self.reading = Reading(backlog)
        self._is_reset = False
        self._is_paused = False
        self._owed_pong: bytes | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._underlying: asyncio.Transport = None  # type: ignore[assignment]
        self._unsent_bytes: Callable[[], int] = int  # which is nothing
        self._watermarks: Watermarks | None = None

    # The port: Transport.

    def send_audio(self, frame: bytes) -> None:
        self._ws.send(_BINARY, frame)
        if self._watermarks is not None:
            self._watermarks.on_written()

    def send_text(self, text: str) -> None:
        self._ws.send(_TEXT, text)
        if self._watermarks is not None:
            self._watermarks.on_written()

    def send_ping(self, payload: bytes = b"") -> None:
        self._ws.send_ping(payload)
        if self._watermarks is not None:
            self._watermarks.on_written()

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.is_closing or self._ws.is_disconnected:
            return
        self._closing = True
        self._fragments.clear()
        self._ws.send_close(cast("WSCloseCode", code), fit_reason(reason))
        self._arm_deadline()

    def abort(self) -> None:
        self._closing = True
        if not self._ws.is_disconnected:
            self._ws.disconnect(graceful=False)

    def reset(self) -> None:
        if not self._ws.is_disconnected:
            sock = self._underlying.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            self._is_reset = True  # which closing the socket does, and shutting it down would spoil
        self.abort()

    def disown(self) -> None:
        self._receiver = Nobody()

    def pause_reading(self) -> None:
        self.reading.pause()

    def resume_reading(self) -> None:
        self.reading.resume()

    def write_raw(self, data: bytes) -> None:
        if not self.is_closing:
            self._underlying.write(data)

    @property
    def write_buffer_bytes(self) -> int:
        return self._unsent_bytes()

    @property
    def is_connected(self) -> bool:
        """True once the handshake was completed."""
        return self._ws is not None

    @property
    def is_closing(self) -> bool:
        if not self._closing and (self._ws.is_close_frame_sent or self._underlying.is_closing()):
            # picows says nothing of a fault that its parser found, or of the end of the peer's stream, and then
            # waits for the unsent data to leave, however long that takes.
            self._closing = True
            self._arm_deadline()
        return self._closing

    @property
    def closed_by(self) -> ClosedBy:
        return self._how_closed().closed_by

    # picows' side.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._ws = transport
        self._underlying = transport.underlying_transport
        self.reading.start(self._underlying)
        if self._faults is not None:
            self._faults.on_fault = self._on_parser_fault
        if self._upgrade is None:
            take_end_of(transport.wait_disconnected())
        sock = self._underlying.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_buffer_bytes)
        self._unsent_bytes, self._watermarks = watch_write_buffer(
            self._underlying, self._limits.write_high_bytes, self.pause_writing, self.resume_writing
        )
        try:
            self._receiver.on_open(self, self._upgrade or _upgrade_sent(transport))
        except Exception as error:
            self._fail("on_open", error)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind, reading = frame.msg_type, self.reading  # an IntEnum, to be compared with ==
        if transport.is_close_frame_sent and not self._closing:
            # picows found a fault and closes; it goes on parsing, and would deliver the faulty frame itself.
            self._closing = True
            self._arm_deadline()
        if kind == _BINARY and frame.fin and not self._fragments.is_open and not self._closing:
            # The path of every audio frame; everything else takes the long way below.
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                self.close(PROTOCOL_FAULT, "reserved bits are set")
                return
            payload = frame.get_payload_as_bytes()
            try:
                self._receiver.on_audio(payload)
            except Exception as error:
                self._fail("on_audio", error)
            if EMPTY_BYTES <= len(payload) < LONG_BYTES:
                reading.left -= 1
            else:
                reading.weigh(len(payload))
            if reading.left < 0 and reading.pay():
                self.close(*FLOOD)
            return
        reading.weigh(frame.payload_size, is_text=kind == _TEXT, is_control=kind in (_PING, _PONG))
        try:
            self._on_other_frame(kind, frame)
        except Exception as error:
            self._fail("a callback", error)
        if reading.left < 0 and reading.pay():
            self.close(*FLOOD)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._watermarks is not None:
            self._watermarks.stop()
        self._closing = True
        self._fragments.clear()
        self.reading.stop()
        if self._faults is not None:
            self._faults.on_fault = None
        if not self._is_reset:
            hang_up(self._underlying)
        try:
            self._receiver.on_closed(self._how_closed())
        except Exception:
            logger.exception("on_closed failed; this is an error of the library")

    def pause_writing(self) -> None:
        self._is_paused = True
        self._receiver.on_writable(False)

    def resume_writing(self) -> None:
        self._is_paused = False
        owed, self._owed_pong = self._owed_pong, None
        if owed is not None and not self.is_closing:
            self._ws.send_pong(owed)
        self._receiver.on_writable(True)

    def _on_other_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        if kind == _CLOSE:
            self._on_close_frame(frame)
        elif self._closing:
            return
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.close(PROTOCOL_FAULT, "reserved bits are set")
        elif kind == _PING:
            self._on_ping(frame.get_payload_as_bytes())
        elif kind == _PONG:
            self._receiver.on_pong(frame.get_payload_as_bytes())
        elif kind in (_BINARY, _TEXT, _CONTINUATION):
            self._on_data_frame(kind, frame)

    def _on_ping(self, payload: bytes) -> None:
        if self.is_closing:
            return  # the peer has gone in the middle of what it has sent; the transport logs a warning for each write
        if self._is_paused:
            # Answers to a peer that pings and does not read would pile up; the newest is enough (RFC 6455 5.5.3).
            self._owed_pong = payload
        else:
            self._ws.send_pong(payload)
            if self._watermarks is not None:
                self._watermarks.on_written()

    def _on_data_frame(self, kind: WSMsgType, frame: WSFrame) -> None:
        added = self._fragments.add(_number(kind), frame.get_payload_as_bytes(), fin=bool(frame.fin))
        if added is None:
            return
        if isinstance(added, Fault):
            self.close(added.code, added.reason)
        elif added.opcode == BINARY:
            self._receiver.on_audio(added.payload)
        else:
            self._receiver.on_text(added.text)

    def _on_close_frame(self, frame: WSFrame) -> None:
        self._closing = True
        self._fragments.clear()
        if not self._ws.is_close_frame_sent:
            code = frame.get_close_code()
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                self._refuse_close("reserved bits are set")
            elif frame.payload_size and not may_be_received(_number(code)):
                self._refuse_close(f"close code {_number(code)} is never sent")
            else:
                self._answer_close(code)
            if self._upgrade is None or self._watermarks is not None or self._unsent_bytes():
                self._arm_deadline()  # else it ends at once
        if self._upgrade is not None:
            # The server closes TCP first, so that TIME_WAIT stays on the side that can bear it (RFC 6455 7.1.1).
            self._ws.disconnect()

    def _on_parser_fault(self) -> None:
        """The parser is about to close with a code of its own."""
        handshake = self._ws.close_handshake
        if handshake is None or handshake.sent is not None or handshake.recv is None:
            return
        code = handshake.recv.code
        if not _number(code) or may_be_received(_number(code)):
            # Behind the peer's close frame nothing counts; it has its own answer, and is delivered after this.
            self._answer_close(code)

    def _answer_close(self, code: WSCloseCode) -> None:
        # picows cannot send a close frame without a code: 1000 answers one without.
        self._ws.send_close(code if _number(code) else cast("WSCloseCode", NORMAL))

    def _refuse_close(self, reason: str) -> None:
        self._fault = Closed(PROTOCOL_FAULT, reason, closed_by="us")
        self._ws.send_close(cast("WSCloseCode", PROTOCOL_FAULT), reason)

    def _fail(self, where: str, error: Exception) -> None:
        logger.error("%s failed; the connection is closed with 1011", where, exc_info=error)
        self.close(1011, "internal error")

    def _arm_deadline(self) -> None:
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._limits.close_timeout_s, self.abort)

    def _how_closed(self) -> Closed:
        if self._fault is not None:
            return self._fault
        handshake = self._ws.close_handshake
        if handshake is None:
            return Closed(ABNORMAL, "", closed_by="network")
        sent, received = handshake.sent, handshake.recv
        if sent is not None and not handshake.recv_then_sent:
            return Closed(_number(sent.code), sent.reason or "", closed_by="us")
        if received is not None:
            return Closed(_number(received.code) or NO_CODE, received.reason or "", closed_by="peer")
        return Closed(ABNORMAL, "", closed_by="network")


async def listen(accept: AcceptUpgrade, options: ListenOptions = LISTEN, **changes: object) -> Listening:
    """Listen for WebSocket connections on the running loop; a `wire.network.Listen`.

    Args:
        accept: Called synchronously with each valid upgrade request that ``options.judge`` lets in.
        options: Where, and with which bounds.
        changes: Fields of the options that differ.

    Raises:
        OSError: The address cannot be bound.
    """
    options = options.but(changes)
    timeout_s, limits = options.handshake_timeout_s, options.limits
    backlog = Backlog()

    def open_(transport: asyncio.Transport, upgrade: Upgrade) -> _Protocol | Refusal:
        made: list[_Socket] = []
        # The arguments of ws_create_server, which can only be had together with its own listening socket.
        faults = FaultLog()
        protocol = (_TlsProtocol if upgrade.secure else _Protocol)(
            None,
            None,
            False,
            lambda _: WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(), made.pop()),
            faults,
            True,
            None,  # the gate has seen to it that the request is there
            False,
            timeout_s,
            timeout_s,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,  # pings are answered by _Socket
            limits.max_message_bytes,
            None,
            2 * READ_BYTES,
        )
        protocol.connection_made(transport)
        # Last, because who was accepted is told of an end only where there was an opening.
        receiver = accept(upgrade)
        if isinstance(receiver, Refusal):
            return receiver
        # A subprotocol is not chosen: the router's ancestor offered one and took a server without (PROTOCOL 1.8).
        protocol.socket = _Socket(receiver, limits, upgrade, backlog, faults)
        made.append(protocol.socket)
        return protocol

    return await listen_at(options, open_)


async def dial(url: str, receiver: Receiver, options: DialOptions = DIAL, **changes: object) -> _Socket:
    """Open a WebSocket to a server, as the media router does; a `wire.network.Dial`.

    Args:
        url: ``ws://`` or ``wss://``.
        receiver: Is told of everything; its ``on_open`` has run when this returns.
        options: Headers, bounds and the like.
        changes: Fields of the options that differ.

    Returns:
        The open connection, a `Transport`.

    Raises:
        DialError: With the address and what went wrong.
    """
    options = options.but(changes)
    timeout_s, limits = options.timeout_s, options.limits
    link = _Socket(receiver, limits)
    asked = url if options.target is None else with_target(url, options.target)
    url = without_secrets(url)  # in what is said from here on

    async def connect_socket(parsed: WSParsedURL) -> socket.socket | None:
        receive_buffer_bytes = limits.receive_buffer_bytes
        if receive_buffer_bytes is None:
            return None  # picows connects by itself
        return await connect_first(await addresses_of(parsed.host, parsed.port), receive_buffer_bytes)

    try:
        with quiet_handshakes():
            await asyncio.wait_for(
                ws_connect(
                    lambda: link,
                    asked,
                    ssl_context=options.ssl_context,
                    extra_headers=list(options.headers),
                    websocket_handshake_timeout=timeout_s,
                    max_frame_size=limits.max_message_bytes,
                    enable_auto_pong=False,
                    logger_name=_QUIET,
                    socket_factory=connect_socket,
                ),
                timeout_s,
            )
    except WSHandshakeError as error:
        status = int(error.response.status) if error.response is not None else None
        raise not_a_websocket(url, status) from error
    except (asyncio.TimeoutError, OSError) as error:  # ssl.SSLError is one
        raise dial_error(url, error, timeout_s) from error
    except (ValueError, WSError) as error:
        raise DialError(f"{url!r} is not a WebSocket URL: expected ws://host:port/path or wss://…") from error
    if not link.is_connected:
        # picows returns without an error where the peer hangs up before it has answered.
        raise hung_up(url)
    return link


def _upgrade_sent(transport: WSTransport) -> Upgrade:
    """What an end that dials has asked for."""
    sent = transport.request
    headers = Headers((name, header_text(value)) for name, value in sent.headers.items())
    underlying = transport.underlying_transport
    path, query = split_target(sent.path.decode("latin-1"))
    return Upgrade(path, query, headers, peer_of(underlying), transport.is_secure)


def _number(code: Any) -> int:  # noqa: ANN401 - the stubs call it an Enum, and it is an IntEnum or an int
    return int(code)
