# SPDX-License-Identifier: Apache-2.0
"""What happened in a recorded call, kept in the recording itself: a chunk behind the audio, which players skip."""

from __future__ import annotations

from typing import Final

import msgspec

from audio_connector.audio.riff import append_chunk, chunk_of
from audio_connector.audio.wav import FilePath
from audio_connector.errors import AudioFileError

CHUNK: Final = b"ACnt"
VERSION: Final = 1
MAX_BYTES: Final = 1 << 25
"""`MAX_EVENTS` with the longest texts, escaped, are a third of it."""

MAX_EVENTS: Final = 5000
"""Kept for a recording; the rest is counted."""


class Note(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened.

    Attributes:
        at_s: When, in seconds from the first sample on.
        source: Whose doing it was: "router", "server" or "network".
        name: What, in a word or two.
        detail: What else there is to say, cut; possibly empty.
        for_s: How long it lasted, in seconds; 0 for what happens in a moment.
    """

    at_s: float
    source: str
    name: str
    detail: str = ""
    for_s: float = 0.0


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording says of itself.

    Attributes:
        version: Of this form.
        kind: "recording", or "flight record".
        why: Why a flight record was written.
        connection: The id of the connection.
        session: The session, where it is known.
        began_at: When the first sample was, as ISO 8601 with its zone.
        events: What happened, in order.
        events_lost: How much more happened than is kept.
        lost_ms: Audio that could not be recorded; silence stands in its place.
        gaps: Times without audio of the caller, which are silence of their length.
        gap_ms: Their sum.
        slips: Times that audio was moved to stay with the clock, see `recording.timeline`.
    """

    version: int = VERSION
    kind: str = "recording"
    why: str = ""
    connection: str = ""
    session: str = ""
    began_at: str = ""
    events: tuple[Note, ...] = ()
    events_lost: int = 0
    lost_ms: float = 0.0
    gaps: int = 0
    gap_ms: float = 0.0
    slips: int = 0


_decode: Final = msgspec.json.Decoder(Notes).decode


def write_notes(path: FilePath, notes: Notes) -> None:
    """Add them to a complete WAV file."""
    with open(path, "r+b") as file:  # noqa: PTH123 - of whatever kind the path is
        append_chunk(file, CHUNK, msgspec.json.encode(notes))


def read_notes(path: FilePath) -> Notes | None:
    """Read those of a WAV file; None where it has none, as one of somebody else, or of a process that was killed.

    Raises:
        AudioFileError: It cannot be read, or what it says is not understood.
    """
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            body = chunk_of(file, CHUNK, MAX_BYTES)
    except OSError as error:
        raise AudioFileError(f"cannot read {path!s}: {error.strerror}; check the path") from error
    try:
        return None if body is None else _decode(body)
    except msgspec.MsgspecError as error:
        raise AudioFileError(
            f"the notes in {path!s} are not understood: {error}; expected version {VERSION} of them; open the file "
            "with the version of audio-connector that wrote it"
        ) from error
