# SPDX-License-Identifier: Apache-2.0
"""Audio in JSON: nothing is lost, nothing is taken for what it is not, and both ends of the wire agree."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clock import VirtualClock
from support.receivers import Notes

from audio_connector.errors import ProtocolError
from audio_connector.wire.audio_transport import AudioTransport
from audio_connector.wire.codec import encode_event
from audio_connector.wire.json_audio import JsonAudio, Role, decode_base64
from audio_connector.wire.memory import MemoryTransport, connect
from audio_connector.wire.messages import (
    Cleared,
    Connected,
    Disconnected,
    Dtmf,
    Event,
    MediaUpdate,
    Notified,
)
from audio_connector.wire.transport import Closed, Receiver

JSON = AudioTransport(transport="json")
TWO = AudioTransport(transport="json", audio_field="up", receive_audio_field="down")
FRAME = bytes(range(1, 129)) * 5

PCM = st.binary(max_size=100).map(lambda data: data * 2)
NAMES = st.text(min_size=1, max_size=8).filter(lambda name: name != "event")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def transports(draw: st.DrawFn) -> AudioTransport:
    name, other = draw(NAMES), draw(st.none() | NAMES)
    fields = draw(st.dictionaries(st.text(), VALUES, max_size=5))
    for key in (name, other):
        fields.pop(key, None)  # type: ignore[arg-type]
    event = fields.get("event")
    if isinstance(event, str) and event.startswith("websocket:"):
        del fields["event"]
    return AudioTransport(transport="json", audio_field=name, receive_audio_field=other, static_fields=fields)


class Ends:
    """Two ends of one WebSocket; ``None`` for a role is an end that sees the texts themselves."""

    def __init__(
        self,
        audio_transport: AudioTransport = JSON,
        *,
        server: Role | None = "server",
        router: Role | None = "router",
        high_bytes: int = 16384,
    ) -> None:
        self.clock = VirtualClock()
        self.faults: list[ProtocolError] = []
        self.server, self.router = Notes(), Notes()
        self.server_socket, self.router_socket = (
            MemoryTransport(
                self._wrap(notes, audio_transport, role),
                call_later=self.clock.call_later,
                high_bytes=high_bytes,
            )
            for notes, role in ((self.server, server), (self.router, router))
        )
        connect(self.server_socket, self.router_socket)

    def _wrap(self, notes: Notes, audio_transport: AudioTransport, role: Role | None) -> Receiver:
        if role is None:
            return notes
        return JsonAudio(notes, audio_transport, role=role, on_fault=self.faults.append)

    def run(self) -> Ends:
        self.clock.run_for(0.0)
        return self


def heard(text: str, audio_transport: AudioTransport = JSON, role: Role = "server") -> list[Any]:
    """What an end is told of a text, and its faults."""
    notes, faults = Notes(), list[ProtocolError]()
    JsonAudio(notes, audio_transport, role=role, on_fault=faults.append).on_text(text)
    return [*notes.told, *map(str, faults)]


def in_json(pcm: bytes, field: str = "audio", **others: object) -> str:
    return json.dumps({**others, field: base64.b64encode(pcm).decode()})


# Both ends.


@given(transports(), st.lists(PCM, max_size=5))
def test_any_audio_arrives_both_ways(audio_transport: AudioTransport, frames: list[bytes]) -> None:
    ends = Ends(audio_transport)
    for frame in frames:
        ends.server.transport.send_audio(frame)
        ends.router.transport.send_audio(frame)
    ends.run()
    assert ends.server.told == frames
    assert ends.router.told == frames
    assert ends.faults == []


@given(transports(), PCM)
def test_every_frame_is_one_json_text_under_the_documented_name(
    audio_transport: AudioTransport, pcm: bytes
) -> None:
    router = Ends(audio_transport, server=None)
    router.router.transport.send_audio(pcm)
    [text] = router.run().server.told
    encoded = base64.b64encode(pcm).decode()
    assert json.loads(text) == {**audio_transport.static_fields, audio_transport.audio_field: encoded}
    assert text.isascii()
    server = Ends(audio_transport, router=None)
    server.server.transport.send_audio(pcm)
    [text] = server.run().router.told
    assert json.loads(text) == {audio_transport.receive_audio_field or audio_transport.audio_field: encoded}
    assert text.isascii()


def test_a_message_is_written_without_blanks_the_audio_last() -> None:
    ends = Ends(AudioTransport(transport="json", static_fields={"kind": "x"}), server=None)
    ends.router.transport.send_audio(b"\x00\x01")
    assert ends.run().server.told == ['{"kind":"x","audio":"AAE="}']


# What is audio, and what is not.

EVENTS: list[Event] = [
    Connected(content_type="audio/l16;rate=16000", headers={"audio": "AAAA", "up": "AAAA", "down": "AAAA"}),
    MediaUpdate(active=False, raw={"audio": "AAAA"}),
    Disconnected(raw={"audio": "AAAA", "up": "AAAA"}),
    Cleared(raw={"audio": "AAAA"}),
    Notified(payload={"audio": "AAAA"}, raw={"audio": "AAAA"}),
    Dtmf(digit="5", raw={"audio": "AAAA"}),
]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("audio_transport", [JSON, TWO])
def test_an_event_is_never_audio(event: Event, audio_transport: AudioTransport) -> None:
    text = encode_event(event)
    assert heard(text, audio_transport) == [text]


@given(st.dictionaries(st.text(), VALUES, max_size=5), st.text())
def test_what_has_the_name_of_an_event_is_never_audio(values: dict[str, Any], rest: str) -> None:
    text = json.dumps({**values, "audio": "AAAA", "event": f"websocket:{rest}"})
    assert heard(text) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "5",
        '"audio"',
        "null",
        '["audio"]',
        "{}",
        '{"audio":null}',
        '{"audio":5}',
        '{"audio":["AAAA"]}',
        '{"audio":{"audio":"AAAA"}}',
        '{"Audio":"AAAA"}',
        '{"event":"websocket:","audio":"AAAA"}',
        '{"digit":"5","duration":260}',
        "[" * 100_000,
        "9" * 10_000,
        '{"audio":"AAAA"',
    ],
    ids=lambda text: text[:20],
)
@pytest.mark.parametrize("role", ["server", "router"])
def test_what_is_no_audio_passes_unchanged(text: str, role: Role) -> None:
    assert heard(text, role=role) == [text]


@pytest.mark.parametrize("event", [None, 5, "", "media", "Websocket:connected", ["websocket:connected"]])
def test_another_event_does_not_hinder_audio(event: object) -> None:
    assert heard(in_json(FRAME, event=event)) == [FRAME]


def test_any_spelling_of_json_is_audio() -> None:
    assert heard('  { "x" : [1], "\\u0061udio" : "AA\\u0041=" }') == [b"\x00\x00"]


def test_the_server_takes_audio_under_either_name_and_the_router_under_its_own() -> None:
    up, down = in_json(b"up", "up"), in_json(b"dn", "down")
    assert heard(up, TWO) == [b"up"]
    assert heard(down, TWO) == [b"dn"]
    assert heard(down, TWO, "router") == [b"dn"]
    assert heard(up, TWO, "router") == [up]
    assert heard(in_json(b"??"), TWO) == [in_json(b"??")]
    both = json.dumps({"down": "ZG4=", "up": "dXA="})
    assert heard(both, TWO) == [b"up"]


def test_a_binary_message_is_audio_for_the_server_and_a_fault_for_the_router() -> None:
    ends = Ends(router=None)
    ends.router.transport.send_audio(FRAME)
    assert ends.run().server.told == [FRAME]
    ends = Ends(server=None)
    ends.server.transport.send_audio(FRAME)
    assert ends.run().router.told == []
    [fault] = ends.faults
    assert str(fault) == (
        "got a binary message of 640 bytes as audio; expected base64 of whole 16-bit samples under 'audio' in a "
        "JSON text; it was not played. Send each frame as the server's audio_transport says"
    )


# Audio that is none.


@pytest.mark.parametrize(
    ("encoded", "what"),
    [
        ("AAA", "'AAA' of 3 characters, which is not base64,"),
        ("AA==AAAA", "'AA==AAAA' of 8 characters, which is not base64,"),
        ("A" * 39 + "!", f"'{'A' * 24}...' of 40 characters, which is not base64,"),
        ("AA-_", "'AA-_' of 4 characters, which is not base64,"),
        ("AAA\n", "'AAA\\n' of 4 characters, which is not base64,"),
        ("äöüß", "'äöüß' of 4 characters, which is not base64,"),
        ("AA==", "base64 of an odd number of bytes, 1,"),
        ("AAAA", "base64 of an odd number of bytes, 3,"),
    ],
)
def test_audio_that_is_none_is_said_and_handed_on_as_text(encoded: str, what: str) -> None:
    text = json.dumps({"audio": encoded})
    fault = (
        f"got {what} as audio; expected base64 of whole 16-bit samples under 'audio' in a JSON text; the text was "
        "handed on as it came. Compare audio_transport with audioTransport of the REST call"
    )
    assert heard(text) == [text, fault]


def test_each_fault_is_said_and_the_next_frame_is_heard() -> None:
    ends = Ends(router=None)
    for text in ('{"audio":"!"}', in_json(FRAME), '{"audio":"!!"}'):
        ends.router.transport.send_text(text)
    assert ends.run().server.told == ['{"audio":"!"}', FRAME, '{"audio":"!!"}']
    assert len(ends.faults) == 2


@given(st.binary())
def test_base64_is_read(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data


@given(st.text(alphabet="AQz9+/=- \n_é", max_size=12))
def test_nothing_but_base64_is_read(text: str) -> None:
    try:
        expected: bytes | None = base64.b64decode(text.encode("ascii"), validate=True)
        is_canonical = len(text) % 4 == 0 and text.rstrip("=").count("=") == 0
    except ValueError:
        expected, is_canonical = None, True
    data = decode_base64(text)
    if is_canonical and not text.endswith("==="):
        assert data == expected
    else:
        assert data is None


# All else passes.


def test_what_is_no_audio_is_the_socket_s() -> None:
    ends = Ends(high_bytes=100)
    ours = ends.server.transport
    ends.router.transport.pause_reading()
    assert ends.router_socket.is_reading_paused
    ours.send_text("{}")
    ours.send_ping(b"x")
    ours.send_audio(bytes(96))
    assert ours.write_buffer_bytes == 2 + 1 + len(in_json(bytes(96)).replace(" ", ""))
    assert ends.server.told == [False]
    ends.router.transport.resume_reading()
    ends.run()
    assert ends.server.told == [False, True, ("pong", b"x")]
    assert ends.router.told == ["{}", bytes(96)]
    assert not ours.is_closing
    ours.close(3000, "bye")
    assert ours.is_closing
    ends.run()
    assert ends.server.told[-1] == Closed(3000, "bye", closed_by="us")
    assert ends.router.told[-1] == Closed(3000, "bye", closed_by="peer")


@pytest.mark.parametrize("how", ["abort", "reset"])
def test_it_can_be_broken_off(how: str) -> None:
    ends = Ends()
    getattr(ends.router.transport, how)()
    ends.run()
    assert ends.server.told == ends.router.told == [Closed(1006, "", closed_by="network")]


def test_bytes_outside_any_frame_go_to_the_socket() -> None:
    ends = Ends()
    ends.router.transport.write_raw(b"\xff")
    ends.run()
    assert ends.router.told == [Closed(1002, "not a frame", closed_by="peer")]


def test_it_can_be_disowned_and_knows_who_has_closed_it() -> None:
    ends = Ends()
    ours = ends.server.transport
    ours.disown()
    ours.close()
    assert ours.closed_by == "us"
    ends.router.transport.send_audio(FRAME)
    ends.run()
    assert ends.server.told == []
