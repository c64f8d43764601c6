# SPDX-License-Identifier: Apache-2.0
"""``python -m biometrics``: the server and its page; and commands that enrol, compare, forget, measure and rotate."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from audio_connector.audio.resample import resample
from audio_connector.audio.wav import read_wav
from audio_connector.engines import SpeakerEncoder, engine_of
from audio_connector.engines.base.warm import name_of
from audio_connector.live.command import Command, Environment, Task
from biometrics.app import Biometrics, Settings
from biometrics.judging import RATE_HZ, SAMPLE_BYTES, Refused, enrol, judge, nearest, too_short
from biometrics.measure import measure, speech_of
from biometrics.vault import Keys, Vault

FAILED: Final = 1

Run: TypeAlias = Callable[[Settings, SpeakerEncoder, argparse.Namespace], Coroutine[Any, Any, int]]


def make(around: Environment[Settings]) -> Biometrics:
    """Make the application; nothing is loaded yet."""
    settings = around.settings
    vault = _new_vault(around.output, settings.vault) if around.is_demo else vault_of(settings)
    vault.all()  # a key that does not fit is told now, and not in the first call
    encoder = engine_of("speaker-encoder", settings.encoder)
    return Biometrics(encoder, vault, settings=settings, show=around.page.show)


def vault_of(settings: Settings) -> Vault:
    """The file of enrolments that the settings name."""
    return Vault(settings.vault, Keys(settings.key_file))


def _new_vault(folder: Path, beside: Path) -> Vault:
    """A demo's own: nobody of it is to be among those whom real calls are compared with.

    Its key is beside the real vault: of whatever is below the output, the page of a later run gives all.
    """
    (folder / "biometrics.vault").unlink(missing_ok=True)
    return Vault(folder / "biometrics.vault", Keys(beside.with_name(f"{beside.stem}.{folder.name}.key")))


async def _enrol(settings: Settings, encoder: SpeakerEncoder, arguments: argparse.Namespace) -> int:
    vault, (raw, line_hz) = vault_of(settings), _read(arguments.files)
    before, speech = vault.all().get(arguments.name), speech_of(raw, RATE_HZ)
    if (spoken_s := _seconds(speech)) < settings.enrol_s:
        raise Refused(
            f"got {spoken_s:.1f} s of speech; expected {settings.enrol_s:g} s, enrol_s of the settings"
        )
    enrolment = await enrol(
        encoder, speech, raw, name=arguments.name, consent=arguments.consent, line_hz=line_hz,
        before=before, threshold=settings.lines(line_hz).threshold,
    )  # fmt: skip
    vault.put(enrolment, before=before)
    print(f"✓ enrolled {arguments.name}: {len(enrolment.vectors)} samples, {line_hz} Hz; {vault.path}")
    return 0


async def _compare(settings: Settings, encoder: SpeakerEncoder, arguments: argparse.Namespace) -> int:
    raw, line_hz = _read([arguments.file])
    speech = speech_of(raw, RATE_HZ)
    claim, spoken_s = getattr(arguments, "name", ""), _seconds(speech)
    if spoken_s < settings.decide_s:
        print(too_short(claim, spoken_s, settings.decide_s))
        return FAILED
    voice = await encoder.encode(speech, sample_rate=RATE_HZ)
    found = nearest(voice, vault_of(settings).all(), claim=claim, engine=name_of(encoder))
    decision = judge(
        found, raw, line_hz=line_hz, claim=claim, lines=settings.lines(line_hz), speech_s=spoken_s
    )
    print(decision)
    return 0 if decision.verdict in ("accepted", "recognised") else FAILED


async def _measure(settings: Settings, encoder: SpeakerEncoder, arguments: argparse.Namespace) -> int:
    measured = await measure(
        arguments.folder, encoder, line_hz=arguments.line, seconds=arguments.seconds or settings.decide_s
    )
    for line in measured.told(settings.lines(arguments.line).threshold):
        print(line)
    return 0


def _read(paths: Sequence[Path]) -> tuple[bytes, int]:
    """The recordings one after the other at 16 kHz, and the rate of the lowest of them."""
    read = [read_wav(path) for path in paths]
    return b"".join(resample(pcm, rate_hz, RATE_HZ) for pcm, rate_hz in read), min(rate for _, rate in read)


def _seconds(speech: bytes) -> float:
    return len(speech) / SAMPLE_BYTES / RATE_HZ


def _with_engine(run: Run) -> Callable[[Settings, Path, argparse.Namespace], int]:
    """A task that needs the encoder: loaded before, freed behind it."""

    async def all_of_it(settings: Settings, arguments: argparse.Namespace) -> int:
        encoder: SpeakerEncoder = engine_of("speaker-encoder", settings.encoder)
        try:
            await encoder.warm()
            return await run(settings, encoder, arguments)
        finally:
            await encoder.close()

    return lambda settings, _, arguments: asyncio.run(all_of_it(settings, arguments))


def _forget(settings: Settings, _: Path, arguments: argparse.Namespace) -> int:
    if not vault_of(settings).forget(arguments.name):
        print(f"✗ nobody is enrolled as {arguments.name!r}")
        return FAILED
    print(
        f"✓ forgot {arguments.name}; rotate makes older copies of the file worthless, once their key is gone"
    )
    return 0


def _list(settings: Settings, _: Path, arguments: argparse.Namespace) -> int:
    del arguments
    known = vault_of(settings).all()
    for each in known.values():
        print(
            f"{each.name}: {each.enrolled_at}, {len(each.vectors)} samples, {each.line_hz} Hz; {each.consent}"
        )
    if not known:
        print(f"nobody is enrolled in {settings.vault.absolute()}")
    return 0


def _rotate(settings: Settings, _: Path, arguments: argparse.Namespace) -> int:
    del arguments
    print(f"✓ {vault_of(settings).rotate()} enrolments are encrypted with a new key")
    return 0


def _takes_enrolment(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="who it is")
    parser.add_argument(
        "files", type=Path, nargs="+", metavar="WAV", help="enrol_s seconds of speech and more in all"
    )
    parser.add_argument(
        "--consent", required=True, metavar="TEXT", help="how and when this person has agreed"
    )


def _takes_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="who it is")


def _takes_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="WAV", help="decide_s seconds of speech and more")


def _takes_both(parser: argparse.ArgumentParser) -> None:
    _takes_name(parser)
    _takes_file(parser)


def _takes_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="with a folder of recordings for each speaker")
    parser.add_argument("--line", type=int, choices=(8000, 16000), default=16000, help="of the line, in Hz")
    parser.add_argument("--seconds", type=float, metavar="S", help="of speech in a comparison; as in a call")


COMMAND: Final = Command(
    "biometrics",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Verifies who speaks, among who was enrolled; enrolments are encrypted.",
    tasks={
        "enrol": Task("enrol somebody by recordings", _with_engine(_enrol), _takes_enrolment),
        "verify": Task("is it this person?", _with_engine(_compare), _takes_both),
        "who": Task("who of those enrolled is it?", _with_engine(_compare), _takes_file),
        "list": Task("who is enrolled", _list),
        "forget": Task("delete somebody", _forget, _takes_name),
        "rotate": Task("encrypt all enrolments with a new key", _rotate),
        "measure": Task("how often is it wrong?", _with_engine(_measure), _takes_folder),
    },
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
