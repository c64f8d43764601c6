# SPDX-License-Identifier: Apache-2.0
"""The ``audio-connector`` command; one file per subcommand.

This file imports nothing of the extra ``cli``, so that it can say what is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from audio_connector.cli import hangups
from audio_connector.server.program import BAD_INPUT, INTERRUPTED, end_at_next_interrupt, print_what_can_be
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
    print_what_can_be()
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
    except KeyboardInterrupt:  # these imports take a while
        print("audio-connector: interrupted", file=sys.stderr)
        return INTERRUPTED
    status = run(sys.argv[1:] if argv is None else list(argv))
    if status == INTERRUPTED and argv is None:
        end_at_next_interrupt()
    return status
