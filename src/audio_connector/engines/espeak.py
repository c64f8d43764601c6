# SPDX-License-Identifier: Apache-2.0
"""Text to speech with the program espeak-ng: small, in a hundred languages, and robotic. Debian: espeak-ng."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from functools import partial
from typing import IO, Final

from audio_connector.engines.base.faults import EngineError, EngineMissing
from audio_connector.engines.base.sentences import sentences
from audio_connector.engines.base.work import Stop, Worker

RATE_HZ: Final = 22_050
"""Of every voice of espeak-ng; it has no option for another."""
HEADER_BYTES: Final = 44
"""Of the WAV file that it writes, whose lengths are wrong in a pipe."""
PIECE_BYTES: Final = RATE_HZ // 10 * 2


class Espeak:
    """The program espeak-ng, started for each sentence; a `Synthesiser`.

    Args:
        voice: As ``espeak-ng --voices`` lists them; ``en-us``. `say` takes the language where it is told one.
        words_per_minute: How fast it speaks.
        program: Where it is.
    """

    def __init__(
        self, voice: str = "en-us", *, words_per_minute: int = 160, program: str = "espeak-ng"
    ) -> None:
        self._voice = voice
        self._words_per_minute = words_per_minute
        self._program = program
        self._worker: Worker[str] = Worker(self.name, self._load)

    @property
    def name(self) -> str:
        """What errors and progress call it."""
        return f"espeak-ng {self._voice}"

    @property
    def sample_rate(self) -> int:
        """Rate in Hz of the audio that `say` gives."""
        return RATE_HZ

    async def warm(self) -> None:
        """Look whether the program is there.

        Raises:
            EngineMissing: It is not.
        """
        await self._worker.warm()

    async def close(self) -> None:
        """End the program that runs."""
        await self._worker.close()

    async def say(self, text: str, *, language: str | None = None) -> AsyncGenerator[bytes, None]:
        """Iterate over the speech, in pieces of 100 ms; closing the iterator ends the program.

        Raises:
            EngineMissing: The program is not there.
            EngineError: It fails; it does so for a language that it does not have.
        """
        options = ["-v", language or self._voice, "-s", str(self._words_per_minute), "--stdin", "--stdout"]
        for sentence in sentences(text):
            async with aclosing(self._worker.stream(partial(self._speak, options, sentence))) as made:
                async for piece in made:
                    yield piece

    def _load(self) -> str:
        program = shutil.which(self._program)
        if program is None:
            raise EngineMissing(f"the program {self._program} is not there", mend="apt install espeak-ng")
        return program

    def _speak(self, options: list[str], sentence: str, program: str, stop: Stop) -> Iterator[bytes]:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            [program, *options], stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        ) as process:
            if process.stdin is None or process.stdout is None or process.stderr is None:
                raise EngineError("cannot happen: all three were asked for")
            try:
                stop.then(process.kill)
                with suppress(BrokenPipeError):  # it has ended already, and says why
                    process.stdin.write(sentence.encode())  # one sentence fits into the pipe
                    process.stdin.close()
                yield from _pieces(process.stdout)
                complaint = process.stderr.read(1_000).decode(errors="replace").strip()
                status = process.wait()
                if status and not stop.is_set():
                    how = f"it was ended by signal {-status}" if status < 0 else "it failed"
                    raise EngineError(
                        f"{self.name}: {' '.join(complaint.split()) or how}; see espeak-ng --voices"
                    )
            finally:
                process.kill()


def _pieces(out: IO[bytes]) -> Iterator[bytes]:
    out.read(HEADER_BYTES)
    while piece := out.read(PIECE_BYTES):
        yield piece[: len(piece) // 2 * 2]
