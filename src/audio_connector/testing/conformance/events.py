# SPDX-License-Identifier: Apache-2.0
"""Checks of the router's text messages: every shape that was seen of them, and those that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from audio_connector.audio.format import AudioFormat
from audio_connector.testing.conformance.check import Check, check
from audio_connector.testing.conformance.interruption import interruption
from audio_connector.testing.conformance.model import Failed, Skipped
from audio_connector.testing.conformance.session import Session
from audio_connector.wire.codec import decode_command
from audio_connector.wire.messages import MediaUpdate, OtherCommand

_EXCERPT_CHARACTERS = 60

STREAMS = (
    {"event": "websocket:stream:created", "streamId": "b0c9a8", "connectionId": "a1", "name": "Ann"},
    {"event": "streamCreated", "stream": {"id": "b0c9a8", "videoType": "camera", "hasAudio": True}},
    {"event": "stream:created", "payload": {"streams": ["b0c9a8", "c1"]}, "timestamp": 1774224000123},
    {"event": "websocket:stream:destroyed", "streamId": "b0c9a8", "reason": "clientDisconnected"},
    {"event": "streamDestroyed", "stream": {"id": "b0c9a8"}, "reason": None},
)
"""That they exist is known, and their shape is not: every one of these has to be harmless."""

NOTIFIES: tuple[dict[str, object], ...] = (
    {"event": "websocket:notify", "payload": {"customKey": "nobody asked", "n": 1}},
    {"event": "websocket:notify", "payload": None},
    {"event": "websocket:notify"},
)

DTMF: tuple[dict[str, object], ...] = (
    {"event": "websocket:dtmf", "digit": "5", "duration": 260},
    {"event": "websocket:dtmf", "digit": "#"},
    {"event": "websocket:dtmf", "dtmf": {"digit": "*", "duration": 100}},
    {"event": "websocket:dtmf", "dtmf": "0"},
    {"digit": "5", "duration": 260},
)


async def _with_first(session: Session, first: str, what: str) -> str:
    async with session.call(first=first) as caller:
        return await session.works(caller, f"after a first message with {what}")


async def _with_texts(session: Session, texts: Sequence[str], what: str) -> str:
    """Send these in the middle of a call, one with each frame or two."""
    async with session.call() as caller:
        for text in texts:
            caller.send(text)
            await caller.stays(0.03)
        return await session.works(caller, f"after {what}")


def _content_type(session: Session) -> str:
    return AudioFormat(session.target.rate_hz).content_type


@check(
    "events/leading-blank",
    does="Puts a blank before the first message, as the router does.",
    why="A server that looks for '{' at the beginning takes it for something else.",
    rows=("2.1",),
)
async def leading_blank(session: Session) -> str:
    """PROTOCOL 2.1."""
    return await _with_first(session, " " + session.first_message(), "a blank before it")


@check(
    "events/key-order",
    does="Sends the first message with its keys in another order, blanks between them, and custom headers.",
    why="Two generations of router write it differently, and custom headers may be nested.",
    rows=("2.2", "2.3", "2.4"),
)
async def key_order(session: Session) -> str:
    """PROTOCOL 2.3."""
    first = {
        "x-check-name": "Zoë",
        "x-check-nested": {"a": [1, None, True]},
        "event": "websocket:connected",
        **session.target.headers,
        "content-type": _content_type(session),
    }
    return await _with_first(
        session, json.dumps(first, indent=1, ensure_ascii=False), "its keys in another order"
    )


@check(
    "events/no-event-key",
    does="Sends the first message without the key 'event'.",
    why="The router's ancestor leaves it out.",
    rows=("2.2",),
)
async def no_event_key(session: Session) -> str:
    """PROTOCOL 2.2."""
    first = json.dumps({**session.target.headers, "content-type": _content_type(session)})
    return await _with_first(session, first, "no key 'event'")


@check(
    "events/no-content-type",
    does="Sends the first message without a content-type.",
    why="With audio in JSON none is documented; 16 kHz is the best guess then.",
    rows=("2.5",),
)
async def no_content_type(session: Session) -> str:
    """PROTOCOL 2.5."""
    first = json.dumps({"event": "websocket:connected", **session.target.headers})
    return await _with_first(session, first, "no content-type")


@check(
    "events/unknown-keys",
    does="Sends known events with keys that nobody knows, and with the custom headers repeated.",
    why="The protocol grows, and some references say that headers come with every message.",
    rows=("1.4", "2.4"),
)
async def unknown_keys(session: Session) -> str:
    """PROTOCOL 1.4."""
    extra = {"content-type": _content_type(session), "seq": 7, "x": {"y": [None]}, **session.target.headers}
    events: list[dict[str, object]] = [
        {"event": "websocket:media:update", "method": "update", "active": True, **extra},
        {**extra, "event": "websocket:cleared"},
    ]
    return await _with_texts(session, list(map(json.dumps, events)), "known events with unknown keys")


@check(
    "events/unknown-event",
    does="Sends events that nobody knows.",
    why="The protocol grows; in March 2026 it did.",
    rows=("2.6",),
)
async def unknown_event(session: Session) -> str:
    """PROTOCOL 2, event table."""
    events: list[dict[str, object]] = [
        {"event": "websocket:weather", "degrees": 21.5},
        {"event": "", "x": None},
        {"event": 7},
        {},
    ]
    return await _with_texts(session, list(map(json.dumps, events)), "an event that nobody knows")


@check(
    "events/streams",
    does="Tells of created and destroyed streams, in five shapes.",
    why="Such events exist since March 2026, and their shape is not published.",
    rows=("1.13", "2 stream created / destroyed"),
)
async def streams(session: Session) -> str:
    """PROTOCOL 2 stream created / destroyed."""
    return await _with_texts(
        session, list(map(json.dumps, STREAMS)), "events of created and destroyed streams"
    )


@check(
    "events/mute",
    does="Mutes the participant: websocket:media:update, then not one frame for some seconds, then unmuted.",
    why="Nothing at all comes while muted; a server that waits for the next frame is stuck, or gives up.",
    rows=("2.7", "2 websocket:media:update"),
)
async def mute(session: Session) -> str:
    """PROTOCOL 2.7."""
    after = f"after {session.timing.mute_s:g} s of mute"
    async with session.call() as caller:
        caller.send(MediaUpdate(active=False))
        caller.sends_silence = False
        await caller.stays(session.timing.mute_s)
        await session.pings(caller, after)
        caller.sends_silence = True
        caller.send(MediaUpdate(active=True))
        return f"{after}, {await session.works(caller, after)}"


@check(
    "events/silence",
    does="Sends no frames for some seconds, and no event that would explain it.",
    why="In silence the router may send nothing; frames are no clock, and speech ends by time.",
    rows=("2.8",),
)
async def silence(session: Session) -> str:
    """PROTOCOL 2.8."""
    after = f"after {session.timing.mute_s:g} s without a frame"
    async with session.call() as caller:
        caller.sends_silence = False
        await caller.stays(session.timing.mute_s)
        await session.pings(caller, after)
        by_time = "find the end of speech by time: in silence no frame comes that could be counted"
        return f"{after}, {await session.works(caller, after, if_silent=by_time)}"


@check(
    "events/notify",
    does="Sends notifies that nobody asked for: with a payload, with none, and with null.",
    why="They are Voice's, and an answer may come after what it belonged to was cleared.",
    rows=("3.6", "2 websocket:notify"),
)
async def notify(session: Session) -> str:
    """PROTOCOL 3.6."""
    return await _with_texts(session, list(map(json.dumps, NOTIFIES)), "a notify that nobody asked for")


@check(
    "events/dtmf",
    does="Presses keys, in each of the five forms that were seen.",
    why="Voice sends them, in more than one form; the router's ancestor sends them without an event.",
    rows=("2 websocket:dtmf", "2 old DTMF"),
)
async def dtmf(session: Session) -> str:
    """PROTOCOL 2 websocket:dtmf."""
    return await _with_texts(session, list(map(json.dumps, DTMF)), "pressed keys (DTMF)")


@check(
    "events/replies",
    does="Reads every text that the bot sent in a call, and while it was spoken over.",
    why="The router reads JSON objects; what else it gets is lost, or ends the call.",
    rows=("3.4", "3.7"),
)
async def replies(session: Session) -> str:
    """PROTOCOL 3.4."""
    texts = list((await session.baseline()).caller.texts)
    with suppress(Skipped):  # where it cannot be interrupted, there is nothing to read
        texts += (await interruption(session)).caller.texts
    if not texts:
        raise Skipped("the bot sent no text")
    unknown = []
    for _, text in texts:
        excerpt = text[:_EXCERPT_CHARACTERS] + ("…" if len(text) > _EXCERPT_CHARACTERS else "")
        try:
            is_object = isinstance(json.loads(text), dict)
        except (ValueError, RecursionError):
            is_object = False
        if not is_object:
            raise Failed(f"got the text {excerpt!r}; expected a JSON object; send audio as binary messages")
        if isinstance(decode_command(text), OtherCommand):
            unknown.append(excerpt)
    if unknown:
        return f"{len(texts)} JSON objects; {len(unknown)} are no command that the router knows, such as {unknown[0]}"
    return f"{len(texts)} JSON objects, all of them commands"


CHECKS: tuple[Check, ...] = (
    leading_blank,
    key_order,
    no_event_key,
    no_content_type,
    unknown_keys,
    unknown_event,
    streams,
    mute,
    silence,
    notify,
    dtmf,
    replies,
)
