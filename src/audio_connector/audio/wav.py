# SPDX-License-Identifier: Apache-2.0
"""16-bit WAV files in and out, over the standard library alone."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

from audio_connector.audio.format import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import mix_down
from audio_connector.errors import AudioDataError, AudioFileError

FilePath: TypeAlias = "str | os.PathLike[str]"
"""The path of a file."""

_BLOCK_SAMPLES: Final = 65536  # bounded: a header may claim gigabytes that a streamed file does not have
_MAX_DATA_BYTES: Final = 0xFFFFFFFF - 37  # the RIFF size field: 32 bits, header and padding byte included


def read_wav(path: FilePath) -> tuple[bytes, int]:
    """Read a whole 16-bit WAV file.

    A header that claims more audio than the file holds, as programs write it that stream to a pipe, is no
    error.

    Args:
        path: The file: PCM, 16 bits, 1 to `MAX_CHANNELS` channels, which are mixed down to one.

    Returns:
        Mono 16-bit little-endian samples, and their rate in Hz.

    Raises:
        AudioFileError: The file cannot be opened, or is no 16-bit PCM WAV.
    """
    with open_wav(path) as reader:
        return b"".join(wav_blocks(reader, path, block_samples=_BLOCK_SAMPLES)), reader.getframerate()


@contextmanager
def open_wav(path: FilePath) -> Iterator[wave.Wave_read]:
    """Open a WAV file, check that it is 16-bit PCM, and close it at the end of the block.

    Args:
        path: As in `read_wav`.

    Yields:
        The open file, at its first sample.

    Raises:
        AudioFileError: As in `read_wav`.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("rb"))
        except (OSError, ValueError, TypeError) as error:
            raise AudioFileError(
                f"cannot open {path!r}: {_reason(error)}; expected a readable WAV file; check the path"
            ) from error
        try:
            reader = stack.enter_context(wave.open(file))
        except (wave.Error, EOFError, OSError, RuntimeError) as error:
            raise AudioFileError(
                f"{path!r} is no WAV file that can be read here: {_reason(error)}; expected 16-bit PCM; "
                "convert it, for example: sox in.wav -b 16 -e signed-integer out.wav"
            ) from error
        _check(reader, path)
        yield reader


def wav_blocks(reader: wave.Wave_read, path: FilePath, *, block_samples: int) -> Iterator[bytes]:
    """Read an open file piece by piece.

    Args:
        reader: A file from `open_wav`.
        path: Its path, for errors.
        block_samples: Samples in each piece; the last may be shorter.

    Yields:
        Mono 16-bit little-endian samples.

    Raises:
        AudioFileError: Reading failed halfway.
    """
    channels = reader.getnchannels()
    group_bytes = channels * SAMPLE_BYTES
    while True:
        try:
            interleaved = reader.readframes(block_samples)
        except OSError as error:
            raise AudioFileError(
                f"cannot read on in {path!r}: {_reason(error)}; expected more audio; check the disk"
            ) from error
        # A file that was cut off may end inside a group of samples.
        interleaved = interleaved[: len(interleaved) // group_bytes * group_bytes]
        if not interleaved:
            return
        yield mix_down(interleaved, channels)


class WavWriter:
    """Writes mono 16-bit audio to a WAV file while it arrives.

    The header is brought up to date after every second of audio and on `close`, so the file is
    valid whenever it is closed, and loses about a second at most where the process is killed.

    Args:
        path: The file to write; an existing one is replaced.
        rate_hz: Samples per second.

    Raises:
        AudioFormatError: ``rate_hz`` is out of range.
        AudioFileError: The file cannot be opened for writing.
    """

    def __init__(self, path: FilePath, rate_hz: int) -> None:
        self._bytes_per_second = check_rate_hz(rate_hz) * SAMPLE_BYTES
        self._path = path
        self._written_bytes = 0
        self._unpatched_bytes = 0
        with ExitStack() as stack:
            try:
                self._file = stack.enter_context(Path(path).open("wb"))
            except (OSError, ValueError, TypeError) as error:
                raise AudioFileError(
                    f"cannot write {path!r}: {_reason(error)}; expected a file that can be created; "
                    "check the folder and its permissions"
                ) from error
            self._wave = stack.enter_context(wave.open(self._file, "wb"))
            self._wave.setnchannels(1)
            self._wave.setsampwidth(SAMPLE_BYTES)
            self._wave.setframerate(rate_hz)
            self._wave.writeframes(b"")
            self._stack = stack.pop_all()

    def write(self, pcm: bytes) -> None:
        """Append audio.

        Args:
            pcm: Whole mono 16-bit little-endian samples.

        Raises:
            AudioDataError: An odd number of bytes; nothing was written.
            AudioFileError: The file is closed, or would grow beyond the 4 GiB that a WAV file can hold.
            OSError: The disk refused.
        """
        if self._file.closed:
            raise AudioFileError(
                f"got audio for {self._path!r}, which is closed; expected an open file; open a new one"
            )
        if len(pcm) % SAMPLE_BYTES:
            raise AudioDataError(
                f"got {len(pcm)} bytes; expected whole 16-bit samples; keep the odd byte for the next write"
            )
        if self._written_bytes + len(pcm) > _MAX_DATA_BYTES:
            raise AudioFileError(
                f"{self._path!r} is full; expected at most 4 GiB in a WAV file; start a new file"
            )
        self._written_bytes += len(pcm)
        self._unpatched_bytes += len(pcm)
        if self._unpatched_bytes < self._bytes_per_second:
            self._wave.writeframesraw(pcm)
            return
        self._wave.writeframes(pcm)
        self._file.flush()
        self._unpatched_bytes = 0

    def close(self) -> None:
        """Complete the header and close the file; more than once is fine."""
        self._stack.close()

    def __enter__(self) -> WavWriter:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, whatever happened."""
        self.close()


def _check(reader: wave.Wave_read, path: FilePath) -> None:
    bits, channels, rate_hz = reader.getsampwidth() * 8, reader.getnchannels(), reader.getframerate()
    if bits == SAMPLE_BYTES * 8 and 1 <= channels <= MAX_CHANNELS and MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        return
    raise AudioFileError(
        f"{path!r} has {bits} bits, {channels} channels and {rate_hz} Hz; expected 16 bits, "
        f"1 to {MAX_CHANNELS} channels and {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; "
        "convert it, for example: sox in.wav -b 16 out.wav"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "it ends too early"
    # Not str(error) of an OSError, which says the path once more.
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
