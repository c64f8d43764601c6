# SPDX-License-Identifier: Apache-2.0
"""What people send in place of PCM: files with a header, compressed audio, the text of an error.

Played as PCM, all of it is noise at full scale. It is told by its first bytes, and only where PCM cannot be meant:

1. A name of 4 bytes, and what its format says of the bytes behind it. In PCM a given 4 bytes are two samples at
   full level; noise begins with them once in 4 billion pieces.
2. Two frames of MP3 or AAC, one behind the other, that agree. One header is not enough: FF FB is the sample -1025.
   Where the frames are the same, byte for byte, it is a tone that repeats.
3. Text, all of it, of 32 bytes or more, many different ones at even and at odd places: the upper byte of PCM
   hardly changes from one sample to the next, and it would have to be positive and loud all the time.

What is too short for that passes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from audio_connector.errors import AudioDataError

_MAX_BYTES: Final = 4096  # three frames of the largest MP3, and enough of any text
_MIN_TEXT_BYTES: Final = 32
_MIN_STRUCTURE_BYTES: Final = 8
_MIN_DIFFERENT: Final = 5  # 16 letters of English hold 9 or more different ones
_EXCERPT_BYTES: Final = 60

_CONTROL: Final = bytes(set(range(0x20)) - set(b"\t\n\r")) + b"\x7f"

_NAMES: Final = {
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"\x1a\x45\xdf\xa3": "a WebM or Matroska file",
    b".snd": "an .au file",
    b"#!AM": "an AMR file",
    b"caff": "a CAF file",
    b"PK\x03\x04": "a zip file",
    b"RIFX": "a WAV file with its header",
    b"RF64": "a WAV file with its header",
    b"0&\xb2u": "a WMA file",
}
"""Formats that begin with these 4 bytes."""

_MP4: Final = (re.compile(rb".{4}ftyp", re.DOTALL), "an MP4 or M4A file")
_HEADERS: Final = {
    b"RIF": (re.compile(rb"RIFF(.{4}WAVE|.{0,4}\Z|.{4}W(AV?)?\Z)", re.DOTALL), "a WAV file with its header"),
    b"FOR": (re.compile(rb"FORM(.{4}AIF[FC]|.{0,4}\Z)", re.DOTALL), "an AIFF file"),
    b"ID3": (re.compile(rb"ID3[\x02-\x04]\x00"), "an MP3 file"),
    b"\0\0\0": _MP4,
    b"\0\0\1": _MP4,
    b"\x1f\x8b\x08": (re.compile(rb"...[\0-\x1f].{4}[\0\2\4][\0-\x0d\xff]", re.DOTALL), "gzip data"),
}
"""By their first 3 bytes, those whose beginning is not the same in every file."""
_STRUCTURES: Final = (
    (re.compile(r"\s*(\{\s*[\"}]|\[\s*[\[{\"\]])"), "JSON text"),
    (re.compile(r"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE), "HTML"),
    (re.compile(r"\s*<\?xml"), "XML"),
    (
        re.compile(
            r"\s*(HTTP/\d|(internal |server )*error\b|unauthori[sz]ed|forbidden|not found|bad (request|gateway)|"
            r"too many requests|service unavailable|gateway time-?out|access denied|invalid |missing |upstream )",
            re.IGNORECASE,
        ),
        "text",
    ),
)
"""Text that is known by how it begins."""
_WORDS: Final = (
    (re.compile(r"\s*<[!/a-z]", re.IGNORECASE), "XML"),
    (re.compile(r"[A-Za-z0-9+/_\r\n-]+=*\s*\Z"), "base64 text"),
)
"""Text that is known to be text before it is known what."""

_LOOK_AT_STATUS: Final = "look at the status of the response that it came from"
_ADVICE: Final = {
    "a WAV file with its header": "use client.play() for a file, or take its samples out with the wave module",
    "gzip data": "decompress it, as its content-encoding says",
    "JSON text": f"{_LOOK_AT_STATUS}, or take the audio out of its field and decode it",
    "HTML": f"{_LOOK_AT_STATUS}, and at its address",
    "XML": _LOOK_AT_STATUS,
    "base64 text": "decode it with base64.b64decode() first",
    "text": _LOOK_AT_STATUS,
}
_TEXTS: Final = frozenset({"JSON text", "HTML", "XML", "base64 text", "text"})
_OTHER_ADVICE: Final = "ask the speech service for raw 16-bit PCM, or use client.play() for a file"


def what_it_looks_like(head: bytes) -> str | None:
    """Tell what these bytes are, if they are surely no PCM.

    Args:
        head: The first bytes of an utterance, or of a longer piece of it; 4,096 are looked at. With 1,500 every
            format is told, with 32 all but MP3 and AAC without a tag.

    Returns:
        For example "an MP3 file" or "JSON text"; None where it may be PCM.
    """
    head = head[:_MAX_BYTES]
    name = _NAMES.get(head[:4])
    if name is not None:
        return name
    header = _HEADERS.get(head[:3])
    if header is not None and header[0].match(head):
        return header[1]
    if head[:1] == b"\xff":
        return _compressed(head)
    return _text(head)


def refuse_file(head: bytes) -> None:
    """Refuse what is surely no PCM.

    Args:
        head: As in `what_it_looks_like`.

    Raises:
        AudioDataError: It looks like a file or a text.
    """
    kind = what_it_looks_like(head)
    if kind is None:
        return
    excerpt = ""
    if kind in _TEXTS:
        text = head[:_EXCERPT_BYTES].decode("utf-8-sig", "replace").strip()
        excerpt = f" ({text!r}{'...' if len(head) > _EXCERPT_BYTES else ''})"
    advice = _ADVICE.get(kind, _OTHER_ADVICE)
    raise AudioDataError(
        f"got {kind}{excerpt} as audio; expected raw mono 16-bit little-endian PCM; {advice}"
    )


def _text(head: bytes) -> str | None:
    # Nearly all PCM ends at the first of these lines.
    if head[:16].translate(None, _CONTROL) != head[:16] or head.translate(None, _CONTROL) != head:
        return None
    text = _decoded(head)
    if len(text) < _MIN_STRUCTURE_BYTES or len(set(head)) < _MIN_DIFFERENT:
        return None
    for pattern, name in _STRUCTURES:
        if pattern.match(text):
            return name
    halves = (head[::2], head[1::2])
    if len(head) < _MIN_TEXT_BYTES or min(len(set(half)) for half in halves) < _MIN_DIFFERENT:
        return None
    return next((name for pattern, name in _WORDS if pattern.match(text)), "text")


def _decoded(head: bytes) -> str:
    """Return UTF-8 as text, as far as its last character is complete; nothing where it is none."""
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        is_cut = error.reason == "unexpected end of data"
        return head[: error.start].decode("utf-8-sig") if is_cut else ""


class _Header(NamedTuple):
    """What the header of a compressed frame says; ``kind`` is the same in every frame of a stream."""

    name: str
    kind: tuple[int, ...]
    frame_bytes: int


def _compressed(head: bytes) -> str | None:
    """Follow the frames from the first on: there have to be two, which agree and differ."""
    at, frames, first = 0, [], _header_of(head)
    header = first
    while header is not None and first is not None and header.kind == first.kind:
        frames.append(head[at + _HEADER_BYTES : at + header.frame_bytes])
        at += header.frame_bytes
        if at + _HEADER_BYTES > len(head):
            is_repeating = all(frame == frames[0][: len(frame)] for frame in frames)
            return first.name if len(frames) > 1 and not is_repeating else None
        header = _header_of(head[at:])
    return None


# ISO/IEC 13818-7, 6.2: the sync word, layer 0, and a rate that there is.
_ADTS: Final = re.compile(rb"\xff[\xf0\xf1\xf8\xf9][\x00-\x33\x40-\x73\x80-\xb3\xc0-\xf3]....", re.DOTALL)
_HEADER_BYTES: Final = 7  # of ADTS; those of MPEG have 4

# ISO/IEC 11172-3 and 13818-3, 2.4.2.3, by the second byte without its protection bit: kilobits a second and the
# sampling rate by their index in the header, 0 where there is none, and the samples of a frame. The lowest bits of
# the fourth byte are the emphasis, which nobody uses. Layer 1 is left out: no service makes it.
_KBPS: Final = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_MPEG: Final = {
    0xFA: (
        (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
        (44100, 48000, 32000, 0),
        1152,
    ),
    0xFC: (
        (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0),
        (44100, 48000, 32000, 0),
        1152,
    ),
    0xF2: (_KBPS, (22050, 24000, 16000, 0), 576),
    0xF4: (_KBPS, (22050, 24000, 16000, 0), 1152),
    0xE2: (_KBPS, (11025, 12000, 8000, 0), 576),
    0xE4: (_KBPS, (11025, 12000, 8000, 0), 1152),
}


def _header_of(frame: bytes) -> _Header | None:
    if _ADTS.match(frame):
        frame_bytes = (frame[3] & 3) << 11 | frame[4] << 3 | frame[5] >> 5
        kind = (frame[1], frame[2], frame[3] >> 6)
        return _Header("AAC audio (ADTS)", kind, frame_bytes) if frame_bytes > _HEADER_BYTES else None
    if len(frame) < _HEADER_BYTES or frame[:1] != b"\xff" or frame[3] & 3 or frame[1] & 0xFE not in _MPEG:
        return None
    all_kbps, all_hz, samples = _MPEG[frame[1] & 0xFE]
    kbps, rate_hz = all_kbps[frame[2] >> 4], all_hz[frame[2] >> 2 & 3]
    if not kbps or not rate_hz:
        return None
    frame_bytes = samples * 125 * kbps // rate_hz + (frame[2] >> 1 & 1)
    return _Header("an MP3 file", (frame[1], rate_hz, frame[3] >> 6), frame_bytes)
