# SPDX-License-Identifier: Apache-2.0
"""16-bit WAV files in and out, without any package."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, TypeAlias

from audio_connector.audio.format import MAX_CHANNELS, MAX_RATE_HZ, MIN_RATE_HZ, SAMPLE_BYTES, check_rate_hz
from audio_connector.audio.pcm import mix_down
from audio_connector.audio.riff import PCM, Layout, layout_of
from audio_connector.errors import AudioDataError, AudioFileError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

FilePath: TypeAlias = "str | os.PathLike[str]"
"""The path of a file."""

_BLOCK_SAMPLES: Final = 65536
_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_DATA_BYTES: Final = 0xFFFFFFFF - 37  # the RIFF size field: 32 bits, header and padding byte included


def read_wav(path: FilePath) -> tuple[bytes, int]:
    """Read a whole 16-bit WAV file.

    A size in the header that does not fit, as programs write it that stream, is no error: see
    `audio_connector.audio.riff`.

    Args:
        path: The file: PCM, 16 bits, 1 to `MAX_CHANNELS` channels, which are mixed down to one.

    Returns:
        Mono 16-bit little-endian samples, at least one, and their rate in Hz.

    Raises:
        AudioFileError: The file cannot be opened, is no 16-bit PCM WAV, or has no samples.
    """
    with open_wav(path) as reader:
        return b"".join(reader.blocks(_BLOCK_SAMPLES)), reader.rate_hz


@contextmanager
def open_wav(path: FilePath) -> Iterator[WavReader]:
    """Open a WAV file, check that it is 16-bit PCM and not empty, and close it at the end of the block.

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
                f"cannot open {str(path)!r}: {_reason(error)}; expected a readable WAV file; check the path"
            ) from error
        try:
            layout = layout_of(file)
        except (ValueError, OSError) as error:
            raise AudioFileError(
                f"{str(path)!r} is no WAV file that can be read here: {_reason(error)}; expected 16-bit PCM; "
                "convert it, for example: sox in.wav -b 16 -e signed-integer out.wav"
            ) from error
        yield WavReader(file, layout, path)


class WavReader:
    """An open WAV file, from `open_wav`.

    Args:
        file: The file.
        layout: Where its samples are.
        path: Its path, for errors.

    Raises:
        AudioFileError: It is not 16-bit, has too many channels or no samples, or its rate is out of range.
    """

    def __init__(self, file: BinaryIO, layout: Layout, path: FilePath) -> None:
        _check(layout, path)
        self._file = file
        self._layout = layout
        self._path = path

    @property
    def rate_hz(self) -> int:
        """Samples per second."""
        return self._layout.rate_hz

    @property
    def channels(self) -> int:
        """Samples in a group."""
        return self._layout.channels

    def blocks(self, block_samples: int) -> Iterator[bytes]:
        """Read the file from its first sample, piece by piece.

        Args:
            block_samples: Samples in each piece, 1 or more; the last may be shorter.

        Yields:
            Mono 16-bit little-endian samples.

        Raises:
            AudioFileError: Reading failed halfway.
        """
        for interleaved in self.interleaved(block_samples):
            yield mix_down(interleaved, self.channels)

    def interleaved(self, block_samples: int) -> Iterator[bytes]:
        """The same with the channels side by side: whole groups of 16-bit little-endian samples, so many each."""
        channels = self._layout.channels
        group_bytes = channels * SAMPLE_BYTES
        # A file that was cut off may end inside a group of samples.
        left_bytes = self._layout.size_bytes // group_bytes * group_bytes
        try:
            self._file.seek(self._layout.start)
            while left_bytes:
                interleaved = self._file.read(min(left_bytes, block_samples * group_bytes))
                if not interleaved or len(interleaved) % group_bytes:
                    return  # it became shorter while it was read
                left_bytes -= len(interleaved)
                yield interleaved
        except OSError as error:
            raise AudioFileError(
                f"cannot read on in {str(self._path)!r}: {_reason(error)}; expected more audio; check the disk"
            ) from error


class WavWriter:
    """Writes 16-bit audio to a WAV file while it arrives.

    The header is brought up to date after every second of audio and on `close`, so the file is
    valid whenever it is closed, and loses about a second at most where the process is killed.

    Args:
        path: The file to write; an existing one is replaced.
        rate_hz: Samples per second.
        channels: Samples in a group, which are written side by side.

    Raises:
        AudioFormatError: ``rate_hz`` is out of range.
        AudioFileError: The file cannot be opened for writing.
    """

    def __init__(self, path: FilePath, rate_hz: int, *, channels: int = 1) -> None:
        self._rate_hz = check_rate_hz(rate_hz)
        self._channels = channels
        self._group_bytes = channels * SAMPLE_BYTES
        self._path = path
        self._written_bytes = 0
        self._unpatched_bytes = 0
        try:
            self._file = _open_alone(path)
        except BlockingIOError as error:
            raise AudioFileError(
                f"cannot write {path!r}: it is being written by somebody else, such as the recording of another "
                "call; choose another name for each, such as one with the id of the call"
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise AudioFileError(
                f"cannot write {str(path)!r}: {_reason(error)}; expected a file that can be created; "
                "check the folder and its permissions"
            ) from error
        try:
            self._write_header()
        except BaseException:
            with suppress(OSError):  # what is wrong was said
                self._file.close()
            raise

    def write(self, pcm: bytes) -> None:
        """Append audio.

        Args:
            pcm: Whole groups of 16-bit little-endian samples.

        Raises:
            AudioDataError: Part of a sample, or of a group; nothing was written.
            AudioFileError: The file is closed, or would grow beyond the 4 GiB that a WAV file can hold.
            OSError: The disk refused.
        """
        if self._file.closed:
            raise AudioFileError(
                f"got audio for {str(self._path)!r}, which is closed; expected an open file; open a new one"
            )
        if len(pcm) % self._group_bytes:
            raise AudioDataError(
                f"got {len(pcm)} bytes; expected whole 16-bit samples; keep the odd byte for the next write"
            )
        if self._written_bytes + len(pcm) > _MAX_DATA_BYTES:
            raise AudioFileError(
                f"{str(self._path)!r} is full; expected at most 4 GiB in a WAV file; start a new file"
            )
        self._file.write(pcm)
        self._written_bytes += len(pcm)
        self._unpatched_bytes += len(pcm)
        if self._unpatched_bytes >= self._rate_hz * self._group_bytes:
            self._write_header()

    def close(self) -> None:
        """Complete the header and close the file; more than once is fine."""
        if not self._file.closed:
            try:
                self._write_header()
            finally:
                self._file.close()

    def _write_header(self) -> None:
        """Say how much there is; Python's wave module does so as well, and complains where the disk refuses."""
        size, group_bytes, rate_hz = self._written_bytes, self._group_bytes, self._rate_hz
        form = (PCM, self._channels, rate_hz, rate_hz * group_bytes, group_bytes, 8 * SAMPLE_BYTES)
        self._file.seek(0)
        self._file.write(
            _HEADER.pack(b"RIFF", _HEADER.size - 8 + size, b"WAVE", b"fmt ", 16, *form, b"data", size)
        )
        self._file.seek(0, os.SEEK_END)
        self._file.flush()
        self._unpatched_bytes = 0

    def __enter__(self) -> WavWriter:
        """Return the writer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file, whatever happened."""
        self.close()


def _open_alone(path: FilePath) -> BinaryIO:
    """Open a file for writing that nobody else writes to in this way, in whichever process; empty, once that is sure.

    Raises:
        BlockingIOError: Somebody does.
    """
    file = open(path, "wb", opener=_opener)  # noqa: SIM115 - closed by whoever has it
    try:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            if fcntl is not None:
                _lock(file)
            file.truncate(0)
    except BaseException:
        file.close()
        raise
    return file


def _opener(path: str, flags: int) -> int:
    # Not emptied yet; and a pipe that nobody reads is an error, where it would wait for ever.
    return os.open(path, (flags & ~os.O_TRUNC) | getattr(os, "O_NONBLOCK", 0), 0o666)


def _lock(file: BinaryIO) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system that has no locks
        return


def is_plain(layout: Layout) -> bool:
    """Tell whether `open_wav` takes samples that are laid out so."""
    return (
        layout.kind == PCM
        and layout.bits == SAMPLE_BYTES * 8
        and 1 <= layout.channels <= MAX_CHANNELS
        and MIN_RATE_HZ <= layout.rate_hz <= MAX_RATE_HZ
    )


def _check(layout: Layout, path: FilePath) -> None:
    bits, channels, rate_hz = layout.bits, layout.channels, layout.rate_hz
    if not is_plain(layout):
        raise AudioFileError(
            f"{str(path)!r} has {bits} bits{'' if layout.kind == PCM else f' of format {layout.kind}'}, "
            f"{channels} channels and {rate_hz} Hz; expected 16 bits, "
            f"1 to {MAX_CHANNELS} channels and {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; "
            "convert it, for example: sox in.wav -b 16 out.wav"
        )
    if layout.size_bytes < channels * SAMPLE_BYTES:
        raise no_audio(path)


def no_audio(path: FilePath) -> AudioFileError:
    """Return the error for a file that has a header and no samples."""
    return AudioFileError(
        f"{str(path)!r} has no audio in it; expected at least one sample; look at what was to write it"
    )


def _reason(error: Exception) -> str:
    # Not str(error) of an OSError, which says the path once more.
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
