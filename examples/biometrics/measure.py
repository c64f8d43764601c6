# SPDX-License-Identifier: Apache-2.0
"""How often it is wrong, measured on recordings: a folder with a folder for each speaker, and files in that.

As in a call, a voice is enrolled with some seconds of speech and compared with others of some seconds. The speech of
a speaker's files is put together to pieces of that length, and no file is in two pieces, so that none is compared
with itself. Each run of pieces is enrolled in its turn, and compared with all other ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from audio_connector.audio.files import iter_audio_file
from audio_connector.audio.resample import resample
from audio_connector.engines import EngineError, SpeakerEncoder, Vector
from audio_connector.errors import AudioFileError, UsageError
from audio_connector.turns import SpeechEnded, TurnDetector
from biometrics.likeness import Errors, equal_error, errors_at, score, template


@dataclass(frozen=True)
class Measured:
    """What came out.

    Attributes:
        speakers: How many.
        pieces: Of all of them.
        genuine: Scores of a speaker against themselves.
        impostor: Scores against others.
    """

    speakers: int
    pieces: int
    genuine: Sequence[float]
    impostor: Sequence[float]

    def at(self, threshold: float) -> Errors:
        """The errors of a threshold."""
        return errors_at(threshold, self.genuine, self.impostor)

    def equal(self) -> Errors:
        """The errors of the threshold where both are as frequent."""
        return equal_error(self.genuine, self.impostor)

    def told(self, threshold: float) -> Iterator[str]:
        """Say it in lines, its smallness too."""
        equal, used = self.equal(), self.at(threshold)
        yield (
            f"{self.speakers} speakers, {self.pieces} pieces, {len(self.genuine)} comparisons of a speaker with "
            f"themselves and {len(self.impostor)} with others"
        )
        rate = (equal.false_accepts + equal.false_rejects) / 2
        yield f"equal error rate {rate:.1%} at threshold {equal.threshold:.2f}, which was fitted on these voices"
        wrong = f"{used.false_rejects:.1%} wrongly rejected, {used.false_accepts:.1%} wrongly accepted"
        yield f"at {threshold:.2f}: {wrong}"
        yield (
            f"same voice: {np.min(self.genuine):.2f} to {np.max(self.genuine):.2f}; "
            f"others: {np.min(self.impostor):.2f} to {np.max(self.impostor):.2f}"
        )
        pairs = self.speakers * (self.speakers - 1) // 2
        yield (
            f"This is little: {_counted(pairs, 'pair')} of people. Even without an error among them, one pair in "
            f"{max(1, pairs // 3)} may be confused (95 % confidence); and recordings of one session are more alike "
            "than those of two days."
        )


async def measure(
    folder: Path,
    encoder: SpeakerEncoder,
    *,
    line_hz: int,
    seconds: float,
    enrol_pieces: int = 2,
    most_pieces: int = 20,
) -> Measured:
    """Measure.

    Args:
        folder: With a folder for each speaker.
        encoder: Who makes vectors.
        line_hz: All is brought to this rate before, as a line of that rate would.
        seconds: Of speech in a piece.
        enrol_pieces: So many are enrolled.
        most_pieces: Of one speaker, spread over what there is.

    Raises:
        UsageError: There are not two speakers with enough speech.
    """
    voices: dict[str, list[Vector]] = {}
    for path in _folders(folder):
        pieces = list(pieces_of(_files(path), line_hz=line_hz, seconds=seconds))
        step = max(1, len(pieces) // most_pieces)
        rows: list[Vector] = []
        for piece in pieces[::step][:most_pieces]:
            try:
                rows.append(await encoder.encode(piece, sample_rate=line_hz))
            except EngineError:  # a tone, or too soft: no voice
                continue
        if len(rows) > enrol_pieces:
            voices[path.name] = rows
    if len(voices) < 2:
        raise UsageError(
            f"got {_counted(len(voices), 'speaker')} in {str(folder)!r}; expected a folder for each, two at least, "
            f"with recordings of {(enrol_pieces + 1) * seconds:g} s of speech and more in all"
        )
    return compare(voices, enrol_pieces=enrol_pieces)


def compare(voices: Mapping[str, Sequence[Vector]], *, enrol_pieces: int) -> Measured:
    """Compare each run of pieces of each speaker with all other pieces."""
    genuine: list[float] = []
    impostor: list[float] = []
    for name, rows in voices.items():
        others = list(chain.from_iterable(each for other, each in voices.items() if other != name))
        for begin in range(0, len(rows) - enrol_pieces + 1, enrol_pieces):
            enrolled = template(rows[begin : begin + enrol_pieces])
            rest = [*rows[:begin], *rows[begin + enrol_pieces :]]
            genuine += [score(enrolled, each) for each in rest]
            impostor += [score(enrolled, each) for each in others]
    return Measured(len(voices), sum(map(len, voices.values())), genuine, impostor)


def pieces_of(files: Iterable[tuple[bytes, int]], *, line_hz: int, seconds: float) -> Iterator[bytes]:
    """Give pieces of so much speech, each of files of its own; what is left at the end is too short."""
    wanted = round(seconds * line_hz) * 2
    piece = b""
    for pcm, rate_hz in files:
        piece += speech_of(resample(pcm, rate_hz, line_hz), line_hz)
        if len(piece) >= wanted:
            yield piece[:wanted]
            piece = b""


def speech_of(audio: bytes, rate_hz: int) -> bytes:
    """Leave out the silence around what is said."""
    turns = TurnDetector(sample_rate=rate_hz)
    events = [*turns.feed(audio), *turns.finish()]
    return b"".join(each.audio for each in events if isinstance(each, SpeechEnded))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def _files(folder: Path) -> Iterator[tuple[bytes, int]]:
    for path in sorted(
        each for each in folder.rglob("*") if each.suffix.lower() in (".wav", ".ogg", ".flac")
    ):
        try:
            read = list(iter_audio_file(path))
        except AudioFileError:  # of a kind that is not read here
            continue
        if read:
            yield b"".join(pcm for pcm, _ in read), read[0][1]
