# SPDX-License-Identifier: Apache-2.0
"""Foreign servers with one fault each, and the conformance checks that have to find it: those, and no others."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from support.foreign_bots import CLEAR, AnswerBot, Change, EchoBot, plain_frame
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

# --- Faults of the audio --------------------------------------------------------------------------


class AlwaysSixteen(EchoBot):
    """Audio at 16 kHz, whatever the rate of the call is."""

    async def on_audio(self, frame: bytes) -> None:
        await self.connection.send((frame * 2)[:640])


class Chunks(EchoBot):
    """Audio in chunks of a synthesizer's size."""

    rest = b""

    async def on_audio(self, frame: bytes) -> None:
        self.rest += frame if len(frame) == self.frame_bytes else b""
        while len(self.rest) >= 1000:
            await self.connection.send(self.rest[:1000])
            self.rest = self.rest[1000:]


class ShortTail(EchoBot):
    """Half a frame at the end of each utterance."""

    was_voice = False

    async def on_audio(self, frame: bytes) -> None:
        await super().on_audio(frame)
        is_voice = any(frame)
        if self.was_voice and not is_voice:
            await self.connection.send(self.tone(0.02)[0][: self.frame_bytes // 2])
        self.was_voice = is_voice


class WavHeader(EchoBot):
    """The header of a WAV file at the beginning."""

    is_first = True

    async def on_audio(self, frame: bytes) -> None:
        if self.is_first:
            frame = (b"RIFF\0\0\0\0WAVEfmt " + frame)[: len(frame)]
        self.is_first = False
        await super().on_audio(frame)


class Flood(EchoBot):
    """On its first call, more than the router holds at once."""

    calls = 0

    async def on_audio(self, frame: bytes) -> None:
        await super().on_audio(frame)
        if any(frame) and not Flood.calls:
            Flood.calls = 1
            for sound in self.tone(61):
                await self.connection.send(sound)


class Stutter(EchoBot):
    """A pause in the middle of a word, in which nothing is left to play."""

    frames = 0

    async def on_audio(self, frame: bytes) -> None:
        self.frames += any(frame)
        if self.frames == 8 and any(frame):
            await asyncio.sleep(0.25)
        await super().on_audio(frame)


AUDIO_FAULTS = {
    AlwaysSixteen: {"framing/8-khz", "framing/24-khz"},
    Chunks: {"framing/8-khz", "framing/16-khz", "framing/24-khz"},
    ShortTail: {"framing/tail"},
    WavHeader: {"framing/content"},
    Stutter: {"pacing/starving"},
}


# --- Faults of barge-in ---------------------------------------------------------------------------


class NoClear(AnswerBot):
    """The whole reply at once, and no clear command."""

    LEAD_S = 60.0
    REPLY_S = 1.5  # a busy machine is late with the interruption, and then most of it still has to be unheard

    async def interrupted(self) -> None:
        assert self.reply is not None
        self.reply.cancel()


class Ghost(AnswerBot):
    """Clears, and goes on with the old reply."""

    ghosts: Sequence[asyncio.Task[None] | None] = ()

    async def interrupted(self) -> None:
        self.ghosts = [self.reply]
        self.reply = None
        await self.connection.send(CLEAR)


class WaitsForTheAnswer(AnswerBot):
    """Says nothing after a clear until it is answered."""

    async def interrupted(self) -> None:
        await super().interrupted()
        self.is_cleared = False

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:cleared":
            self.is_cleared = True

    async def speak(self) -> None:
        if self.is_cleared:
            await super().speak()


class ObeysLateAnswers(AnswerBot):
    """Ends whatever it says when a clear is answered."""

    REPLY_S = 1.0

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:cleared" and self.reply is not None:
            self.reply.cancel()


class Wedged(AnswerBot):
    """Never speaks again after it was interrupted."""

    async def interrupted(self) -> None:
        await super().interrupted()
        self.HANGOVER_TICKS = 50_000


BARGE_IN_FAULTS = {
    NoClear: {"clear/barge-in"},
    Ghost: {"clear/stale"},
    WaitsForTheAnswer: {"clear/no-answer"},
    ObeysLateAnswers: {"clear/late-answer"},
    Wedged: {"clear/next-turn"},
}


# --- Faults of what is read -----------------------------------------------------------------------


class WantsBrace(EchoBot):
    """A first message that begins otherwise than with a brace is none."""

    async def on_text(self, text: str) -> None:
        if self.texts == 0 and not text.startswith("{"):
            raise ValueError(text)
        await super().on_text(text)


class KnowsAll(EchoBot):
    """Dies of an event that it does not know."""

    KNOWN = ("connected", "media:update", "cleared", "notify", "dtmf", "disconnected")

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        name = event.get("event")
        if name is not None and name not in [f"websocket:{known}" for known in self.KNOWN]:
            raise KeyError(name)


class WantsDigit(EchoBot):
    """One form of DTMF only."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:dtmf":
            int(event["duration"])


class WantsPayload(EchoBot):
    """A notify has to be one's own."""

    async def on_event(self, event: dict[str, Any]) -> None:
        await super().on_event(event)
        if event.get("event") == "websocket:notify" and isinstance(event["payload"], dict):
            raise LookupError(event["payload"])


class WantsBytes(EchoBot):
    """Closes on an empty message."""

    async def on_audio(self, frame: bytes) -> None:
        if not frame:
            await self.connection.close(1003)
        await super().on_audio(frame)


class WantsSamples(EchoBot):
    """Reads samples of whatever comes."""

    async def on_audio(self, frame: bytes) -> None:
        struct.unpack(f"<{len(frame) // 2}h", frame)
        await super().on_audio(frame)


class WantsJson(EchoBot):
    """Reads JSON without a net."""

    async def on_text(self, text: str) -> None:
        json.loads(text)
        await super().on_text(text)


class WantsObjects(EchoBot):
    """Reads a key of whatever JSON comes."""

    async def on_text(self, text: str) -> None:
        try:
            value = json.loads(text)
        except ValueError:
            return
        value.get("event")
        await super().on_text(text)


class WantsFirst(EchoBot):
    """Audio before the first message is an error."""

    async def on_audio(self, frame: bytes) -> None:
        if self.texts == 0:
            raise RuntimeError("not connected")
        await super().on_audio(frame)


class WantsFrames(EchoBot):
    """Takes silence for the end of the call."""

    async def run(self) -> None:
        await self.on_connect()
        while True:
            message = await asyncio.wait_for(self.connection.recv(), 0.2)
            await (self.on_audio(message) if isinstance(message, bytes) else self.on_text(message))


class Chatty(EchoBot):
    """Sends text that is no JSON."""

    async def on_connect(self) -> None:
        await self.connection.send("OK")


READING_FAULTS = {
    WantsBrace: {"events/leading-blank"},
    KnowsAll: {"events/unknown-event", "events/streams"},
    WantsDigit: {"events/dtmf"},
    WantsPayload: {"events/notify"},
    WantsBytes: {"odd-inputs/empty-audio"},
    WantsSamples: {"odd-inputs/odd-bytes"},
    WantsJson: {"odd-inputs/not-json"},
    WantsObjects: {"odd-inputs/not-an-object"},
    WantsFirst: {"odd-inputs/audio-first", "odd-inputs/no-first-message"},
    WantsFrames: {"events/mute", "events/silence"},
    Chatty: {"events/replies"},
}


# --- Faults of frames and of the upgrade ----------------------------------------------------------


def ignores_close(opcode: int, payload: bytes) -> bytes:
    """Its own closing, because of an error, is left alone."""
    return b"" if opcode == 8 and payload[:2] in (b"", b"\x03\xe8") else plain_frame(opcode, payload)


def answers_with_1005(opcode: int, payload: bytes) -> bytes:
    return plain_frame(opcode, b"\x03\xed" if opcode == 8 and payload[:2] == b"\x03\xe8" else payload)


def shortens_pongs(opcode: int, payload: bytes) -> bytes:
    return plain_frame(opcode, payload[:100] if opcode == 10 else payload)


def fragments(opcode: int, payload: bytes) -> bytes:
    if opcode != 2:
        return plain_frame(opcode, payload)
    return plain_frame(opcode, payload[:99], fin=False) + plain_frame(0, payload[99:])


def sets_a_reserved_bit(opcode: int, payload: bytes) -> bytes:
    frame = plain_frame(opcode, payload)
    return bytes([frame[0] | 0x40]) + frame[1:]


FRAME_FAULTS: dict[Change, set[str]] = {
    ignores_close: {"closing/answer"},
    answers_with_1005: {"closing/codes"},
    shortens_pongs: {"odd-inputs/ping"},
    fragments: {"framing/unfragmented"},
}


Hook = Callable[[ServerConnection, Request], Response | None]


def refuses_token_lists(connection: ServerConnection, request: Request) -> Response | None:
    is_plain = request.headers.get("Connection", "").lower() == "upgrade"
    return None if is_plain else connection.respond(HTTPStatus.BAD_REQUEST, "no upgrade\n")


def makes_a_dict(connection: ServerConnection, request: Request) -> Response | None:
    dict(request.headers)
    return None


def knows_its_origins(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(HTTPStatus.FORBIDDEN, "who?\n") if "Origin" in request.headers else None


def knows_its_parameters(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(HTTPStatus.NOT_FOUND, "what?\n") if "?" in request.path else None


def wants_a_connection_id(connection: ServerConnection, request: Request) -> Response | None:
    is_known = "x-opentok-ws-connectionid" in request.headers
    return None if is_known else connection.respond(HTTPStatus.UNAUTHORIZED, "who?\n")


def has_little_room(connection: ServerConnection, request: Request) -> Response | None:
    is_long = any(len(value) > 300 for _, value in request.headers.raw_items())
    return connection.respond(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "oh\n") if is_long else None


UPGRADE_FAULTS: dict[Hook, set[str]] = {
    refuses_token_lists: {"upgrade/keep-alive"},
    makes_a_dict: {"upgrade/repeated-header"},
    knows_its_origins: {"upgrade/subprotocol"},
    knows_its_parameters: {"upgrade/query"},
    wants_a_connection_id: {"upgrade/no-identity"},
    has_little_room: {"upgrade/full-headers"},
}


def compresses_unasked(connection: ServerConnection, request: Request, response: Response) -> None:
    response.headers["Sec-WebSocket-Extensions"] = "permessage-deflate"


class AllForOne(EchoBot):
    """Where one call breaks off, all others are closed."""

    alive: ClassVar[set[ServerConnection]] = set()

    async def run(self) -> None:
        self.alive.add(self.connection)
        try:
            await super().run()
        finally:
            self.alive.discard(self.connection)
            await self.connection.wait_closed()
            if self.connection.close_code == 1006:
                await asyncio.gather(*(other.close(1011) for other in self.alive))
