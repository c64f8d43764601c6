# SPDX-License-Identifier: Apache-2.0
"""Audio files of any format, read piece by piece."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from audio_connector.audio.format import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ
from audio_connector.audio.pcm import to_pcm16
from audio_connector.audio.riff import FLOAT, PCM, Layout, SampleFile, layout_of
from audio_connector.audio.wav import FilePath, is_plain, no_audio, open_wav
from audio_connector.errors import AudioDataError, AudioFileError, UsageError

_SUBTYPES: Final = {
    (PCM, 8): "PCM_U8",
    (PCM, 24): "PCM_24",
    (PCM, 32): "PCM_32",
    (FLOAT, 32): "FLOAT",
    (FLOAT, 64): "DOUBLE",
}
"""What libsndfile calls the samples of a WAV file."""


def iter_audio_file(path: FilePath, *, block_ms: int = 200) -> Iterator[tuple[bytes, int]]:
    """Read an audio file piece by piece, so that its length does not matter.

    16-bit WAV needs nothing beyond the standard library; every other format goes through soundfile (the extra
    ``files``): 24-bit and float WAV, FLAC, Ogg, MP3 and more. The format is told from the content.

    Args:
        path: The file: 1 to 32 channels, which are mixed down to one; 4,000 to 192,000 Hz.
        block_ms: Milliseconds in each piece, 1 or more; the last may be shorter.

    Returns:
        An iterator over (mono 16-bit little-endian samples, their rate in Hz). It holds the file open until
        it ends or is closed, and raises AudioFileError where the file turns out to be broken further on.

    Raises:
        AudioFileError: The file cannot be opened or decoded, has no audio in it, or needs soundfile, which is not
            installed.
        UsageError: ``block_ms`` is not a positive ``int``.
    """
    if not isinstance(block_ms, int) or isinstance(block_ms, bool) or block_ms < 1:
        raise UsageError(f"got block_ms={block_ms!r}; expected a positive int; leave it out for 200")
    path = path_of(path)
    layout = _wav_layout(path)
    if layout is not None and is_plain(layout):
        with open_wav(path):  # so that a file without audio is refused here rather than at the first piece
            return _wav_pieces(path, block_ms)
    with _open_soundfile(path, layout):  # likewise
        return _soundfile_pieces(path, layout, block_ms)


def path_of(path: FilePath) -> Path:
    """Return the path that somebody gave.

    Raises:
        AudioFileError: It is something else, such as audio.
    """
    if not isinstance(path, str | os.PathLike):
        raise AudioFileError(
            f"got {type(path).__name__} as an audio file; expected the path of one; audio itself is for "
            "Speech.write() or send_audio_buffer(); check the path"
        )
    return Path(path)


def _wav_layout(path: FilePath) -> Layout | None:
    """Look into a file; nothing where it is no WAV."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
            is_empty = not file.read(1)
        except (OSError, ValueError, TypeError) as error:
            raise AudioFileError(
                f"cannot open {str(path)!r}: {error}; expected a readable audio file; check the path"
            ) from error
        if is_empty:
            raise _undecodable(path, "it is empty")
        try:
            return layout_of(file)
        except (ValueError, OSError):
            return None


def _wav_pieces(path: FilePath, block_ms: int) -> Iterator[tuple[bytes, int]]:
    with open_wav(path) as reader:
        for pcm in reader.blocks(max(1, reader.rate_hz * block_ms // 1000)):
            yield pcm, reader.rate_hz


@contextmanager
def _open_soundfile(path: FilePath, layout: Layout | None) -> Iterator[Any]:
    try:
        soundfile = importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the package is there and libsndfile is not
        raise AudioFileError(
            f"{str(path)!r} is no 16-bit WAV file, and other formats need soundfile, which cannot be imported "
            f"({error}); run: pip install 'audio-connector[files]'"
        ) from error
    with ExitStack() as stack:
        try:
            subtype = None if layout is None else _SUBTYPES.get((layout.kind, layout.bits))
            if layout is None or subtype is None:
                file = stack.enter_context(soundfile.SoundFile(os.fspath(path)))
            else:  # the samples alone, because libsndfile believes the size in the header
                form = {"format": "RAW", "subtype": subtype, "endian": "LITTLE"}
                samples = stack.enter_context(SampleFile(stack.enter_context(Path(path).open("rb")), layout))
                file = soundfile.SoundFile(samples, "r", layout.rate_hz, layout.channels, **form)
                stack.enter_context(file)
        except (RuntimeError, TypeError, OSError) as error:  # TypeError: .raw, which has no header
            raise _undecodable(path, error) from error
        if not (1 <= file.channels <= MAX_CHANNELS and MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ):
            raise AudioFileError(
                f"{str(path)!r} has {file.channels} channels and {file.samplerate} Hz; expected 1 to {MAX_CHANNELS} "
                f"channels and {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; "
                "convert it, for example: sox in.flac out.wav rate 16k"
            )
        if not file.frames:
            raise no_audio(path)
        yield file


def _soundfile_pieces(path: FilePath, layout: Layout | None, block_ms: int) -> Iterator[tuple[bytes, int]]:
    with _open_soundfile(path, layout) as file:
        rate_hz = int(file.samplerate)
        block_samples = max(1, rate_hz * block_ms // 1000)
        while True:
            try:
                # Floats, which to_pcm16 clips and checks; libsndfile's own int16 leaves floats that are too
                # loud to its clipping flag.
                pcm = to_pcm16(file.read(block_samples, dtype="float32", always_2d=True))
            except (RuntimeError, AudioDataError) as error:
                raise _undecodable(path, error) from error
            if not pcm:
                return
            yield pcm, rate_hz


def _undecodable(path: FilePath, error: object) -> AudioFileError:
    return AudioFileError(
        f"{str(path)!r} cannot be decoded: {error}; expected a file that soundfile reads, such as WAV, FLAC, "
        "Ogg or MP3; convert it, for example: sox in.xyz out.wav"
    )
