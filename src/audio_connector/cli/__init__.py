# SPDX-License-Identifier: Apache-2.0
"""The ``audio-connector`` command; one file per subcommand.

This file imports nothing of the extra ``cli``, so that it can say what is missing.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from audio_connector.cli import hangups
from audio_connector.cli.statuses import BAD_INPUT, INTERRUPTED
from audio_connector.wire.descriptors import open_closed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: The arguments without the program's name; those of the process by default.

    Returns:
        The exit status: 0 clean, 1 something was lost, 2 bad input or unreachable server, 130 interrupted.
    """
    open_closed()
    if argv is None and sys.argv[1:2] == ["serve"]:
        hangups.hold()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a mark that the encoding of a pipe lacks must not end the program
            stream.reconfigure(errors="replace")
    missing = [name for name in ("typer", "rich") if find_spec(name) is None]
    if missing:
        print(
            f"audio-connector: {' and '.join(missing)} not installed; "
            "the command line needs: pip install 'audio-connector[cli]'",
            file=sys.stderr,
        )
        return BAD_INPUT
    try:
        from audio_connector.cli.app import run  # noqa: PLC0415 - see the docstring above
    except KeyboardInterrupt:  # these imports take most of a second
        print("audio-connector: interrupted", file=sys.stderr)
        return INTERRUPTED
    status = run(sys.argv[1:] if argv is None else list(argv))
    if status == INTERRUPTED and argv is None:
        # While threads of engines are in C++, one more Ctrl-C would end the wait for them, and abort the process.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return status
