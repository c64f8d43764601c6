# SPDX-License-Identifier: Apache-2.0
"""What a main program does with its process: what it prints, its exit status, and how it ends after Ctrl-C."""

from __future__ import annotations

import io
import signal
import sys
from typing import Final

# Of the exit statuses those that more than one file knows; 0 is clean, 1 says that something was lost.
BAD_INPUT: Final = 2
"""Of a program that could not do its work: bad input, or a server that cannot be reached."""

INTERRUPTED: Final = 130
"""After Ctrl-C."""


def print_what_can_be() -> None:
    """Have stdout and stderr replace what their encoding lacks: a mark, or a word, must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def take_interrupts() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, in a program that left it to the system while it loaded."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_at_next_interrupt() -> None:
    """Leave Ctrl-C to the system, for a program that ends by one.

    While threads of engines are in C++, one more would end Python's wait for them, and abort the process.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
