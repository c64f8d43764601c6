# SPDX-License-Identifier: Apache-2.0
"""``python -m moderation``: the engines that the settings name, the page, the server; and ``verify`` for auditors."""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Ctrl-C while all that follows is loaded is no failure to trace; Command.main takes it back.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import sys
from pathlib import Path
from typing import Final

from audio_connector.engines import engine_of
from audio_connector.live.command import Command, Environment, Task
from moderation.app import Moderation, Settings
from moderation.audit import AuditBroken, AuditLog, verify
from moderation.policy import MeaningJudge, Policy

LOG: Final = "audit.jsonl"


def make(around: Environment[Settings]) -> Moderation:
    """Make the application; nothing is loaded yet."""
    settings = around.settings
    policy = Policy.read(around.path(settings.policy))
    by_meaning = any(each.meaning for each in policy.categories)
    embedder = engine_of("embedder", settings.embedder) if by_meaning else None
    return Moderation(
        engine_of("recogniser", settings.recogniser),
        policy,
        voice=engine_of("synthesiser", settings.synthesiser),
        judges=[] if embedder is None else [MeaningJudge(policy, embedder)],
        settings=settings,
        audit=AuditLog(around.output / LOG),
        folder=around.output,
        show=around.page.show,
        sessions=lambda: around.sessions,
    )


def _verify(settings: Settings, folder: Path, arguments: argparse.Namespace) -> int:
    del folder
    path = arguments.log or settings.output / LOG
    try:
        done = verify(path, head=arguments.head, clips=path.parent)
    except AuditBroken as error:
        print(f"✗ {error}")
        return 1
    print(f"✓ {path}: {done.lines} lines and {done.clips} clips are as they were written; hash {done.head}")
    return 0


def _verify_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("log", type=Path, nargs="?", help="the audit log, its clips beside it")
    parser.add_argument(
        "--head", metavar="HASH", help="noted earlier: the line with it has to be there still"
    )


COMMAND: Final = Command(
    "moderation",
    folder=Path(__file__).parent,
    settings=Settings,
    make=make,
    summary="Flags what is said against a policy, while it is said; keeps a clip and an audit log.",
    tasks={"verify": Task("see to it that the audit log is as it was written", _verify, _verify_arguments)},
)

if __name__ == "__main__":
    sys.exit(COMMAND.main())
